"""SSH clients for tests: conch's own, over wires that a test moves bytes on, or real ones."""

from __future__ import annotations

import struct
from typing import Any

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from chatroom.doors.ssh.conch import SILENT
from chatroom.doors.ssh.factory import SshFactory
from chatroom.server import hostkey
from tests.support.wire import Wire
from tests.support.world import World

#: What every server in tests is; making one takes no time, but it is the same for all.
HOST_KEY = hostkey.generate()


class ServerWire(Wire):
    """The server's end, which can be half closed."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True


class Channel(SSHChannel):
    """A connection; what it is sent is kept."""

    name = b"session"
    _log = SILENT
    conn: Any

    def __init__(self, guest: Caller) -> None:
        super().__init__(localWindow=guest.window, localMaxPacket=8192)
        self.guest = guest

    def channelOpen(self, specificData: bytes) -> None:
        self.guest.opened(self)

    def openFailed(self, reason: object) -> None:
        self.guest.refused += 1

    def dataReceived(self, data: bytes) -> None:
        self.guest.data += data

    def extReceived(self, dataType: int, data: bytes) -> None:
        self.guest.errors += data

    def request_exit_status(self, data: bytes) -> bool:
        (self.guest.status,) = struct.unpack(">L", data)
        return True

    def eofReceived(self) -> None:
        self.guest.eof = True

    def closed(self) -> None:
        self.guest.session_closed = True


class Connection(SSHConnection):
    """The service of connections; `reads` says whether its window is opened again."""

    _log = SILENT
    guest: Caller

    def serviceStarted(self) -> None:
        self.guest.connection = self
        if self.guest.opens:
            self.openChannel(Channel(self.guest))

    def adjustWindow(self, channel: Any, bytesToAdd: int) -> None:
        if self.guest.reads:
            super().adjustWindow(channel, bytesToAdd)


class Auth(SSHUserAuthClient):
    """Who the guest says they are."""

    _log = SILENT

    def __init__(self, guest: Caller) -> None:
        self.guest = guest
        connection = Connection()
        connection.guest = guest
        super().__init__(guest.user, connection)
        self._keys = list(guest.keys)

    def getPublicKey(self) -> Any:
        self.key = self._keys.pop(0) if self._keys else None
        return self.key and self.key.public()

    def getPrivateKey(self) -> Any:
        return succeed(self.key)

    def getGenericAnswers(self, name: bytes, instruction: bytes, prompts: Any) -> Deferred[Any]:
        self.guest.prompts += [prompt for prompt, _ in prompts]
        if len(self.guest.prompts) > len(self.guest.answers) and prompts:
            return fail(RuntimeError("nothing more is known"))
        return succeed([self.guest.answers[len(self.guest.prompts) - 1] for _ in prompts])

    def getPassword(self, prompt: object = None) -> None:
        return None


class Caller(SSHClientTransport):
    """Somebody who comes to the SSH door.

    command: what is asked for in place of a shell. term: what they have for a terminal. reads:
    whether their window, of *window* bytes, is ever opened again. opens: whether they open a
    connection.
    """

    _log = SILENT

    def __init__(
        self,
        user: str = "bob",
        keys: tuple[Key, ...] = (),
        answers: tuple[str, ...] = (),
        command: str | None = None,
        term: str = "",
        window: int = 65536,
        reads: bool = True,
        opens: bool = True,
    ) -> None:
        self.user, self.keys, self.answers = user.encode(), keys, list(answers)
        self.command, self.term, self.window, self.reads = command, term, window, reads
        self.opens = opens
        self.asked = False
        self.prompts: list[bytes] = []
        self.data = self.errors = b""
        self.eof = self.session_closed = self.gone = False
        self.status: int | None = None
        self.refused = 0
        self.reason = b""
        self.connection: Any = None
        self.channel: Any = None

    # -- what conch calls

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.gone = True
        super().connectionLost(reason)

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[Any]:
        assert hostKey == HOST_KEY.public().blob()
        return succeed(True)

    def connectionSecure(self) -> None:
        # Conch calls it whenever there are new keys.
        if not self.asked:
            self.asked = True
            self.requestService(Auth(self))

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.reason = description

    def opened(self, channel: Channel) -> None:
        self.channel = channel
        if self.term:
            request = NS(self.term.encode()) + struct.pack(">4L", 80, 24, 0, 0) + NS(b"")
            channel.conn.sendRequest(channel, b"pty-req", request)
        if self.command is None:
            channel.conn.sendRequest(channel, b"shell", b"")
        else:
            channel.conn.sendRequest(
                channel, b"exec", NS(self.command.encode(errors="surrogateescape"))
            )


class Guest(Caller):
    """Somebody whose connection is in memory; starts: whether they say anything."""

    def __init__(
        self,
        world: World,
        factory: SshFactory,
        user: str = "bob",
        *,
        starts: bool = True,
        address: str = "",
        **able: Any,
    ) -> None:
        super().__init__(user, **able)
        self.world = world
        self.starts = starts
        self.wire: Any = ServerWire()
        if address:
            self.wire.peerAddr = IPv4Address("TCP", address, 9)
        self.server: Any = factory.buildProtocol(self.wire.getPeer())
        self.transport: Any = StringTransport()
        self._received = self._sent = 0
        self.server.makeConnection(self.wire)
        if starts:
            self.makeConnection(self.transport)
        self.settle()

    # -- what tests do

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(60):
            self.world.settle()
            moved = self._move()
            if not moved:
                break
        if self.wire.aborted or self.wire.disconnecting or self.wire.half_closed:
            self.hangs_up(ConnectionAborted() if self.wire.aborted else ConnectionDone())

    def _move(self) -> bool:
        out, back = self.wire.value(), self.transport.value()
        new, self._received = out[self._received :], len(out)
        if new and self.starts and not self.gone and not self.transport.disconnecting:
            self.dataReceived(new)
        moved = bool(new)
        if self.wire.producerState == "producing" and not self.gone:
            while self._sent < len(back) and self.wire.producerState == "producing":
                piece = back[self._sent : self._sent + 8192]
                self._sent += len(piece)
                moved = True
                self.server.dataReceived(piece)
        return moved

    def sends(self, data: bytes) -> None:
        """Type, or send, this."""
        self.channel.write(data)
        self.settle()

    def ends(self) -> None:
        """Nothing more will be typed."""
        self.connection.sendEOF(self.channel)
        self.settle()

    def hangs_up(self, reason: Exception | None = None) -> None:
        """The connection is gone."""
        if not self.gone:
            self.gone = True
            self.server.connectionLost(Failure(reason or ConnectionDone()))
            self.world.settle()

    @property
    def sees(self) -> list[str]:
        """The whole lines that were shown since this was last asked."""
        self.settle()
        data, self.data = self.data, b""
        lines = data.decode().split("\r\n")
        assert lines.pop() == "", "a line was cut"
        return lines


KEY = hostkey.generate()
