"""What administrators look at in a store: its rooms, exports and copies."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.backends import codec
from chatroom.server import datatool, storecopy
from tests.support.datatool import NOON, Call, Store, complaint, process
from tests.support.process import ROOT
from tests.support.reactor import DEADLINE

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

    monkeypatch.setattr(storecopy, "sync", interrupted)
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
