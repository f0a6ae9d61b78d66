"""Aging: the time by which old data is deleted.

Deleted data cannot be restored, but a wrong clock can be set right. If the system clock is suddenly
far ahead of what is expected, data ages as if it were not, until the clock has stayed ahead for a
day.
"""

from datetime import UTC, datetime

from twisted.logger import Logger

from chatroom.model.clock import Clock
from chatroom.text.times import DAY

log = Logger()

#: How far the clock may leap ahead and be believed at once, and how long a greater leap is doubted.
LEAP_SECONDS = DAY
DOUBT_SECONDS = DAY


class Aging:
    """The time by which old data is deleted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The last time that was believed, and the Clock.seconds at that moment.
        self._time, self._at = clock.time(), clock.seconds()
        # The Clock.seconds since which the clock is doubted, or None.
        self._since: float | None = None

    def begin(self, last: float) -> None:
        """Expect the time to go on from *last*, when an earlier run last deleted old data."""
        self._time, self._at = last, self._clock.seconds()

    def now(self) -> float:
        """Return the time by which data ages, in seconds since the epoch."""
        time, seconds = self._clock.time(), self._clock.seconds()
        expected = self._time + seconds - self._at
        if time > expected + LEAP_SECONDS:
            if self._since is None:
                self._since = seconds
                log.warn(
                    "The clock shows {shown}, {days} days later than expected. No data expires by "
                    "it until it has been right for a day; check the clock.",
                    event="clock_doubted",
                    shown=datetime.fromtimestamp(time, UTC).isoformat(" ", "seconds"),
                    days=round((time - expected) / DAY, 1),
                )
            if seconds - self._since < DOUBT_SECONDS:
                return expected
        if time > expected:
            self._time, self._at = time, seconds
        if self._since is not None:
            self._since = None
            log.info("The clock is trusted again.", event="clock_believed")
        return time
