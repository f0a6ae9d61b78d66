"""The log of a room against a plain list of what was said, whatever is cut and removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.log import Log
from chatroom.model.events import SERVER, Event, Joined, Removed, Said
from tests.support.fuzzing import examples
from tests.support.rooms import filled

LATER = 2**62

#: What happens: a line or another event, or the log is cut, or every third line is removed.
STEPS = st.lists(st.sampled_from(["line", "line", "line", "other", "trim", "remove"]), max_size=60)


def happened(steps: list[str], most: int) -> tuple[Log, list[tuple[int, Event]], int]:
    """A log of at most *most* events, what is left in it, and how many lines were ever said."""
    log, said = Log(max_events=most, max_bytes=0), 0
    left: list[tuple[int, Event]] = []
    for id, step in enumerate(steps, 1):
        if step == "line":
            said += 1
            left.append((10 * id, Said(float(id), 1, "alice", str(id))))
            log.append(*left[-1])
        elif step == "other":
            left.append((10 * id, Removed(float(id), SERVER)))
            log.append(*left[-1])
        elif step == "trim":
            log.trim()
            left = left[-most:]
        else:
            log.replace(lambda row: row.id % 3 == 0)
            left = [
                (id, Removed(event.time, SERVER) if event.line and id % 3 == 0 else event)
                for id, event in left
            ]
    return log, left, said


@given(steps=STEPS, most=st.integers(1, 20), count=st.integers(1, 9), at=st.integers(0, 700))
@examples(300)
def test_the_last_lines_before_an_id_are_those_that_are_left(
    steps: list[str], most: int, count: int, at: int
) -> None:
    log, left, said = happened(steps, most)
    lines = [(id, event) for id, event in left if event.line]
    assert log.before(at, count) == [pair for pair in lines if pair[0] < at][-count:]
    assert log.recent(count) == [event for _, event in lines][-count:]
    assert log.lines == said
    assert not lines or log.spoken == lines[-1][1].time
    assert [row.id for row in log.between(at)] == [id for id, _ in left if id >= at]
    assert log.has_line(at) == any(id == at for id, _ in lines)


@given(steps=STEPS, most=st.integers(1, 20), after=st.integers(0, 700), before=st.integers(0, 700))
@examples(300)
def test_lines_are_counted_between_ids_as_far_back_as_the_log_goes(
    steps: list[str], most: int, after: int, before: int
) -> None:
    log, left, _ = happened(steps, most)
    counted = log.lines_between(after, before)
    if counted is None:
        assert log.base
        assert log.first_id > after + 1
    else:
        assert counted == sum(event.line for id, event in left if after < id < before)


@given(steps=STEPS, most=st.integers(1, 20))
@examples(200)
def test_positions_stay_whatever_is_cut(steps: list[str], most: int) -> None:
    log, left, said = happened(steps, most)
    assert log.end - log.base == len(left) == len(log.rows)
    for position in range(log.base, log.end):
        row = log.since(position)[0]
        assert row.id == left[position - log.base][0]
        assert log.lines_before(position) == row.line
        assert log.id_before(position + 1) == row.id
    assert log.lines_before(log.end) == said
    assert log.id_before(log.base) == 0


# -- by example


def fill(log: Log, count: int, text: str) -> None:
    """Say *text* so many times, ten a turn."""
    for number in range(count):
        log.append(number, Said(1.0, 99, "alice", text))
        if number % 10 == 0:
            log.trim()
    log.trim()


def test_the_log_keeps_4_mib_of_small_events() -> None:
    log = Log()
    fill(log, 20_000, "x")
    assert Log().max_events < len(log.rows) < 20_000
    assert Log().max_bytes - 1000 < log.size <= Log().max_bytes
    assert log.end == log.lines == 20_000


def test_the_log_keeps_a_thousand_large_events() -> None:
    log = Log()
    fill(log, 1500, "x" * 10_000)
    assert len(log.rows) == Log().max_events
    assert log.size > Log().max_bytes


def test_a_short_log_is_kept_whole() -> None:
    log = Log()
    fill(log, 900, "x" * 10_000)
    assert len(log.rows) == 900


def test_the_last_lines_are_found_among_other_events() -> None:
    log = Log()
    for number in range(10):
        log.append(number, Said(1.0, 99, "alice", str(number)))
        log.append(number, Joined(1.0, 98, "x"))
    texts = [event.text for event in log.recent(3) if isinstance(event, Said)]
    assert texts == ["7", "8", "9"]
    assert log.recent(0) == []
    assert len(log.recent(100)) == 10


def test_lines_before_an_id_are_the_last_of_them() -> None:
    log = filled().log
    assert [id for id, _ in log.before(40, 3)] == [10, 20, 30]
    assert [id for id, _ in log.before(41, 3)] == [20, 30, 40]
    assert [id for id, _ in log.before(35, 9)] == [0, 10, 20, 30]
    assert log.before(0, 9) == log.before(99, 0) == []
    assert log.before(1, 9) == [(0, Said(0.0, 0, "alice", "0", user=1))]


def test_rows_go_from_one_id_up_to_another() -> None:
    log = filled().log
    assert [row.id for row in log.between(30)] == [30, 31, 40, 41]
    assert [row.id for row in log.between(11, 31)] == [11, 20, 21, 30]
    assert not log.between(42)


def test_the_place_of_a_time_is_behind_the_latest_line_from_before() -> None:
    log = filled().log
    assert [log.place(time) for time in (0.0, 0.5, 1.0, 1.5, 99.0)] == [0, 1, 1, 11, 41]
    # The clock was ahead, and is right again.
    log.append(50, Said(1000.0, 1, "alice", "ahead"))
    log.append(60, Said(5.0, 1, "alice", "right"))
    assert [log.place(time) for time in (1.5, 5.5, 999.0, 1001.0)] == [11, 61, 61, 61]


def test_a_log_begins_with_the_id_of_its_first_event() -> None:
    assert filled().log.first_id == 0
    log = Log()
    assert log.first_id > 2**62
    for number in range(Log().max_events + 9000):
        log.append(number + 1, Said(0.0, 1, "alice", "x" * 500))
    log.trim()
    assert log.first_id == log.before(2**62, 10**6)[0][0] > 1
