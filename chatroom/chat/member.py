"""A member: one connection in one room, and its place in the room's log."""

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from chatroom.formats.format import Format
from chatroom.model.events import Event, Left, Renamed
from chatroom.model.output import Writer

log = Logger()


class Owner(Protocol):
    """Who has a member; told what the log says of it."""

    @property
    def user_id(self) -> int: ...

    def entered(self, member: "Member") -> None:
        """The member is in the room; `member.cursor` is the end of its log."""

    def left(self, member: "Member", event: Left) -> None:
        """The member was served up to *event* and is out of the room."""

    def renamed(self, event: Renamed) -> None:
        """The name changed."""


class Member:
    """One connection in one room."""

    __slots__ = (
        "announced",
        "cursor",
        "echo",
        "format",
        "ignores",
        "joined",
        "line",
        "mentioned",
        "moves",
        "name",
        "origin",
        "owner",
        "passing",
        "reads",
        "shown",
        "writer",
    )

    def __init__(
        self,
        origin: int,
        name: str,
        format: Format,
        writer: Writer,
        owner: Owner | None = None,
    ) -> None:
        #: The id of the connection.
        self.origin = origin
        self.name = name
        self.format = format
        self.writer = writer
        self.owner = owner
        #: The position of the next event to be shown.
        self.cursor = 0
        #: How many lines the log had had before the cursor, and the id of the last event before it;
        #: kept only while congested.
        self.line = self.shown = 0
        #: Whether the room was told that this member joined.
        self.announced = False
        #: Whether it leaves for another room, rather than for good.
        self.moves = False
        #: Whether it is here only to say or ask something: it is in no list.
        self.passing = False
        #: Whether it is shown what happens here.
        self.reads = True
        #: Whether this member is shown what it said itself, too (doors that draw their own screen).
        self.echo = False
        #: The ids of the users whose events are left out; None for nobody.
        self.ignores: frozenset[int] | None = None
        #: Called before a line that names this member is delivered; None if nobody wants to know.
        #: Whoever changes it, or the format, in a room says so with `Room.listen`.
        self.mentioned: Callable[[], None] | None = None
        #: When this member entered, in seconds since the epoch.
        self.joined = 0.0

    @property
    def user(self) -> int:
        """The id of the user, see `Event.user`."""
        return self.owner.user_id if self.owner is not None else -self.origin


def hides(member: Member, event: Event) -> bool:
    """Return whether *event* is left out for *member*."""
    if event.origin == member.origin:
        return not (event.echoed or (member.echo and event.line))
    return member.ignores is not None and event.ignorable and event.user in member.ignores


def guarded(member: Member, call: Callable[..., object], *args: object) -> None:
    """Call for *member* what must not cost the others the rest of a batch when it fails."""
    try:
        call(*args)
    except Exception:
        drop(member)


def drop(member: Member) -> None:
    """Log the exception that is being handled, and drop the connection of *member*."""
    log.failure(
        "Delivery to connection {connection} failed",
        event="delivery_failed",
        connection=member.origin,
    )
    member.writer.abort()
