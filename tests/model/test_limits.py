"""How much of something one source may have in a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.limits import (
    LOCAL,
    ConnectionLimiter,
    Limits,
    RateLimit,
    TokenBucket,
    source_of,
)
from tests.support.fuzzing import examples


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", LOCAL),
        ("127.9.9.9", LOCAL),
        ("::1", LOCAL),
        ("::ffff:127.0.0.1", LOCAL),
        ("/run/chat.sock", LOCAL),
        ("", LOCAL),
        (None, LOCAL),
    ],
)
def test_a_host_counts_for_its_source(host: str | None, source: str) -> None:
    assert source_of(host) == source


def test_a_quota_is_used_up_and_comes_back(time: Time) -> None:
    quota = RateLimit(2, 60, time)
    assert quota.take("a")
    time.now += 30
    assert quota.take("a")
    assert not quota.take("a")
    time.now += 29
    assert not quota.take("a")
    time.now += 1
    assert quota.take("a")
    assert not quota.take("a")


def test_what_was_refused_does_not_count(time: Time) -> None:
    quota = RateLimit(1, 60, time)
    assert quota.take("a")
    for _ in range(59):
        time.now += 1
        assert not quota.take("a")
    time.now += 1
    assert quota.take("a")


def test_what_was_not_used_of_a_quota_is_given_back(time: Time) -> None:
    quota = RateLimit(1, 60, time)
    quota.give_back("one")
    assert quota.take("one")
    assert quota.spent("one")
    quota.give_back("one")
    assert len(quota) == 0
    assert quota.take("one")
    assert not quota.take("one")


def test_each_source_has_a_quota_of_its_own(time: Time) -> None:
    quota = RateLimit(1, 60, time)
    assert quota.take("a")
    assert quota.take("b")
    assert not quota.take("a")


def test_a_quota_of_nothing_is_no_quota(time: Time) -> None:
    quota = RateLimit(0, 60, time)
    assert all(quota.take("a") for _ in range(1000))
    assert len(quota) == 0


def test_sources_that_are_done_with_are_forgotten(time: Time) -> None:
    quota = RateLimit(3, 60, time)
    for number in range(1000):
        assert quota.take(f"source {number}")
        time.now += 1
    assert len(quota) <= 62


def test_many_sources_at_once_are_forgotten_as_others_come(time: Time) -> None:
    quota = RateLimit(3, 60, time)
    for number in range(100):
        assert quota.take(f"source {number}")
    time.now += 61
    for number in range(100):
        assert quota.take(f"other {number}")
    assert len(quota) == 100


def test_a_burst_goes_at_once_and_then_one_at_a_time() -> None:
    pace = TokenBucket(2, 10)
    full_at = 0.0
    for _ in range(9):
        full_at = pace.spend(full_at, 100.0)
        assert pace.wait(full_at, 100.0) <= 0
    full_at = pace.spend(full_at, 100.0)
    assert pace.wait(full_at, 100.0) == pytest.approx(0.5)
    assert pace.wait(full_at, 100.5) <= 0


def test_a_burst_of_nothing_is_one() -> None:
    pace = TokenBucket(1, 0)
    assert pace.wait(0.0, 100.0) <= 0
    assert pace.wait(pace.spend(0.0, 100.0), 100.0) == pytest.approx(1)


def test_no_rate_is_no_limit() -> None:
    pace = TokenBucket(0, 10)
    assert pace.wait(pace.spend(0.0, 100.0, 1e9), 100.0) <= 0


@given(
    rate=st.integers(1, 20),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
@examples(200)
def test_no_span_of_time_has_more_than_the_burst_and_the_rate(
    rate: int, burst: int, gaps: list[float]
) -> None:
    pace = TokenBucket(rate, burst)
    now, full_at = 1000.0, 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        now += max(0.0, pace.wait(full_at, now))
        full_at = pace.spend(full_at, now)
        taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span = taken[last] - taken[first]
            assert last - first + 1 <= burst + rate * span + 1e-3


def test_all_connections_together_are_limited(time: Time) -> None:
    limiter = ConnectionLimiter(Limits(max_connections=2), time)
    for source in ("192.0.2.1", LOCAL):
        assert limiter.why_refused(source) is None
        limiter.entered(source)
    full = "The server is full. Please try again later."
    assert limiter.why_refused("192.0.2.3") == full
    assert limiter.why_refused(LOCAL) == full
    limiter.left(LOCAL)
    assert limiter.why_refused("192.0.2.3") is None


def test_the_connections_of_one_source_are_limited(time: Time) -> None:
    limiter = ConnectionLimiter(Limits(connections_per_source=2), time)
    for _ in range(2):
        assert limiter.why_refused("192.0.2.1") is None
        limiter.entered("192.0.2.1")
    assert limiter.why_refused("192.0.2.1") == (
        "There are 2 connections from your address already."
    )
    assert limiter.why_refused("192.0.2.2") is None
    limiter.left("192.0.2.1")
    assert limiter.why_refused("192.0.2.1") is None


def test_the_attempts_of_one_source_are_limited(time: Time) -> None:
    limiter = ConnectionLimiter(Limits(attempts_per_minute=3), time)
    assert [limiter.why_refused("192.0.2.1") for _ in range(3)] == [None] * 3
    assert limiter.why_refused("192.0.2.1") == (
        "Too many connections from your address in a minute. Please wait a little."
    )
    time.now += 60
    assert limiter.why_refused("192.0.2.1") is None


def test_this_machine_is_limited_only_by_the_sum(time: Time) -> None:
    limiter = ConnectionLimiter(Limits(attempts_per_minute=1, connections_per_source=1), time)
    for _ in range(100):
        assert limiter.why_refused(LOCAL) is None
        limiter.entered(LOCAL)
    assert limiter.connected == 100


def test_limits_of_nothing_are_no_limits(time: Time) -> None:
    limits = Limits(max_connections=0, connections_per_source=0, attempts_per_minute=0)
    limiter = ConnectionLimiter(limits, time)
    for _ in range(20_000):
        assert limiter.why_refused("192.0.2.1") is None
        limiter.entered("192.0.2.1")


def test_sources_that_are_gone_are_forgotten(time: Time) -> None:
    limiter = ConnectionLimiter(Limits(attempts_per_minute=0), time)
    for number in range(10):
        limiter.entered(f"192.0.2.{number}")
    for number in range(10):
        limiter.left(f"192.0.2.{number}")
    assert limiter.connected == 0
    assert limiter._by_source == {}


def test_other_limits_hold_for_who_comes_next() -> None:
    limiter = ConnectionLimiter(Limits(attempts_per_minute=0), lambda: 0.0)
    for _ in range(3):
        assert limiter.why_refused("192.0.2.1") is None
        limiter.entered("192.0.2.1")
    limiter.configure(Limits(attempts_per_minute=1, connections_per_source=0))
    assert limiter.why_refused("192.0.2.1") is None
    assert "in a minute" in str(limiter.why_refused("192.0.2.1"))
    limiter.configure(Limits(attempts_per_minute=0, connections_per_source=3))
    assert "There are 3 connections" in str(limiter.why_refused("192.0.2.1"))
    limiter.configure(Limits(max_connections=3))
    assert "full" in str(limiter.why_refused("192.0.2.9"))


def test_all_sources_of_a_site_together_have_four_times_as_much(time: Time) -> None:
    quota = RateLimit(2, 60, time)
    site = [f"2001:db8:7:{number}::/64" for number in range(9)]
    assert [quota.take(source) for source in site for _ in range(3)] == (
        [True, True, False] * 4 + [False] * 15
    )
    assert quota.spent(site[8])
    assert quota.take("2001:db8:8:0::/64")
    quota.give_back(site[0])
    assert quota.take(site[8])
    assert not quota.take(site[7])
    time.now += 61
    assert all(quota.take(source) for source in site[:4])
    assert len(quota) <= 7
