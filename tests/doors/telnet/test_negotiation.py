"""Two ends and one option: that they come to agree, and that they fall silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.negotiation import MAX_CHANGES, Negotiation
from tests.support.fuzzing import examples

ON, OFF = True, False


def said(*wanted: bool) -> Negotiation:
    """An end that has said so, one after the other, and has heard nothing yet."""
    negotiation = Negotiation()
    for one in wanted:
        assert negotiation.say(one)
    return negotiation


def test_nothing_is_on_that_nobody_has_spoken_of() -> None:
    negotiation = Negotiation()
    assert (negotiation.wanted, negotiation.agreed) == (False, False)
    assert not negotiation.say(OFF)
    assert not negotiation.hear(OFF, welcome=True)


def test_what_was_said_is_not_said_again() -> None:
    negotiation = said(ON)
    assert not negotiation.say(ON)
    negotiation.say(OFF)
    assert not negotiation.say(OFF)


def test_it_is_agreed_when_the_answer_has_come() -> None:
    negotiation = said(ON)
    agreed = [negotiation.agreed]
    assert not negotiation.hear(ON, welcome=False)
    agreed.append(negotiation.agreed)
    assert agreed == [False, True]
    assert not negotiation.offered


def test_a_refusal_is_obeyed_and_not_answered() -> None:
    negotiation = said(ON)
    assert not negotiation.hear(OFF, welcome=True)
    assert (negotiation.wanted, negotiation.agreed) == (False, False)
    assert negotiation.say(ON)


def test_what_is_taken_back_later_is_off_and_acknowledged_once() -> None:
    negotiation = said(ON)
    negotiation.hear(ON, welcome=True)
    assert negotiation.hear(OFF, welcome=True)
    assert not negotiation.wanted
    assert not negotiation.hear(OFF, welcome=True)


@pytest.mark.parametrize("welcome", [True, False])
def test_what_is_offered_is_answered_with_what_holds_then(welcome: bool) -> None:
    negotiation = Negotiation()
    assert negotiation.hear(ON, welcome)
    assert (negotiation.wanted, negotiation.agreed) == (welcome, welcome)
    assert negotiation.offered is welcome


def test_an_end_that_never_answers_off_is_not_waited_for() -> None:
    negotiation = said(ON)
    negotiation.hear(ON, welcome=False)
    negotiation.say(OFF)
    assert negotiation.say(ON)
    assert not negotiation.hear(ON, welcome=False)
    assert negotiation.agreed


def test_an_end_that_never_answers_off_gets_an_answer_when_it_asks() -> None:
    negotiation = said(ON)
    negotiation.hear(ON, welcome=False)
    negotiation.say(OFF)
    assert negotiation.hear(ON, welcome=False)
    assert not negotiation.wanted


def test_an_end_that_changes_its_mind_without_end_is_refused_in_the_end() -> None:
    negotiation = Negotiation()
    for _ in range(2 * MAX_CHANGES):
        negotiation.hear(ON, welcome=True)
        negotiation.hear(OFF, welcome=True)
    assert negotiation.hear(ON, welcome=True)
    assert not negotiation.wanted


class Peer:
    """The other end, as RFC 1143 has it, and worse.

    agrees: whether it does what it is told. mute: whether it does not answer "off".
    times: how often it gives each answer.
    """

    def __init__(self, agrees: bool, mute: bool, times: int) -> None:
        self.on = False
        self.agrees = agrees
        self.mute = mute
        self.times = times
        self.asking = False
        self.sent: list[bool] = []

    def hear(self, on: bool) -> None:
        if self.asking:
            self.asking = False
            self.on = on
        elif on and not self.on:
            self.on = self.agrees
            self.sent += self.times * [self.agrees]
        elif not on and self.on:
            self.on = False
            if not self.mute:
                self.sent += self.times * [False]

    def ask(self, on: bool) -> None:
        if not self.asking and on is not self.on:
            self.asking = True
            if not on:
                self.on = False
            self.sent.append(on)


STEPS = st.lists(
    st.sampled_from(
        ["on", "off", "deliver", "deliver", "hear", "hear", "ask on", "ask off", "change"]
    ),
    max_size=60,
)


@given(
    agrees=st.booleans(),
    mute=st.booleans(),
    welcome=st.booleans(),
    times=st.sampled_from([1, 1, 2]),
    steps=STEPS,
)
@examples(1000)
def test_two_ends_come_to_agree_and_fall_silent(
    agrees: bool, mute: bool, welcome: bool, times: int, steps: list[str]
) -> None:
    negotiation, peer = Negotiation(), Peer(agrees, mute, times)
    told: list[bool] = []
    heard = answered = 0
    asked = False

    def hear() -> None:
        nonlocal heard, answered
        heard += 1
        if negotiation.hear(peer.sent.pop(0), welcome):
            answered += 1
            told.append(negotiation.wanted)

    for step in steps:
        match step:
            case "on" | "off":
                if negotiation.say(step == "on"):
                    told.append(negotiation.wanted)
            case "deliver" if told:
                peer.hear(told.pop(0))
            case "hear" if peer.sent:
                hear()
            case "ask on" | "ask off":
                asked = True
                peer.ask(step == "ask on")
            case "change":
                peer.agrees = not peer.agrees
    for _ in range(20 * MAX_CHANGES):
        if not told and not peer.sent:
            break
        while told:
            peer.hear(told.pop(0))
        while peer.sent:
            hear()
    else:
        pytest.fail("they go on and on")
    assert answered <= heard
    # Of who also asks by itself, but does not answer each thing once, nobody could tell an answer
    # from a question.
    if not asked or (times == 1 and not mute):
        assert not peer.asking
        assert negotiation.agreed == peer.on
    wishes = [step for step in steps if step in ("on", "off")]
    if agrees and times == 1 and not asked and "change" not in steps:
        assert negotiation.agreed == (wishes[-1:] == ["on"])


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from(["on", "off", "hear"]))))
@examples(500)
def test_two_of_these_come_to_agree_and_fall_silent(steps: list[tuple[bool, str]]) -> None:
    ends = (Negotiation(), Negotiation())
    under_way: tuple[list[bool], list[bool]] = ([], [])  # to the end of that number

    def hear(number: int) -> None:
        end = ends[number]
        if end.hear(under_way[number].pop(0), welcome=True):
            under_way[1 - number].append(end.wanted)

    for first, step in steps:
        number = 0 if first else 1
        if step == "hear":
            if under_way[number]:
                hear(number)
        elif ends[number].say(step == "on"):
            under_way[1 - number].append(ends[number].wanted)
    for _ in range(20 * MAX_CHANGES):
        if not any(under_way):
            break
        for number in (0, 1):
            while under_way[number]:
                hear(number)
    else:
        pytest.fail("they go on and on")
    assert ends[0].agreed == ends[1].agreed
