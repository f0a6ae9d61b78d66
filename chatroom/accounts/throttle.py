"""The login throttle, which slows guessing down and never locks an account.

The first failures for a name from one source cost nothing. After each further one, attempts for the
same name from the same source wait for a pause. Waiting attempts run in this order: those of
connections with the fewest failures first; among these, those whose name and source have the fewest
failures; then those of the oldest connection.

So the owner of a name can log in while an attacker sends ten thousand guesses: at once from another
source, and after a pause from the same one. Even if each guess comes from a new connection, the
owner's turn comes, since an older connection goes first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.model.clock import Call, Clock
from chatroom.model.refused import TooMany

#: How many failures for one name from one source are free.
FREE_FAILURES = 3

#: The pause after the first, second, ... failure; the last one holds for all further failures.
PAUSES_SECONDS = (*[0.0] * FREE_FAILURES, 0.5, 1.0, 2.0)

#: How long a failure is remembered.
REMEMBERED_SECONDS = 3600.0

#: How many attempts may wait for one name from one source, and in all.
MAX_WAITING_ALIKE = 4
MAX_WAITING = 128


@dataclass(slots=True)
class _Record:
    """The failures for one name from one source.

    failures: how many there were.
    failed_at: when the last one was, see Clock.seconds.
    next_at: when the pause ends.
    """

    failures: int = 0
    failed_at: float = -inf
    next_at: float = -inf


_CLEAN = _Record()


@dataclass(slots=True, eq=False)
class _Attempt:
    """A queued attempt; see `LoginThrottle.add` for the fields."""

    key: tuple[str, str]
    failures: int
    since: float
    work: Callable[[], Deferred[bool]]
    gone: Callable[[], bool]
    done: Deferred[bool] = field(default_factory=Deferred)


class LoginThrottle:
    """Runs attempts to log in, at most *width* at the same time."""

    def __init__(self, clock: Clock, width: int = 1) -> None:
        self._clock = clock
        self._width = width
        self._running = 0
        # The waiting attempts, oldest first.
        self._waiting: list[_Attempt] = []
        # The failures by name and source, the latest one last.
        self._records: dict[tuple[str, str], _Record] = {}
        self._call: Call | None = None

    def __len__(self) -> int:
        """Return how many pairs of name and source are remembered."""
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
        """Run *work* in its turn.

        failures: how often this connection has failed before.
        since: when the connection was opened.
        work: checks the password; fires with whether it was right.
        gone: returns whether the result is not needed any more.

        Fires or fails with the result of *work*. Fails with TooMany if too many attempts wait, and
        with CancelledError at the next `give_up` if *gone* returns True.
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
        """Cancel the waiting attempts whose result is not needed any more."""
        for attempt in [attempt for attempt in self._waiting if attempt.gone()]:
            self._waiting.remove(attempt)
            attempt.done.cancel()

    def close(self) -> None:
        """Begin no further attempt."""
        self._width = 0
        self._go_on()

    def _rank(self, attempt: _Attempt) -> tuple[int, int, float]:
        """Return the sort key for the order of attempts; the smallest runs first."""
        failures = self._records.get(attempt.key, _CLEAN).failures
        return attempt.failures, failures, attempt.since

    def _next_at(self, attempt: _Attempt) -> float:
        return self._records.get(attempt.key, _CLEAN).next_at

    def _turn_away_one_of(self, attempts: list[_Attempt]) -> None:
        last = sorted(attempts, key=self._rank)[-1]
        self._waiting.remove(last)
        # Later, because the caller of `add` does not have its Deferred yet.
        self._clock.callLater(0, last.done.errback, TooMany())

    def _go_on(self) -> None:
        """Begin the attempts that may run now; call this again when the next may."""
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
        # If all places are taken, or an attempt waits for another for the same name, `_ended`
        # calls this function again.
        due = min(map(self._next_at, self._waiting), default=inf)
        if self._running < self._width and due < inf:
            self._call = self._clock.callLater(max(0.0, due - now), self._go_on)

    def _begin(self, attempt: _Attempt) -> None:
        self._running += 1
        record = self._records.get(attempt.key, _CLEAN)
        if record.failures >= FREE_FAILURES:
            # One at a time: only when this attempt ends is it known how long the next has to wait.
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
        """Drop up to two old records; called for each attempt, so few records are kept."""
        past = self._clock.seconds() - REMEMBERED_SECONDS
        for key in list(islice(self._records, 2)):
            if self._records[key].failed_at <= past:
                del self._records[key]
