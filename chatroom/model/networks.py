"""Networks: parsing them, and sets of them in which an address is found quickly."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Networks:
    """A set of networks; a lookup takes one step for each length of a prefix in it."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        # The prefixes by IP version and prefix length.
        self._prefixes: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            self.add(network)

    def add(self, network: Network) -> None:
        """Add *network*."""
        self._prefixes.setdefault(_shape(network), set()).add(_prefix(network))

    def discard(self, network: Network) -> None:
        """Remove *network* if it is in the set."""
        prefixes = self._prefixes.get(_shape(network), set())
        prefixes.discard(_prefix(network))
        if not prefixes:
            self._prefixes.pop(_shape(network), None)

    def find(self, address: Address) -> list[Network]:
        """Return the networks of this set that contain *address*."""
        found: list[Network] = []
        value = int(address)
        for (version, length), prefixes in self._prefixes.items():
            if version == address.version:
                left = address.max_prefixlen - length
                if value >> left in prefixes:
                    found.append(_network(version, value >> left, length))
        return found

    def networks(self) -> list[Network]:
        """Return all networks of this set."""
        return [
            _network(version, prefix, length)
            for (version, length), prefixes in self._prefixes.items()
            for prefix in prefixes
        ]

    def __contains__(self, address: Address) -> bool:
        return bool(self.find(address))

    def __bool__(self) -> bool:
        return bool(self._prefixes)


def _network(version: int, prefix: int, length: int) -> Network:
    if version == 4:
        return IPv4Network((prefix << (32 - length), length))
    return IPv6Network((prefix << (128 - length), length))


def _shape(network: Network) -> tuple[int, int]:
    return network.version, network.prefixlen


def _prefix(network: Network) -> int:
    return int(network.network_address) >> (network.max_prefixlen - network.prefixlen)


def as_network(text: str) -> Network | None:
    """Parse an address or a network such as '10.0.0.0/8'; return None if *text* is neither.

    As in limits.address_of, IPv4 that is written as IPv6 is IPv4, and zones are ignored.
    """
    try:
        network = ip_network(re.sub("%[^/]*", "", text), strict=False)
    except ValueError:
        return None
    mapped = None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))


def read_networks(lines: Sequence[str]) -> Networks:
    """Parse networks, one a line; `#` begins a comment. Raises ValueError."""
    networks = Networks()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            network = as_network(text)
            if network is None:
                raise ValueError(f"line {number}: {text!r} is neither an address nor a network")
            networks.add(network)
    return networks
