"""Attempts: guessing is slow, and the owner passes."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from chatroom.accounts.throttle import (
    FREE_FAILURES,
    MAX_WAITING,
    MAX_WAITING_ALIKE,
    PAUSES_SECONDS,
    REMEMBERED_SECONDS,
    LoginThrottle,
)
from chatroom.model.refused import TooMany
from tests.support.doubles import Clock


class Desk:
    """Attempts whose work takes *takes* seconds and ends as it was said."""

    def __init__(self, width: int = 1, takes: float = 0.25) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.attempts = LoginThrottle(self.clock, width)
        self.takes = takes
        self.under_way = 0
        self.most_under_way = 0
        #: What was done, in that order, and when.
        self.done: list[tuple[str, float]] = []
        self.answers: dict[str, list[object]] = {}
        self.left: set[str] = set()
        self.owner_asked = 0

    def tries(
        self,
        who: str,
        right: bool = False,
        *,
        name: str = "alice",
        source: str = "198.51.100.1",
        failures: int = 0,
        since: float = 0.0,
    ) -> None:
        def work() -> Deferred[bool]:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            self.done.append((who, self.clock.seconds()))
            ended: Deferred[bool] = Deferred()
            self.clock.callLater(self.takes, end, ended)
            return ended

        def end(ended: Deferred[bool]) -> None:
            self.under_way -= 1
            ended.callback(right)

        answers = self.answers.setdefault(who, [])
        added = self.attempts.add(name, source, failures, since, work, lambda: who in self.left)
        added.addCallbacks(answers.append, lambda failure: answers.append(failure.type))

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds * 100))

    def order(self) -> list[str]:
        return [who for who, _ in self.done]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.attempts.close()


def test_the_answer_is_what_the_work_says(desk: Desk) -> None:
    desk.tries("owner", True)
    desk.tries("guesser", False)
    desk.wait(1)
    assert desk.answers == {"owner": [True], "guesser": [False]}


def test_only_so_many_at_a_time() -> None:
    desk = Desk(width=2)
    for number in range(6):
        desk.tries(f"{number}", True, source=f"198.51.100.{number}")
    desk.wait(2)
    assert desk.most_under_way == 2
    assert len(desk.done) == 6


def test_the_first_failures_cost_nothing(desk: Desk) -> None:
    for _ in range(FREE_FAILURES + 1):
        desk.tries("guesser")
        desk.wait(desk.takes + 0.02)
    assert len(desk.done) == FREE_FAILURES + 1


def test_further_failures_are_slower_and_slower_up_to_a_bound(desk: Desk) -> None:
    for _ in range(12):
        desk.tries("guesser")
        desk.wait(4)
    desk.done.clear()
    for _ in range(6):
        desk.tries("guesser")
        desk.wait(1)
    desk.wait(20)
    times = [time for _, time in desk.done]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 5
    assert all(gap == pytest.approx(PAUSES_SECONDS[-1] + desk.takes, abs=0.03) for gap in gaps)


def test_another_source_does_not_wait_for_it(desk: Desk) -> None:
    for _ in range(10):
        desk.tries("guesser")
    desk.wait(3)
    start = desk.clock.seconds()
    desk.tries("owner", True, source="203.0.113.5")
    desk.wait(2 * desk.takes + 0.05)
    assert desk.answers["owner"] == [True]
    assert desk.clock.seconds() - start < 1


def test_another_name_from_the_same_source_does_not_wait_for_it(desk: Desk) -> None:
    for _ in range(10):
        desk.tries("guesser")
    desk.wait(3)
    desk.tries("bob", True, name="bob")
    desk.wait(2 * desk.takes + 0.05)
    assert desk.answers["bob"] == [True]


def test_from_the_same_source_who_has_failed_less_goes_first(desk: Desk) -> None:
    for number in range(8):
        desk.tries(f"guesser{number}", failures=5)
    desk.wait(2)
    start = desk.clock.seconds()
    desk.tries("owner", True)
    desk.wait(PAUSES_SECONDS[-1] + 2 * desk.takes + 0.1)
    assert desk.answers["owner"] == [True]
    when = dict(desk.done)["owner"]
    assert when - start <= PAUSES_SECONDS[-1] + desk.takes + 0.02


def test_ten_thousand_guesses_and_the_owner(desk: Desk) -> None:
    """Everybody comes from one source, and the guessers from a hundred connections."""
    for turn in range(100):
        for number in range(100):
            desk.tries(f"guess{turn}-{number}", failures=turn)
        desk.wait(0.05)
    start = desk.clock.seconds()
    desk.tries("owner", True, since=start)
    # Those who had not failed yet had to be waited for.
    bound = (MAX_WAITING_ALIKE + 1) * (PAUSES_SECONDS[-1] + desk.takes)
    desk.wait(bound + 0.1)
    assert desk.answers["owner"] == [True]
    assert dict(desk.done)["owner"] - start <= bound
    # The pauses held for all of them: some guesses in 15 seconds, not 10,000.
    assert sum(who.startswith("guess") for who in desk.order()) < FREE_FAILURES + 10
    refused = sum(answers == [TooMany] for answers in desk.answers.values())
    assert refused > 9900


def test_the_owner_gets_in_though_each_guess_has_a_connection_of_its_own(desk: Desk) -> None:
    """A flood from their own source: they are turned away at first, stay, and pass."""
    since = 0.0
    tried = 0
    while True not in desk.answers.get("owner", ()):
        for _ in range(5):
            desk.tries(f"guess{tried}", since=desk.clock.seconds())
            tried += 1
            desk.wait(0.1)
        if since == 0.0 and tried > 50:
            since = desk.clock.seconds()
        if since and len(desk.answers.get("owner", ())) == desk.owner_asked:
            desk.tries("owner", True, since=since)
            desk.owner_asked += 1
        assert not since or desk.clock.seconds() - since < 30


def test_guessers_from_everywhere_do_not_hold_up_a_source_that_has_not_failed(desk: Desk) -> None:
    for turn in range(2):
        for number in range(60):
            desk.tries(f"guesser{number}", source=f"10.0.0.{number}", failures=turn)
        desk.wait(20)
    for number in range(60):
        desk.tries(f"again{number}", source=f"10.0.0.{number}")
    desk.tries("owner", True, source="203.0.113.5")
    desk.wait(2 * desk.takes + 0.05)
    assert desk.answers["owner"] == [True]


def test_too_many_in_all_costs_one_of_those_who_failed_most(desk: Desk) -> None:
    for number in range(MAX_WAITING + 1):
        desk.tries(f"{number}", True, name=f"name{number}", failures=1)
    desk.tries("fresh", True, source="203.0.113.5")
    desk.tries("worst", True, source="203.0.113.6", failures=9)
    desk.wait(0.02)
    assert desk.answers["worst"] == [TooMany]
    desk.wait((MAX_WAITING + 4) * desk.takes)
    assert desk.answers["fresh"] == [True]
    assert sum(answers == [TooMany] for answers in desk.answers.values()) == 3 - 1


def test_of_equals_who_came_last_is_turned_away(desk: Desk) -> None:
    for number in range(MAX_WAITING_ALIKE + 1):
        desk.tries(f"{number}", since=number)
    desk.tries("old", since=0.5)
    desk.wait(0.02)
    # One is under way.
    assert desk.answers[f"{MAX_WAITING_ALIKE}"] == [TooMany]
    assert desk.answers["old"] == []


def test_who_has_gone_is_not_worked_for(desk: Desk) -> None:
    desk.tries("first", True)
    desk.tries("gone", True)
    desk.left.add("gone")
    desk.tries("last", True)
    desk.wait(2)
    assert desk.order() == ["first", "last"]
    assert desk.answers["gone"] == []


def test_who_has_gone_makes_room_when_the_others_are_told(desk: Desk) -> None:
    for who in ("first", "gone", "last"):
        desk.tries(who, True)
    desk.left.add("gone")
    desk.attempts.give_up()
    assert desk.answers == {"first": [], "gone": [CancelledError], "last": []}
    desk.wait(1)
    assert desk.order() == ["first", "last"]


def test_work_that_fails_is_no_failure_of_the_one_who_tried(desk: Desk) -> None:
    def work() -> Deferred[bool]:
        raise OSError("no memory")

    kinds: list[object] = []
    for _ in range(FREE_FAILURES + 5):
        desk.attempts.add("alice", "x", 0, 0.0, work).addErrback(
            lambda failure: kinds.append(failure.type)
        )
    desk.wait(0.1)
    assert kinds == [OSError] * (FREE_FAILURES + 5)


def test_failures_are_forgotten_after_an_hour(desk: Desk) -> None:
    for _ in range(6):
        desk.tries("guesser")
    desk.wait(10)
    assert len(desk.attempts) == 1
    desk.clock.advance(REMEMBERED_SECONDS)
    for number in range(3):
        desk.tries("somebody", True, name=f"name{number}")
        desk.wait(1)
    assert len(desk.attempts) == 0


def test_after_the_close_nothing_is_begun(desk: Desk) -> None:
    desk.attempts.close()
    desk.tries("late", True)
    desk.wait(1)
    assert desk.done == []
    assert not desk.clock.getDelayedCalls()


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans(), st.integers(0, 3)),
        max_size=40,
    ),
    st.integers(1, 3),
)
def test_everybody_gets_one_answer(tries: list[tuple[str, str, bool, int]], width: int) -> None:
    desk = Desk(width, takes=0.01)
    for number, (name, source, right, failures) in enumerate(tries):
        desk.tries(f"{number}", right, name=name, source=source, failures=failures)
    desk.clock.pump([0.05] * 2000)
    assert all(len(answers) == 1 for answers in desk.answers.values())
    assert desk.most_under_way <= width
    assert not desk.clock.getDelayedCalls()
