"""Starts: what is tried before, what cannot succeed, and what is said of it in one line."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

import chatroom
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.directory import Folder, StoreError
from chatroom.backends.sqlite.store import try_open
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.entry import Entry
from chatroom.model.events import Said
from chatroom.server import endpoints
from chatroom.server.configfile import read_allowed
from chatroom.server.options import Options
from chatroom.server.settings import OPTIONS
from tests.support.certificates import issued
from tests.support.options import parsed, python, refusal, twistd
from tests.support.process import ROOT
from tests.support.reactor import DEADLINE

# --check


def test_check_prints_a_configuration_that_runs_the_same(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("motd").write_text("Hello")
    arguments = ["--listen", "tcp:0", "--name", 'Zoë "x"', "--motd", "motd", "--scrollback", "0"]
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments, "--check")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"# chatroom {chatroom.__version__} can start. It would listen for:\n")
    assert "#   telnet HOST PORT\n" in shown
    config.write_text(shown, encoding="utf-8")
    again, once = parsed("--config", "chat.toml"), parsed(*arguments)
    assert {**again, "config": None} == once
    assert set(tomllib.loads(shown)) == {option.name for option in OPTIONS} - {"port", "interface"}


def test_check_prints_utf8_whatever_the_locale_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "chat.toml").write_text('port = 0\nname = "王明"\n', encoding="utf-8")
    done = python("-m", "chatroom", "--config", "chat.toml", "--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert tomllib.loads(done.stdout)["name"] == "王明"


# What cannot start


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--scrolback", "5"], "unknown option --scrolback; did you mean --scrollback?"),
        (["--xyzzy"], "unknown option --xyzzy"),
        (["-x"], "unknown option -x"),
        (["--port"], "option --port requires argument"),
        (["extra"], "unexpected argument 'extra'; options begin with --"),
        (["--interface", "home"], "--interface: expected an IPv4 or IPv6 address, not 'home'"),
        (
            ["--name", "\x1b"],
            r"--name: expected a text of 1 to 60 printable characters, not '\x1b'",
        ),
        (
            ["--scrollback", "-1"],
            "--scrollback: expected a whole number from 0 to 1000 (lines), not '-1'",
        ),
        (
            ["--stall-timeout", "nan"],
            "--stall-timeout: expected a number from 0 to 86400 (seconds), not 'nan'",
        ),
        (["--listen", "8008"], "cannot listen on 8008: for a port write tcp:8008"),
        (
            ["--listen", "tcp:99999"],
            "cannot listen on tcp:99999: a port is a number from 0 to 65535",
        ),
        (["--listen", "tcp:http"], "cannot listen on tcp:http: 'http' is not a number"),
        (
            ["--listen", "tcp"],
            "cannot listen on tcp: missing 1 required positional argument: 'port'",
        ),
        (["--listen", "tpc:1"], "cannot listen on tpc:1: unknown endpoint type: 'tpc'"),
        (
            ["--listen", "unix:/nowhere/chat"],
            "cannot listen on unix:/nowhere/chat: there is no folder /nowhere",
        ),
        (
            ["--listen", "tls:/nowhere:0"],
            "cannot listen on tls:/nowhere:0: there is no folder /nowhere with certificates",
        ),
        (
            ["--listen", "systemd:INET:index=0"],
            "cannot listen on systemd:INET:index=0: systemd handed over no such socket "
            "(is there a .socket unit?)",
        ),
        (
            ["--listen", "systemd:INET"],
            "cannot listen on systemd:INET: specify exactly one of descriptor index or name",
        ),
        (
            ["--port", "0", "--interface", "192.0.2.199"],
            "cannot listen on tcp:0:interface=192.0.2.199: this machine does not have that address",
        ),
    ],
)
def test_a_start_that_cannot_succeed_says_why(arguments: list[str], complaint: str) -> None:
    assert refusal(*arguments) == f"chatroom: {complaint}"


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    line = refusal("--listen", f"ssl:0:privateKey={tmp_path}/none.pem")
    assert line.endswith(f"{tmp_path}/none.pem: no such file or directory")


def test_a_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.pem"
    file.write_text("")
    line = refusal("--listen", f"ssl:0:privateKey={file}")
    assert line.endswith("its files hold no certificate with its key in PEM format")


@pytest.mark.parametrize("endpoint", ["ssl:0", "tls:.:0"])
def test_without_openssl_it_is_said_what_to_install(endpoint: str, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['OpenSSL'] = None; from chatroom.server.options import Options;"
        f"Options().parseOptions(['--listen={endpoint}'])"
    )
    assert python("-c", code, cwd=tmp_path).stderr == (
        f"chatroom: cannot listen on {endpoint}: "
        "tls needs more packages: pip install 'chatroom[tls]'\n"
    )


# The same through twistd


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--config", "{file}"], ""),
        (["--motd", "{file}"], "motd: "),
        (["--tls", "tcp:8009", "--certificate", "{file}"], "certificate: "),
        (["--tls", "tcp:8009", "--certificate", "{pem}", "--key", "{file}"], "key: "),
        (["--ssh", "tcp:8009", "--ssh-host-key", "{file}"], "ssh-host-key: "),
    ],
)
def test_what_is_no_file_is_not_waited_for(
    tmp_path: Path, arguments: list[str], option: str, kind: str
) -> None:
    file, pem = tmp_path / "file", tmp_path / "pem"
    pem.write_bytes(issued("localhost")[1])
    why = "it is no regular file"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file = Path("/dev/zero")
        case _:
            with socket.socket(socket.AF_UNIX) as endpoints:
                endpoints.bind(str(file))
            why = "no such device or address"
    filled = [argument.format(file=file, pem=pem) for argument in arguments]
    assert refusal(*filled) == f"chatroom: {option}cannot read {file}: {why}"


def test_a_pipe_in_an_endpoint_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for field in ("privateKey", "certKey"):
        endpoint = f"ssl:0:{field}={tmp_path}/pipe"
        line = refusal("--listen", endpoint)
        assert line == (
            f"chatroom: cannot listen on {endpoint}: {tmp_path}/pipe: it is no regular file"
        )


def test_a_pipe_as_the_list_of_those_who_may_connect_lets_nobody_in(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list")
    allowed, fault = read_allowed(str(tmp_path / "list"))
    assert not allowed
    assert fault.endswith("allows no connections: It is no regular file")


@pytest.mark.parametrize("option", ["--help", "--version", "--check"])
def test_who_stops_reading_what_is_printed_gets_no_traceback(option: str, tmp_path: Path) -> None:
    end, output = os.pipe()
    os.close(end)
    ran = subprocess.run(
        [sys.executable, "-m", "chatroom", option, "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=output,
        stderr=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )
    os.close(output)
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "{taken}"], "cannot listen on {default}: the port is already in use"),
        (["--prot", "1"], "unknown option --prot; did you mean --port?"),
        (["--port", "abc"], "--port: expected a whole number from 0 to 65535, not 'abc'"),
        (["--port", "99999"], "--port: expected a whole number from 0 to 65535, not '99999'"),
        (["--config", "key.toml"], "key.toml: unknown key 'prot'; did you mean port?"),
        (
            ["--config", "type.toml"],
            "type.toml: port: expected a whole number from 0 to 65535, not '1'",
        ),
        (["--config", "none.toml"], "cannot read none.toml: no such file or directory"),
        (["--motd", "none"], "motd: cannot read {cwd}/none: no such file or directory"),
        (["--listen", "nonsense"], "cannot listen on nonsense: unknown endpoint type: 'nonsense'"),
        (
            ["--port", "abc", "--check"],
            "--port: expected a whole number from 0 to 65535, not 'abc'",
        ),
        (["--nodaemon"], "option --nodaemon is twistd's: write it before the word chatroom"),
    ],
)
def test_twistd_ends_with_one_line_and_status_1(
    arguments: list[str], complaint: str, tmp_path: Path, taken: int
) -> None:
    (tmp_path / "key.toml").write_text("prot = 1\n")
    (tmp_path / "type.toml").write_text("port = '1'\n")
    default = endpoints.default_endpoints(taken)[0].removesuffix(":backlog=4096")
    fill = {"taken": taken, "default": default, "cwd": tmp_path}
    ended = twistd(
        "-n", "--pidfile=", "chatroom", *(each.format(**fill) for each in arguments), cwd=tmp_path
    )
    assert ended.stderr == f"chatroom: {complaint.format(**fill)}\n"
    assert ended.stdout == ""
    assert ended.returncode == 1


def test_what_is_wrong_is_found_before_daemonising(tmp_path: Path, taken: int) -> None:
    ended = twistd("chatroom", "--interface", "127.0.0.1", "--port", str(taken), cwd=tmp_path)
    assert "the port is already in use" in ended.stderr
    assert ended.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_the_reactor_is_still_to_be_chosen_when_the_options_are_parsed(tmp_path: Path) -> None:
    code = (
        "import sys; from chatroom.server.options import Options;"
        "Options().parseOptions(['--port=0']);"
        "sys.exit('twisted.internet.reactor' in sys.modules)"
    )
    assert python("-c", code, cwd=tmp_path).returncode == 0


# A folder for what is to be kept


def test_the_folder_is_made_and_held_from_the_parsing_on(tmp_path: Path, unprobed: None) -> None:
    options = parsed("--data", str(tmp_path / "data"))
    assert options["data"] == str(tmp_path / "data")
    try:
        assert "is in use by another server" in refusal("--data", str(tmp_path / "data"))
    finally:
        assert options.folder is not None
        options.folder.close()


def test_the_folder_is_seen_from_the_file_that_names_it(
    tmp_path: Path, unprobed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "chat.toml").write_text('data = "kept"\nsync = "full"\nkeep-days = 30\n')
    monkeypatch.chdir(tmp_path)
    options = parsed("--config", "etc/chat.toml", "--keep-lines", "500")
    assert options.folder is not None
    options.folder.close()
    assert options["data"] == str(tmp_path / "etc" / "kept")
    assert (options["sync"], options["keep-days"], options["keep-lines"]) == ("full", 30.0, 500)


def test_a_check_makes_no_folder_and_says_where_it_would_be(
    tmp_path: Path, unprobed: None, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--check", "--data", "kept")
    assert ended.value.code == 0
    assert not (tmp_path / "kept").exists()
    assert tomllib.loads(capsys.readouterr().out)["data"] == str(tmp_path / "kept")


def test_a_store_that_cannot_be_used_ends_the_start_with_a_line(
    tmp_path: Path, unprobed: None
) -> None:
    (tmp_path / "file").touch()
    assert "it is not a folder" in refusal("--data", str(tmp_path / "file"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chatroom.sqlite").write_bytes(b"something else" * 500)
    assert "file is not a database" in refusal("--data", str(tmp_path / "data"))
    assert "file is not a database" in refusal("--check", "--data", str(tmp_path / "data"))


def test_a_file_that_is_damaged_inside_ends_the_start_with_a_line(
    tmp_path: Path, unprobed: None
) -> None:
    folder = Folder(str(tmp_path / "data"))
    writer = Writer(folder.database)
    lines = [Entry("den", number, Said(1.0, 1, "alice", "x" * 500)) for number in range(1, 100)]
    writer.commit(lines)
    writer.close()
    folder.close()
    data = folder.database.read_bytes()
    folder.database.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    assert "it is damaged" in refusal("--data", str(tmp_path / "data"))
    # It is free again for whoever mends it.
    folder.database.write_bytes(data)
    folder_again = parsed("--data", str(tmp_path / "data")).folder
    assert folder_again is not None
    folder_again.close()


@pytest.mark.parametrize("check", [(), ("--check",)])
@pytest.mark.parametrize("table", schema.NEEDED)
def test_a_damaged_page_of_what_a_server_needs_ends_the_start_with_a_line(
    tmp_path: Path, unprobed: None, table: str, check: tuple[str, ...]
) -> None:
    damage(tmp_path / "data", table)
    line = refusal("--data", str(tmp_path / "data"), *check)
    assert line.startswith(f"chatroom: cannot use {tmp_path}/data/chatroom.sqlite: it is damaged (")
    # It is free for whoever mends it.
    with pytest.raises(StoreError, match="damaged"):
        try_open(Folder(str(tmp_path / "data")), 20, "lobby")


@pytest.mark.parametrize("table", ["events", "words_data", "places", "actions", "reports"])
def test_a_check_looks_through_all_of_the_file(tmp_path: Path, unprobed: None, table: str) -> None:
    damage(tmp_path / "data", table)
    assert "it is damaged" in refusal("--check", "--data", str(tmp_path / "data"))


def damage(folder: Path, table: str) -> None:
    """A store in *folder*, with a page of *table* that is none."""
    made = Folder(str(folder))
    Writer(made.database).close()
    made.close()
    with closing(sqlite3.connect(made.database)) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    with made.database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_it_says_what_it_takes_for_the_store(unprobed: None) -> None:
    assert "expected normal or full, not 'off'" in refusal("--sync", "off")
    assert "expected a number" in refusal("--keep-days", "-1")
    assert "expected a whole number" in refusal("--keep-lines", "many")


def test_the_folder_does_not_go_with_a_chroot(tmp_path: Path) -> None:
    done = twistd(
        *("-n", "--pidfile=", f"--chroot={tmp_path}", "chatroom", "--listen", "unix:line"),
        *("--data", "data"),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("data does not go with twistd's --chroot")
    assert not (tmp_path / "data").exists()


def test_a_server_that_changes_its_user_leaves_the_folder_to_that_user(
    tmp_path: Path, unprobed: None
) -> None:
    options, server = Options(), Options()
    uid, gid = os.getuid(), os.getgid()
    server.update(uid=uid, gid=gid)
    options.parent = server
    options.parseOptions(["--data", str(tmp_path / "data")])
    assert options.folder is not None
    options.folder.close()
    assert (tmp_path / "data").stat().st_uid == uid
