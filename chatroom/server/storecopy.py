"""Copy the database of a store while a server uses it."""

import os
import sqlite3
from pathlib import Path

#: How many pages are copied between two looks at whether the program is to end.
PAGES_PER_STEP = 256


def copy(connection: sqlite3.Connection, part: Path) -> None:
    """Copy all that *connection* sees into the empty file *part*, and onto the disk."""
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        # A copy that fails is thrown away, and what does not is synced below.
        copy.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        # Only because *connection* is inside a transaction: else each commit of the server's
        # would have it begin again, and under steady talk it would never end.
        connection.backup(copy, pages=PAGES_PER_STEP, progress=lambda *_: None)
        # The copied header asks for a write-ahead log; a backup is to be one file.
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    sync(part)


def sync(path: Path) -> None:
    """Wait until *path*, a file or a folder, is on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
