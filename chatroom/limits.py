"""Limits: how much of something one source may have in a while.

The rule: a limit of 0 is switched off, and nothing here knows what is being limited.
"""

from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import islice

#: The source of connections that no network brought, and of this machine's own.
LOCAL = "local"


def source_of(host: str | None) -> str:
    """Whom a connection from *host* counts for: an IPv4 address or an IPv6 /64.

    IPv4 addresses that an IPv6 socket shows as ``::ffff:a.b.c.d`` (RFC 4291, section 2.5.5.2) are
    IPv4. Loopback, and what is not an address at all, is LOCAL.
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return LOCAL
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


class Quota:
    """At most *count* times in *period* seconds for each source."""

    def __init__(self, count: int, period: float, seconds: Callable[[], float]) -> None:
        self._count = count
        self._period = period
        self._seconds = seconds
        # By source, oldest time first; whoever took last stands last.
        self._taken: dict[str, deque[float]] = {}

    def take(self, source: str) -> bool:
        """Whether *source* may do it once more; if so, it has."""
        if not self._count:
            return True
        past = self._seconds() - self._period
        # Two for each one that may be added: what is remembered stays small.
        for other in list(islice(self._taken, 2)):
            if self._taken[other][-1] <= past:
                del self._taken[other]
        times = self._taken.get(source, deque())
        while times and times[0] <= past:
            times.popleft()
        if len(times) >= self._count:
            return False
        times.append(past + self._period)
        self._taken.pop(source, None)
        self._taken[source] = times
        return True

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._taken)
