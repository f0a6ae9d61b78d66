"""The statements on the database; each method is one transaction, or one slice of longer work.

Each object of this module is used by one thread. Every method of the writer is short, so that it
delays commits by some milliseconds at most (see SLICE). Lookups may take longer.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

from chatroom.backends import codec
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.kept import is_kept
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Closed, Event, Opened, TookBack, TopicSet
from chatroom.model.history import MAX_ID, Gap, Query, StoredRoom, UnreadSummary, finder
from chatroom.text import names
from chatroom.text.words import Phrase, words
from chatroom.text.words import finder as words_finder

#: How many lines are indexed or deleted in one slice, which takes some milliseconds.
SLICE = 250

#: How many of the last lines that are not indexed yet a search reads one by one. The index is
#: seldom more than some hundreds of lines behind, except while it is made anew.
TAIL = 2000

#: After how many steps of SQLite's virtual machine (less than a millisecond) a lookup checks
#: whether it was cancelled.
STEPS = 20_000

#: How many pages of the search index are merged in one slice.
MERGE_PAGES = 64

#: How long, in seconds, a transaction waits for a lock that another program has, such as a backup.
BUSY = 1.0

#: The prefix of the keys of removed rooms, which no other key has. No lookup finds the lines in
#: them, which are deleted bit by bit.
PAST = " "

#: The page cache of a connection, in kibibytes.
CACHE = 16 * 1024


def connect(path: Path, *, sync: str = "normal") -> sqlite3.Connection:
    """Return a connection for one thread.

    sync: with 'normal' commits survive a crash of the server, with 'full' a power failure, too.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync.upper()}; "
            f"PRAGMA secure_delete = ON; PRAGMA cache_size = -{CACHE}; PRAGMA temp_store = MEMORY; "
            f"PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = {64 * 1024 * 1024};"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction, which an exception rolls back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _name_word(name: str) -> str:
    """Return a name as one word of the index, whose tokenizer splits at ASCII punctuation."""
    return names.fold(name).replace("_", "\u2017").replace("-", "\u2010")


def _indexed(room: int, name: str, text: str) -> tuple[str, str, str]:
    """Return the index's row for a line; the same row is needed to remove it again."""
    return f"r{room}", _name_word(name), " ".join(words(text))


class Writer:
    """The connection that writes; there is one."""

    def __init__(self, path: Path, sync: str = "normal") -> None:
        self._connection = connect(path, sync=sync)
        try:
            schema.migrate(self._connection)
            rooms = self._connection.execute("SELECT key, id FROM rooms").fetchall()
            last, time = self._connection.execute(
                "SELECT id, time FROM events ORDER BY id DESC LIMIT 1"
            ).fetchone() or (0, 0.0)
            looked_after = self._state("time")
            self._version = self._data_version()
        except (sqlite3.Error, schema.SchemaError):
            self._connection.close()
            raise
        self._rooms: dict[str, int] = dict(rooms)
        #: The id of the last event when the file was opened; those of this run are greater.
        self.last_id: int = last
        #: When the file was last looked after, in seconds since the epoch; 0 for never.
        self.last_time: float = looked_after or time

    @property
    def connection(self) -> sqlite3.Connection:
        """For what else is kept in the file; in the same thread."""
        return self._connection

    def close(self) -> None:
        """Close the connection, with all data in one file."""
        self._connection.close()

    def changed_elsewhere(self) -> bool:
        """Return whether another program has changed the database since the last call."""
        former, self._version = self._version, self._data_version()
        return self._version != former

    def _data_version(self) -> int:
        """Return a number that changes with the commits of other connections only."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    # -- rooms

    def load(self, count: int, lobby: str = "") -> list[StoredRoom]:
        """Return the rooms in which something was said, each with its last *count* lines.

        Rooms without any lines are removed, except the one with the key *lobby*.
        """
        connection = self._connection
        kept = []
        with transaction(connection):
            for id, key, name, topic in connection.execute(
                "SELECT id, key, name, topic FROM rooms ORDER BY id"
            ).fetchall():
                # At least one, so that it is known when something was last said.
                lines = connection.execute(
                    "SELECT id, kind, time, name, text, origin, user FROM events "
                    "WHERE room = ? AND kind < 2 ORDER BY id DESC LIMIT ?",
                    (id, max(1, count)),
                ).fetchall()
                if key.startswith(PAST) and lines:
                    continue
                if lines or key == lobby:
                    events = [(row[0], _event(MAX_ID, *row)) for row in reversed(lines)]
                    kept.append(StoredRoom(name, topic, events))
                else:
                    connection.execute("DELETE FROM events WHERE room = ?", (id,))
                    connection.execute("DELETE FROM rooms WHERE id = ?", (id,))
                    self._rooms.pop(key, None)
        return kept

    # -- commits

    def commit(self, entries: Iterable[Entry]) -> None:
        """Store *entries* in one transaction; those that are stored already are skipped."""
        known = dict(self._rooms)
        with transaction(self._connection):
            rows: list[tuple[Any, ...]] = []
            for key, id, event in entries:
                if is_kept(event):
                    room = known.get(key) or self._room(known, key, key)
                    rows.append((id, room, *codec.encode(event)))
                if event.line:
                    continue
                if isinstance(event, Opened):
                    self._insert(rows)
                    rows = []
                    self._end_room(known, key, id)
                    self._room(known, key, event.name)
                elif isinstance(event, Closed):
                    self._insert(rows)
                    rows = []
                    self._end_room(known, key, id)
                elif isinstance(event, TopicSet):
                    self._connection.execute(
                        "UPDATE rooms SET topic = ? WHERE key = ?", (event.topic, key)
                    )
                elif isinstance(event, TookBack) and key in known:
                    self._insert(rows)
                    rows = []
                    self._take_back(known[key], event)
            self._insert(rows)
        self._rooms = known

    def _room(self, known: dict[str, int], key: str, name: str) -> int:
        """The number of the room, which gets its present *name*."""
        (id,) = self._connection.execute(
            "INSERT INTO rooms (key, name) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET name = excluded.name RETURNING id",
            (key, name),
        ).fetchone()
        known[key] = id
        return int(id)

    def _end_room(self, known: dict[str, int], key: str, id: int) -> None:
        """What was kept of the room with this *key* before the event *id* is that of no room.

        A batch may come twice: what is there then is of the room that was made by it.
        """
        room = known.get(key)
        # One for each index.
        earlier = " OR ".join(
            f"EXISTS (SELECT 1 FROM events WHERE room = :room AND {kind} AND id < :id)"
            for kind in ("kind < 2", "kind >= 2")
        )
        values = {"room": room, "id": id}
        if room is not None and self._connection.execute(f"SELECT {earlier}", values).fetchone()[0]:
            del known[key]
            past = (f"{PAST}{room}", room)
            self._connection.execute("UPDATE rooms SET key = ?, topic = '' WHERE id = ?", past)

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.executemany(
                "INSERT OR IGNORE INTO events (id, room, kind, time, name, text, origin, user) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def _take_back(self, room: int, event: TookBack) -> None:
        if event.ids:
            self._delete_ids(event.ids)
            return
        if event.said_as:
            self._remove(room, event)
        for user in event.users:
            # Guests are counted anew in each run of the server.
            last = self.last_id if user < 0 else 0
            found = self._connection.execute(
                "SELECT id, room, kind, name, text FROM events "
                "WHERE room = ? AND kind < 2 AND id > ? AND user = ? AND time >= ?",
                (room, max(last, int((event.since - 60) * 1e6)), user, event.since),
            ).fetchall()
            self._delete(found)

    def _remove(self, room: int, event: TookBack) -> None:
        """Delete the lines of a name, in any spelling."""
        since = (room, int((event.since - 60) * 1e6), event.since)
        where = "WHERE room = ? AND kind < 2 AND id > ? AND time >= ?"
        spelled = self._connection.execute(f"SELECT DISTINCT name FROM events {where}", since)
        key = names.fold(event.said_as)
        for (name,) in [row for row in spelled.fetchall() if names.fold(row[0]) == key]:
            self._delete(
                self._connection.execute(
                    f"SELECT id, room, kind, name, text FROM events {where} AND name = ?",
                    (*since, name),
                ).fetchall()
            )

    # -- deleting

    def delete(self, ids: Sequence[int]) -> None:
        """Delete the events with these ids, SLICE of them at most, and from the index too."""
        with transaction(self._connection):
            self._delete_ids(ids)

    def _delete_ids(self, ids: Collection[int]) -> None:
        marks = ",".join("?" * len(ids))
        self._delete(
            self._connection.execute(
                f"SELECT id, room, kind, name, text FROM events WHERE id IN ({marks})", tuple(ids)
            ).fetchall()
        )

    def _delete(self, found: Sequence[tuple[int, int, int, str, str]]) -> None:
        if not found:
            return
        connection = self._connection
        indexed = self._state("indexed")
        connection.executemany("DELETE FROM events WHERE id = ?", [(row[0],) for row in found])
        connection.executemany(
            "INSERT INTO words (words, rowid, room, name, text) VALUES ('delete', ?, ?, ?, ?)",
            [
                (id, *_indexed(room, name, text))
                for id, room, kind, name, text in found
                if kind < schema.LINES_BELOW and id <= indexed
            ],
        )
        self._set_state("unclean", 1)

    # -- the index

    def index(self) -> bool:
        """Index the next SLICE of lines; returns whether there are more."""
        connection = self._connection
        rows = connection.execute(
            "SELECT id, room, kind, name, text FROM events WHERE id > ? ORDER BY id LIMIT ?",
            (self._state("indexed"), SLICE),
        ).fetchall()
        if rows:
            made = [
                (id, *_indexed(room, name, text))
                for id, room, kind, name, text in rows
                if kind < schema.LINES_BELOW
            ]
            with transaction(connection):
                connection.executemany(
                    "INSERT INTO words (rowid, room, name, text) VALUES (?, ?, ?, ?)", made
                )
                self._set_state("indexed", rows[-1][0])
        return len(rows) == SLICE

    # -- cleaning

    @property
    def unclean(self) -> bool:
        """Whether the index or the write-ahead log may contain traces of deleted lines."""
        return bool(self._state("unclean"))

    def begin_merge(self) -> None:
        """Begin to merge the whole index, which removes what was deleted."""
        # A deletion from here on makes the database unclean again (state 1).
        with transaction(self._connection):
            self._set_state("unclean", 2)
            self._merge(-MERGE_PAGES)

    def merge(self) -> bool:
        """Merge the next slice; returns whether there is more to do."""
        before = self._connection.total_changes
        with transaction(self._connection):
            self._merge(MERGE_PAGES)
        # Less than two changes: nothing was left to merge (FTS5, "The 'merge' Command").
        return self._connection.total_changes - before >= 2

    def _merge(self, pages: int) -> None:
        self._connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))

    def empty_log(self) -> bool:
        """Empty the write-ahead log, which contains old pages. Returns whether that succeeded.

        After a merge the database is clean then, unless lines were deleted meanwhile.
        """
        # It must not wait for readers, because commits would wait as well: the caller tries again.
        self._connection.execute("PRAGMA busy_timeout = 5")
        try:
            (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
        if not busy and self._state("unclean") == 2:
            with transaction(self._connection):
                self._set_state("unclean", 0)
        return not busy

    def note_time(self, now: float) -> None:
        """Store that old lines were deleted at *now*, in seconds since the epoch."""
        self._set_state("time", int(now))

    def _state(self, key: str) -> int:
        found = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,))
        (value,) = found.fetchone() or (0,)
        return int(value)

    def _set_state(self, key: str, value: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))


class Reader:
    """A connection that only reads.

    last_id: the id of the last event from before this run of the server, see _event.
    """

    def __init__(self, path: Path, last_id: int = MAX_ID) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA query_only = ON")
        self._last_id = last_id

    @property
    def connection(self) -> sqlite3.Connection:
        """For what else is kept in the file; in the same thread."""
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def interrupt(self) -> None:
        """Make the running lookup fail; called from another thread."""
        self._connection.interrupt()

    def end_when(self, given_up: Callable[[], bool]) -> None:
        """Call *given_up* regularly during a lookup, and end the lookup if it returns True."""
        self._connection.set_progress_handler(given_up, STEPS)

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
        return [Entry(room, row[0], _event(self._last_id, *row)) for row in rows]

    def place(self, room: str, time: float) -> int:
        """See interfaces.HistoryStore."""
        row = self._connection.execute(
            "SELECT id FROM events WHERE room = (SELECT id FROM rooms WHERE key = ?) "
            "AND time < ? ORDER BY time DESC, id DESC LIMIT 1",
            (room, time),
        ).fetchone()
        return row[0] + 1 if row is not None else 0

    def search(self, query: Query, count: int) -> list[Entry]:
        """See interfaces.HistoryStore. Of lines not indexed yet only the last TAIL are searched."""
        rooms = self._rooms(query.rooms)
        # The recent lines first: a line that is indexed meanwhile is then found twice, not never.
        recent = self._search_recent(query, count, rooms)
        found = {entry.id: entry for entry in self._search_index(query, count, rooms) + recent}
        return sorted(found.values(), key=attrgetter("id"))[-count:]

    def _search_recent(self, query: Query, count: int, rooms: dict[int, str]) -> list[Entry]:
        is_found = finder(query)
        rows = self._connection.execute(
            "SELECT room, id, kind, time, name, text, origin, user FROM events "
            "WHERE id > (SELECT value FROM state WHERE key = 'indexed') AND id < ? AND kind < 2 "
            "ORDER BY id DESC LIMIT ?",
            (query.before, TAIL),
        ).fetchall()
        entries = [
            Entry(rooms[row[0]], row[1], _event(self._last_id, *row[1:]))
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
            terms.append(f"name : {_quoted(Phrase((_name_word(query.name),)))}")
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
                entries.append(Entry(rooms[row[0]], id, _event(self._last_id, *row[1:])))
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
        """Return the summary of one *gap* in a room, or None; *room* is the room's number."""
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
        """Return how many lines in *gap* contain *name* and are not by *own*."""
        # First: what is indexed meanwhile is counted once all the same.
        (indexed,) = self._connection.execute(
            "SELECT value FROM state WHERE key = 'indexed'"
        ).fetchone()
        myself = _quoted(Phrase((_name_word(own),)))
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
            (room, max(gap.after, indexed), gap.before, TAIL),
        )
        is_named = words_finder([name])
        return int(naming) + sum(
            is_named(text) for said_as, text in recent if names.fold(said_as) != own
        )

    def expired(self, before: float, keep: int) -> list[int]:
        """Return the ids of events to delete, SLICE of them at most.

        These are events of removed rooms, events before *before* (in seconds since the epoch), and
        in each room events before the last *keep* lines; 0 switches one of the limits off.
        """
        ids = self._of_past_rooms()
        for (room,) in self._connection.execute("SELECT id FROM rooms").fetchall():
            if len(ids) >= SLICE:
                break
            if before:
                old = self._connection.execute(
                    "SELECT id FROM events WHERE room = ? AND time < ? LIMIT ?",
                    (room, before, SLICE - len(ids)),
                )
                ids += [id for (id,) in old]
            if keep:
                oldest = self._connection.execute(
                    "SELECT id FROM events WHERE room = ? AND kind < 2 "
                    "ORDER BY id DESC LIMIT 1 OFFSET ?",
                    (room, keep - 1),
                ).fetchone()
                # One for each index: what is not a line goes with the lines that it stood among.
                for kind in ("kind < 2", "kind >= 2") if oldest else ():
                    more = self._connection.execute(
                        f"SELECT id FROM events WHERE room = ? AND {kind} AND id < ? LIMIT ?",
                        (room, oldest[0], SLICE - len(ids)),
                    )
                    ids += [id for (id,) in more]
        return ids

    def _of_past_rooms(self) -> list[int]:
        """Return the ids of events of removed rooms, SLICE of them at most."""
        ids: list[int] = []
        past = "SELECT id FROM rooms WHERE key >= ? AND key < ?"
        for (room,) in self._connection.execute(past, (PAST, chr(ord(PAST) + 1))).fetchall():
            # One for each index.
            for kind in ("kind < 2", "kind >= 2"):
                found = self._connection.execute(
                    f"SELECT id FROM events WHERE room = ? AND {kind} LIMIT ?",
                    (room, SLICE - len(ids)),
                )
                ids += [id for (id,) in found]
        return ids


def _event(
    last_id: int, id: int, kind: int, time: float, name: str, text: str, origin: int, user: int
) -> Event:
    """Return the event of a row; *last_id* is that of the last event from before this run.

    Connections, and with them guests, are counted anew in each run: of what is older they say
    nothing.
    """
    if id <= last_id:
        origin, user = SERVER, max(user, SERVER)
    return codec.decode(kind, time, name, text, origin, user)


def _quoted(phrase: Phrase) -> str:
    """Return *phrase* in the syntax of FTS5."""
    text = " ".join(phrase.words).replace('"', '""')
    return f'"{text}"{" *" if phrase.begins else ""}'
