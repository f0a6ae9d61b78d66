"""Lookups: what people look up, one thing at a time, so that it costs nobody else much.

The rule: all sources take turns, whatever one of them asks for. What nobody waits for any more is
not begun, and ends if it has begun. What takes long in the reactor's own thread is done a moment at
a time, between which everybody else has theirs.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.model.clock import Call, Clock

T = TypeVar("T")

#: How long, in seconds, such work may take of one turn of the reactor.
SLICE_SECONDS = 0.001


def piecemeal(clock: Clock, steps: Iterator[object]) -> "Deferred[None]":
    """Go through *steps*, for a MOMENT in each turn of the reactor, beginning with this one.

    Returns a Deferred that fires when that is done, and fails if a step does. Cancelling it ends
    the work.
    """
    call: Call | None = None

    def cancel(_: "Deferred[None]") -> None:
        if call is not None and call.active():
            call.cancel()

    done: Deferred[None] = Deferred(cancel)

    def work() -> None:
        nonlocal call
        until = clock.seconds() + SLICE_SECONDS
        try:
            for _ in steps:
                if clock.seconds() >= until:
                    call = clock.callLater(0, work)
                    return
        except Exception:
            done.errback()
        else:
            done.callback(None)

    work()
    return done


class _Question:
    """What one source asks. start: begins to find out what *answer* fires with."""

    def __init__(self, start: Callable[[], "Deferred[Any]"]) -> None:
        self._start = start
        self._work: Deferred[Any] | None = None
        #: Whether what was begun has ended. The Deferred that was begun does not tell: it counts as
        #: called while it waits for one that a callback of it has returned.
        self.over = False
        self.answer: Deferred[Any] = Deferred(lambda _: self._give_up())

    def begin(self) -> "Deferred[object]":
        """Find it out; fires when that has ended, however."""
        self._work = maybeDeferred(self._start)
        return self._work.addBoth(self._ended)

    def _ended(self, result: Any) -> None:
        self.over = True
        if not self.answer.called:
            self.answer.callback(result)

    def _give_up(self) -> None:
        if self._work is not None:
            self._work.cancel()


class Lookups:
    """The questions of all sources, of which one is being answered."""

    def __init__(self) -> None:
        # What waits, by source, in the order of their turns.
        self._waiting: dict[str, deque[_Question]] = {}
        self._busy = False

    def ask(self, source: str, start: "Callable[[], Deferred[T]]") -> "Deferred[T]":
        """Call *start* when it is the turn of *source*; the next has its turn when that has fired.

        Returns a Deferred that fires with the same. Cancelling it cancels what *start* has
        returned, or keeps it from being called.
        """
        question = _Question(start)
        self._waiting.setdefault(source, deque()).append(question)
        if not self._busy:
            self._go_on(None)
        return question.answer

    def _go_on(self, _: object) -> None:
        self._busy = True
        while self._waiting:
            # Whoever has had a turn is the last to have another one.
            source = next(iter(self._waiting))
            questions = self._waiting.pop(source)
            question = questions.popleft()
            if questions:
                self._waiting[source] = questions
            if question.answer.called:
                continue
            ended = question.begin()
            if not question.over:
                ended.addCallback(self._go_on)
                return
        self._busy = False
