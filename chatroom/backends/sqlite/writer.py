"""The connection that writes the store's database.

Each method is one transaction, or one slice of longer work that delays commits by some milliseconds
(see SLICE_LINES).
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from chatroom.backends import codec
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.database import (
    BUSY_SECONDS,
    REMOVED_PREFIX,
    SLICE_LINES,
    connect,
    index_row,
    stored_event,
    transaction,
)
from chatroom.backends.sqlite.kept import is_kept
from chatroom.model.entry import Entry
from chatroom.model.events import Closed, Opened, TookBack, TopicSet
from chatroom.model.history import MAX_ID, StoredRoom
from chatroom.text import names

#: How many pages of the search index are merged in one slice.
MERGE_PAGES = 64


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
            maintained = self._state("time")
            self._version = self._data_version()
        except (sqlite3.Error, schema.SchemaError):
            self._connection.close()
            raise
        self._rooms: dict[str, int] = dict(rooms)
        #: The id of the last event when the file was opened; those of this run are greater.
        self.last_id: int = last
        #: When the last maintenance was, in seconds since the epoch; 0 for never.
        self.last_time: float = maintained or time

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for other tables; to be used in the same thread."""
        return self._connection

    def close(self) -> None:
        """Close the connection; the database is one file then."""
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
        """Return the rooms that have messages, each with its last *count* messages.

        Rooms without messages are removed, except the one with the key *lobby*.
        """
        connection = self._connection
        kept = []
        with transaction(connection):
            for id, key, name, topic in connection.execute(
                "SELECT id, key, name, topic FROM rooms ORDER BY id"
            ).fetchall():
                # At least one message, so that the time of the last one is known.
                lines = connection.execute(
                    "SELECT id, kind, time, name, text, origin, user FROM events "
                    "WHERE room = ? AND kind < 2 ORDER BY id DESC LIMIT ?",
                    (id, max(1, count)),
                ).fetchall()
                if key.startswith(REMOVED_PREFIX) and lines:
                    continue
                if lines or key == lobby:
                    events = [(row[0], stored_event(MAX_ID, *row)) for row in reversed(lines)]
                    kept.append(StoredRoom(name, topic, events))
                else:
                    connection.execute("DELETE FROM events WHERE room = ?", (id,))
                    connection.execute("DELETE FROM rooms WHERE id = ?", (id,))
                    self._rooms.pop(key, None)
        return kept

    # -- commits

    def commit(self, entries: Iterable[Entry]) -> None:
        """Store *entries* in one transaction; entries that are stored already are skipped."""
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
        """Return the id of the room, which gets its present *name*; add it if necessary."""
        (id,) = self._connection.execute(
            "INSERT INTO rooms (key, name) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET name = excluded.name RETURNING id",
            (key, name),
        ).fetchone()
        known[key] = id
        return int(id)

    def _end_room(self, known: dict[str, int], key: str, id: int) -> None:
        """Mark the room with this *key* as removed, if it has events before *id*.

        A batch may be committed twice. Then the room is the one that this batch has created, and
        has no earlier events.
        """
        room = known.get(key)
        # One query for each of the partial indexes.
        earlier = " OR ".join(
            f"EXISTS (SELECT 1 FROM events WHERE room = :room AND {kind} AND id < :id)"
            for kind in ("kind < 2", "kind >= 2")
        )
        values = {"room": room, "id": id}
        if room is not None and self._connection.execute(f"SELECT {earlier}", values).fetchone()[0]:
            del known[key]
            past = (f"{REMOVED_PREFIX}{room}", room)
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
            # The ids of guests are used again in each run of the server.
            last = self.last_id if user < 0 else 0
            found = self._connection.execute(
                "SELECT id, room, kind, name, text FROM events "
                "WHERE room = ? AND kind < 2 AND id > ? AND user = ? AND time >= ?",
                (room, max(last, int((event.since - 60) * 1e6)), user, event.since),
            ).fetchall()
            self._delete(found)

    def _remove(self, room: int, event: TookBack) -> None:
        """Delete the messages of a name, in any spelling."""
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
        """Delete the events with these ids, at most SLICE_LINES, and their index rows."""
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
                (id, *index_row(room, name, text))
                for id, room, kind, name, text in found
                if kind < schema.LINES_BELOW and id <= indexed
            ],
        )
        self._set_state("unclean", 1)

    # -- the index

    def index(self) -> bool:
        """Index the next SLICE_LINES events, and return whether there are more."""
        connection = self._connection
        rows = connection.execute(
            "SELECT id, room, kind, name, text FROM events WHERE id > ? ORDER BY id LIMIT ?",
            (self._state("indexed"), SLICE_LINES),
        ).fetchall()
        if rows:
            made = [
                (id, *index_row(room, name, text))
                for id, room, kind, name, text in rows
                if kind < schema.LINES_BELOW
            ]
            with transaction(connection):
                connection.executemany(
                    "INSERT INTO words (rowid, room, name, text) VALUES (?, ?, ?, ?)", made
                )
                self._set_state("indexed", rows[-1][0])
        return len(rows) == SLICE_LINES

    # -- cleaning

    @property
    def unclean(self) -> bool:
        """Whether the index or the write-ahead log may contain traces of deleted data."""
        return bool(self._state("unclean"))

    def begin_merge(self) -> None:
        """Begin to merge the whole index, which removes traces of deleted messages."""
        # A deletion from here on sets the state to 1 again.
        with transaction(self._connection):
            self._set_state("unclean", 2)
            self._merge(-MERGE_PAGES)

    def merge(self) -> bool:
        """Merge the next slice, and return whether there is more to do."""
        before = self._connection.total_changes
        with transaction(self._connection):
            self._merge(MERGE_PAGES)
        # After fewer than two changes nothing is left to merge (FTS5, "The 'merge' Command").
        return self._connection.total_changes - before >= 2

    def _merge(self, pages: int) -> None:
        self._connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))

    def empty_log(self) -> bool:
        """Empty the write-ahead log, which contains old pages. Returns whether that succeeded.

        After a merge the database is clean then, unless messages were deleted meanwhile.
        """
        # It hardly waits for readers, because commits would wait with it; the caller tries again.
        self._connection.execute("PRAGMA busy_timeout = 5")
        try:
            (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        if not busy and self._state("unclean") == 2:
            with transaction(self._connection):
                self._set_state("unclean", 0)
        return not busy

    def note_time(self, now: float) -> None:
        """Store *now*, in seconds since the epoch, as the time of the last maintenance."""
        self._set_state("time", int(now))

    def _state(self, key: str) -> int:
        found = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,))
        (value,) = found.fetchone() or (0,)
        return int(value)

    def _set_state(self, key: str, value: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))
