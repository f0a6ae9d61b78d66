"""Orders: what operators have decided, what was reported to them, and who did what to whom.

The rule: orders are few, are all in memory, and are asked at once; only keeping them may be late,
or fail. The audit and the reports grow, and are asked as a history is.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NamedTuple

from chatroom.text import names

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: How many actions and reports a server without a store remembers.
REMEMBERED = 1000

#: More seconds since the epoch than a date can have.
END_OF_TIME = 250_000_000_000


@dataclass(frozen=True, slots=True)
class Sanction:
    """That somebody, or a network, is banned or muted.

    target: what it holds for, as people write it. until: in seconds since the epoch, 0 for ever.
    by: the name of the operator. about: the name on account of whom a network is banned.
    """

    target: str
    until: float
    why: str
    by: str
    time: float
    about: str = ""

    def holds(self, now: float) -> bool:
        """Whether it holds still."""
        return not self.until or now < self.until


@dataclass(frozen=True, slots=True)
class Operator:
    """An account whose owner keeps order. source: where they came from last."""

    name: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may enter a room that is somebody's.

    owner, name: the account that the room belongs to. private: whether only those who are invited
    may enter, and see its history. invited: from which id on, by account.
    """

    owner: int
    name: str
    private: bool = False
    invited: tuple[tuple[int, str, int], ...] = ()

    def visible_from(self, account: int) -> int | None:
        """From which id on *account* may see what is said; None for not at all."""
        # The owner 0 is nobody, and the account 0 a guest.
        if not self.private or (account and account == self.owner):
            return 0
        return next((since for id, _, since in self.invited if id == account), None)


class AuditEntry(NamedTuple):
    """An operator did something.

    time: in seconds since the epoch. what: a verb in the past tense.
    """

    time: float
    by: str
    what: str
    target: str
    why: str


class Report(NamedTuple):
    """Somebody has told the operators about somebody.

    time: in seconds since the epoch. evidence: the last lines of the room, as they were shown.
    id: given by the records, growing.
    """

    time: float
    by: str
    about: str
    why: str
    room: str
    evidence: str
    id: int = 0


#: The kinds of orders, each by a key: an account's id, a network, a room's key, or a word.
KINDS: dict[str, type[Any]] = {
    "ban account": Sanction,
    "ban network": Sanction,
    "mute account": Sanction,
    "mute source": Sanction,
    "operator": Operator,
    "room": Access,
    "lockdown": Sanction,
}


def dump(order: Any) -> str:
    """An order as JSON."""
    return json.dumps(asdict(order), ensure_ascii=False)


def load(kind: str, text: str) -> Any:
    """What `dump` made. Raises ValueError, TypeError, AttributeError or KeyError."""
    fields = {key: _safe(value) for key, value in json.loads(text).items()}
    if kind == "room":
        fields["owner"] = int(fields["owner"])
        fields["invited"] = tuple((int(a), str(b), int(c)) for a, b, c in fields["invited"])
    order = KINDS[kind](**fields)
    if isinstance(order, Sanction) and not 0 <= float(order.until) < END_OF_TIME:
        raise ValueError("there is no such time")
    return order


def _safe(value: Any) -> Any:
    """*value* with nothing in it that could harm a terminal."""
    if isinstance(value, str):
        return names.clean(value)
    return [_safe(item) for item in value] if isinstance(value, list) else value


class Networks:
    """A set of networks, in which an address is found without looking at each of them."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        # By version and length of the prefix: the prefixes.
        self._prefixes: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            self.add(network)

    def add(self, network: Network) -> None:
        """Have *network* in it."""
        self._prefixes.setdefault(_shape(network), set()).add(_prefix(network))

    def discard(self, network: Network) -> None:
        """Have *network* in it no more."""
        prefixes = self._prefixes.get(_shape(network), set())
        prefixes.discard(_prefix(network))
        if not prefixes:
            self._prefixes.pop(_shape(network), None)

    def find(self, address: Address) -> list[Network]:
        """The networks of this set that *address* is in."""
        found: list[Network] = []
        value = int(address)
        for (version, length), prefixes in self._prefixes.items():
            if version == address.version:
                left = address.max_prefixlen - length
                if value >> left in prefixes:
                    found.append(_network(version, value >> left, length))
        return found

    def networks(self) -> list[Network]:
        """All of them."""
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
