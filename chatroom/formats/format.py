"""The interface of formats, which encode events for one kind of connection.

A format has no state, and encodes equal events as equal bytes. So all connections with the same
format are sent the same bytes object.
"""

from datetime import tzinfo
from typing import Protocol

from twisted.logger import Logger

from chatroom.model.events import Event

log = Logger()


class Format(Protocol):
    """An encoder of events for one kind of connection."""

    @property
    def zone(self) -> tzinfo:
        """The time zone in which times are shown."""

    @property
    def highlights(self) -> bool:
        """Whether `highlighted` changes a line."""

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        """Return the bytes for *event*, empty if this format does not show it.

        room: the name of the room in which it happened; empty for an event for one user.
        id: see Entry; 0 if it has none.
        live: false for an event from before the reader joined, which is shown with its time.
        """

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        """Return *encoded*, a line that mentions *name*, for the user of that name."""


def encode(
    format: Format, event: Event, room: str = "", id: int = 0, *, live: bool = True
) -> bytes:
    """Return `format.encode(...)`, or b"" with a log entry if that raises an exception.

    So an event that cannot be encoded does not keep users from being sent all others.
    """
    try:
        return format.encode(event, room, id, live)
    except Exception:
        log.failure(
            "A {kind} could not be shown", event="event_not_shown", kind=type(event).__name__
        )
        return b""
