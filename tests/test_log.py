"""The log of a room against a plain list of what was said, whatever is cut and removed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.log import Log
from chatroom.model.events import SERVER, Event, Removed, Said
from fuzzing import examples

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
