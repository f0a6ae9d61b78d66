"""Connections to the store's database, and what its writer and readers share."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatroom.backends import codec
from chatroom.model.events import SERVER, Event
from chatroom.text import names
from chatroom.text.words import words

#: How many messages are indexed or deleted in one transaction, which takes some milliseconds.
SLICE_LINES = 250

#: How long a transaction waits for a lock of another program, such as a backup.
BUSY_SECONDS = 1.0

#: The prefix of the keys of removed rooms; other keys do not begin with a blank. No lookup finds
#: their messages, which are deleted in slices.
REMOVED_PREFIX = " "

#: The page cache of a connection.
CACHE_KIB = 16 * 1024


def connect(path: Path, *, sync: str = "normal") -> sqlite3.Connection:
    """Return a connection for one thread.

    sync: with 'normal' commits survive a crash of the server, with 'full' a power failure, too.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync.upper()}; "
            f"PRAGMA secure_delete = ON; PRAGMA cache_size = -{CACHE_KIB}; "
            "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON; "
            f"PRAGMA journal_size_limit = {64 * 1024 * 1024};"
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


def name_word(name: str) -> str:
    """Return a name as one word of the index."""
    # The tokenizer of the index splits at ASCII punctuation.
    return names.fold(name).replace("_", "\u2017").replace("-", "\u2010")


def index_row(room: int, name: str, text: str) -> tuple[str, str, str]:
    """Return the row of the index for a message, which is also needed to remove it."""
    return f"r{room}", name_word(name), " ".join(words(text))


def stored_event(
    last_id: int, id: int, kind: int, time: float, name: str, text: str, origin: int, user: int
) -> Event:
    """Return the event of a row of the table `events`.

    last_id: the id of the last event of earlier runs. Ids of connections, and so of guests, are
    used again in each run, so older events are given none.
    """
    if id <= last_id:
        origin, user = SERVER, max(user, SERVER)
    return codec.decode(kind, time, name, text, origin, user)
