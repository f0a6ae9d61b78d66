"""A store as the tool for administrators finds it, and calls of that tool."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from calendar import timegm
from collections.abc import Callable
from pathlib import Path

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.model.accounts import Account, AccountState, OfflineMessage
from chatroom.server import datatool
from chatroom.text import names
from tests.support.accounts import made_key
from tests.support.process import ROOT
from tests.support.reactor import DEADLINE

NOON = float(timegm((2026, 11, 24, 12, 3, 5, 0, 0, 0)))

#: The stored form of a password, which is nobody's to see.
SECRET = "$scrypt$ln=15,r=8,p=3$c2FsdA$aGFzaA"
KEY = made_key(1, "laptop")
OTHER_KEY = made_key(2)

LIMITED = """
import resource, sys
from chatroom.server.datatool import main
at_first = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, at_first[1]))
try:
    sys.exit(main())
finally:
    # What else is written as the process ends, such as what was covered, is no part of it.
    resource.setrlimit(resource.RLIMIT_FSIZE, at_first)
"""


class Store:
    """A store as a server leaves it, or has it open: a write-ahead log beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.path = folder / "chatroom.sqlite"
        self.opened: list[sqlite3.Connection] = []
        self.connection = self.connect()
        self.connection.execute("PRAGMA journal_mode = WAL")
        schema.migrate(self.connection)
        self.last = 0

    def connect(self) -> sqlite3.Connection:
        # Another thread may close it.
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=DEADLINE, check_same_thread=False
        )
        self.opened.append(connection)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def close(self) -> None:
        """Close whatever a test has opened of it, also one that failed."""
        for connection in self.opened:
            connection.close()

    def has_room(self, name: str, topic: str = "") -> int:
        row = (names.fold(name), name, topic)
        cursor = self.connection.execute(
            "INSERT INTO rooms (key, name, topic) VALUES (?, ?, ?)", row
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def keeps(
        self, room: int, kind: int, name: str, text: str, when: float = NOON, *, found: bool = True
    ) -> None:
        """An event; found: whether it is in the search index."""
        self.last += 1
        self.connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, 1, ?, ?, 0)",
            (self.last, room, kind, when, name, text),
        )
        if found and kind < 2:
            self.connection.execute(
                "INSERT INTO words (rowid, room, name, text) VALUES (?, ?, ?, ?)",
                (self.last, f"r{room}", name, text),
            )
        self.connection.execute("UPDATE state SET value = ? WHERE key = 'indexed'", (self.last,))

    @property
    def book(self) -> AccountTables:
        return AccountTables(self.connection)

    def has_account(self, name: str, waiting: int = 0) -> Account:
        """An account that was used a minute after it was made, with so many messages."""
        account = self.book.add(name, SECRET, NOON)
        assert account is not None
        self.book.save([AccountState(account.id, NOON + 60, None, {"lobby": 1})])
        for _ in range(waiting):
            self.book.leave(account.id, OfflineMessage(NOON, "bob", 0, "psst"))
        found = self.book.find(account.key)
        assert found is not None
        return found


#: What is said of what changes an account.
SEEN = f"chatroom-data: {datatool.SEEN}\n"


#: Calls the tool; returns its exit status, and what it printed and complained of.
Call = Callable[..., tuple[int, str, str]]


def process(*arguments: object, limit: int | None = None, cwd: Path) -> subprocess.Popen[str]:
    """The tool as a process. limit: how many bytes long its files may be."""
    command = ["-m", "chatroom.server.datatool"]
    if limit is not None:
        command = ["-c", LIMITED.format(limit)]
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def complaint(answer: tuple[int, str, str]) -> str:
    """The one line that the tool failed with."""
    status, out, err = answer
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("chatroom-data: ")
    return line.removeprefix("chatroom-data: ")


CHANGES = [
    ["--rename", "alice", "carol"],
    ["--reset", "alice"],
    ["--remove", "alice"],
]
