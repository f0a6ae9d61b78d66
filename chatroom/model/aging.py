"""Aging: by which time something is too old and may be deleted.

The rule: what is deleted is gone for good, and a clock can be put right. While the clock on the
wall is far ahead of what was to be expected, things grow old as if it were not, until it has shown
so for a day.
"""

from datetime import UTC, datetime

from twisted.logger import Logger

from chatroom.model.clock import Clock
from chatroom.text.times import DAY

log = Logger()

#: How far ahead, in seconds, the clock is believed at once, and how long it takes otherwise.
LEAP_SECONDS = DAY
DOUBT_SECONDS = DAY


class Aging:
    """The time by which things are old."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A time that is believed, and when it was that, by Clock.seconds.
        self._time, self._at = clock.time(), clock.seconds()
        # Since when the clock is doubted, by Clock.seconds; None while it is not.
        self._since: float | None = None

    def begin(self, last: float) -> None:
        """Go on from the time *last*, at which what there is was looked after before."""
        self._time, self._at = last, self._clock.seconds()

    def now(self) -> float:
        """The time by which things are old, in seconds since the epoch."""
        time, seconds = self._clock.time(), self._clock.seconds()
        expected = self._time + seconds - self._at
        if time > expected + LEAP_SECONDS:
            if self._since is None:
                self._since = seconds
                log.warn(
                    "The clock shows {shown}, which is {days} days more than was to be expected. "
                    "Nothing grows old by that before it has shown so for a day.",
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
            log.info("The clock is believed again.", event="clock_believed")
        return time
