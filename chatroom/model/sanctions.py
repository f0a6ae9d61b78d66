"""Orders: what operators have decided, what was reported to them, and who did what to whom.

The rule: orders are few, are all in memory, and are asked at once; only keeping them may be late,
or fail. The audit and the reports grow, and are asked as a history is.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from chatroom.model.networks import Network

#: How many actions and reports a server without a store remembers.
REMEMBERED = 1000


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
class RoomAccess:
    """Which users may enter a room that belongs to an account.

    owner, name: the account, 0 for none.
    private: whether only invited users may enter the room and see its history.
    invited: for each account its id, its name and the id of the first message visible to it.
    guests: for each guest's connection the id of the first message visible to it; not stored, and
        changed in place, since a guest's invitation ends with the connection.
    """

    owner: int
    name: str
    private: bool = False
    invited: tuple[tuple[int, str, int], ...] = ()
    guests: dict[int, int] = field(default_factory=dict, compare=False)

    def visible_from(self, account: int, connection: int = 0) -> int | None:
        """Return the first id that is visible to the account or the connection, None for none."""
        # The owner 0 is nobody, and the account 0 a guest.
        if not self.private or (account and account == self.owner):
            return 0
        invited = next((first for id, _, first in self.invited if id == account), None)
        return invited if invited is not None else self.guests.get(connection)


class RuleKind(Enum):
    """The kinds of rules, each with what its keys are."""

    ACCOUNT_BAN = auto()  # the account's id
    NETWORK_BAN = auto()  # the network
    ACCOUNT_MUTE = auto()  # the account's id
    CONNECTION_MUTE = auto()  # the connection's id; never stored
    SOURCE_MUTE = auto()  # the source of guests' connections
    OPERATOR = auto()  # the account's id
    ROOM = auto()  # the room's key
    LOCKDOWN = auto()  # the empty string


Rule = Sanction | Operator | RoomAccess
RuleKey = int | str | Network


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
