"""Throttle passwords: guessing is slow, and nobody is ever locked out.

The first failures for one name from one source are free; after each further one that name waits,
from that source alone. Of the attempts that may begin, one goes first whose connection has failed
less, then whose name and source have, then whose connection is older. So the owner of a name gets
in among ten thousand guesses: from elsewhere at once, from the guesser's source after a pause, and
even where each guess has a connection of its own as soon as the owner's is among the oldest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.model.clock import Call, Clock
from chatroom.model.refused import TooMany

#: How many failures for one name from one source cost nothing yet.
FREE_FAILURES = 3

#: The pause after each failure, in seconds; the last one holds for all that follow.
PAUSES_SECONDS = (*[0.0] * FREE_FAILURES, 0.5, 1.0, 2.0)

#: For how long, in seconds, a failure is remembered.
REMEMBERED_SECONDS = 3600.0

#: How many attempts wait at most, for one name from one source and in all.
MAX_WAITING_ALIKE = 4
MAX_WAITING = 128


@dataclass(slots=True)
class _Record:
    """How often one name from one source failed, when last, and when it may go on."""

    failures: int = 0
    failed_at: float = -inf
    next_at: float = -inf


_CLEAN = _Record()


@dataclass(slots=True, eq=False)
class _Attempt:
    """One that waits; `add` explains the fields."""

    key: tuple[str, str]
    failures: int
    since: float
    work: Callable[[], Deferred[bool]]
    gone: Callable[[], bool]
    done: Deferred[bool] = field(default_factory=Deferred)


class LoginThrottle:
    """Makes attempts, *width* of them at a time."""

    def __init__(self, clock: Clock, width: int = 1) -> None:
        self._clock = clock
        self._width = width
        self._running = 0
        # In the order in which they came.
        self._waiting: list[_Attempt] = []
        # By name and source, of those that failed; the latest failure stands last.
        self._records: dict[tuple[str, str], _Record] = {}
        self._call: Call | None = None

    def __len__(self) -> int:
        """How many names and sources are remembered."""
        return len(self._records)

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
        CancelledError at the next `give_up`. Fails with TooMany.
        """
        self._forget()
        attempt = _Attempt((name, source), failures, since, work, gone)
        self._waiting.append(attempt)
        alike = [other for other in self._waiting if other.key == attempt.key]
        if len(alike) > MAX_WAITING_ALIKE:
            self._turn_away_one_of(alike)
        elif len(self._waiting) > MAX_WAITING:
            self._turn_away_one_of(self._waiting)
        self._go_on()
        return attempt.done

    def give_up(self) -> None:
        """Cancel the attempts for whose answer nobody waits any more."""
        for attempt in [attempt for attempt in self._waiting if attempt.gone()]:
            self._waiting.remove(attempt)
            attempt.done.cancel()

    def close(self) -> None:
        """Begin nothing more."""
        self._width = 0
        self._go_on()

    def _rank(self, attempt: _Attempt) -> tuple[int, int, float]:
        """Sort by this for the order of turns."""
        failures = self._records.get(attempt.key, _CLEAN).failures
        return attempt.failures, failures, attempt.since

    def _next_at(self, attempt: _Attempt) -> float:
        return self._records.get(attempt.key, _CLEAN).next_at

    def _turn_away_one_of(self, attempts: list[_Attempt]) -> None:
        last = sorted(attempts, key=self._rank)[-1]
        self._waiting.remove(last)
        # Not while its caller is still in `add`.
        self._clock.callLater(0, last.done.errback, TooMany())

    def _go_on(self) -> None:
        """Begin what may begin now, and come back when more may."""
        now = self._clock.seconds()
        while self._running < self._width:
            ready = [attempt for attempt in self._waiting if self._next_at(attempt) <= now]
            if not ready:
                break
            attempt = min(ready, key=self._rank)
            self._waiting.remove(attempt)
            if not attempt.gone() and not attempt.done.called:
                self._begin(attempt)
        if self._call is not None and self._call.active():
            self._call.cancel()
        # When all places are taken, or an attempt waits for one alike, `_ended` comes back.
        due = min(map(self._next_at, self._waiting), default=inf)
        if self._running < self._width and due < inf:
            self._call = self._clock.callLater(max(0.0, due - now), self._go_on)

    def _begin(self, attempt: _Attempt) -> None:
        self._running += 1
        record = self._records.get(attempt.key, _CLEAN)
        if record.failures >= FREE_FAILURES:
            # One at a time: whether the next has to wait is known when this one ends.
            record.next_at = inf
        maybeDeferred(attempt.work).addBoth(self._ended, attempt)

    def _ended(self, result: Any, attempt: _Attempt) -> None:
        self._running -= 1
        now = self._clock.seconds()
        if result is False:
            record = self._records.pop(attempt.key, None) or _Record()
            record.failures += 1
            record.failed_at = now
            record.next_at = now + PAUSES_SECONDS[min(record.failures, len(PAUSES_SECONDS)) - 1]
            self._records[attempt.key] = record
        elif attempt.key in self._records:
            self._records[attempt.key].next_at = now
        self._go_on()
        attempt.done.callback(result)

    def _forget(self) -> None:
        """Drop up to two old records for each attempt, so that few are kept."""
        past = self._clock.seconds() - REMEMBERED_SECONDS
        for key in list(islice(self._records, 2)):
            if self._records[key].failed_at <= past:
                del self._records[key]
