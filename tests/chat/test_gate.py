"""Input waits while there is a reason to, and goes on when the last one is gone."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as TaskClock

from chatroom.chat.gate import InputGate, LinePacer, Reason
from chatroom.model.limits import TokenBucket

REASONS = [reason for reason in Reason if reason is not Reason.OVER]


class Owner:
    """Counts how often input was to go on."""

    def __init__(self) -> None:
        self.went_on = 0
        self.gate = InputGate(self, 7)

    def resume_input(self, id: int) -> None:
        assert id == 7
        assert self.gate.is_open
        self.went_on += 1


class Timer(TaskClock):
    """A clock as the chat has it."""

    def time(self) -> float:
        return self.seconds()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def gate(owner: Owner) -> InputGate:
    return owner.gate


def closed(gate: InputGate) -> bool:
    """Whether no line may be handed in; of a property mypy thinks that it stays as it is."""
    return not gate.is_open


def results(gate: InputGate, reason: Reason) -> list[bool]:
    """What those are told who wait for *reason* from here on."""
    told: list[bool] = []
    gate.opened(reason).addCallback(told.append)
    return told


def test_a_gate_that_was_not_closed_is_open_and_tells_nobody(owner: Owner) -> None:
    assert not closed(owner.gate)
    owner.gate.open(Reason.NAMING)
    assert owner.went_on == 0


def test_it_opens_with_the_last_reason(owner: Owner, gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    gate.close(Reason.ENTERING)
    gate.open(Reason.NAMING)
    assert closed(gate)
    assert owner.went_on == 0
    gate.open(Reason.ENTERING)
    assert not closed(gate)
    assert owner.went_on == 1


def test_a_reason_is_one_however_often_it_was_given(owner: Owner, gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    gate.close(Reason.NAMING)
    gate.open(Reason.NAMING)
    assert not closed(gate)
    gate.open(Reason.NAMING)
    assert owner.went_on == 1


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(REASONS))))
def test_it_is_open_while_no_reason_is_left(calls: list[tuple[bool, Reason]]) -> None:
    owner = Owner()
    reasons: set[Reason] = set()
    opened = 0
    for close, reason in calls:
        if close:
            owner.gate.close(reason)
            reasons.add(reason)
        else:
            owner.gate.open(reason)
            opened += reasons == {reason}
            reasons.discard(reason)
        assert owner.gate.is_open is not bool(reasons)
        assert owner.went_on == opened


def test_what_waits_for_a_reason_is_told_in_the_order_in_which_it_came(gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    gate.close(Reason.ENTERING)
    told: list[str] = []

    def tell(_: bool, name: str) -> None:
        told.append(name)

    for name in ("first", "second", "third"):
        gate.opened(Reason.NAMING).addCallback(tell, name)
    gate.open(Reason.ENTERING)
    assert told == []
    gate.open(Reason.NAMING)
    assert told == ["first", "second", "third"]


def test_what_need_not_wait_is_told_at_once(gate: InputGate) -> None:
    gate.close(Reason.ENTERING)
    assert results(gate, Reason.NAMING) == [True]


def test_whoever_is_told_may_wait_again(gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    told: list[bool] = []

    def again(_: bool) -> None:
        gate.close(Reason.NAMING)
        gate.opened(Reason.NAMING).addCallback(told.append)

    gate.opened(Reason.NAMING).addCallback(again)
    gate.open(Reason.NAMING)
    assert told == []
    gate.open(Reason.NAMING)
    assert told == [True]


def test_what_is_not_waited_for_any_more_holds_up_nobody(gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    gate.opened(Reason.NAMING).addErrback(lambda _: None).cancel()
    told = results(gate, Reason.NAMING)
    gate.open(Reason.NAMING)
    assert told == [True]


@pytest.mark.parametrize("fails", [False, True])
def test_input_waits_for_the_last_of_several_answers(
    owner: Owner, gate: InputGate, fails: bool
) -> None:
    first: Deferred[int] = Deferred()
    second: Deferred[int] = Deferred()
    gate.wait_for(first)
    gate.wait_for(second)
    second.callback(2)
    assert closed(gate)
    if fails:
        first.errback(ValueError())
    else:
        first.callback(1)
    assert not closed(gate)
    assert owner.went_on == 1


def test_after_the_end_nothing_opens_it(owner: Owner, gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    gate.end()
    gate.open(Reason.NAMING)
    assert closed(gate)
    assert owner.went_on == 0


def test_at_the_end_what_waits_is_told_that_it_waits_in_vain(gate: InputGate) -> None:
    gate.close(Reason.NAMING)
    told = results(gate, Reason.NAMING)
    gate.close(Reason.OVER)
    assert told == []
    gate.end()
    assert told == [False]
    assert results(gate, Reason.NAMING) == [False]
    assert results(gate, Reason.ENTERING) == [False]
    gate.end()
    assert told == [False]


def test_a_gate_is_freed_without_the_garbage_collector() -> None:
    class Marked(InputGate):
        pass

    gate = Marked(Owner(), 1)
    mark = weakref.ref(gate)
    pacer = LinePacer(gate, Timer())
    gc.disable()
    try:
        pacer.pause(5)
        gate.close(Reason.NAMING)
        gate.opened(Reason.NAMING)
        pacer.stop()
        gate.end()
        del gate, pacer
        assert mark() is None
    finally:
        gc.enable()


# -- the pace of lines


def test_lines_within_the_burst_go_on_at_once_and_the_next_one_in_its_turn(
    owner: Owner, gate: InputGate
) -> None:
    clock = Timer()
    pacer = LinePacer(gate, clock)
    pace = TokenBucket(2.0, 3.0)
    for _ in range(2):
        pacer.took(pace, clock.seconds())
        assert not closed(gate)
    pacer.took(pace, clock.seconds())
    assert gate.reasons == Reason.PACE
    clock.advance(0.49)
    assert closed(gate)
    clock.advance(0.01)
    assert not closed(gate)
    assert owner.went_on == 1


def test_a_longer_pause_takes_the_place_of_a_shorter_one(gate: InputGate) -> None:
    clock = Timer()
    pacer = LinePacer(gate, clock)
    pacer.pause(1)
    pacer.pause(5)
    clock.advance(4.9)
    assert closed(gate)
    clock.advance(0.1)
    assert not closed(gate)
    assert clock.getDelayedCalls() == []
