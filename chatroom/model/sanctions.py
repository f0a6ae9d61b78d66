"""Rules of moderation, the operators' audit, and reports.

Rules are few: all of them are in memory and hold at once, though storing them may take time or
fail. The audit and the reports grow, and are looked up in their store.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from chatroom.model.networks import Network

#: How many audit entries and reports a server without a store keeps.
REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Sanction:
    """A ban or a mute of a user or a network.

    target: the name or network, as users write it.
    until: when it ends, in seconds since the epoch; 0 for never.
    why: the reason.
    by: the name of the operator.
    time: when it was imposed, in seconds since the epoch.
    about: the name of the user because of whom a network is banned.
    """

    target: str
    until: float
    why: str
    by: str
    time: float
    about: str = ""

    def holds(self, now: float) -> bool:
        """Return whether it has not ended yet."""
        return not self.until or now < self.until


@dataclass(frozen=True, slots=True)
class Operator:
    """An account that is an operator.

    source: the source (see limits.source_of) of its last connection.
    """

    name: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """Which users may enter a room that belongs to an account.

    owner: the id of the account, 0 for none.
    name: the name of the account.
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
        # The owner 0 is no account, and the account 0 a guest.
        if not self.private or (account and account == self.owner):
            return 0
        invited = next((first for id, _, first in self.invited if id == account), None)
        return invited if invited is not None else self.guests.get(connection)


class RuleKind(Enum):
    """The kinds of rules, with their keys."""

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
    """An action of an operator.

    time: in seconds since the epoch.
    by: the name of the operator.
    what: a verb in the past tense.
    target: the name of the user, network or room.
    why: the reason.
    """

    time: float
    by: str
    what: str
    target: str
    why: str


class Report(NamedTuple):
    """A report by a user to the operators.

    time: in seconds since the epoch.
    by: the name of the user.
    about: the name of the user who is reported.
    why: the reason.
    room: the name of the room.
    evidence: the last lines of the room, as they were shown.
    id: given by the store; later reports have greater ids.
    """

    time: float
    by: str
    about: str
    why: str
    room: str
    evidence: str
    id: int = 0
