"""What administrators do with accounts while the server runs or does not."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chatroom.accounts import passwords
from chatroom.backends.sqlite.writer import Writer
from chatroom.server import storefile
from tests.support.datatool import (
    CHANGES,
    KEY,
    NOON,
    OTHER_KEY,
    SECRET,
    SEEN,
    Call,
    Store,
    complaint,
    process,
)
from tests.support.reactor import DEADLINE


def test_accounts_are_listed_by_name_with_their_times_and_what_waits(
    store: Store, call: Call
) -> None:
    assert call("accounts", store.folder) == (
        0,
        "created (UTC)        last used (UTC)      waiting  keys  name\n",
        "",
    )
    store.has_account("王明")
    bob = store.has_account("bob", waiting=2)
    store.book.add_key(bob.id, KEY, NOON, True)
    store.has_account("Alice")
    expected = (
        "created (UTC)        last used (UTC)      waiting  keys  name\n"
        "2026-11-24 12:03:05  2026-11-24 12:04:05        0     0  Alice\n"
        "2026-11-24 12:03:05  2026-11-24 12:04:05        2     1  bob\n"
        "2026-11-24 12:03:05  2026-11-24 12:04:05        0     0  王明\n"
    )
    assert call("accounts", store.folder) == (0, expected, "")
    assert call("accounts", store.path) == (0, expected, "")


def test_the_keys_of_an_account_are_listed_and_forgotten(store: Store, call: Call) -> None:
    alice, bob = store.has_account("alice"), store.has_account("bob")
    heading = f"{'added (UTC)':19}  {'fingerprint':50}  type, comment\n"
    assert call("accounts", store.folder, "--keys", "Alice") == (0, heading, "")
    store.book.add_key(alice.id, KEY, NOON, True)
    store.book.add_key(bob.id, OTHER_KEY, NOON, False)
    listed = f"2026-11-24 12:03:05  {KEY.fingerprint}  ssh-ed25519 laptop\n"
    assert call("accounts", store.folder, "--keys", "alice") == (0, heading + listed, "")
    listed = f"2026-11-24 12:03:05  {OTHER_KEY.fingerprint}  ssh-ed25519 (not used yet)\n"
    assert call("accounts", store.path, "--keys", "bob") == (0, heading + listed, "")
    assert call("accounts", store.folder, "--forget-keys", "alice") == (0, "", "")
    assert store.book.keys(alice.id) == []
    assert len(store.book.keys(bob.id)) == 1
    # The server is to clean away what is left of it.
    with closing(Writer(store.path)) as writer:
        assert writer.unclean
    for option in ("--keys", "--forget-keys"):
        assert complaint(call("accounts", store.folder, option, "zoe")) == (
            "there is no account zoe"
        )


def test_listed_keys_are_safe_for_the_terminal_and_damage_is_said(store: Store, call: Call) -> None:
    alice = store.has_account("alice")
    store.book.add_key(alice.id, KEY, NOON, True)
    store.connection.execute("UPDATE keys SET comment = ?", ("\x1b[2J\nroot",))
    shown = call("accounts", store.folder, "--keys", "alice")[1]
    assert shown.endswith("  ssh-ed25519 \ufffd[2J\ufffdroot\n")
    store.connection.execute("UPDATE keys SET added = 1e300")
    status, _, err = call("accounts", store.folder, "--keys", "alice")
    assert (status, err) == (1, f"chatroom-data: the key {KEY.fingerprint} is damaged\n")


def test_listed_accounts_are_safe_for_the_terminal_and_damage_is_said(
    store: Store, call: Call
) -> None:
    store.has_account("alice")
    store.connection.execute("UPDATE accounts SET name = ?", ("\x1b[2J\nroot",))
    assert call("accounts", store.folder)[1].endswith("  \ufffd[2J\ufffdroot\n")
    store.connection.execute("UPDATE accounts SET seen = 1e300")
    status, out, err = call("accounts", store.folder)
    assert (status, len(out.splitlines())) == (1, 1)
    assert err == "chatroom-data: the account \ufffd[2J\ufffdroot is damaged\n"


def test_an_account_is_renamed_with_all_that_is_kept_for_it(store: Store, call: Call) -> None:
    account = store.has_account("alice", waiting=2)
    assert call("accounts", store.folder, "--rename", "ALICE", "Carol") == (0, "", SEEN)
    assert store.book.find("alice") is None
    renamed = store.book.find("carol")
    assert renamed is not None
    assert (renamed.id, renamed.name, renamed.seen) == (account.id, "Carol", account.seen)
    assert renamed.password == SECRET
    assert len(store.book.messages(account.id)) == 2
    assert store.book.places(account.id) == {"lobby": 1}
    # Its own name otherwise written is not another's.
    assert call("accounts", store.folder, "--rename", "carol", "CAROL") == (0, "", SEEN)
    found = store.book.find("carol")
    assert found is not None
    assert found.name == "CAROL"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("nobody", "carol", "there is no account nobody"),
        ("\x1b[2J", "carol", "there is no account \ufffd[2J"),
        ("alice", "BOB", "the name BOB is another account's already"),
        ("alice", "b0b", "the name b0b looks like that of the account Bob"),
        ("alice", "root", "the name root is reserved"),
        ("alice", "guest7", "the name guest7 is reserved"),
        ("alice", "7up", "'7up' is no name: a name begins with a letter"),
        (
            "alice",
            "a\x1b[2J",
            "'a\ufffd[2J' is no name: a name consists of letters, digits, _ and -",
        ),
        ("alice", "", "'' is no name: a name has at least one character"),
    ],
)
def test_what_an_account_cannot_be_called_is_said(
    store: Store, call: Call, old: str, new: str, why: str
) -> None:
    kept = [store.has_account("alice"), store.has_account("Bob")]
    assert complaint(call("accounts", store.folder, "--rename", old, new)) == why
    assert [store.book.find("alice"), store.book.find("bob")] == kept


def test_a_password_that_is_reset_is_printed_once_and_is_the_accounts(
    store: Store, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "make", lambda password: f"made of {password}")
    account = store.has_account("alice")
    other = store.has_account("bob")
    given = set()
    for _ in range(3):
        status, out, err = call("accounts", store.folder, "--reset", "Alice")
        assert (status, err) == (0, SEEN)
        password = out.removesuffix("\n")
        assert len(password) == 16
        assert set(password) <= set("abcdefghjkmnpqrstuvwxyz23456789")
        changed = store.book.find("alice")
        assert changed is not None
        assert changed.password == f"made of {password}"
        assert (changed.id, changed.seen) == (account.id, account.seen)
        given.add(password)
    assert len(given) == 3
    assert store.book.find("bob") == other
    assert complaint(call("accounts", store.folder, "--reset", "carol")) == (
        "there is no account carol"
    )


def test_an_account_that_is_removed_takes_all_along(store: Store, call: Call) -> None:
    account = store.has_account("alice", waiting=2)
    other = store.has_account("bob", waiting=1)
    store.book.add_key(account.id, KEY, NOON, True)
    store.book.add_key(other.id, OTHER_KEY, NOON, True)
    assert call("accounts", store.folder, "--remove", "alice") == (0, "", SEEN)
    assert store.book.find("alice") is None
    for table in ("messages", "places", "keys"):
        rows = store.connection.execute(f"SELECT DISTINCT account FROM {table}").fetchall()
        assert rows == [(other.id,)]
    # The server is to clean away what is left of it.
    with closing(Writer(store.path)) as writer:
        assert writer.unclean
    assert complaint(call("accounts", store.folder, "--remove", "alice")) == (
        "there is no account alice"
    )
    assert store.has_account("alice").id > account.id
    assert call("check", store.folder)[0] == 0


def test_no_stored_form_of_a_password_is_ever_printed(store: Store, call: Call) -> None:
    store.has_account("alice", waiting=1)
    store.connection.execute("UPDATE accounts SET seen = 1e300")
    for command in (
        ["accounts"],
        ["accounts", "--rename", "alice", "bob"],
        ["accounts", "--rename", "alice", "root"],
        ["accounts", "--reset", "bob"],
        ["accounts", "--reset", "alice"],
        ["check"],
        ["rooms"],
        ["accounts", "--remove", "bob"],
    ):
        name, *options = command
        forms = [row[0] for row in store.connection.execute("SELECT password FROM accounts")]
        _, out, err = call(name, store.folder, *options)
        forms += [row[0] for row in store.connection.execute("SELECT password FROM accounts")]
        for form in forms:
            for part in filter(None, form.split("$")[3:]):
                assert part not in out + err
        assert "scrypt" not in out + err


def test_an_account_is_changed_in_one_way_at_a_time(store: Store, call: Call) -> None:
    account = store.has_account("alice")
    status, out, err = call("accounts", store.folder, "--reset", "alice", "--remove", "alice")
    assert (status, out) == (2, "")
    assert "not allowed with" in err
    assert call("accounts", store.folder, "--rename", "alice")[0] == 2
    assert call("accounts", store.folder, "--reset")[0] == 2
    assert store.book.find("alice") == account
    # A name that was left out by mistake is no list.
    for option in ("--reset", "--remove"):
        assert complaint(call("accounts", store.folder, option, "")) == "there is no account "


@pytest.mark.parametrize("change", CHANGES)
def test_accounts_of_a_store_that_nobody_has_open_are_changed(
    store: Store, call: Call, change: list[str]
) -> None:
    account = store.has_account("alice")
    store.connection.close()
    assert call("accounts", store.folder, *change)[0] == 0
    # Nothing is left beside it that a server of another user could not open.
    assert [path.name for path in store.folder.iterdir()] == ["chatroom.sqlite"]
    store.connection = store.connect()
    assert store.book.find("alice") != account


@pytest.mark.parametrize("change", CHANGES)
def test_a_store_that_another_program_is_writing_is_said(
    store: Store, call: Call, change: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = store.has_account("alice")
    monkeypatch.setattr(storefile, "BUSY_SECONDS", 0.05)
    store.connection.execute("BEGIN IMMEDIATE")
    said = complaint(call("accounts", store.folder, *change))
    assert said == f"cannot change {store.path}: another program is writing it; try again"
    store.connection.execute("ROLLBACK")
    assert store.book.find("alice") == account


def test_a_change_waits_for_a_server_that_is_writing(store: Store, call: Call) -> None:
    store.has_account("alice")
    other = store.connect()
    other.execute("BEGIN IMMEDIATE")
    running = process("accounts", store.folder, "--remove", "alice", cwd=store.folder)
    # The program is far from its beginning when it has opened the file.
    overdue = time.monotonic() + DEADLINE
    while not _opened(running.pid, store.path) and time.monotonic() < overdue:
        time.sleep(0.01)
    assert running.poll() is None
    other.execute("COMMIT")
    other.close()
    assert running.communicate(timeout=DEADLINE) == ("", SEEN)
    assert running.returncode == 0
    assert store.book.find("alice") is None


def _opened(pid: int, path: Path) -> bool:
    """Whether the process has the file open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if link.samefile(path):
                return True
    return False


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_read_only_is_said(
    store: Store, call: Call, change: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = store.has_account("alice")
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    # Root, as whom tests may run, can write what is read-only.
    def read_only(path: str, **options: Any) -> sqlite3.Connection:
        return connect(path.replace("mode=rw", "mode=ro"), **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    said = complaint(call("accounts", store.folder, *change))
    assert said.startswith(f"cannot change {store.path}: it, or what is beside it (chatroom.sqlite")
    assert said.endswith("is read-only here; run this as the user of the server")
    assert store.book.find("alice") == account


@pytest.mark.parametrize("change", CHANGES)
def test_a_disk_that_is_full_is_said(store: Store, change: list[str], tmp_path: Path) -> None:
    account = store.has_account("alice")
    # Not one page more fits into the log.
    limit = Path(f"{store.path}-wal").stat().st_size
    running = process("accounts", store.folder, *change, limit=limit, cwd=tmp_path)
    out, err = running.communicate(timeout=DEADLINE)
    said = complaint((running.returncode, out, err))
    assert said.startswith(f"cannot change {store.path}: ")
    assert store.book.find("alice") == account
