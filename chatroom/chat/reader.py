"""A reader: one connection that shows a room, and its place in the room's log."""

from collections.abc import Callable

from twisted.logger import Logger

from chatroom.chat.user import User
from chatroom.formats.format import Format
from chatroom.model.events import Event
from chatroom.model.output import Writer

log = Logger()


class Reader:
    """The cursor of one connection in the log of one room.

    origin: the id of the connection.
    user: whose connection it is; None where nobody has a name (the relay).
    cursor: the position of the next event to be shown.
    line, shown: how many lines the log had had before the cursor, and the id of the last event
        before it; kept only while the connection is congested.
    echo: whether the connection is shown what it said itself, too (doors that draw a screen).
    ignores: the ids of the users whose events are left out; None for nobody.
    bell: called before a line that names the user is delivered; None for no bell. Whatever changes
        it, or the format, says so with `Room.listen`.
    """

    __slots__ = (
        "bell",
        "cursor",
        "echo",
        "format",
        "ignores",
        "line",
        "origin",
        "shown",
        "user",
        "writer",
    )

    def __init__(
        self, origin: int, format: Format, writer: Writer, user: User | None = None
    ) -> None:
        self.origin = origin
        self.format = format
        self.writer = writer
        self.user = user
        self.cursor = 0
        self.line = self.shown = 0
        self.echo = False
        self.ignores: frozenset[int] | None = None
        self.bell: Callable[[], None] | None = None


def hides(reader: Reader, event: Event) -> bool:
    """Return whether *event* is left out for *reader*."""
    if event.origin == reader.origin:
        return not (event.echoed or (reader.echo and event.line))
    if reader.user is not None and event.origin == reader.user.origin and not event.line:
        # What a user does, rather than says, comes from all of their connections.
        return not event.echoed
    return reader.ignores is not None and event.ignorable and event.user in reader.ignores


def guarded(origin: int, writer: Writer, call: Callable[..., object], *args: object) -> None:
    """Call for one connection what must not cost the others the rest of a batch when it fails."""
    try:
        call(*args)
    except Exception:
        drop(origin, writer)


def drop(origin: int, writer: Writer) -> None:
    """Log the exception that is being handled, and drop the connection with this id."""
    log.failure(
        "Delivery to connection {connection} failed",
        event="delivery_failed",
        connection=origin,
    )
    writer.abort()
