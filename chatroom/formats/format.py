"""What a format is: how the events of rooms become the bytes of one kind of wire.

The rule: a format is one object with `encode`, it holds no state, and the same event always
gives the same bytes, so that all who use it can be sent the same object.
"""

from datetime import tzinfo
from typing import Protocol

from twisted.logger import Logger

from chatroom.model.events import Event

log = Logger()


class Format(Protocol):
    """How one kind of wire shows events."""

    @property
    def zone(self) -> tzinfo:
        """The time zone of the times that it shows."""

    @property
    def highlights(self) -> bool:
        """Whether a line looks different for the users whom it names."""

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        """Return the bytes for *event*, empty for what this format does not show.

        room: the name of the room in which it happened; empty for what is for one user only.
        id: its place in the order of all events; 0 if it has none.
        live: false for what happened before its reader came, which is shown with its time.
        """

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        """Return *encoded*, a line that names *name*, as the user of that name is shown it."""


def encode(
    format: Format, event: Event, room: str = "", id: int = 0, *, live: bool = True
) -> bytes:
    """Return `format.encode(...)`; empty if that fails, which costs nobody anything else."""
    try:
        return format.encode(event, room, id, live)
    except Exception:
        log.failure(
            "A {kind} could not be shown", event="event_not_shown", kind=type(event).__name__
        )
        return b""
