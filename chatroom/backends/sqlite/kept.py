"""The events that the history keeps: those that the users in a room were shown."""

from chatroom.model.events import (
    Announced,
    CrowdMoved,
    Emoted,
    Event,
    Left,
    Renamed,
    Said,
    Told,
    TookBack,
    TopicSet,
)

_SHOWN = (Said, Emoted, Announced, TopicSet, CrowdMoved, Told, TookBack)


def is_kept(event: Event) -> bool:
    """Return whether the history keeps *event*."""
    return isinstance(event, _SHOWN) or (isinstance(event, Left | Renamed) and event.shown)
