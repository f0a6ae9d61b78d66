"""What is counted: plain numbers that the rest of the core adds to, and nobody waits for.

The rule: a number is added to once per batch where that can be, never once per member, and what
can be read off the rooms and the people when somebody asks is not counted at all. Nothing here
knows who asks.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

#: Why a connection is refused: all there are, the server is full, too many come from its source
#: at the same time or in a minute, or the server stops.
FULL, CROWDED, HASTY, STOPPING = "server_full", "source_full", "attempts", "shutting_down"
BARRED = "barred"
REFUSALS = (FULL, CROWDED, HASTY, STOPPING, BARRED)

#: Upper bounds, in seconds, between which durations are told apart.
DURATIONS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Histogram:
    """How often something took how long.

    bounds: upper bounds in seconds, ascending; what is more than the last one is counted beyond it.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = DURATIONS) -> None:
        self.bounds = bounds
        #: How many are at most each bound, and more than the one before it; then those beyond.
        self.counts = [0] * (len(bounds) + 1)
        #: Seconds, all together.
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took so many seconds; less than none, as of a clock that was set, is none."""
        if seconds < 0.0:
            seconds = 0.0
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Counters:
    """What one chat has done since it began.

    timer: the time in seconds, from any moment on; for durations.
    """

    __slots__ = (
        "accepted",
        "bytes",
        "cut",
        "deliveries",
        "flushes",
        "input",
        "lines",
        "logins",
        "missed",
        "refused",
        "registrations",
        "timer",
        "wrong_codes",
        "wrong_passwords",
    )

    def __init__(self, timer: Callable[[], float]) -> None:
        self.timer = timer
        #: Connections that could stay, and those that could not, by the reason.
        self.accepted = 0
        self.refused = dict.fromkeys(REFUSALS, 0)
        #: Lines that came in, commands among them; lines that were said.
        self.input = 0
        self.lines = 0
        #: How many times a line was handed to a connection, and how many bytes with everything
        #: else that people are shown; without what telnet and TLS add.
        self.deliveries = 0
        self.bytes = 0
        #: Lines that somebody was told they had missed.
        self.missed = 0
        #: Connections that were cut because nothing was read.
        self.cut = 0
        #: How long it took to hand a batch to the members of its room.
        self.flushes = Histogram()
        #: Accounts that were made, logins, and what was tried in vain.
        self.registrations = 0
        self.logins = 0
        self.wrong_passwords = 0
        self.wrong_codes = 0
