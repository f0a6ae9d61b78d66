"""What a text connection does when the log says that something has happened to its user."""

from typing import TYPE_CHECKING

from chatroom.actions import greeting, naming

if TYPE_CHECKING:
    from chatroom.chat.room import Room
    from chatroom.chat.session import Session
    from chatroom.model.events import Renamed


class TextHandler:
    """The handler of all text connections; it keeps nothing, so that they share one."""

    def shown(self, session: "Session", room: "Room | None", *, first: bool) -> None:
        """*session* shows *room* from here on, or none: greet its user."""
        if room is None:
            greeting.greet_nowhere(session, first=first)
        else:
            greeting.greet(session, room, first=first)

    def renamed(self, session: "Session", event: "Renamed") -> None:
        """The user of *session* has a new name."""
        naming.renamed(session, event.new)

    def rename_failed(self, session: "Session", name: str, why: str) -> None:
        """The user of *session* has not got *name*."""
        naming.failed(session, name, why)


TEXT = TextHandler()
