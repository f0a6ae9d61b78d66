"""The command line, the configuration file, and starts that cannot succeed."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatroom
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.database import Writer
from chatroom.backends.sqlite.directory import Folder, StoreError
from chatroom.backends.sqlite.store import try_open
from chatroom.model.entry import Entry
from chatroom.model.events import Said
from chatroom.server import endpoints, probe
from chatroom.server import options as options_module
from chatroom.server.options import Options
from chatroom.server.settings import OPTIONS, SettingError, fit, read_allowed
from tests.support.certificates import certificate, issued
from tests.support.fuzzing import examples
from tests.support.reactor import DEADLINE

ROOT = Path(chatroom.__file__).parent.parent


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, in which the checkout can be found as if installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )


def twistd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python(str(Path(sysconfig.get_path("scripts")) / "twistd"), *arguments, cwd=cwd)


def refusal(*arguments: str) -> str:
    """The line with which a start with *arguments* ends."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert isinstance(ended.value.code, str)
    assert "\n" not in ended.value.code
    return ended.value.code


@pytest.fixture
def unprobed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parses without trying the endpoints, so that port 8008 need not be free."""
    monkeypatch.setattr(probe, "probe", lambda *descriptions, **where: None)


@pytest.fixture
def dual_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "kinds_here", lambda: ("tcp6",))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The name of a configuration file that a test may write; it is the current folder's."""
    monkeypatch.chdir(tmp_path)
    return Path("chat.toml")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# What the options are


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_without_arguments_everything_has_its_default() -> None:
    assert parsed() == {
        "port": 8008,
        "interface": "",
        "listen": [],
        "tls": [],
        "certificate": "",
        "key": "",
        "telnet": [],
        "relay": [],
        "proxy-from": [],
        "name": "chatroom",
        "motd": "",
        "lobby": "lobby",
        "scrollback": 20,
        "data": "",
        "sync": "normal",
        "keep-days": 0.0,
        "keep-lines": 0,
        "operator": [],
        "allow": "",
        "keep-names": 180.0,
        "names-per-day": 3,
        "folder": None,
        "allowed": None,
        "allowed-fault": "",
        "line-length": 2048,
        "rate": 2.0,
        "burst": 10,
        "byte-rate": 16384,
        "max-connections": 10_000,
        "connections-per-source": 64,
        "attempts-per-minute": 120,
        "rooms-per-hour": 5,
        "renames-per-hour": 30,
        "dead-after": 90,
        "stall-timeout": 30.0,
        "join-quiet-above": 50,
        "metrics": "",
        "monitor": "",
        "log-format": "text",
        "log-chat": False,
        "manhole": "",
        "config": None,
        "check": 0,
        "endpoints": ["tcp6:8008:backlog=4096"],
        "secured": [],
        "credentials": None,
        "consoles": [],
        "relays": [],
        "ssh": [],
        "ssh-host-key": "",
        "shells": [],
        "host-key": None,
        "host-key-passing": False,
    }


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_what_cannot_be_printed_is_said_in_one_line(asked: str) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "chatroom", asked],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE,
        )
    assert ended.stderr == "chatroom: cannot write the output: No space left on device\n"
    assert ended.returncode == 1


def test_help_names_every_option_and_fits_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, shown.splitlines())) <= 80
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("      --")] == [
        "--allow=",
        "--attempts-per-minute=",
        "--burst=",
        "--byte-rate=",
        "--certificate=",
        "--check",
        "--config=",
        "--connections-per-source=",
        "--data=",
        "--dead-after=",
        "--help",
        "--interface=",
        "--join-quiet-above=",
        "--keep-days=",
        "--keep-lines=",
        "--keep-names=",
        "--key=",
        "--line-length=",
        "--listen=",
        "--lobby=",
        "--log-chat",
        "--log-format=",
        "--manhole=",
        "--max-connections=",
        "--metrics=",
        "--motd=",
        "--name=",
        "--names-per-day=",
        "--operator=",
        "--port=",
        "--proxy-from=",
        "--rate=",
        "--relay=",
        "--renames-per-hour=",
        "--rooms-per-hour=",
        "--scrollback=",
        "--ssh=",
        "--ssh-host-key=",
        "--stall-timeout=",
        "--sync=",
        "--telnet=",
        "--tls=",
        "--version",
    ]
    assert "free one. [default: 8008]" in shown
    assert "short for\n'twistd -n --pidfile= chatroom'" in shown


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_has_a_sentence_that_says_what_it_is_for(option: object) -> None:
    text = getattr(option, "help", "")
    assert text[0].isupper()
    assert text.endswith(".")


def test_version_is_one_line_with_the_versions_that_matter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--version")
    python = ".".join(map(str, sys.version_info[:3]))
    assert ended.value.code == 0
    assert capsys.readouterr().out == (
        f"chatroom {chatroom.__version__} (Twisted {version('Twisted')}, Python {python})\n"
    )


# Where it listens


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (("tcp6",), ["tcp6:9:backlog=4096"]),
        (("tcp", "tcp6"), ["tcp:9:backlog=4096", "tcp6:9:backlog=4096"]),
        (("tcp",), ["tcp:9:backlog=4096"]),
    ],
)
@pytest.mark.usefixtures("unprobed")
def test_the_port_is_open_for_what_the_machine_speaks(
    here: tuple[str, ...], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "kinds_here", lambda: here)
    assert parsed("--port", "9")["endpoints"] == expected


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1", r"tcp:8008:interface=127.0.0.1:backlog=4096"),
        ("::1", r"tcp6:8008:interface=\:\:1:backlog=4096"),
    ],
)
def test_an_interface_restricts_the_default_port(address: str, endpoint: str) -> None:
    assert parsed("--interface", address)["endpoints"] == [endpoint]


@pytest.mark.usefixtures("unprobed")
def test_listen_replaces_the_default_port() -> None:
    options = parsed("--listen", "tcp:1", "--listen", "unix:/run/chat")
    assert options["endpoints"] == ["tcp:1:backlog=4096", "unix:/run/chat:backlog=4096"]


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_listen_with_port_opens_both() -> None:
    options = parsed("--listen", "tcp:1", "--port", "2")
    assert options["endpoints"] == ["tcp6:2:backlog=4096", "tcp:1:backlog=4096"]


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_a_relay_comes_beside_the_chat() -> None:
    options = parsed("--relay", "tcp:1", "--relay", "tcp:2:backlog=5")
    assert options["relays"] == ["tcp:1:backlog=4096", "tcp:2:backlog=5"]
    assert options["endpoints"] == ["tcp6:8008:backlog=4096"]


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("tcp:9108", "tcp:9108:interface=127.0.0.1"),
        ("tcp6:9108", r"tcp6:9108:interface=\:\:1"),
        ("tcp:9108:interface=0.0.0.0", "tcp:9108:interface=0.0.0.0"),
        ("tcp:9108:192.0.2.1", "tcp:9108:192.0.2.1"),
        ("unix:/run/metrics", "unix:/run/metrics"),
        ("", ""),
    ],
)
def test_metrics_are_for_this_machine_unless_told_otherwise(given: str, used: str) -> None:
    options = parsed("--metrics", given)
    assert (options["metrics"], options["monitor"]) == (given, used)


def test_where_metrics_are_served_is_tried(taken: int) -> None:
    assert "already in use" in refusal("--port", "0", "--metrics", f"tcp:{taken}")


def test_metrics_without_what_they_need_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: None)
    line = refusal("--port", "0", "--metrics", "tcp:0")
    assert line == "chatroom: metrics needs prometheus-client: pip install 'chatroom[metrics]'"
    assert parsed("--port", "0")["monitor"] == ""


def test_check_says_where_metrics_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--port", "0", "--metrics", "tcp:0", "--check")
    shown = capsys.readouterr().out
    assert "#   http://127.0.0.1:PORT/metrics\n" in shown
    assert tomllib.loads(shown)["metrics"] == "tcp:0"


def test_interface_without_the_port_it_restricts_is_refused() -> None:
    assert "tcp:PORT:interface=ADDRESS" in refusal("--interface", "::1", "--listen", "tcp:0")


# The message of the day


def test_motd_is_the_text_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes("\ufeffBe kind.\nСпасибо\n".encode())
    assert parsed("--port", "0", "--motd", str(file))["motd"] == "Be kind.\nСпасибо\n"


def test_motd_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes(b"caf\xe9")
    assert refusal("--motd", str(file)) == f"chatroom: motd: {file} is not UTF-8 text"


def test_motd_that_would_fill_everybodys_screen_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_bytes(b"x" * (64 * 1024 + 1))
    assert refusal("--motd", str(file)).endswith("has more than 65536 bytes")


# Operators, and who may connect


@pytest.mark.parametrize("name", ["admin", "root", "guest7", "a b", ""])
def test_a_name_that_nobody_can_register_is_kept_for_nobody(name: str) -> None:
    assert refusal("--operator", name).startswith(f"chatroom: --operator: {name!r}: ")


def test_several_names_are_kept_for_operators() -> None:
    assert parsed("--port", "0", "--operator", "olga", "--operator", "王")["operator"] == [
        "olga",
        "王",
    ]


def test_the_list_of_who_may_connect_is_read(tmp_path: Path) -> None:
    file = tmp_path / "allow"
    file.write_bytes("\ufeff192.0.2.0/24\n\n# home\n2001:db8::1\n".encode())
    options = parsed("--port", "0", "--allow", str(file))
    assert sorted(map(str, options["allowed"].networks())) == ["192.0.2.0/24", "2001:db8::1/128"]
    assert options["allowed-fault"] == ""
    assert parsed("--port", "0")["allowed"] is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"# nobody yet\n", "it is empty"),
        (b"192.0.2.7\nhome\n", "line 2: 'home' is neither an address nor a network"),
        (b"192.0.2.7\ncaf\xe9\n", "it is not UTF-8 text"),
    ],
)
def test_a_list_that_says_nothing_lets_nobody_in(
    tmp_path: Path, content: bytes | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "allow"
    if content is not None:
        file.write_bytes(content)
    options = parsed("--port", "0", "--allow", str(file))
    assert options["allowed"].networks() == []
    assert options["allowed-fault"] == f"{file} lets nobody in: {why}"
    with pytest.raises(SystemExit):
        parsed("--port", "0", "--allow", str(file), "--check")
    assert f"# {file} lets nobody in: {why}\n" in capsys.readouterr().out


# The configuration file


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_the_file_takes_the_same_names_as_the_command_line(config: Path) -> None:
    config.write_text('port = 9\nline-length = 100\nstall-timeout = 5\nlisten = ["tcp:1"]\n')
    options = parsed("--config", "chat.toml")
    assert options["line-length"] == 100
    assert options["stall-timeout"] == 5.0
    assert options["endpoints"] == ["tcp6:9:backlog=4096", "tcp:1:backlog=4096"]


@pytest.mark.usefixtures("unprobed")
def test_the_command_line_wins_over_the_file(config: Path) -> None:
    config.write_text("scrollback = 9\nline-length = 100\n")
    options = parsed("--scrollback", "20", "--config", "chat.toml")
    assert (options["scrollback"], options["line-length"]) == (20, 100)


@pytest.mark.usefixtures("unprobed")
def test_a_list_on_the_command_line_replaces_the_one_in_the_file(config: Path) -> None:
    config.write_text('listen = ["tcp:1", "tcp:2"]\n')
    options = parsed("--config", "chat.toml", "--listen", "tcp:3")
    assert options["endpoints"] == ["tcp:3:backlog=4096"]


def test_file_names_in_the_file_are_seen_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "motd.txt").write_text("Hello")
    (tmp_path / "chat.toml").write_text('port = 0\nmotd = "motd.txt"\n')
    assert parsed("--config", str(tmp_path / "chat.toml"))["motd"] == "Hello"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean port?"),
        ("line_length = 100", "unknown key 'line_length'; did you mean line-length?"),
        ("xyzzy = 1", "unknown key 'xyzzy'"),
        ("[port]", "port: expected a whole number from 0 to 65535, not {}"),
        ("port = true", "port: expected a whole number from 0 to 65535, not True"),
        ("port = '1'", "port: expected a whole number from 0 to 65535, not '1'"),
        ("port = 65536", "port: expected a whole number from 0 to 65535, not 65536"),
        (
            "line-length = 63",
            "line-length: expected a whole number from 64 to 65536 (bytes), not 63",
        ),
        (
            "stall-timeout = inf",
            "stall-timeout: expected a number from 0 to 86400 (seconds), not inf",
        ),
        ("name = 5", "name: expected a text of 1 to 60 printable characters, not 5"),
        (
            "listen = 'tcp:1'",
            "listen: expected a list of texts, each an endpoint such as tcp:8009, not 'tcp:1'",
        ),
        ("relay = ['']", "relay: expected an endpoint such as tcp:8009, not ''"),
        ("lobby = 'a b'", "lobby: 'a b': A room's name consists of letters, digits, _ and -."),
    ],
)
def test_what_is_wrong_in_the_file_is_named(config: Path, text: str, complaint: str) -> None:
    config.write_text(text + "\n")
    assert refusal("--config", "chat.toml") == f"chatroom: chat.toml: {complaint}"


def test_an_integer_too_large_for_any_number_is_out_of_range(config: Path) -> None:
    config.write_text(f"stall-timeout = 1{'0' * 400}\n")
    assert "expected a number from 0 to 86400" in refusal("--config", "chat.toml")


def test_a_file_that_is_not_toml_is_refused(config: Path) -> None:
    config.write_text("port: 1\n")
    assert refusal("--config", "chat.toml").startswith("chatroom: chat.toml is not TOML: expected")


def test_a_file_that_is_not_utf8_is_refused(config: Path) -> None:
    config.write_bytes(b'name = "caf\xe9"\n')
    assert refusal("--config", "chat.toml") == "chatroom: chat.toml is not UTF-8 text"


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
        (["extra"], "there is no argument 'extra'; options begin with --"),
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
        "TLS needs more of Twisted: pip install 'chatroom[tls]'\n"
    )


# TLS and proxies


def test_tls_takes_the_place_of_the_default_port(tmp_path: Path) -> None:
    options = parsed("--tls", "tcp:0", "--certificate", str(certificate(tmp_path)))
    assert (options["endpoints"], options["secured"]) == ([], ["tcp:0:backlog=4096"])
    assert options["credentials"] is not None
    options = parsed(
        *("--tls", "tcp:0", "--listen", "tcp:0:interface=127.0.0.1", "--listen", "tcp:0"),
        *("--certificate", str(certificate(tmp_path))),
    )
    assert (len(options["endpoints"]), len(options["secured"])) == (2, 1)


def test_the_files_for_tls_are_seen_from_the_configuration_file(
    config: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    key, own = issued("localhost")
    (folder / "key.pem").write_bytes(key)
    (folder / "own.pem").write_bytes(own)
    (folder / "chat.toml").write_text('tls = ["tcp:0"]\ncertificate = "own.pem"\nkey = "key.pem"\n')
    options = parsed("--config", "etc/chat.toml")
    assert options["certificate"] == str(folder / "own.pem")
    assert options["key"] == str(folder / "key.pem")


def test_the_check_says_where_tls_is_and_where_proxies_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.pem"
    path.write_bytes(b"".join(issued("localhost", -1)))
    with pytest.raises(SystemExit) as ended:
        parsed(
            *("--check", "--tls", "proxy:tcp:0", "--certificate", str(path)),
            *("--listen", "proxy:tcp:0", "--proxy-from", "10.0.0.0/8", "--proxy-from", "::1"),
        )
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "#   telnet HOST PORT (behind a proxy)\n" in shown
    assert "-connect HOST:PORT (TLS, behind a proxy)\n" in shown
    assert "has expired" in shown
    assert 'proxy-from = ["10.0.0.0/8", "::1/128"]\n' in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--tls", "tcp:0"],
            "tls needs --certificate FILE, and --key FILE if the key is in another file",
        ),
        (["--certificate", "x.pem"], "certificate goes with tls, such as --tls tcp:8443"),
        (["--key", "x.pem"], "key goes with tls, such as --tls tcp:8443"),
        (
            ["--tls", "tcp:0", "--interface", "::1"],
            "interface goes with port; for tls write tcp:PORT:interface=ADDRESS",
        ),
        (
            ["--proxy-from", "::1"],
            "proxy-from goes with an endpoint for proxies, such as --listen proxy:tcp:8008",
        ),
        (
            ["--proxy-from", "10.0.0.1/8"],
            "--proxy-from: expected an address or a network such as 10.0.0.0/8, not '10.0.0.1/8'",
        ),
        (
            ["--relay", "proxy:tcp:0"],
            "cannot listen on proxy:tcp:0: say with --proxy-from from which address or network "
            "the proxy connects, such as --proxy-from 127.0.0.1",
        ),
        (
            ["--tls", "tcp:0", "--certificate", "/none.pem"],
            "certificate: cannot read /none.pem: no such file or directory",
        ),
    ],
)
def test_what_is_wrong_with_tls_or_proxies_is_said(arguments: list[str], complaint: str) -> None:
    assert refusal(*arguments) == f"chatroom: {complaint}"


def test_without_openssl_the_option_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['OpenSSL'] = None; from chatroom.server.options import Options;"
        "Options().parseOptions(['--tls=tcp:0', '--certificate=x.pem'])"
    )
    assert python("-c", code, cwd=tmp_path).stderr == (
        "chatroom: TLS needs more of Twisted: pip install 'chatroom[tls]'\n"
    )


@examples(100)
@given(st.text(max_size=20))
def test_any_text_for_a_number_gives_a_number_or_one_line(text: str) -> None:
    option = next(option for option in OPTIONS if option.name == "line-length")
    try:
        value = fit(option, text, "--line-length")
    except SettingError as error:
        value = str(error)
    assert value in range(64, 65537) or "\n" not in value


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
    assert fault.endswith("lets nobody in: It is no regular file")


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
        options["folder"].close()


def test_the_folder_is_seen_from_the_file_that_names_it(
    tmp_path: Path, unprobed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "chat.toml").write_text('data = "kept"\nsync = "full"\nkeep-days = 30\n')
    monkeypatch.chdir(tmp_path)
    options = parsed("--config", "etc/chat.toml", "--keep-lines", "500")
    options["folder"].close()
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
    parsed("--data", str(tmp_path / "data"))["folder"].close()


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
    options["folder"].close()
    assert (tmp_path / "data").stat().st_uid == uid
