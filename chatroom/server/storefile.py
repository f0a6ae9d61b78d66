"""Open the database file of a store without its lock, for `chatroom-data`."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.backends.sqlite.directory import DATABASE
from chatroom.server.files import reason

#: How long a change waits for a server that is writing.
BUSY_SECONDS = 5.0


class ToolError(Exception):
    """A command of `chatroom-data` failed; the message says why, in one line."""


@contextmanager
def reading(place: str, *, older: bool = False) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """Open the database at *place* (a folder or a file) in a transaction that reads it.

    older: whether the tables may be of an earlier version.

    Yields the path of the file and the connection. Raises ToolError.
    """
    path = _file(place)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.isolation_level = None
        # All reads in this transaction see the database as it is at the first read.
        connection.execute("BEGIN")
        _prepare(connection, path, older=older)
        yield path, connection
    except sqlite3.Error as error:
        why = str(error)
        if _kind(error) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            why = f"{path.name}-wal and {path.name}-shm beside it can be neither opened nor made; "
            why += "run this as the user of the server"
        raise ToolError(f"cannot read {path}: {why}") from error
    finally:
        connection.close()


@contextmanager
def writing(place: str) -> Iterator[AccountTables]:
    """Open the accounts in the database at *place* to change them. Raises ToolError."""
    path = _file(place)
    # The mode rw creates no file. The journal mode is left as it is.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        connection.executescript("PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;")
        _prepare(connection, path)
        yield AccountTables(connection)
    except sqlite3.Error as error:
        why = str(error)
        match _kind(error):
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
                why = f"it, or what is beside it ({path.name}-wal, {path.name}-shm), is read-only "
                why += "here; run this as the user of the server"
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                why = "another program is writing it; try again"
        raise ToolError(f"cannot change {path}: {why}") from error
    finally:
        connection.close()


def _file(place: str) -> Path:
    """Return the path of the database file at *place*. Raises ToolError."""
    path = Path(place)
    try:
        if path.is_dir():
            path /= DATABASE
        # These errors are clearer than SQLite's.
        path.stat()
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ToolError(f"cannot read {path}: {reason(error)}") from error
    return path


def _prepare(connection: sqlite3.Connection, path: Path, *, older: bool = False) -> None:
    """Raise ToolError if this program does not know the tables."""
    # Damaged text can still be shown.
    connection.text_factory = lambda data: data.decode(errors="replace")
    try:
        version = schema.version(connection)
        if not version:
            raise schema.SchemaError("it is empty")
        if version < len(schema.MIGRATIONS) and not older:
            raise schema.SchemaError("it is of an older chatroom; start the server on it once")
    except schema.SchemaError as error:
        raise ToolError(f"cannot use {path}: {error}") from error


def _kind(error: sqlite3.Error) -> int:
    """Return the primary result code of an error: the lowest byte of its number."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
