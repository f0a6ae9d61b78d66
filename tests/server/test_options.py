"""The command line: what the options are, where it listens, TLS and proxies."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chatroom
from chatroom.server import endpoints
from chatroom.server import options as options_module
from chatroom.server.settings import OPTIONS, SettingError, fit
from tests.support.certificates import certificate, issued
from tests.support.fuzzing import examples
from tests.support.options import parsed, python, refusal
from tests.support.reactor import DEADLINE

# What the options are


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_without_arguments_everything_has_its_default() -> None:
    options = parsed()
    assert options.endpoints.pop("listen") == ["tcp6:8008:backlog=4096"]
    assert not any(options.endpoints.values())
    assert (options.certificate, options.host_key, options.folder) == (None, None, None)
    assert options == {
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
        "line-length": 2048,
        "rate": 2.0,
        "burst": 10,
        "byte-rate": 16384,
        "max-connections": 10_000,
        "connections-per-source": 64,
        "attempts-per-minute": 120,
        "rooms-per-hour": 5,
        "rooms-per-person": 20,
        "renames-per-hour": 30,
        "dead-after": 90,
        "stall-timeout": 30.0,
        "join-quiet-above": 50,
        "metrics": "",
        "log-format": "text",
        "log-chat": False,
        "manhole": "",
        "config": None,
        "check": 0,
        "ssh": [],
        "ssh-host-key": "",
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
        "--rooms-per-person=",
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
    assert "'twistd -n --pidfile= chatroom'" in shown


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
    assert parsed("--port", "9").endpoints["listen"] == expected


@pytest.mark.usefixtures("unprobed")
@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("127.0.0.1", r"tcp:8008:interface=127.0.0.1:backlog=4096"),
        ("::1", r"tcp6:8008:interface=\:\:1:backlog=4096"),
    ],
)
def test_an_interface_restricts_the_default_port(address: str, endpoint: str) -> None:
    assert parsed("--interface", address).endpoints["listen"] == [endpoint]


@pytest.mark.usefixtures("unprobed")
def test_listen_replaces_the_default_port() -> None:
    options = parsed("--listen", "tcp:1", "--listen", "unix:/run/chat")
    assert options.endpoints["listen"] == ["tcp:1:backlog=4096", "unix:/run/chat:backlog=4096"]


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_listen_with_port_opens_both() -> None:
    options = parsed("--listen", "tcp:1", "--port", "2")
    assert options.endpoints["listen"] == ["tcp6:2:backlog=4096", "tcp:1:backlog=4096"]


@pytest.mark.usefixtures("unprobed", "dual_stack")
def test_a_relay_comes_beside_the_chat() -> None:
    options = parsed("--relay", "tcp:1", "--relay", "tcp:2:backlog=5")
    assert options.endpoints["relay"] == ["tcp:1:backlog=4096", "tcp:2:backlog=5"]
    assert options.endpoints["listen"] == ["tcp6:8008:backlog=4096"]


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
    assert (options["metrics"], options.metrics_endpoint) == (given, used)


def test_where_metrics_are_served_is_tried(taken: int) -> None:
    assert "already in use" in refusal("--port", "0", "--metrics", f"tcp:{taken}")


def test_metrics_without_what_they_need_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options_module, "find_spec", lambda name: None)
    line = refusal("--port", "0", "--metrics", "tcp:0")
    assert line == "chatroom: metrics needs prometheus-client: pip install 'chatroom[metrics]'"
    assert parsed("--port", "0").metrics_endpoint == ""


def test_check_says_where_metrics_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--port", "0", "--metrics", "tcp:0", "--check")
    shown = capsys.readouterr().out
    assert "#   http://127.0.0.1:PORT/metrics\n" in shown
    assert tomllib.loads(shown)["metrics"] == "tcp:0"


def test_interface_without_the_port_it_restricts_is_refused() -> None:
    assert "tcp:PORT:interface=ADDRESS" in refusal("--interface", "::1", "--listen", "tcp:0")


# TLS and proxies


def test_tls_takes_the_place_of_the_default_port(tmp_path: Path) -> None:
    options = parsed("--tls", "tcp:0", "--certificate", str(certificate(tmp_path)))
    assert (options.endpoints["listen"], options.endpoints["tls"]) == ([], ["tcp:0:backlog=4096"])
    assert options.certificate is not None
    options = parsed(
        *("--tls", "tcp:0", "--listen", "tcp:0:interface=127.0.0.1", "--listen", "tcp:0"),
        *("--certificate", str(certificate(tmp_path))),
    )
    assert (len(options.endpoints["listen"]), len(options.endpoints["tls"])) == (2, 1)


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
        "chatroom: tls needs more packages: pip install 'chatroom[tls]'\n"
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
