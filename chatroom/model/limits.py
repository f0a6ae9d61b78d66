"""Limits: how much of something one source may have in a while.

The rule: a limit of 0 is switched off, and nothing here knows what is being limited.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from chatroom.model.counters import CROWDED, FULL, HASTY, Counters

#: The source of connections that no network brought, and of this machine's own.
LOCAL = "local"

#: How many times what one source may have all those of one IPv6 /48 may have together.
SITE = 4


def address_of(host: str | None) -> IPv4Address | IPv6Address | None:
    """The address *host*, None if it is none.

    IPv4 addresses that an IPv6 socket shows as ``::ffff:a.b.c.d`` (RFC 4291, section 2.5.5.2) are
    IPv4.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def source_of(host: str | None) -> str:
    """Whom a connection from *host* counts for: an IPv4 address or an IPv6 /64.

    Loopback, and what is not an address at all, is LOCAL.
    """
    address = address_of(host)
    if address is None or address.is_loopback:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


class RateLimit:
    """At most *count* times in *period* seconds for each source; *count* may change.

    Whoever has an IPv6 /64 often has a whole /48 of them (RFC 6177): all sources in one /48
    together have SITE times as much as one.
    """

    def __init__(self, count: int, period: float, seconds: Callable[[], float]) -> None:
        self.count = count
        self._period = period
        self._seconds = seconds
        # By source and by site, oldest time first; whoever took last stands last.
        self._taken: dict[str, deque[float]] = {}

    def take(self, source: str) -> bool:
        """Whether *source* may do it once more; if so, it has."""
        if not self.count:
            return True
        past = self._seconds() - self._period
        counted = self._counted(source)
        # Two for each one that may be added: what is remembered stays small.
        for other in list(islice(self._taken, 2 * len(counted))):
            if self._taken[other][-1] <= past:
                del self._taken[other]
        if self.spent(source):
            return False
        for key in counted:
            times = self._taken.pop(key, deque())
            times.append(past + self._period)
            self._taken[key] = times
        return True

    def give_back(self, source: str) -> None:
        """What *source* took last it has not used."""
        for key in self._counted(source):
            times = self._taken.get(key)
            if times:
                times.pop()
                if not times:
                    del self._taken[key]

    def spent(self, source: str) -> bool:
        """Whether `take` would refuse *source* now."""
        past = self._seconds() - self._period
        return bool(self.count) and any(
            self._used(key, past) >= self.count * times
            for key, times in self._counted(source).items()
        )

    def _used(self, key: str, past: float) -> int:
        """How often it was done since *past*; what was before that is forgotten."""
        times = self._taken.get(key, deque())
        while times and times[0] <= past:
            times.popleft()
        if not times:
            self._taken.pop(key, None)
        return len(times)

    def _counted(self, source: str) -> dict[str, int]:
        """As what *source* is counted, and how many times *count* is the limit of each."""
        if not source.endswith("/64"):
            return {source: 1}
        return {source: 1, str(IPv6Network(source).supernet(new_prefix=48)): SITE}

    def __len__(self) -> int:
        """How many sources are remembered, and how many sites."""
        return len(self._taken)


class TokenBucket:
    """A token bucket: *rate* a second, after a burst of *burst*.

    The state of one bucket is one number, which its owner keeps: the time at which the bucket is
    full again, 0.0 at first (the virtual scheduling form of GCRA, ITU-T I.371, annex A).
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._interval = 1 / rate if rate else 0.0
        self._slack = max(0.0, burst - 1) * self._interval

    def spend(self, full_at: float, now: float, cost: float = 1.0) -> float:
        """The bucket's state after *cost* tokens were taken out, if need be on credit."""
        return (full_at if full_at > now else now) + cost * self._interval

    def wait(self, full_at: float, now: float) -> float:
        """How many seconds until there is a token; 0 or less if there is one now."""
        return full_at - now - self._slack


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection, one source and all of them may do; 0 switches a limit off.

    rate, burst: lines a second of one person, and how many at once before that.
    byte_rate: bytes a second of one connection, whatever they are.
    line_length: bytes of one line. stall_timeout: seconds without taking any output.
    dead_after: seconds after which a peer that does not answer at all is given up.
    max_connections, connections_per_source: at the same time. attempts_per_minute: per source.
    """

    rate: float = 2.0
    burst: int = 10
    byte_rate: int = 16 * 1024
    line_length: int = 2048
    stall_timeout: float = 30.0
    dead_after: int = 90
    max_connections: int = 10_000
    connections_per_source: int = 64
    attempts_per_minute: int = 120


class ConnectionLimiter:
    """Who may connect: the limits on connections, which all doors share."""

    def __init__(
        self, limits: Limits, seconds: Callable[[], float], counters: Counters | None = None
    ) -> None:
        self._limits = limits
        self._counters = counters or Counters(seconds)
        self._attempts = RateLimit(limits.attempts_per_minute, 60, seconds)
        self._by_source: dict[str, int] = {}
        #: How many are connected.
        self.connected = 0

    def configure(self, limits: Limits) -> None:
        """Hold everybody to *limits* from here on; who is there stays, and is counted."""
        self._limits = limits
        self._attempts.count = limits.attempts_per_minute

    def why_refused(self, source: str) -> str | None:
        """Why one more connection from *source* may not stay, as a sentence; None if it may."""
        limits, refused = self._limits, self._counters.refused
        if limits.max_connections and self.connected >= limits.max_connections:
            refused[FULL] += 1
            return "The server is full. Please try again later."
        if source == LOCAL:
            return None
        if not self._attempts.take(source):
            refused[HASTY] += 1
            return "Too many connections from your address in a minute. Please wait a little."
        here = self._by_source.get(source, 0)
        if limits.connections_per_source and here >= limits.connections_per_source:
            refused[CROWDED] += 1
            return f"There are {here} connections from your address already."
        return None

    def entered(self, source: str) -> None:
        """A connection from *source* stays; `left` is called when it goes."""
        self.connected += 1
        self._counters.accepted += 1
        self._by_source[source] = self._by_source.get(source, 0) + 1

    def left(self, source: str) -> None:
        """A connection from *source* is gone."""
        self.connected -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]
