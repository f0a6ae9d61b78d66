"""Lookups: expensive questions are answered one at a time, the sources taking turns.

However much one source asks for, the others have their turns. A lookup that was cancelled is not
begun, or ends if it has begun. Long work in the reactor's thread is cut into short slices, between
which the reactor serves everything else.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.model.clock import Call, Clock

T = TypeVar("T")

#: How long such work may take in one turn of the reactor.
SLICE_SECONDS = 0.001


def piecemeal(clock: Clock, steps: Iterator[object]) -> "Deferred[None]":
    """Iterate over *steps*, for SLICE_SECONDS in each turn of the reactor, beginning with this one.

    Returns a Deferred that fires when all steps are done, and fails with what a step raises.
    Cancelling it ends the work.
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
    """A lookup that waits for its turn.

    start: begins the lookup; *answer* fires or fails with the same as the Deferred it returns.
    """

    def __init__(self, start: Callable[[], "Deferred[Any]"]) -> None:
        self._start = start
        self._work: Deferred[Any] | None = None
        #: Whether the lookup has ended. `Deferred.called` does not say that: it is True also while
        #: the Deferred waits for another one that its callback has returned.
        self.over = False
        self.answer: Deferred[Any] = Deferred(lambda _: self._give_up())

    def begin(self) -> "Deferred[object]":
        """Begin the lookup. Fires when it has ended, also if it has failed."""
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
    """The queues of all sources, and the lookup that is running."""

    def __init__(self) -> None:
        # The waiting lookups of each source, in the order in which the sources have their turns.
        self._waiting: dict[str, deque[_Question]] = {}
        self._busy = False

    def ask(self, source: str, start: "Callable[[], Deferred[T]]") -> "Deferred[T]":
        """Call *start* when it is the turn of *source*; it has the turn until its Deferred fires.

        Returns a Deferred that fires or fails with the same. Cancelling it cancels the running
        lookup, or takes it out of the queue.
        """
        question = _Question(start)
        self._waiting.setdefault(source, deque()).append(question)
        if not self._busy:
            self._go_on(None)
        return question.answer

    def _go_on(self, _: object) -> None:
        self._busy = True
        while self._waiting:
            # A source that had its turn goes to the end of the queue.
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
