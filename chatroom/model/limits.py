"""Limits: rate limits by network, a token bucket, and the limits on connections.

A limit of 0 is switched off.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from chatroom.model.counters import CROWDED, FULL, HASTY, Counters

#: The source of connections from this machine, or without a network address.
LOCAL = "local"

#: All sources in one IPv6 /48 together may have this many times as much as one source.
SITE_FACTOR = 4


def address_of(host: str | None) -> IPv4Address | IPv6Address | None:
    """Return *host* as an address, or None if it is not one.

    An IPv4 address that an IPv6 socket shows as ``::ffff:a.b.c.d`` (RFC 4291, section 2.5.5.2) is
    returned as IPv4.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def source_of(host: str | None) -> str:
    """Return the source that limits count *host* for: an IPv4 address or an IPv6 /64.

    Returns LOCAL for loopback addresses and for text that is no address.
    """
    address = address_of(host)
    if address is None or address.is_loopback:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


class RateLimit:
    """A rate limit: at most *count* uses in any *period* seconds for each source.

    count: may change at any time.
    period: in seconds.
    seconds: see clock.Clock.

    A customer of a provider often has a whole IPv6 /48 (RFC 6177), so all sources in one /48
    together have SITE_FACTOR times as much as one source.
    """

    def __init__(self, count: int, period: float, seconds: Callable[[], float]) -> None:
        self.count = count
        self._period = period
        self._seconds = seconds
        # The times of use by source and by /48, oldest first; the key used last stands last.
        self._taken: dict[str, deque[float]] = {}

    def take(self, source: str) -> bool:
        """Count one use by *source*. Returns False, and counts nothing, if the limit is reached."""
        if not self.count:
            return True
        past = self._seconds() - self._period
        counted = self._counted(source)
        # Drop two old entries for each that may be added, so that the table stays small.
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
        """Take back the last `take` of *source*, which was not used after all."""
        for key in self._counted(source):
            times = self._taken.get(key)
            if times:
                times.pop()
                if not times:
                    del self._taken[key]

    def spent(self, source: str) -> bool:
        """Return whether `take` would refuse *source* now."""
        past = self._seconds() - self._period
        return bool(self.count) and any(
            self._used(key, past) >= self.count * times
            for key, times in self._counted(source).items()
        )

    def _used(self, key: str, past: float) -> int:
        """Return the number of uses since *past*, and forget earlier ones."""
        times = self._taken.get(key, deque())
        while times and times[0] <= past:
            times.popleft()
        if not times:
            self._taken.pop(key, None)
        return len(times)

    def _counted(self, source: str) -> dict[str, int]:
        """Return the keys that *source* counts for, each with its multiple of *count*."""
        if not source.endswith("/64"):
            return {source: 1}
        return {source: 1, str(IPv6Network(source).supernet(new_prefix=48)): SITE_FACTOR}

    def __len__(self) -> int:
        """Return how many sources and networks are remembered."""
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
        """Return the state after *cost* tokens were taken out, on credit if there are too few."""
        return (full_at if full_at > now else now) + cost * self._interval

    def wait(self, full_at: float, now: float) -> float:
        """Return the seconds until there is a token; 0 or less if there is one now."""
        return full_at - now - self._slack


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on a connection, on a source and on all connections; 0 switches one off.

    rate: lines a second from one user.
    burst: how many lines a user may send at once.
    byte_rate: bytes a second from one connection.
    line_length: bytes of one line.
    stall_timeout: after how many seconds a client that does not read is disconnected.
    dead_after: after how many seconds a peer that does not answer is disconnected.
    max_connections: connections at the same time.
    connections_per_source: connections from one source at the same time.
    attempts_per_minute: new connections from one source in a minute.
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
    """Counts connections and decides whether there may be one more; all doors share it."""

    def __init__(
        self, limits: Limits, seconds: Callable[[], float], counters: Counters | None = None
    ) -> None:
        self._limits = limits
        self._counters = counters or Counters(seconds)
        self._attempts = RateLimit(limits.attempts_per_minute, 60, seconds)
        self._by_source: dict[str, int] = {}
        #: How many connections there are.
        self.connected = 0

    def configure(self, limits: Limits) -> None:
        """Apply *limits* to new connections from now on. Existing ones stay and count."""
        self._limits = limits
        self._attempts.count = limits.attempts_per_minute

    def why_refused(self, source: str) -> str | None:
        """Return the reason to refuse a new connection from *source*, or None to accept it."""
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
        """Count an accepted connection from *source*; call `left` when it is closed."""
        self.connected += 1
        self._counters.accepted += 1
        self._by_source[source] = self._by_source.get(source, 0) + 1

    def left(self, source: str) -> None:
        """Stop counting a connection from *source*, which is closed."""
        self.connected -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]
