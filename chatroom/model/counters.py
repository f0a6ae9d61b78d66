"""Counters for monitoring: plain numbers that the core increments.

Counting is cheap: a counter is increased once per batch where possible, and never once per member.
Numbers that can be read from the rooms and connections at any moment are not counted.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

#: The reasons why a connection is refused, in this order: the server is full; too many connections
#: from the source at the same time, or in a minute; the server is stopping; the address is banned.
FULL, CROWDED, HASTY, STOPPING = "server_full", "source_full", "attempts", "shutting_down"
BARRED = "barred"
REFUSALS = (FULL, CROWDED, HASTY, STOPPING, BARRED)

#: The upper bounds of the buckets of a histogram, in seconds.
DURATIONS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Histogram:
    """A histogram of durations.

    bounds: the upper bounds of the buckets in seconds, ascending; one more bucket has the rest.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = DURATIONS) -> None:
        self.bounds = bounds
        #: The number of durations in each bucket; the last one is for those above all bounds.
        self.counts = [0] * (len(bounds) + 1)
        #: The sum of all durations, in seconds.
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; a negative one, if a clock was set, counts as 0."""
        if seconds < 0.0:
            seconds = 0.0
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Counters:
    """The counters of one chat, since it began.

    timer: returns seconds from an arbitrary moment on, to measure durations.
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
        #: Accepted connections, and refused ones by reason.
        self.accepted = 0
        self.refused = dict.fromkeys(REFUSALS, 0)
        #: Lines received, including commands; messages said.
        self.input = 0
        self.lines = 0
        #: How many times a message was written to a connection; how many bytes were written in all,
        #: without the overhead of telnet and TLS.
        self.deliveries = 0
        self.bytes = 0
        #: Messages that slow readers were told they had missed.
        self.missed = 0
        #: Connections that were closed because the client did not read.
        self.cut = 0
        #: How long it took to write a batch to the members of its room.
        self.flushes = Histogram()
        #: Accounts registered, logins, and failed logins by password and by code.
        self.registrations = 0
        self.logins = 0
        self.wrong_passwords = 0
        self.wrong_codes = 0
