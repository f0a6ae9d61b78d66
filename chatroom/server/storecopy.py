"""Copy the database of a store while a server uses it."""

import os
import sqlite3
from pathlib import Path

#: How many pages are copied between two checks whether the program was interrupted.
PAGES_PER_STEP = 256


def copy(connection: sqlite3.Connection, part: Path) -> None:
    """Copy the database, as *connection* sees it, into the empty file *part*, and sync it."""
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        # A failed copy is deleted, and a complete one is synced below.
        copy.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        # The caller has begun a transaction. Without one the copy would begin again after each
        # commit of a server, and might never end.
        connection.backup(copy, pages=PAGES_PER_STEP, progress=lambda *_: None)
        # The copied header asks for a write-ahead log; a backup is to be one file.
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    sync(part)


def sync(path: Path) -> None:
    """Wait until the file or folder *path* is on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
