"""The check of a store, and what is said of what is none."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.backends import codec
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.writer import Writer
from tests.support.datatool import CHANGES, Call, Store, complaint

# -- check


def test_a_store_that_is_sound_is_said_to_be(store: Store, call: Call) -> None:
    store.keeps(1, codec.SAID, "alice", "hello")
    store.keeps(1, codec.TOPIC, "alice", "tea")
    expected = f"{store.path} is sound: 1 room, 1 line.\n"
    assert call("check", store.folder) == (0, expected, "")
    # Lines are deleted when their time has come; the index does not go back for that.
    store.connection.execute(
        "INSERT INTO words (words, rowid, room, name, text) VALUES ('delete', 1, 'r1', 'alice', "
        "'hello')"
    )
    store.connection.execute("DELETE FROM events")
    assert call("check", store.folder)[0] == 0


def test_each_problem_is_one_line(store: Store, call: Call) -> None:
    store.keeps(7, codec.TOPIC, "alice", "tea")
    store.keeps(1, 99, "alice", "tea")
    store.keeps(1, codec.SAID, "alice", "hello", found=False)
    store.connection.execute("INSERT INTO words (rowid, text) VALUES (1000, 'ghost')")
    status, out, err = call("check", store.folder)
    assert (status, err) == (1, "")
    assert [line.removeprefix(f"{store.path}: ") for line in out.splitlines()] == [
        "events of room 7, which is not there: 1",
        "events of kind 99, which is not known: 1",
        "lines that are missing in the search index: 1",
        "lines that are in the search index only: 1",
    ]


def test_what_belongs_to_no_account_is_a_problem(store: Store, call: Call) -> None:
    store.has_account("alice", waiting=2)
    store.connection.execute("UPDATE messages SET account = 7")
    store.connection.execute("UPDATE places SET account = 8")
    store.connection.execute(
        "INSERT INTO keys (fingerprint, account, type, comment, added, proven) "
        "VALUES ('SHA256:x', 9, 'ssh-rsa', '', 0, 1)"
    )
    status, out, err = call("check", store.folder)
    assert (status, err) == (1, "")
    assert [line.removeprefix(f"{store.path}: ") for line in out.splitlines()] == [
        "messages of account 7, which is not there: 2",
        "places of account 8, which is not there: 1",
        "keys of account 9, which is not there: 1",
    ]


def test_a_key_that_is_not_its_names_or_not_one_accounts_is_a_problem(
    store: Store, call: Call
) -> None:
    store.has_account("Alice")
    assert call("check", store.folder)[0] == 0
    store.connection.execute("UPDATE accounts SET name = '\x1bob'")
    status, out, err = call("check", store.folder)
    assert (status, err) == (1, "")
    expected = "an account with the key alice, which is not that of its name: \ufffdob"
    assert out == f"{store.path}: {expected}\n"
    columns = "id, key, name, password, created, seen, preferences"
    store.connection.executescript(
        "DROP TABLE accounts;"
        f"CREATE TABLE accounts ({columns});"
        "INSERT INTO accounts VALUES (1, 'bob', 'Bob', '', 0, 0, '{}');"
        "INSERT INTO accounts VALUES (2, 'bob', 'bob', '', 0, 0, '{}');"
    )
    status, out, err = call("check", store.folder)
    assert (status, err) == (1, "")
    assert out == f"{store.path}: accounts with the key bob, which is one account's: 2\n"


def test_a_table_that_is_missing_is_a_problem(store: Store, call: Call) -> None:
    store.connection.execute("DROP TABLE state")
    status, out, _ = call("check", store.folder)
    assert (status, out) == (1, f"{store.path}: no such table: state\n")


def test_damage_in_the_file_is_found(store: Store, tmp_path: Path, call: Call) -> None:
    for number in range(500):
        store.keeps(1, codec.SAID, "alice", f"line {number} of many")
    target = tmp_path / "backup"
    assert call("backup", store.folder, target)[0] == 0
    (page,) = store.connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'events'"
    ).fetchone()
    data = bytearray(target.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xaa" * 4096
    target.write_bytes(data)
    status, out, err = call("check", target)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines
    assert not [line for line in lines if not line.startswith(f"{target}: ") or "***" in line]
    assert "malformed" in complaint(call("export", target, "lobby"))


# -- what is no store


@pytest.mark.parametrize(
    "command", [["rooms"], ["export", "lobby"], ["check"], ["backup", "b"], ["accounts"]]
)
def test_what_is_no_store_is_said_in_one_line(
    tmp_path: Path, call: Call, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *more = command
    said = complaint(call(name, tmp_path / "none", *more))
    assert said == f"cannot read {tmp_path}/none: no such file or directory"
    said = complaint(call(name, tmp_path, *more))
    assert said == f"cannot read {tmp_path}/chatroom.sqlite: no such file or directory"
    file = tmp_path / "file"
    file.touch()
    assert complaint(call(name, file, *more)) == f"cannot use {file}: it is empty"
    file.write_text("no database" * 1000)
    assert complaint(call(name, file, *more)) == f"cannot read {file}: file is not a database"
    other = tmp_path / "other"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE a (b)")
    said = complaint(call(name, other, *more))
    assert said == f"cannot use {other}: it is not a file of chatroom's"
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_accounts_of_what_is_no_store_are_not_changed(
    tmp_path: Path, call: Call, change: list[str]
) -> None:
    said = complaint(call("accounts", tmp_path / "none", *change))
    assert said == f"cannot read {tmp_path}/none: no such file or directory"
    file = tmp_path / "file"
    file.touch()
    assert complaint(call("accounts", file, *change)) == f"cannot use {file}: it is empty"
    file.write_text("no database" * 1000)
    said = complaint(call("accounts", file, *change))
    assert said == f"cannot change {file}: file is not a database"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_of_a_newer_chatroom_is_not_touched(store: Store, call: Call) -> None:
    account = store.has_account("alice")
    store.connection.execute("PRAGMA user_version = 99")
    assert "newer chatroom" in complaint(call("rooms", store.folder))
    assert "newer chatroom" in complaint(call("accounts", store.folder, "--remove", "alice"))
    assert store.book.find("alice") == account


def test_a_file_of_version_1_has_to_be_opened_by_the_server_once(
    tmp_path: Path, call: Call
) -> None:
    path = tmp_path / "old"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            f"{schema.MIGRATIONS[0]} PRAGMA application_id = {schema.APPLICATION}; "
            "PRAGMA user_version = 1;"
        )
    older = f"cannot use {path}: it is of an older chatroom; start the server on it once"
    for command in (["rooms"], ["export", "lobby"], ["check"], ["accounts"]):
        name, *more = command
        assert complaint(call(name, path, *more)) == older
    for change in CHANGES:
        assert complaint(call("accounts", path, *change)) == older
    assert call("backup", path, tmp_path / "backup") == (0, "", "")
    Writer(path).close()
    assert call("accounts", path)[0] == 0


def test_of_a_file_of_an_older_chatroom_a_backup_can_be_made(
    store: Store, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "SELECT 1;"))
    assert "older chatroom" in complaint(call("rooms", store.folder))
    assert call("backup", store.folder, tmp_path / "backup")[0] == 0


def test_a_file_that_may_not_be_read_is_said(
    store: Store, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert complaint(call("rooms", store.folder)) == f"cannot read {store.path}: permission denied"


def test_a_log_that_cannot_be_opened_is_said_with_what_to_do(store: Store, call: Call) -> None:
    store.connection.close()
    Path(f"{store.path}-wal").mkdir()
    said = complaint(call("rooms", store.folder))
    assert "chatroom.sqlite-shm beside it can be neither opened nor made" in said
    assert said.endswith("run this as the user of the server")
