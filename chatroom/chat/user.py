"""A user: who somebody is, in however many rooms and however they are connected."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from chatroom.model.accounts import Account
from chatroom.model.events import SERVER, Event
from chatroom.model.limits import LOCAL
from chatroom.model.output import Writer
from chatroom.model.preferences import DEFAULT, Preferences


class Device(Protocol):
    """What a user, and the rooms that they are in, ask of a connection of theirs.

    It is a `connection.Connection`, which stands above users and rooms and is not named here.
    """

    origin: int
    source: str
    writer: Writer
    opened: float
    active: float
    one_shot: bool
    handler: Any

    @property
    def over(self) -> bool:
        """Whether nothing that is typed counts any more."""

    def notice(self, text: str) -> None:
        """Tell the user something."""

    def expel(self, told: str, what: str, why: str = "") -> None:
        """End the connection by an operator's order, see `Connection.expel`."""

    def left(self, room: Any) -> None:
        """Show *room* no longer: the user is no member any more."""

    def mentioned(self, room: str, id: int, event: Event) -> None:
        """Show a line that names the user in a room that the connection does not show."""


class User:
    """A guest, or the owner of an account, with all their connections.

    origin: the id of the connection that the user came with, and stays theirs when that has ended:
        rooms and name claims know the user by it.
    id: minus the origin for a guest. It becomes that of the account with the name of the account,
        and ends with it: what was said before was said by the guest.
    connections: the connections by which the user is here, the earliest first.
    rooms: the keys of the rooms that the user is in, in the order in which they entered. A user who
        has left keeps them, so that an account is in them again after the next login.
    leaving: whether the user is leaving all rooms, or has left them, for good.
    submitted: the last name that was asked for, which is on its way if it is not `name`.
    naming: the folded name that is being claimed, empty for none.
    account: None for a guest.
    preferences: how the user wants to be shown things.
    unsaved: whether preferences could not be written, which is tried again with the next.
    away: why the user is away, None while they are not.
    ignored: the names of the users who are ignored as long as the connection lasts, by id.
    ignored_by: the ids of the connections whose users have ignored this one so; None for none.
    read_markers: up to which id the user has read the rooms that none of their connections shows,
        by the rooms' keys; None while they have still to be told what they missed.
    reply_to: the id of the user who sent the last private message; SERVER for none.
    said: when the user last said something, in seconds since the epoch, by the key of each listed
        room that they said it in; None for nothing.
    """

    __slots__ = (
        "account",
        "away",
        "connections",
        "id",
        "ignored",
        "ignored_by",
        "leaving",
        "name",
        "naming",
        "origin",
        "preferences",
        "read_markers",
        "reply_to",
        "rooms",
        "said",
        "submitted",
        "unsaved",
    )

    def __init__(self, origin: int, name: str) -> None:
        self.origin = origin
        self.id = -origin
        self.connections: tuple[Device, ...] = ()
        self.rooms: tuple[str, ...] = ()
        self.leaving = False
        self.name = self.submitted = name
        self.naming = ""
        self.account: Account | None = None
        self.preferences: Preferences = DEFAULT
        self.unsaved = False
        self.away: str | None = None
        self.ignored: Mapping[int, str] = {}
        self.ignored_by: frozenset[int] | None = None
        self.read_markers: dict[str, int] | None = {}
        self.reply_to = SERVER
        self.said: dict[str, float] | None = None

    def copy(self, connection: Device) -> "User":
        """Return the same user by this *connection* alone, in no room."""
        copied = User(connection.origin, self.name)
        for slot in ("id", "name", "submitted", "account", "preferences", "ignored", "reply_to"):
            setattr(copied, slot, getattr(self, slot))
        copied.connections = (connection,)
        return copied

    # -- the connections

    @property
    def reading(self) -> Iterator[Device]:
        """The connections that are open and show rooms, the earliest first."""
        return (one for one in self.connections if not (one.one_shot or one.over))

    @property
    def here(self) -> bool:
        """Whether the user has a connection that is open and shows rooms."""
        return any(self.reading)

    @property
    def active(self) -> float:
        """When a connection of the user last said something, by `Clock.seconds`."""
        return max((one.active for one in self.connections), default=0.0)

    @property
    def opened(self) -> float:
        """When the earliest connection of the user was opened, by `Clock.seconds`."""
        return min((one.opened for one in self.connections), default=0.0)

    @property
    def source(self) -> str:
        """Whom the earliest connection counts for, see limits.source_of."""
        return self.connections[0].source if self.connections else LOCAL

    def notice(self, text: str) -> None:
        """Tell the user something, wherever they read."""
        for one in self.reading:
            one.notice(text)

    def expel(self, told: str, what: str, why: str = "") -> None:
        """End all connections of the user, see `Connection.expel`."""
        for one in self.connections:
            one.expel(told, what, why)

    # -- what the rooms say

    @property
    def ignores(self) -> frozenset[int] | None:
        """The ids of the users whose events are left out; None for nobody."""
        ids = self.ignored.keys() | self.preferences.ignores.keys()
        return frozenset(ids) if ids else None

    def hides(self, event: Event) -> bool:
        """Return whether the user ignores the author of *event*."""
        ids = self.ignores
        return ids is not None and event.ignorable and event.user in ids

    def rename_failed(self, name: str, why: str) -> None:
        """Act on a room's refusal of the new *name*, for what half a sentence says."""
        if self.connections:
            self.connections[0].handler.rename_failed(self.connections[0], name, why)
