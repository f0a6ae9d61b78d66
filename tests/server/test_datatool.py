"""What administrators do with a store: list, export, copy, check, change accounts."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from calendar import timegm
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chatroom.accounts import passwords
from chatroom.backends import codec
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.backends.sqlite.database import Writer
from chatroom.model.accounts import Account, AccountState, OfflineMessage
from chatroom.server import datatool
from chatroom.text import names
from tests.support.accounts import made_key
from tests.support.reactor import DEADLINE

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an empty lobby that a server has open."""
    store = Store(tmp_path / "da ta?#%20")
    store.has_room("Lobby", "all and sundry")
    yield store
    store.close()


#: What is said of what changes an account.
SEEN = f"chatroom-data: {datatool.SEEN}\n"

#: Calls the tool; returns its exit status, and what it printed and complained of.
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["chatroom-data", *map(str, arguments)])
        try:
            status = datatool.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else -1
        return (status, *capsys.readouterr())

    return call


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


# -- rooms


def test_rooms_are_listed_with_their_lines_their_last_line_and_their_topic(
    store: Store, call: Call
) -> None:
    store.keeps(1, codec.SAID, "alice", "hello", NOON - 60)
    store.keeps(1, codec.EMOTED, "alice", "waves")
    store.keeps(1, codec.JOINED, "bob", "", NOON + 60)
    store.has_room("empty")
    assert call("rooms", store.folder) == (
        0,
        "       lines  last said (UTC)      room\n"
        "           0  never                #empty\n"
        "           2  2026-11-24 12:03:05  #Lobby  all and sundry\n",
        "",
    )


# -- export


def test_a_room_is_exported_as_text(store: Store, call: Call) -> None:
    other = store.has_room("other")
    store.keeps(1, codec.SAID, "alice", "hello, 你好")
    store.keeps(other, codec.SAID, "alice", "elsewhere")
    store.keeps(1, codec.LEFT, "bob", "bored")
    store.keeps(1, codec.EMOTED, "alice", "waves", NOON + 1)
    expected = "2026-11-24 12:03:05 alice: hello, 你好\n2026-11-24 12:03:06 * alice waves\n"
    assert call("export", store.folder, "lobby") == (0, expected, "")
    assert call("export", store.folder, "#LOBBY") == (0, expected, "")
    assert call("export", store.path, "lobby") == (0, expected, "")


def test_everything_that_people_were_shown_is_exported_with_all(store: Store, call: Call) -> None:
    store.keeps(1, codec.SAID, "alice", "hello")
    store.keeps(1, codec.JOINED, "bob", "")
    store.keeps(1, codec.LEFT, "bob", "bored")
    store.keeps(1, codec.RENAMED, "alice", "eve")
    store.keeps(1, codec.TOPIC, "eve", "tea")
    store.keeps(1, codec.CROWD, "", '{"names": ["a", "b"], "count": 3, "joined": true}')
    store.keeps(1, codec.TOLD, "", "The disk is back.")
    store.keeps(1, codec.TOOK_BACK, "eve", "")
    status, out, _ = call("export", store.folder, "lobby", "--all")
    assert status == 0
    assert [line.removeprefix("2026-11-24 12:03:05 ") for line in out.splitlines()] == [
        "alice: hello",
        "-- bob joined.",
        "-- bob left (bored).",
        "-- alice is now eve.",
        "-- eve set the topic: tea",
        "-- a, b and 1 other joined.",
        "-- The disk is back.",
        "-- eve took back what they said in the last hour.",
    ]
    status, out, _ = call("export", store.folder, "lobby", "--all", "--json")
    shown = [json.loads(line) for line in out.splitlines()]
    assert [event["kind"] for event in shown] == [
        kind for kind in codec.KINDS if kind not in ("emoted",)
    ]
    assert shown[5]["text"] == "a, b and 1 other joined."


def test_a_room_is_exported_as_lines_of_json(store: Store, call: Call) -> None:
    store.keeps(1, codec.EMOTED, "alice", "says 你好", NOON + 0.25)
    status, out, err = call("export", store.folder, "lobby", "--json")
    assert (status, err) == (0, "")
    assert "你好" in out
    assert json.loads(out) == {
        "id": 1,
        "time": "2026-11-24T12:03:05.250Z",
        "room": "Lobby",
        "kind": "emoted",
        "name": "alice",
        "text": "says 你好",
    }


def test_only_what_was_said_in_a_span_of_time_is_exported(store: Store, call: Call) -> None:
    for minute in range(4):
        store.keeps(1, codec.SAID, "alice", str(minute), NOON - 5 + minute * 60)
    span = ("--since", "2026-11-24 12:04", "--until", "2026-11-24 12:06")
    _, out, _ = call("export", store.folder, "lobby", *span)
    assert [line[-1] for line in out.splitlines()] == ["1", "2"]
    store.keeps(1, codec.SAID, "alice", "now", time.time())
    assert call("export", store.folder, "lobby", "--since", "1h")[1].endswith(" alice: now\n")


@pytest.mark.parametrize("wrong", ["soon", "2026-13-01", "0000-01-01", ""])
def test_what_is_no_time_is_wrong_usage(store: Store, call: Call, wrong: str) -> None:
    status, _, err = call("export", store.folder, "lobby", "--since", wrong)
    assert status == 2
    assert "is not a time such as" in err


def test_text_is_made_safe_for_the_terminal(store: Store, call: Call) -> None:
    room = store.has_room("evil", "\x1b[2J")
    store.keeps(room, codec.SAID, "mal\u202ely", "\x1b]0;owned\x07\nroot: hello")
    expected = "mal\ufffdly: \ufffd]0;owned\ufffd\ufffdroot: hello\n"
    assert call("export", store.folder, "evil")[1] == f"2026-11-24 12:03:05 {expected}"
    event = json.loads(call("export", store.folder, "evil", "--json")[1])
    assert event["text"] == "\ufffd]0;owned\ufffd\ufffdroot: hello"
    assert event["name"] == "mal\ufffdly"
    assert "\x1b" not in call("rooms", store.folder)[1]


def test_a_room_that_is_not_there_is_said_and_a_near_one_named(store: Store, call: Call) -> None:
    said = complaint(call("export", store.folder, "#loby"))
    assert said == "there is no room #loby; did you mean #lobby?"
    assert complaint(call("export", store.folder, "zzz")) == "there is no room #zzz"


def test_an_event_that_cannot_be_read_is_said(store: Store, call: Call) -> None:
    store.keeps(1, codec.CROWD, "", "{}")
    said = complaint(call("export", store.folder, "lobby", "--all"))
    assert said == "event 1 of #Lobby is damaged"


def test_bytes_that_are_not_text_are_shown_as_such(store: Store, call: Call) -> None:
    store.keeps(1, codec.SAID, "alice", "x")
    store.connection.execute("UPDATE events SET text = CAST(x'61ff62' AS TEXT)")
    assert call("export", store.folder, "lobby")[1].endswith(" alice: a\ufffdb\n")


def test_who_reads_only_the_beginning_of_an_export_is_told_of_no_error(store: Store) -> None:
    store.connection.execute("BEGIN")
    for _ in range(5000):
        store.keeps(1, codec.SAID, "alice", "x" * 100)
    store.connection.execute("COMMIT")
    with process("export", store.folder, "lobby", cwd=store.folder) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("2026-11-24 12:03:05 alice: xxx")
        running.stdout.close()
        assert running.stderr.read() == ""
        running.wait(DEADLINE)


def test_an_output_that_is_full_is_said(store: Store) -> None:
    for _ in range(3):
        store.keeps(1, codec.SAID, "alice", "hello")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "chatroom.server.datatool", "export", store.folder, "lobby"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
        )
    assert ended.returncode == 1
    assert ended.stderr == "chatroom-data: cannot write the output: no space left on device\n"


# -- backup


def test_a_backup_is_made_while_the_server_writes_and_is_a_store_elsewhere(
    store: Store, tmp_path: Path, call: Call
) -> None:
    store.connection.execute("BEGIN")
    for _ in range(3000):
        store.keeps(1, codec.SAID, "alice", "x" * 1000)
    store.connection.execute("COMMIT")
    stopped, writing = threading.Event(), threading.Event()

    def write() -> None:
        overdue = time.monotonic() + DEADLINE
        with closing(store.connect()) as connection:
            id = store.last
            while not stopped.is_set() and time.monotonic() < overdue:
                id += 1
                connection.execute(
                    "INSERT INTO events VALUES (?, 1, 0, ?, 1, 'bob', 'meanwhile', 0)", (id, NOON)
                )
                writing.set()

    writer = threading.Thread(target=write)
    writer.start()
    target = tmp_path / "backup"
    try:
        assert writing.wait(DEADLINE)
        assert call("backup", store.folder, target) == (0, "", "")
        assert writer.is_alive()
    finally:
        stopped.set()
        writer.join()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    # Neither a write-ahead log (bytes 18 and 19 of the header) nor anything else beside it.
    assert target.read_bytes()[18:20] == b"\x01\x01"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", store.folder.name]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target.rename(elsewhere / "chatroom.sqlite")
    status, out, err = call("check", elsewhere)
    assert (status, err) == (0, "")
    assert " is sound: 1 room, 3," in out
    lines = call("export", elsewhere, "lobby")[1].splitlines()
    # A writer's line is there with all that were before it.
    assert lines[3000:] == ["2026-11-24 12:03:05 bob: meanwhile"] * (len(lines) - 3000)
    assert [path.name for path in elsewhere.iterdir()] == ["chatroom.sqlite"]


def test_a_file_that_is_there_is_replaced_only_with_force(
    store: Store, tmp_path: Path, call: Call
) -> None:
    target = tmp_path / "backup"
    target.write_text("precious")
    said = complaint(call("backup", store.folder, target))
    assert said == f"{target} is there already; --force replaces it"
    assert target.read_text() == "precious"
    assert call("backup", store.folder, target, "--force")[0] == 0
    assert call("check", target) == (0, f"{target} is sound: 1 room, 0 lines.\n", "")


def test_a_store_is_not_replaced_by_its_own_copy(store: Store, tmp_path: Path, call: Call) -> None:
    assert "is what is to be copied" in complaint(
        call("backup", store.folder, store.path, "--force")
    )
    assert complaint(call("backup", store.folder, tmp_path)) == f"{tmp_path} is a folder"
    other = Store(tmp_path / "other")
    with closing(other.connection):
        said = complaint(call("backup", store.folder, other.path, "--force"))
    assert said == f"{other.path}-wal is there: {other.path} is in use, or was"


def test_two_backups_do_not_write_the_same_file(store: Store, tmp_path: Path, call: Call) -> None:
    part = tmp_path / "backup.part"
    part.write_text("half")
    said = complaint(call("backup", store.folder, tmp_path / "backup", "--force"))
    assert said.startswith(f"{part} is there already")
    assert part.read_text() == "half"


def test_a_backup_that_fails_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    for _ in range(300):
        store.keeps(1, codec.SAID, "alice", "x" * 1000)
    target = tmp_path / "backup"
    target.write_text("precious")
    running = process("backup", store.folder, target, "--force", limit=100 * 1024, cwd=tmp_path)
    out, err = running.communicate(timeout=DEADLINE)
    said = complaint((running.returncode, out, err))
    assert said.startswith(f"cannot copy {store.path} to {target}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", store.folder.name]
    assert target.read_text() == "precious"


def test_a_backup_into_a_folder_that_is_not_there_is_said(
    store: Store, tmp_path: Path, call: Call
) -> None:
    said = complaint(call("backup", store.folder, tmp_path / "no" / "backup"))
    assert said == f"cannot write {tmp_path}/no/backup.part: no such file or directory"


# -- accounts


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


CHANGES = [
    ["--rename", "alice", "carol"],
    ["--reset", "alice"],
    ["--remove", "alice"],
]


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
    monkeypatch.setattr(datatool, "BUSY_SECONDS", 0.05)
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


# -- the program


def test_it_is_a_program(store: Store, tmp_path: Path) -> None:
    store.keeps(1, codec.SAID, "alice", "你好")
    running = process("export", store.folder.name, "lobby", cwd=tmp_path)
    assert running.communicate(timeout=DEADLINE) == ("2026-11-24 12:03:05 alice: 你好\n", "")
    assert running.returncode == 0


def test_ctrl_c_ends_it_without_a_word(
    store: Store, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datatool, "_sync", interrupted)
    assert call("backup", store.folder, tmp_path / "backup") == (130, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [store.folder.name]


def test_wrong_usage_and_questions_are_answered(call: Call) -> None:
    assert call()[0] == 2
    assert call("frobnicate")[0] == 2
    assert call("--version")[1].startswith("chatroom ")
    status, out, _ = call("--help")
    assert status == 0
    for command in datatool.COMMANDS:
        assert command.__name__ in out
