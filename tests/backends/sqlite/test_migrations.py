"""Files of each earlier version, with conversations in them, become files of this one."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.events import Emoted, Said
from chatroom.model.history import MAX_ID, Query
from chatroom.text import names
from chatroom.text.words import phrases
from tests.support.stores import old_file

#: When alice registered, in seconds since the epoch.
REGISTERED = 100.0

#: What was said in the lobby: who and when. Alice was a guest's name before.
LOBBY = [("alice", 50.0), ("bob", 60.0), ("Alice", 150.0), ("alice", 160.0), ("bob", 170.0)]


def old(path: Path, version: int) -> None:
    """Make a file as a server with so many migrations left it, with conversations in it."""
    old_file(
        path,
        version,
        "INSERT INTO rooms (id, key, name, topic) VALUES (1, 'lobby', 'lobby', 'tea')",
        "INSERT INTO rooms (id, key, name) VALUES (2, 'den', 'Den')",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("fold", 1, names.fold, deterministic=True)
        if version > 1:
            connection.execute(
                "INSERT INTO accounts (id, key, name, password, created, seen) "
                "VALUES (7, 'alice', 'Alice', '$', ?, 200.0)",
                (REGISTERED,),
            )
        rows = [
            *((1, 0, time, name, f"line {time:.0f}") for name, time in LOBBY),
            *((2, 1, 180.0, "alice", "waves"), (1, 5, 190.0, "alice", "tea")),
            (1, 6, 191.0, "", '{"names": ["a", "b"], "count": 3, "joined": true}'),
            *((1, 7, 192.0, "", "The disk is back."), (1, 8, 193.0, "alice", "3")),
        ]
        connection.executemany(
            "INSERT INTO events (id, room, kind, time, origin, name, text) "
            "VALUES (?, ?, ?, ?, 1, ?, ?)",
            [(int(time * 1e6), room, kind, time, *said) for room, kind, time, *said in rows],
        )


@pytest.fixture(params=range(1, len(schema.MIGRATIONS)))
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def file(tmp_path: Path, version: int) -> Iterator[tuple[Writer, Reader]]:
    path = tmp_path / "chatroom.sqlite"
    old(path, version)
    with closing(Writer(path)) as writer, closing(Reader(path, writer.last_id)) as reader:
        while writer.index():
            pass
        yield writer, reader


def test_what_was_said_is_kept_and_found(file: tuple[Writer, Reader]) -> None:
    writer, reader = file
    assert schema.version(writer.connection) == len(schema.MIGRATIONS)
    lines = [entry.event for entry in reader.before("lobby", MAX_ID, 9)]
    said = [(line.name, line.time) for line in lines if isinstance(line, Said)]
    assert said == LOBBY
    lobby, den = writer.load(9)
    assert (lobby.topic, len(lobby.lines), den.name) == ("tea", len(LOBBY), "Den")
    assert isinstance(den.lines[0][1], Emoted)
    (found,) = reader.search(Query(phrases("150"), ["lobby", "den"]), 9)
    assert found.event.time == 150.0


def test_lines_are_the_accounts_whose_name_they_were_said_under(
    file: tuple[Writer, Reader], version: int
) -> None:
    writer, reader = file
    account = 7 if version > 1 else 0
    users = [entry.event.user for entry in reader.before("lobby", MAX_ID, 9)]
    assert users == [0, 0, account, account, 0]
    assert [event.user for _, event in writer.load(9)[0].lines] == users
    topics = writer.connection.execute("SELECT user FROM events WHERE kind > 4 ORDER BY id")
    assert topics.fetchall() == [(account,), (0,), (0,), (account,)]


def test_the_accounts_are_kept(file: tuple[Writer, Reader], version: int) -> None:
    writer, _ = file
    account = AccountTables(writer.connection).find("alice")
    assert (account is not None and account.id == 7) == (version > 1)
