"""Conversations with the real doors, played from text files and compared byte by byte.

A file of `tests/conversations/` is a dialogue: what clients do, and under it what they are sent.

    # A comment; the first one is the title.
    @ limits rate=2 burst=3      how the server is set up, before anything else
    alice = nc                   a client comes: nc, telnet, console, relay, ssh USER, tty USER,
    bob = exec bob: /who         exec USER: COMMAND, and behind it `from ADDRESS`
    alice > hello                types a line, which ends as this client's lines do
    alice >> \\xff\\xf4            sends these bytes and no more
    alice < -- Welcome.          is sent a line that ends in CR LF
    alice <~ [alice #lobby]      is sent bytes without such an end
    alice ends                   closes its writing side (FIN, SSH EOF)
    alice hangs up               closes the connection; `breaks`: loses it (RST)
    alice pauses                 takes nothing more until it `resumes`
    alice is closed              the server has closed the connection
    wait 5                       5 seconds pass

Bytes that are no printable UTF-8 are written as `\\xNN`, ESC as `\\e`, CR as `\\r`, LF as `\\n`, a
backslash twice, and telnet's commands by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import Key
from twisted.internet.error import ConnectionDone, ConnectionLost

from chatroom.doors.relay import RelayFactory
from chatroom.doors.ssh.factory import SshFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from tests.support.doubles import FakeRecords, immediate
from tests.support.sshclient import HOST_KEY, Guest
from tests.support.stores import stored
from tests.support.telnet import Telnet
from tests.support.wire import Visitor
from tests.support.world import World

FOLDER: Final = Path(__file__).parents[1] / "conversations"

_DOES: Final = re.compile(r"(\w+) (=|>>?|ends|hangs up|breaks|pauses|resumes)(?: (.*))?")
_SEEN: Final = re.compile(r"\w+ (?:<~?(?: .*)?|is closed)")

_ESCAPED: Final = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")
_ESCAPES: Final = {b"e": b"\x1b", b"r": b"\r", b"n": b"\n"}
_SHOWN: Final = {"\x1b": "\\e", "\r": "\\r", "\n": "\\n", "\\": "\\\\"}

_COMMAND: Final = re.compile(rb"\xff(?:[\xfb-\xfe].|\xfa.(?:[^\xff]|\xff\xff)*\xff\xf0)", re.S)
_VERBS: Final = {0xFA: "SB", 0xFB: "WILL", 0xFC: "WONT", 0xFD: "DO", 0xFE: "DONT"}
_OPTIONS: Final = {0: "BINARY", 1: "ECHO", 3: "SGA", 6: "TM", 24: "TTYPE", 31: "NAWS", 39: "ENV"}

#: The keys that clients have, by their owners.
KEYS: Final = {
    name: Key(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)))
    for name in ("alice", "bob")
}


#: What makes its user an operator.
CODE: Final = "12345678"


def readable(data: bytes) -> str:
    """Return *data* as a file has it."""
    pieces = []
    end = 0
    for command in _COMMAND.finditer(data):
        pieces += [_text(data[end : command.start()]), _command(command[0])]
        end = command.end()
    text = "".join([*pieces, _text(data[end:])])
    # Editors take blanks at the end of a line away.
    return f"{text[:-1]}\\x20" if text.endswith(" ") else text


def _text(data: bytes) -> str:
    shown = []
    for char in data.decode(errors="surrogateescape"):
        if char in _SHOWN:
            shown.append(_SHOWN[char])
        elif char.isprintable():
            shown.append(char)
        else:
            raw = char.encode(errors="surrogateescape")
            shown.append("".join(f"\\x{byte:02x}" for byte in raw))
    return "".join(shown)


def _command(data: bytes) -> str:
    """Return one telnet command, for instance `<DO BINARY>` (RFC 854)."""
    option = _OPTIONS.get(data[2], str(data[2]))
    told = data[3:-2].hex() if data[1] == 0xFA else ""
    return f"<{' '.join(filter(None, [_VERBS[data[1]], option, told]))}>"


def sent(text: str) -> bytes:
    """Return the bytes that *text*, a piece of a file, stands for."""

    def byte(match: re.Match[bytes]) -> bytes:
        code, letter = match.groups()
        return bytes.fromhex(code.decode()) if code else _ESCAPES.get(letter, letter)

    return _ESCAPED.sub(byte, text.encode())


class Client:
    """A client of a door that sends lines."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._seen = 0
        self._told = False

    @property
    def end(self) -> bytes:
        """What it ends a line with."""
        return b"\n"

    def new(self) -> bytes:
        """Return what it was sent since this was last asked."""
        data: bytes = self.connection.wire.value()
        new, self._seen = data[self._seen :], len(data)
        return new

    def does(self, what: str, text: str) -> None:
        """Do what a line of a file says."""
        match what:
            case ">":
                self.connection.sends(sent(text) + self.end)
            case ">>":
                self.connection.sends(sent(text))
            case "ends":
                self.ends()
            case "hangs up":
                self.connection.hangs_up(ConnectionDone())
            case "breaks":
                self.connection.hangs_up(ConnectionLost())
            case "pauses":
                self.connection.wire.producer.pauseProducing()
            case "resumes":
                self.connection.wire.producer.resumeProducing()

    def ends(self) -> None:
        """Close the writing side."""
        self.connection.half_closes()

    @property
    def gone(self) -> bool:
        return bool(self.connection.gone)

    def sees(self, name: str) -> Iterator[str]:
        """What it was sent since this was last asked, as a file has it."""
        for line in re.split(rb"(?<=\r\n)", self.new()):
            if line.endswith(b"\r\n"):
                yield f"{name} < {readable(line[:-2])}"
            elif line:
                yield f"{name} <~ {readable(line)}"
        if self.gone and not self._told:
            self._told = True
            yield f"{name} is closed"


class TelnetClient(Client):
    """A telnet client, which sends keys where it was asked for them."""

    @property
    def end(self) -> bytes:
        return b"\r\0" if self.connection.characters else b"\r\n"


class SshClient(Client):
    """An SSH client without a terminal; what it was sent is what was encrypted."""

    def new(self) -> bytes:
        guest = self.connection
        errors = b"".join(b"(stderr) " + line for line in guest.errors.splitlines(keepends=True))
        new: bytes = guest.data + errors
        guest.data = guest.errors = b""
        return new

    def ends(self) -> None:
        self.connection.ends()

    @property
    def gone(self) -> bool:
        return bool(self.connection.session_closed or self.connection.gone)


class SshTerminal(SshClient):
    """An SSH client with a terminal."""

    @property
    def end(self) -> bytes:
        return b"\r"


class Stage:
    """A server on a clock of its own, its doors, and the clients of one file."""

    def __init__(self, **setup: dict[str, Any]) -> None:
        self.world = world = World(
            stored if setup.get("ledger") else immediate,
            Settings(**setup.get("settings", {})),
            Limits(**{"rate": 0, "byte_rate": 0} | setup.get("limits", {})),
            records=FakeRecords(),
            reserved=setup.get("reserved", {}),
        )
        world.chat.moderation.open_claim(lambda _: CODE)
        self.clients: dict[str, Client] = {}
        self._doors: dict[str, Any] = {
            "nc": ChatFactory(world.chat),
            "telnet": ChatFactory(world.chat),
            "console": ConsoleFactory(world.chat),
            "relay": RelayFactory(world.chat),
            "ssh": SshFactory(world.chat, HOST_KEY),
        }

    def plays(self, line: str) -> list[str]:
        """Do what *line* says; returns what came of it, a line of a file each."""
        if line.startswith("wait "):
            self.world.wait(float(line.removeprefix("wait ")))
        else:
            does = _DOES.fullmatch(line)
            assert does, f"nobody can do that: {line}"
            name, what, text = does.groups(default="")
            if what == "=":
                self.clients[name] = self._comes(text)
            else:
                self.clients[name].does(what, text)
        for client in self.clients.values():
            client.connection.settle()
        return [seen for name, client in self.clients.items() for seen in client.sees(name)]

    def _comes(self, how: str) -> Client:
        how, _, command = how.partition(": ")
        how, _, address = how.partition(" from ")
        kind, *words = how.split()
        world, doors = self.world, self._doors
        if kind in ("telnet", "console"):
            return TelnetClient(Telnet(world, doors[kind]))
        if kind in ("nc", "relay"):
            return Client(Visitor(world, doors[kind], address))
        assert kind in ("ssh", "tty", "exec"), f"no client is called {kind}"
        able = dict(word.split("=") for word in words[1:])
        guest = Guest(
            world,
            doors["ssh"],
            words[0],
            address=address,
            keys=(KEYS[able["key"]],) if "key" in able else (),
            answers=(able["password"],) if "password" in able else (),
            term="xterm-256color" if kind == "tty" else "",
            command=command if kind == "exec" else None,
        )
        return SshTerminal(guest) if kind == "tty" else SshClient(guest)

    def ends(self) -> None:
        """Everybody goes, and nothing of them may be left."""
        for client in self.clients.values():
            if not client.connection.gone:
                client.connection.hangs_up()
        self.world.wait(60)
        self.world.end()


def setup(line: str) -> tuple[str, dict[str, Any]]:
    """Return what a line such as `@ limits rate=2` sets."""
    kind, *words = line.removeprefix("@ ").split()
    pairs = (word.partition("=") for word in words)
    return kind, {key: int(value) if value.isdigit() else value for key, _, value in pairs}


def played(text: str) -> str:
    """Return *text*, a whole file, with what is sent today in place of what stands in it."""
    lines = [line for line in text.splitlines() if not _SEEN.fullmatch(line)]
    stage = Stage(**dict(setup(line) for line in lines if line.startswith("@ ")))
    try:
        out = []
        for line in lines:
            out.append(line)
            if line and not line.startswith(("#", "@")):
                out += stage.plays(line)
        return "\n".join([*out, ""])
    finally:
        stage.ends()
