"""Queries of the history, and their results."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chatroom.model.events import Emoted, Event, Said
from chatroom.text import names, words
from chatroom.text.words import Phrase

#: Greater than every id.
MAX_ID = 2**63 - 1

#: The notice after a removal of lines that could not be written to the disk yet.
REMOVED_LATER = "The disk is away: what was removed stays in its file until it is back."


class StoredRoom(NamedTuple):
    """A room as it is stored.

    lines: its last messages with their ids, oldest first.
    """

    name: str
    topic: str
    lines: Sequence[tuple[int, Event]]


class Gap(NamedTuple):
    """A range of ids in a room that a user was not shown, without the two bounds."""

    after: int
    before: int = MAX_ID


class UnreadSummary(NamedTuple):
    """How much a user has not read in a room.

    room: the key of the room.
    lines: the number of unread lines.
    naming: in how many of them the user is mentioned.
    since: when the first of them was said, in seconds since the epoch.
    """

    room: str
    lines: int
    naming: int
    since: float


@dataclass(frozen=True, slots=True)
class Query:
    """A search for lines that contain all *phrases*.

    rooms: the keys of the rooms to search.
    name: the folded name of the author, empty for any author.
    before: only lines with smaller ids match.
    """

    phrases: Sequence[Phrase]
    rooms: Collection[str]
    name: str = ""
    before: int = MAX_ID


def finder(query: Query) -> Callable[[Event], bool]:
    """Return a function that returns whether an event matches *query*."""
    is_found = words.finder(query.phrases)

    def fits(event: Event) -> bool:
        if not isinstance(event, Said | Emoted):
            return False
        if query.name and names.fold(event.name) != query.name:
            return False
        return is_found(event.text)

    return fits
