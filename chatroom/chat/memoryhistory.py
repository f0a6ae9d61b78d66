"""The history of a chat without a store.

It is asked like a store: every answer is a Deferred, which may come late or fail.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from chatroom.chat.lookups import piecemeal
from chatroom.model.clock import Clock
from chatroom.model.entry import Entry
from chatroom.model.events import Emoted, Event, Said
from chatroom.model.history import MAX_ID, Gap, Query, UnreadSummary, finder
from chatroom.text import names, words
from chatroom.text.words import Phrase

if TYPE_CHECKING:
    from chatroom.chat.room import Room


class MemoryHistory:
    """The history of a chat without a store: the logs of its rooms, and nothing before them."""

    def __init__(self, rooms: Mapping[str, "Room"], clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        known = self._rooms.get(room)
        lines = known.log.before(id, count) if known is not None else []
        return succeed([Entry(room, *line) for line in lines])

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return succeed(list(islice(self._lines(room, id + 1), count)))

    def place(self, room: str, time: float) -> Deferred[int]:
        known = self._rooms.get(room)
        return succeed(known.log.place(time) if known is not None else 0)

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        found: list[Entry] = []
        is_found = finder(query)

        def steps() -> Iterator[None]:
            oldest = 0
            for key in query.rooms:
                for entry in self._latest(key, query.before):
                    if entry.id < oldest:
                        break
                    if is_found(entry.event):
                        found.append(entry)
                    yield
                found.sort(key=attrgetter("id"))
                del found[:-count]
                oldest = found[0].id if len(found) == count else 0

        return piecemeal(self._clock, steps()).addCallback(lambda _: found)

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[UnreadSummary]]:
        found: dict[str, UnreadSummary] = {}
        is_named = words.finder([name])

        def steps() -> Iterator[None]:
            for room, gap in gaps:
                for entry in self._lines(room, gap.after + 1, gap.before):
                    event = entry.event
                    if not isinstance(event, Said | Emoted) or names.fold(event.name) != own:
                        known = found.get(room, UnreadSummary(room, 0, 0, event.time))
                        naming = known.naming + is_named(_text(event))
                        found[room] = known._replace(lines=known.lines + 1, naming=naming)
                    yield

        return piecemeal(self._clock, steps()).addCallback(lambda _: list(found.values()))

    def _lines(self, key: str, first: int, end: int = MAX_ID) -> Iterator[Entry]:
        """The lines of a room with ids from *first* up to *end*, oldest first."""
        room = self._rooms.get(key)
        for row in room.log.between(first, end) if room is not None else ():
            if row.event.line:
                yield Entry(key, row.id, row.event)

    def _latest(self, key: str, end: int) -> Iterator[Entry]:
        """The lines of a room with smaller ids than *end*, newest first."""
        room = self._rooms.get(key)
        for row in reversed(room.log.between(0, end)) if room is not None else ():
            if row.event.line:
                yield Entry(key, row.id, row.event)


def _text(event: Event) -> str:
    return event.text if isinstance(event, Said | Emoted) else ""
