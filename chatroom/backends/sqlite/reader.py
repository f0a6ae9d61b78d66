"""The connections that only read the store's database."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path

from chatroom.backends.sqlite.database import (
    REMOVED_PREFIX,
    SLICE_LINES,
    connect,
    name_word,
    stored_event,
)
from chatroom.model.entry import Entry
from chatroom.model.history import MAX_ID, Gap, Query, UnreadSummary, finder
from chatroom.text import names
from chatroom.text.words import Phrase
from chatroom.text.words import finder as words_finder

#: How many of the last messages that are not indexed yet a search reads one by one. The index is
#: seldom more than some hundreds of messages behind, except while it is made anew.
MAX_UNINDEXED_LINES = 2000

#: After how many steps of SQLite's virtual machine, less than a millisecond, a lookup checks
#: whether it was cancelled.
CHECK_STEPS = 20_000


class Reader:
    """A connection that only reads.

    last_id: the id of the last event of earlier runs, see stored_event.
    """

    def __init__(self, path: Path, last_id: int = MAX_ID) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")
        self._last_id = last_id

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for other tables; to be used in the same thread."""
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def interrupt(self) -> None:
        """Make the running lookup fail; called from another thread."""
        self._connection.interrupt()

    def end_when(self, given_up: Callable[[], bool]) -> None:
        """Call *given_up* regularly during a lookup, and end the lookup if it returns True."""
        self._connection.set_progress_handler(given_up, CHECK_STEPS)

    def _rooms(self, keys: Iterable[str]) -> dict[int, str]:
        wanted = set(keys)
        rows = self._connection.execute("SELECT id, key FROM rooms").fetchall()
        return {id: key for id, key in rows if key in wanted}

    def before(self, room: str, id: int, count: int) -> list[Entry]:
        """See interfaces.HistoryStore."""
        return self._lines(room, "id < ? ORDER BY id DESC", id, count)[::-1]

    def after(self, room: str, id: int, count: int) -> list[Entry]:
        """See interfaces.HistoryStore."""
        return self._lines(room, "id > ? ORDER BY id", id, count)

    def _lines(self, room: str, where: str, id: int, count: int) -> list[Entry]:
        rows = self._connection.execute(
            "SELECT id, kind, time, name, text, origin, user FROM events "
            f"WHERE room = (SELECT id FROM rooms WHERE key = ?) AND kind < 2 AND {where} LIMIT ?",
            (room, id, count),
        )
        return [Entry(room, row[0], stored_event(self._last_id, *row)) for row in rows]

    def place(self, room: str, time: float) -> int:
        """See interfaces.HistoryStore."""
        row = self._connection.execute(
            "SELECT id FROM events WHERE room = (SELECT id FROM rooms WHERE key = ?) "
            "AND time < ? ORDER BY time DESC, id DESC LIMIT 1",
            (room, time),
        ).fetchone()
        return row[0] + 1 if row is not None else 0

    def search(self, query: Query, count: int) -> list[Entry]:
        """See interfaces.HistoryStore, and MAX_UNINDEXED_LINES."""
        rooms = self._rooms(query.rooms)
        # First the messages that are not indexed: one that is indexed meanwhile is found twice this
        # way; in the other order it would not be found.
        recent = self._search_recent(query, count, rooms)
        found = {entry.id: entry for entry in self._search_index(query, count, rooms) + recent}
        return sorted(found.values(), key=attrgetter("id"))[-count:]

    def _search_recent(self, query: Query, count: int, rooms: dict[int, str]) -> list[Entry]:
        is_found = finder(query)
        rows = self._connection.execute(
            "SELECT room, id, kind, time, name, text, origin, user FROM events "
            "WHERE id > (SELECT value FROM state WHERE key = 'indexed') AND id < ? AND kind < 2 "
            "ORDER BY id DESC LIMIT ?",
            (query.before, MAX_UNINDEXED_LINES),
        ).fetchall()
        entries = [
            Entry(rooms[row[0]], row[1], stored_event(self._last_id, *row[1:]))
            for row in rows
            if row[0] in rooms
        ]
        return [entry for entry in entries if is_found(entry.event)][:count]

    def _search_index(self, query: Query, count: int, rooms: dict[int, str]) -> list[Entry]:
        (kept,) = self._connection.execute("SELECT count(*) FROM rooms").fetchone()
        if not rooms:
            return []
        terms = [f"text : {_quoted(phrase)}" for phrase in query.phrases]
        if query.name:
            terms.append(f"name : {_quoted(Phrase((name_word(query.name),)))}")
        if len(rooms) < kept:
            places = " OR ".join(f'"r{room}"' for room in rooms)
            terms.append(f"room : ({places})")
        found = self._connection.execute(
            "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC",
            (" AND ".join(terms), query.before),
        )
        entries: list[Entry] = []
        for (id,) in found:
            row = self._connection.execute(
                "SELECT room, id, kind, time, name, text, origin, user FROM events WHERE id = ?",
                (id,),
            ).fetchone()
            if row is not None and row[0] in rooms:
                entries.append(Entry(rooms[row[0]], id, stored_event(self._last_id, *row[1:])))
                if len(entries) == count:
                    break
        found.close()
        return entries

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> list[UnreadSummary]:
        """See interfaces.HistoryStore."""
        ids = {key: id for id, key in self._rooms({key for key, _ in gaps}).items()}
        found: dict[str, UnreadSummary] = {}
        for key, gap in gaps:
            if key in ids and (missed := self._missed(key, ids[key], gap, name, own)) is not None:
                known = found.get(key, missed._replace(lines=0, naming=0))
                lines, naming = known.lines + missed.lines, known.naming + missed.naming
                found[key] = known._replace(lines=lines, naming=naming)
        return list(found.values())

    def _missed(
        self, key: str, room: int, gap: Gap, name: Phrase, own: str
    ) -> UnreadSummary | None:
        """Return the summary of one *gap* in a room, or None.

        key, room: the room's key and its id in the database.
        """
        where = "room = ? AND kind < 2 AND id > ? AND id < ?"
        spelled = self._connection.execute(
            f"SELECT name, count(*), min(id) FROM events WHERE {where} GROUP BY name",
            (room, *gap),
        ).fetchall()
        others = [(count, first) for said_as, count, first in spelled if names.fold(said_as) != own]
        if not others:
            return None
        first = min(first for _, first in others)
        (since,) = self._connection.execute(
            "SELECT time FROM events WHERE id = ?", (first,)
        ).fetchone()
        return UnreadSummary(
            key, sum(count for count, _ in others), self._naming(room, gap, name, own), since
        )

    def _naming(self, room: int, gap: Gap, name: Phrase, own: str) -> int:
        """Return how many messages in *gap* mention *name* and are not by *own*."""
        # Read once, so that a message that is indexed meanwhile is counted once.
        (indexed,) = self._connection.execute(
            "SELECT value FROM state WHERE key = 'indexed'"
        ).fetchone()
        myself = _quoted(Phrase((name_word(own),)))
        (naming,) = self._connection.execute(
            "SELECT count(*) FROM words WHERE words MATCH ? AND rowid > ? AND rowid < ?",
            (
                f'room : "r{room}" AND (text : {_quoted(name)} NOT name : {myself})',
                gap.after,
                min(gap.before, indexed + 1),
            ),
        ).fetchone()
        recent = self._connection.execute(
            "SELECT name, text FROM events WHERE room = ? AND kind < 2 AND id > ? AND id < ? "
            "ORDER BY id DESC LIMIT ?",
            (room, max(gap.after, indexed), gap.before, MAX_UNINDEXED_LINES),
        )
        is_named = words_finder([name])
        return int(naming) + sum(
            is_named(text) for said_as, text in recent if names.fold(said_as) != own
        )

    def expired(self, before: float, keep: int) -> list[int]:
        """Return the ids of at most SLICE_LINES events to delete.

        These are the events of removed rooms, and others by age and number:

        before: events before this time, in seconds since the epoch, expire; 0 for none.
        keep: in each room events before the last *keep* messages expire; 0 for none.
        """
        ids = self._of_past_rooms()
        for (room,) in self._connection.execute("SELECT id FROM rooms").fetchall():
            if len(ids) >= SLICE_LINES:
                break
            if before:
                old = self._connection.execute(
                    "SELECT id FROM events WHERE room = ? AND time < ? LIMIT ?",
                    (room, before, SLICE_LINES - len(ids)),
                )
                ids += [id for (id,) in old]
            if keep:
                oldest = self._connection.execute(
                    "SELECT id FROM events WHERE room = ? AND kind < 2 "
                    "ORDER BY id DESC LIMIT 1 OFFSET ?",
                    (room, keep - 1),
                ).fetchone()
                # One query for each of the partial indexes.
                for kind in ("kind < 2", "kind >= 2") if oldest else ():
                    more = self._connection.execute(
                        f"SELECT id FROM events WHERE room = ? AND {kind} AND id < ? LIMIT ?",
                        (room, oldest[0], SLICE_LINES - len(ids)),
                    )
                    ids += [id for (id,) in more]
        return ids

    def _of_past_rooms(self) -> list[int]:
        """Return the ids of at most SLICE_LINES events of removed rooms."""
        ids: list[int] = []
        past = "SELECT id FROM rooms WHERE key >= ? AND key < ?"
        for (room,) in self._connection.execute(
            past, (REMOVED_PREFIX, chr(ord(REMOVED_PREFIX) + 1))
        ).fetchall():
            # One query for each of the partial indexes.
            for kind in ("kind < 2", "kind >= 2"):
                found = self._connection.execute(
                    f"SELECT id FROM events WHERE room = ? AND {kind} LIMIT ?",
                    (room, SLICE_LINES - len(ids)),
                )
                ids += [id for (id,) in found]
        return ids


def _quoted(phrase: Phrase) -> str:
    """Return *phrase* in the syntax of FTS5."""
    text = " ".join(phrase.words).replace('"', '""')
    return f'"{text}"{" *" if phrase.begins else ""}'
