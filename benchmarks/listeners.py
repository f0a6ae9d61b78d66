"""The clients that terminals.py compares: lines, telnet with a terminal, SSH.

During a measurement a listener only stores what it is sent. It is unpacked, and decrypted above
all, afterwards, so that this does not disturb the measurement.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.defer import Deferred, succeed

GREETING: Final = b"Welcome"
GREETED_S: Final = 20.0
"""How long connecting may take."""
READ: Final = 1 << 18
DIGESTED: Final = 4096
"""How many bytes Conch is given at a time; it copies the rest of its buffer for each packet."""
WINDOW: Final = 0xFFFFFFFF
"""The largest possible window (RFC 4254, section 5.2), so that it never has to be adjusted."""

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, ECHO, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE = 0, 1, 3, 24, 31
AGREED: Final = (BINARY, ECHO, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE)
TERM: Final = b"xterm-256color"


class NotServed(Exception):
    """A listener did not get in, or was let go; the message says which, and what it was told."""


class Listener:
    """One connection to the line door, which is in the room when it was made.

    pieces: what it was sent since `begin`, one for each read.
    """

    def __init__(self, port: int, number: int) -> None:
        self.number = number
        self.pieces: list[bytes] = []
        self._shown = bytearray()
        self.socket = socket.create_connection(("127.0.0.1", port), GREETED_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened()
        self._wait_for_greeting()
        self.socket.setblocking(False)

    def _wait_for_greeting(self) -> None:
        deadline = time.monotonic() + GREETED_S
        while GREETING not in self._shown:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.socket.recv(READ)
            except TimeoutError:
                data = b""
            if not data:
                told = bytes(self._shown[-200:])
                self.close()
                raise NotServed(f"{type(self).__name__} {self.number} was not greeted: {told!r}")
            self.unpack(data)

    def begin(self) -> None:
        """Begin a measurement: drop what came before."""
        self.shown()

    def read(self) -> bool:
        """Keep what there is; returns whether the connection is still there."""
        data = self.socket.recv(READ)
        if data:
            self.pieces.append(data)
        return bool(data)

    def shown(self) -> bytes:
        """Return, and drop, what was shown since `begin` or the last call."""
        self._shown.clear()
        whole = b"".join(self.pieces)
        self.pieces.clear()
        for start in range(0, len(whole), DIGESTED):
            self.unpack(whole[start : start + DIGESTED])
        return bytes(self._shown)

    def close(self) -> None:
        """Go without a word."""
        self.socket.close()

    # -- what is otherwise at another door

    def opened(self) -> None:
        """The connection is there: say what has to be said first."""

    def unpack(self, data: bytes) -> None:
        """Take out of *data* what a person is shown."""
        self._shown += data

    def type(self, text: bytes) -> None:
        """These keys are pressed."""
        self.socket.sendall(text)


class TelnetListener(Listener):
    """A telnet client that agrees to everything a terminal takes, as xterm-256color.

    size: in columns and rows.
    """

    def __init__(self, port: int, number: int, size: tuple[int, int]) -> None:
        self._size = size
        self._answered: set[tuple[int, int]] = set()
        self._rest = b""
        super().__init__(port, number)

    def unpack(self, data: bytes) -> None:
        data, self._rest = self._rest + data, b""
        while (at := data.find(IAC)) >= 0:
            self._shown += data[:at]
            end = at + 3
            if data[at + 1 : at + 2] == bytes([SB]):
                end = data.find(bytes([IAC, SE]), at) + 2
            if end < at + 3 or len(data) < end:
                self._rest = data[at:]
                return
            self._answer(data[at + 1], data[at + 2])
            data = data[end:]
        self._shown += data

    def _answer(self, command: int, option: int) -> None:
        if command == SB:
            if option == TERMINAL_TYPE:
                self.socket.sendall(bytes([IAC, SB, option, 0]) + TERM + bytes([IAC, SE]))
            return
        if (command, option) in self._answered:
            return
        self._answered.add((command, option))
        if command == DO:
            said = bytes([IAC, WILL if option in AGREED else WONT, option])
            if option == WINDOW_SIZE:
                said += bytes([IAC, SB, option]) + struct.pack(">2H", *self._size)
                said += bytes([IAC, SE])
            self.socket.sendall(said)
        elif command == WILL:
            self.socket.sendall(bytes([IAC, DO if option in AGREED else DONT, option]))


class SshListener(Listener):
    """An SSH client, conch's, that proves to have the same key as all the others.

    size: of its terminal in columns and rows, None for no terminal.
    """

    def __init__(self, port: int, number: int, size: tuple[int, int] | None) -> None:
        self._size = size
        self._channel: Channel | None = None
        super().__init__(port, number)

    def opened(self) -> None:
        self._client = Client(self._logged_in, f"ssh{self.number}".encode())
        # Only what conch calls: there is no reactor.
        self._client.makeConnection(self)

    def write(self, data: bytes) -> None:
        """Conch: send this."""
        self.socket.sendall(data)

    def loseConnection(self) -> None:
        """Conch: something is wrong."""
        self.socket.close()

    def setTcpNoDelay(self, _: bool) -> None:
        """Conch: it is so already."""

    def _logged_in(self, connection: Connection) -> None:
        self._channel = Channel(self._size, self._shown)
        connection.openChannel(self._channel)

    def unpack(self, data: bytes) -> None:
        self._client.dataReceived(data)

    def type(self, text: bytes) -> None:
        assert self._channel is not None
        self._channel.write(text)


@cache
def key() -> Key:
    """Return the key of all SSH listeners."""
    made: Key = Key(Ed25519PrivateKey.generate())
    return made


class Client(SSHClientTransport):
    """logged_in: called with the service that then is there. name: what they call themselves."""

    def __init__(self, logged_in: Callable[[Connection], None], name: bytes) -> None:
        self._connection = Connection(logged_in)
        self._name = name

    def verifyHostKey(self, _: bytes, __: bytes) -> Deferred[bool]:
        """Conch: the server has this key. It was started a moment ago, and has a new one."""
        return succeed(True)

    def connectionSecure(self) -> None:
        """Conch: there are keys."""
        self.requestService(ByKey(self._name, self._connection))


class ByKey(SSHUserAuthClient):
    """Logs in with `key`."""

    def getPublicKey(self) -> Key:
        """Conch: which key to offer."""
        public: Key = key().public()
        return public

    def getPrivateKey(self) -> Deferred[Key]:
        """Conch: what to prove it with."""
        return succeed(key())


class Connection(SSHConnection):
    """logged_in: called when it begins."""

    transport: Any

    def __init__(self, logged_in: Callable[[Connection], None]) -> None:
        super().__init__()
        self._logged_in = logged_in

    def serviceStarted(self) -> None:
        """Conch: it begins."""
        super().serviceStarted()
        self._logged_in(self)


class Channel(SSHChannel):
    """A shell, in a terminal of *size* if there is one; what it says is added to *shown*."""

    name = b"session"
    conn: Any

    def __init__(self, size: tuple[int, int] | None, shown: bytearray) -> None:
        super().__init__(WINDOW)
        self._size = size
        self._shown = shown

    def channelOpen(self, specificData: bytes) -> None:
        """Conch: the server has opened it (RFC 4254, section 6.2)."""
        if self._size is not None:
            size = struct.pack(">4L", *self._size, 0, 0)
            self.conn.sendRequest(self, b"pty-req", NS(TERM) + size + NS(b""))
        self.conn.sendRequest(self, b"shell", b"")

    def dataReceived(self, data: bytes) -> None:
        """Conch: the server says something."""
        self._shown += data
