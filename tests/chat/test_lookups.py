"""Lookups: one at a time, each source in its turn, and nothing that nobody waits for."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from chatroom.chat.lookups import Lookups, piecemeal
from tests.support.doubles import Clock


class Asked:
    """Questions that are answered when a test says so."""

    def __init__(self) -> None:
        self.lookups = Lookups()
        self.begun: list[str] = []
        self.answers: list[Deferred[str]] = []
        self.heard: list[object] = []

    def ask(self, source: str, what: str) -> "Deferred[str]":
        def start() -> "Deferred[str]":
            self.begun.append(what)
            self.answers.append(Deferred())
            return self.answers[-1]

        answer = self.lookups.ask(source, start)
        answer.addBoth(self.heard.append)
        return answer

    def answer(self) -> None:
        self.answers[-1].callback(self.begun[-1])


def test_each_source_has_its_turn_whatever_one_of_them_asks_for() -> None:
    asked = Asked()
    for what in ("a1", "a2", "a3"):
        asked.ask("a", what)
    asked.ask("b", "b1")
    asked.ask("c", "c1")
    assert asked.begun == ["a1"]
    for _ in range(5):
        asked.answer()
    assert asked.begun == asked.heard == ["a1", "a2", "b1", "c1", "a3"]
    asked.ask("a", "a4")
    assert asked.begun[-1] == "a4"


def test_what_fails_is_answered_and_the_next_has_its_turn() -> None:
    asked = Asked()
    asked.ask("a", "a1")
    asked.ask("a", "a2")
    asked.answers[0].errback(OSError("the disk is away"))
    assert asked.begun == ["a1", "a2"]
    (failure,) = asked.heard
    assert "the disk is away" in str(failure)


def test_a_question_that_cannot_be_asked_fails() -> None:
    def fails() -> Deferred[str]:
        raise ZeroDivisionError

    heard: list[object] = []
    Lookups().ask("a", fails).addErrback(lambda failure: heard.append(failure.type))
    assert heard == [ZeroDivisionError]


def test_what_nobody_waits_for_is_not_begun() -> None:
    asked = Asked()
    asked.ask("a", "a1")
    second = asked.ask("a", "a2")
    asked.ask("b", "b1")
    second.cancel()
    asked.answer()
    assert asked.begun == ["a1", "b1"]


def test_what_has_begun_ends_when_nobody_waits_for_it() -> None:
    asked = Asked()
    first = asked.ask("a", "a1")
    asked.ask("a", "a2")
    first.cancel()
    assert asked.answers[0].called
    assert asked.begun == ["a1", "a2"]


def test_who_is_next_waits_until_what_was_found_at_once_is_shown() -> None:
    lookups = Lookups()
    shown: Deferred[None] = Deferred()
    begun: list[str] = []
    heard: list[object] = []

    def find(what: str) -> "Deferred[None]":
        begun.append(what)
        return succeed(None).addCallback(lambda _: shown)

    for what in ("a1", "a2"):
        lookups.ask("a", partial(find, what)).addCallback(heard.append)
    assert (begun, heard) == (["a1"], [])
    shown.callback(None)
    assert (begun, heard) == (["a1", "a2"], [None, None])


def test_very_many_that_are_answered_at_once_are_all_answered() -> None:
    asked = Asked()
    asked.ask("a", "a1")
    heard: list[int] = []
    for number in range(5000):
        asked.lookups.ask("b", partial(succeed, number)).addCallback(heard.append)
    asked.answer()
    assert heard == list(range(5000))


# -- a moment at a time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def steps(clock: Clock, done: list[int], takes: float = 0.0004) -> Iterator[None]:
    """Ten steps, each of which takes some time."""
    for number in range(10):
        done.append(number)
        # Time passes without anything that was put off being due.
        clock.rightNow += takes
        yield


def test_others_have_their_turn_every_moment(clock: Clock) -> None:
    done: list[int] = []
    counts: list[int] = []

    def others() -> None:
        counts.append(len(done))
        if clock.getDelayedCalls():
            clock.callLater(0, others)

    work = piecemeal(clock, steps(clock, done))
    others()
    clock.advance(0)
    assert counts == [3, 6, 9, 10]
    assert work.called


def test_what_takes_no_time_is_done_at_once(clock: Clock) -> None:
    done: list[int] = []
    assert piecemeal(clock, steps(clock, done, 0.0)).called
    assert len(done) == 10


def test_work_that_nobody_waits_for_ends(clock: Clock) -> None:
    done: list[int] = []
    work = piecemeal(clock, steps(clock, done))
    work.addErrback(lambda failure: failure.trap(CancelledError))
    work.cancel()
    clock.advance(1)
    assert len(done) == 3
    assert not clock.getDelayedCalls()


def test_a_step_that_fails_is_the_end(clock: Clock) -> None:
    def fails() -> Iterator[None]:
        yield
        raise ValueError("broken")

    heard: list[Any] = []
    piecemeal(clock, fails()).addBoth(heard.append)
    assert heard[0].check(ValueError)


def test_who_asks_on_when_answered_has_a_turn_like_others() -> None:
    asked = Asked()
    asked.ask("a", "a1").addCallback(lambda _: asked.ask("a", "a2"))
    asked.ask("b", "b1")
    asked.answer()
    asked.answer()
    assert asked.begun == ["a1", "b1", "a2"]
