"""Attempts: who may try a password, and when.

The rule: whoever guesses waits, and nobody is ever shut out. Failures slow down the one name from
the one source; among those who wait, who has failed less goes first, then who has been connected
for longer. So the owner of a name passes ten thousand guesses: from elsewhere at once, from the
same source after a pause, and even where each guess has a connection of its own they only have to
stay until theirs is among the oldest.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.model.clock import Call, Clock
from chatroom.model.refused import TooMany

#: How many failures for one name from one source cost nothing yet.
FREE = 3

#: The pause after each further one, in seconds: the first, twice as long each time, and at most.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 2.0

#: For how long, in seconds, a failure is remembered.
MEMORY = 3600.0

#: How many attempts wait at most, for one name from one source and in all.
MOST_ALIKE = 4
MOST = 128


class _Attempt:
    """One that waits.

    failures, since: how often its connection has failed before, and when it came.
    """

    __slots__ = ("done", "failures", "gone", "number", "since", "work")

    def __init__(
        self,
        failures: int,
        since: float,
        number: int,
        work: Callable[[], Deferred[bool]],
        gone: Callable[[], bool],
    ) -> None:
        self.failures = failures
        self.since = since
        self.number = number
        self.work = work
        self.gone = gone
        self.done: Deferred[bool] = Deferred()


class _Pair:
    """One name from one source.

    failures, failed: how often it failed, and when last. next: when it may go on.
    """

    __slots__ = ("failed", "failures", "next", "running", "waiting")

    def __init__(self) -> None:
        self.failures = 0
        self.failed = -inf
        self.next = 0.0
        self.running = 0
        self.waiting: list[_Attempt] = []


class Attempts:
    """Makes attempts, *width* of them at a time."""

    def __init__(self, clock: Clock, width: int = 1) -> None:
        self._clock = clock
        self._width = width
        # Who failed last stands last, for the forgetting.
        self._pairs: dict[tuple[str, str], _Pair] = {}
        # Those of them for whom an attempt waits.
        self._waiting: dict[tuple[str, str], _Pair] = {}
        self._running = 0
        self._number = 0
        self._call: Call | None = None

    def __len__(self) -> int:
        """How many names and sources are remembered."""
        return len(self._pairs)

    def add(
        self,
        name: str,
        source: str,
        failures: int,
        since: float,
        work: Callable[[], Deferred[bool]],
        gone: Callable[[], bool] = lambda: False,
    ) -> Deferred[bool]:
        """Do *work* in its turn; fires with what it fires with, which is whether it succeeded.

        failures, since: how often this connection has failed before, and when it came. gone:
        whether nobody waits for the answer any more; then it is not done, and fails with
        CancelledError when `give_up` is told. Fails with TooMany.
        """
        self._forget()
        key = name, source
        pair = self._waiting[key] = self._pairs.setdefault(key, _Pair())
        self._number += 1
        attempt = _Attempt(failures, since, self._number, work, gone)
        pair.waiting.append(attempt)
        if len(pair.waiting) > MOST_ALIKE:
            self._drop([key])
        elif sum(len(pair.waiting) for pair in self._waiting.values()) > MOST:
            self._drop(list(self._waiting))
        self._go_on()
        return attempt.done

    def give_up(self) -> None:
        """Cancel those that wait, but for whose answer nobody waits any more."""
        for key, pair in list(self._waiting.items()):
            for attempt in [attempt for attempt in pair.waiting if attempt.gone()]:
                self._take_out(key, attempt)
                attempt.done.cancel()

    def close(self) -> None:
        """Nothing more is begun."""
        self._width = 0
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _drop(self, keys: list[tuple[str, str]]) -> None:
        """Turn away the one of those who wait whose turn would come last."""
        waiting = [(key, attempt) for key in keys for attempt in self._waiting[key].waiting]
        key, attempt = max(waiting, key=lambda one: _rank(self._waiting[one[0]], one[1]))
        self._take_out(key, attempt)
        # Not while its caller is still in `add`.
        self._clock.callLater(0, attempt.done.errback, TooMany())

    def _take_out(self, key: tuple[str, str], attempt: _Attempt) -> None:
        pair = self._waiting[key]
        pair.waiting.remove(attempt)
        if not pair.waiting:
            del self._waiting[key]

    def _go_on(self) -> None:
        """Begin what may begin now, and come back when more may."""
        now = self._clock.seconds()
        while self._running < self._width:
            ready = [
                (key, attempt)
                for key, pair in self._waiting.items()
                for attempt in pair.waiting
                if pair.next <= now
            ]
            if not ready:
                break
            key, attempt = min(ready, key=lambda one: _rank(self._waiting[one[0]], one[1]))
            self._take_out(key, attempt)
            # Who asked may have given up.
            if not attempt.gone() and not attempt.done.called:
                self._begin(key, attempt)
        if self._call is not None and self._call.active():
            self._call.cancel()
        # Of those that wait for one that is under way we hear when it ends.
        due = min((pair.next for pair in self._waiting.values()), default=inf)
        if self._running < self._width and due < inf:
            self._call = self._clock.callLater(max(0.0, due - now), self._go_on)

    def _begin(self, key: tuple[str, str], attempt: _Attempt) -> None:
        self._running += 1
        pair = self._pairs[key]
        pair.running += 1
        if pair.failures >= FREE:
            # Until it is known how this one ends.
            pair.next = inf

        def ended(result: Any) -> None:
            self._running -= 1
            pair.running -= 1
            now = self._clock.seconds()
            if result is False:
                pair.failures += 1
                pair.failed = now
                self._pairs[key] = self._pairs.pop(key)
            over = pair.failures - FREE
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(over - 1, 9)) if over > 0 else 0.0
            pair.next = now + pause if result is False else now
            self._go_on()
            attempt.done.callback(result)

        maybeDeferred(attempt.work).addBoth(ended)

    def _forget(self) -> None:
        """Two for each one that is added, so that what is remembered stays small."""
        past = self._clock.seconds() - MEMORY
        for key in list(self._pairs)[:2]:
            pair = self._pairs[key]
            if not pair.waiting and not pair.running and pair.failed <= past:
                del self._pairs[key]


def _rank(pair: _Pair, attempt: _Attempt) -> tuple[int, int, float, int]:
    """The least goes first."""
    return attempt.failures, pair.failures, attempt.since, attempt.number
