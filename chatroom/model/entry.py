"""An event in its final place."""

from typing import NamedTuple

from chatroom.model.events import Event


class Entry(NamedTuple):
    """An event in its final place.

    room: the key of the room whose log it belongs to.
    id: grows for ever and over restarts: at least the previous one plus one, at least the
    clock in microseconds.
    """

    room: str
    id: int
    event: Event
