"""Entries: events in their final order."""

from typing import NamedTuple

from chatroom.model.events import Event


class Entry(NamedTuple):
    """A committed event.

    room: the key of the room whose log it belongs to.
    id: its position in the order of all events, never used again. It is greater than all earlier
        ids, also those before a restart, and at least the clock in microseconds.
    """

    room: str
    id: int
    event: Event
