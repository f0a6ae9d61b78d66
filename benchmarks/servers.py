"""The servers that are compared: how each is started, and what it needs.

Each server gets its best chance: its limits are off, its backlog is large, and it has a core of its
own. For a server that is not installed the way to install it is shown; nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The chat room's own limits, off (0), so that what is measured is the delivery. One that this
# checkout does not know is not passed.
CHATROOM_LIMITS = (
    "rate",
    "burst",
    "byte-rate",
    "max-connections",
    "connections-per-source",
    "attempts-per-minute",
)


class Missing(Exception):
    """The server cannot be run here; the message says why and what would help."""


@dataclass(frozen=True)
class Tools:
    """Where a run keeps its things, and what was compiled for it."""

    folder: Path
    python: str
    server_core: int | None
    generator_core: int | None
    programs: dict[str, Path]
    tls_flags: bool


@dataclass(frozen=True)
class Need:
    """The requirements of a scenario for starting a server."""

    port: int
    greets: bool = False
    default_limits: bool = False
    tls: bool = False


@dataclass(frozen=True)
class Server:
    """A server under test.

    command: returns the program with its arguments, and additions to the environment.
    """

    name: str
    title: str
    protocol: str
    command: Callable[[Tools, Need], tuple[list[str], dict[str, str]]]
    check: Callable[[Tools], str]
    """Returns the version; raises Missing."""
    max_clients: int = 1_000_000
    greets: bool = False
    """Whether it greets clients with a line, which shows that they are in the room."""
    pending: int = 64
    """How many clients may connect at the same time, except when connects are measured."""
    crowd_runs: int = 1_000
    """How many runs with more than 2,000 clients; few if joining takes minutes."""


def _output(command: list[str], **extra: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **extra},
        cwd=HERE.parent,
        check=False,
    )
    return (done.stdout + done.stderr).strip() if done.returncode == 0 else ""


def _module_version(tools: Tools, module: str, hint: str) -> str:
    version = _output([tools.python, "-c", f"import {module}; print({module}.__version__)"])
    if not version:
        raise Missing(f"{tools.python} cannot import {module}: {hint}")
    return version.splitlines()[-1]


# -- chatroom ---------------------------------------------------------------------------


def _check_chatroom(tools: Tools) -> str:
    if not _chatroom_help(tools.python):
        raise Missing("`python -m chatroom --help` fails: pip install . in a virtual environment")
    version = _output([tools.python, "-m", "chatroom", "--version"]).splitlines()
    return version[-1] if version else "this checkout"


@cache
def _chatroom_help(python: str) -> str:
    return _output([python, "-m", "chatroom", "--help"])


def _unlimited(python: str) -> list[str]:
    known = _chatroom_help(python)
    return [f"--{limit}=0" for limit in CHATROOM_LIMITS if f"--{limit}=" in known]


def _chatroom(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
    command = [tools.python, "-m", "chatroom"]
    if need.tls:
        key, certificate = _certificate(tools)
        command += [
            "--listen",
            f"ssl:{need.port}:privateKey={key}:certKey={certificate}:interface=127.0.0.1",
        ]
    else:
        command += ["--port", str(need.port), "--interface", "127.0.0.1"]
    return command + ([] if need.default_limits else _unlimited(tools.python)), {}


def _chatroom_data(sync: str) -> Callable[[Tools, Need], tuple[list[str], dict[str, str]]]:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        program, extra = _chatroom(tools, need)
        folder = tempfile.mkdtemp(prefix="data-", dir=tools.folder)
        return [*program, "--data", folder, "--sync", sync], extra

    return command


def _check_data(tools: Tools) -> str:
    version = _check_chatroom(tools)
    if "--data=" not in _chatroom_help(tools.python):
        raise Missing("this checkout has no --data")
    return version


def _relay(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
    command = [tools.python, "-m", "chatroom", "--port=0", "--interface=127.0.0.1"]
    command.append(f"--relay=tcp:{need.port}:interface=127.0.0.1")
    return command + ([] if need.default_limits else _unlimited(tools.python)), {}


def _certificate(tools: Tools) -> tuple[Path, Path]:
    key, certificate = tools.folder / "key.pem", tools.folder / "certificate.pem"
    if not certificate.exists():
        if shutil.which("openssl") is None:
            raise Missing("no `openssl` to make a certificate: apt-get install openssl")
        made = _output(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-keyout", str(key), "-out", str(certificate)),
            ]
        )
        if not certificate.exists():
            raise Missing(f"openssl made no certificate: {made}")
    return key, certificate


# -- the peers in this folder -----------------------------------------------------------


def _check_sendline(tools: Tools) -> str:
    return "Twisted " + _module_version(tools, "twisted", "pip install twisted")


def _check_python(tools: Tools) -> str:
    return _output([tools.python, "--version"])


def _check_compiled(tools: Tools) -> str:
    return _output(["cc", "--version"]).splitlines()[0]


def _greeting(need: Need) -> list[str]:
    return ["hello"] if need.greets else []


def _python_peer(script: str) -> Callable[[Tools, Need], tuple[list[str], dict[str, str]]]:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        return [tools.python, str(HERE / "peers" / script), str(need.port), *_greeting(need)], {}

    return command


def _bare(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
    return [str(tools.programs["bare"]), str(need.port), *_greeting(need)], {}


def _blast(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
    return [str(tools.programs["blast"]), str(need.port), "256"], {}


# -- IRC servers ------------------------------------------------------------------------

NGIRCD_CONF = """\
[Global]
Name = bench.example.net
Info = benchmark
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
PongTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
"""

INSPIRCD_CONF = """\
<config format="xml">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<server name="bench.example.net" description="benchmark" network="bench" id="1BN">
<admin name="bench" email="bench@example.net" nick="bench">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="bench" allow="*" timeout="3600" pingfreq="3600"
  hardsendq="1G" softsendq="1G" recvq="64M" fakelag="no" threshold="1000000"
  commandrate="1000000000" localmax="1000000" globalmax="1000000" limit="1000000"
  maxconnwarn="no" maxchans="100" resolvehostnames="no" useident="no" useconnectban="no">
<performance softlimit="1000000" somaxconn="4096" nouserdns="yes">
<pid file="{folder}/inspircd.pid">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="sparse" target="inspircd.log">
"""


def _find(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"not installed: apt-get install {program}")
    return found


def _first_line(*command: str) -> str:
    return _output([_find(command[0]), *command[1:]]).splitlines()[0]


def _shim(tools: Tools, nodelay: bool) -> dict[str, str]:
    return {"LD_PRELOAD": str(tools.programs["nodelay"])} if nodelay else {}


def _ngircd(nodelay: bool) -> Callable[[Tools, Need], tuple[list[str], dict[str, str]]]:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        conf = tools.folder / f"ngircd-{need.port}.conf"
        conf.write_text(NGIRCD_CONF.format(port=need.port))
        return [_find("ngircd"), "-n", "-f", str(conf)], _shim(tools, nodelay)

    return command


def _inspircd(nodelay: bool) -> Callable[[Tools, Need], tuple[list[str], dict[str, str]]]:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        conf = tools.folder / f"inspircd-{need.port}.conf"
        conf.write_text(INSPIRCD_CONF.format(port=need.port, folder=tools.folder))
        as_root = ["--runasroot"] if os.geteuid() == 0 else []
        program = [_find("inspircd"), "--nofork", *as_root, "--config", str(conf)]
        return program, _shim(tools, nodelay)

    return command


def _irc(name: str, title: str, nodelay: bool) -> Server:
    program = name.split("-")[0]
    command = {"ngircd": _ngircd, "inspircd": _inspircd}[program](nodelay)
    how = title + (", TCP_NODELAY forced on" if nodelay else ", as shipped")
    # ngIRCd listens with a backlog of 10: more at once are dropped and try again after 1 s.
    pending = 8 if program == "ngircd" else 1_000
    return Server(
        name, how, "irc", command, lambda tools: _first_line(program, "--version"),
        pending=pending, crowd_runs=1,
    )  # fmt: skip


SERVERS = {
    server.name: server
    for server in (
        Server("chatroom", "chatroom", "line", _chatroom, _check_chatroom, greets=True),
        Server(
            "chatroom-data", "chatroom with --data", "line",
            _chatroom_data("normal"), _check_data, greets=True,
        ),
        Server(
            "chatroom-data-full", "chatroom with --data --sync full", "line",
            _chatroom_data("full"), _check_data, greets=True,
        ),
        Server("chatroom-relay", "chatroom's bare relay", "line", _relay, _check_chatroom),
        Server(
            "sendline", "Twisted, a loop over sendLine", "line",
            _python_peer("sendline.py"), _check_sendline,
        ),
        Server(
            "select", "the select ancestor", "line",
            _python_peer("select_ancestor.py"), _check_python, max_clients=1010,
        ),
        _irc("ngircd", "ngIRCd", nodelay=False),
        _irc("ngircd-nodelay", "ngIRCd", nodelay=True),
        _irc("inspircd", "InspIRCd", nodelay=False),
        _irc("inspircd-nodelay", "InspIRCd", nodelay=True),
        Server("bare", "a bare C loop", "line", _bare, _check_compiled),
        Server("blast", "a blast of joined lines", "line", _blast, _check_compiled),
    )
}  # fmt: skip


def on_store(data: Path, *options: str) -> Server:
    """chatroom over the store in DATA, with its own limits but for what OPTIONS say."""

    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        return [
            *(tools.python, "-m", "chatroom", "--data", str(data)),
            *("--listen", f"tcp:{need.port}:interface=127.0.0.1", *options),
        ], {}

    return Server("chatroom", "chatroom with --data", "line", command, _check_data)


def with_terminals(telnet: int, ssh: int, *options: str) -> Server:
    """chatroom, without its limits but for what OPTIONS say, with telnet and SSH on these ports."""

    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        program, extra = _chatroom(tools, need)
        program += [f"--telnet=tcp:{telnet}:interface=127.0.0.1"]
        return [*program, f"--ssh=tcp:{ssh}:interface=127.0.0.1", *options], extra

    return Server("chatroom", "chatroom with terminals", "line", command, _check_terminals)


def _check_terminals(tools: Tools) -> str:
    version = _check_chatroom(tools)
    for option in ("telnet", "ssh"):
        if f"--{option}=" not in _chatroom_help(tools.python):
            raise Missing(f"this checkout has no --{option}")
    _module_version(tools, "bcrypt", "pip install 'chatroom[ssh]'")
    return version


def check(server: Server, tools: Tools) -> str:
    """The version of SERVER. Raises Missing when it cannot be run."""
    try:
        return server.check(tools)
    except (subprocess.SubprocessError, OSError, IndexError) as error:
        raise Missing(str(error)) from error
