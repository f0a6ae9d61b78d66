"""What is asked of the history, and what it answers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from chatroom.model.events import Emoted, Event, Said
from chatroom.text import names, words
from chatroom.text.words import Phrase

#: Greater than every id.
MAX_ID = 2**63 - 1

#: What people read after a removal of lines that the disk does not take yet.
REMOVED_LATER = "The disk is away: what was removed stays in its file until it is back."


class StoredRoom(NamedTuple):
    """A room as a store has kept it. lines: the last ones with their ids, oldest first."""

    name: str
    topic: str
    lines: Sequence[tuple[int, Event]]


class Gap(NamedTuple):
    """Lines of a room that somebody was not shown: those with ids between these two."""

    after: int
    before: int = MAX_ID


class UnreadSummary(NamedTuple):
    """What somebody missed in a room.

    lines: how many lines. naming: in how many of them their name is. since: when the first of
    them was said, in seconds since the epoch.
    """

    room: str
    lines: int
    naming: int
    since: float


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for: lines with all *phrases*.

    rooms: the keys of the rooms to look in. name: the key of who said them, empty for anybody.
    before: only lines with smaller ids.
    """

    phrases: Sequence[Phrase]
    rooms: Collection[str]
    name: str = ""
    before: int = MAX_ID


def finder(query: Query) -> Callable[[Event], bool]:
    """Return a function that says whether an event is a line that *query* looks for."""
    is_found = words.finder(query.phrases)

    def fits(event: Event) -> bool:
        if not isinstance(event, Said | Emoted):
            return False
        if query.name and names.fold(event.name) != query.name:
            return False
        return is_found(event.text)

    return fits
