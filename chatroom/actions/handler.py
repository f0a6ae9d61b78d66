"""What a text connection does when the log says that something has happened to its user."""

from typing import TYPE_CHECKING

from chatroom.actions import greeting, naming

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
    from chatroom.chat.room import Room
    from chatroom.model.events import Renamed


class TextHandler:
    """The handler of all text connections; it keeps nothing, so that they share one."""

    def shown(self, connection: "Connection", room: "Room | None", *, first: bool) -> None:
        """*connection* shows *room* from here on, or none: greet its user."""
        if room is None:
            greeting.greet_nowhere(connection, first=first)
        else:
            greeting.greet(connection, room, first=first)

    def renamed(self, connection: "Connection", event: "Renamed") -> None:
        """The user of *connection* has a new name."""
        naming.renamed(connection, event.new)

    def rename_failed(self, connection: "Connection", name: str, why: str) -> None:
        """The user of *connection* has not got *name*."""
        naming.failed(connection, name, why)


TEXT = TextHandler()
