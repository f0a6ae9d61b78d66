"""History: what was said before the rooms' own logs begin.

The rule: it is asked, never waited for. Every answer is a Deferred that may come late, or fail.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed

from chatroom import names
from chatroom.events import Emoted, Event, Said
from chatroom.ledger import Entry
from chatroom.words import Phrase, words

if TYPE_CHECKING:
    from chatroom.room import Room

#: Greater than every id.
LAST = 2**63 - 1


class Kept(NamedTuple):
    """A room as a store has kept it. lines: the last ones with their ids, oldest first."""

    name: str
    topic: str
    lines: Sequence[tuple[int, Event]]


class Gap(NamedTuple):
    """Lines of a room that somebody was not shown: those with ids between these two."""

    after: int
    before: int = LAST


class Missed(NamedTuple):
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
    before: int = LAST


class History(Protocol):
    """Looks up lines; the answers are in the order of the log, oldest first."""

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """The last *count* lines of the room with smaller ids than *id*."""

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        """The first *count* lines of the room with greater ids than *id*."""

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        """The last *count* lines that *query* looks for."""

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[Missed]]:
        """What was said in *gaps*, each in the room with its key, in rooms where it was something.

        name: what a line has in it that names whoever asks. own: the key of their name: what was
        said under it they have not missed.
        """


class MemoryHistory:
    """The history of a chat without a store: the logs of its rooms, and nothing before them."""

    def __init__(self, rooms: Mapping[str, "Room"]) -> None:
        self._rooms = rooms

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return succeed(self._lines(room, 0, id)[-count:])

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return succeed(self._lines(room, id + 1)[:count])

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        found = [
            entry
            for room in query.rooms
            for entry in self._lines(room, 0, query.before)
            if _fits(entry.event, query)
        ]
        found.sort(key=lambda entry: entry.id)
        return succeed(found[-count:])

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[Missed]]:
        found: dict[str, Missed] = {}
        for room, gap in gaps:
            for entry in self._lines(room, gap.after + 1, gap.before):
                event = entry.event
                if isinstance(event, Said | Emoted) and names.fold(event.name) == own:
                    continue
                known = found.get(room, Missed(room, 0, 0, event.time))
                naming = known.naming + name.found_in(words(_text(event)))
                found[room] = known._replace(lines=known.lines + 1, naming=naming)
        return succeed(list(found.values()))

    def _lines(self, key: str, first: int, end: int = LAST) -> list[Entry]:
        """The lines of a room with ids from *first* up to *end*."""
        room = self._rooms.get(key)
        lines = room.since(first) if room is not None else []
        return [Entry(key, id, event) for id, event in lines if id < end]


def _text(event: Event) -> str:
    return event.text if isinstance(event, Said | Emoted) else ""


def _fits(event: Event, query: Query) -> bool:
    if not isinstance(event, Said | Emoted):
        return False
    if query.name and names.fold(event.name) != query.name:
        return False
    said = words(event.text)
    return all(phrase.found_in(said) for phrase in query.phrases)
