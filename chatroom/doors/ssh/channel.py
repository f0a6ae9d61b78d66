"""The channel of an SSH session as a transport: what a protocol reads and writes.

What the client may send, and what waits for it, is bounded by windows (RFC 4254, section 5.2). A
client whose window is used up is one that does not read; a protocol that is paused leaves the
client's window shut.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import (
    EXTENDED_DATA_STDERR,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.doors.ssh.conch import ConchChannel
from chatroom.doors.ssh.transport import SshViolation
from chatroom.model.clock import Call

log = Logger()

#: How much a client may send before it is read.
WINDOW_BYTES: Final = 16 * 1024

#: How much it may send in one packet.
PACKET_BYTES: Final = 8 * 1024

#: The most data that a packet to the client has.
MAX_DATA_BYTES: Final = 16 * 1024

#: A client that wants smaller packets is refused: one write would become thousands of them.
MIN_DATA_BYTES: Final = 512

#: How long a new size waits for the next one.
RESIZE_SECONDS: Final = 0.03

#: The largest window there is (RFC 4254, section 5.2).
MAX_WINDOW_BYTES: Final = 0xFFFFFFFF

#: The longest name of a terminal that is kept.
MAX_TERMINAL_CHARACTERS: Final = 100


@dataclass(slots=True)
class SessionRequest:
    """What a client has asked of its session.

    terminal: the type of its terminal as TERM has it (empty for unknown), None if it has none.
    width, height: in columns and rows, 0 for unknown.
    no_color: whether its environment has a NO_COLOR that is not empty.
    command: what is to be run instead of a shell, None for nothing.
    """

    terminal: str | None = None
    width: int = 0
    height: int = 0
    no_color: bool = False
    command: bytes | None = None


class Talker(Protocol):
    """The protocol of a session: a Twisted protocol that can be half closed, and more."""

    def makeConnection(self, transport: Any) -> None: ...

    def dataReceived(self, data: bytes) -> None: ...

    def readConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure) -> None: ...

    def resized(self, width: int, height: int) -> None:
        """Draw on a terminal of so many columns and rows, 0 for unknown."""


class SessionChannel(ConchChannel):
    """The one session of a connection; as a transport it takes one push producer.

    window, packet: the client's, in bytes.
    start: makes the protocol once the client has said what it wants; None closes the connection.
    requested: what the client has asked for so far.
    bare: whether the client wants line ends of LF instead of CR LF.
    status: the exit status of the client's program.
    disconnecting: Twisted's name for it: whether nothing more is to be written.
    bufferSize: how many bytes Twisted's protocols read at once; here the window limits it.
    """

    name = b"session"
    conn: Any

    def __init__(
        self, window: int, packet: int, start: Callable[[SessionRequest], Talker | None]
    ) -> None:
        super().__init__(WINDOW_BYTES, PACKET_BYTES, window, min(packet, MAX_DATA_BYTES))
        self._start = start
        self.requested = SessionRequest()
        self._protocol: Talker | None = None
        self._producer: Any = None
        self.bare = False
        self.status = 0
        self.disconnecting = False
        self.bufferSize = PACKET_BYTES
        self._unsent = bytearray()
        # Whether the producer was told to pause.
        self._blocked = False
        self._unread = bytearray()
        # Whether the protocol takes input.
        self._reading = True
        # Whether the protocol is being given input just now.
        self._delivering = False
        # Whether the client sends nothing more, and whether the protocol was told.
        self._ended = self._told_end = False
        # By how many bytes the client's window is to be opened again.
        self._owed = 0
        # Whether the protocol was told that the channel is gone.
        self._lost = False
        # Whether the client was told that the program has ended.
        self._finished = False
        self._resizing: Call | None = None

    # -- as a transport: writing

    def write(self, data: bytes) -> None:
        """Send *data*, as far as the client's window goes; the rest waits."""
        if self.localClosed or self._lost or not data:
            return
        data = self._as_wanted(data)
        room = min(self.remoteWindowLeft, self.remoteMaxPacket)
        if len(data) <= room and not self._unsent and self.conn.transport.writable:
            self.remoteWindowLeft -= len(data)
            self.conn.sendData(self, data)
            return
        self._unsent += data
        self.push()

    def _as_wanted(self, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n") if self.bare else data

    def push(self) -> None:
        """Send what waits, and tell the producer if that has changed anything for it."""
        unsent, connection = self._unsent, self.conn.transport
        while unsent and self.remoteWindowLeft and connection.writable:
            piece = bytes(unsent[: min(self.remoteWindowLeft, self.remoteMaxPacket)])
            del unsent[: len(piece)]
            self.remoteWindowLeft -= len(piece)
            self.conn.sendData(self, piece)
        if self.disconnecting:
            if not unsent:
                self._finish()
            return
        blocked = bool(unsent) or not connection.writable
        if blocked is not self._blocked:
            self._blocked = blocked
            if self._producer is None:
                return
            try:
                if blocked:
                    self._producer.pauseProducing()
                else:
                    self._producer.resumeProducing()
            except Exception:
                self._failed()

    def write_stderr(self, data: bytes) -> None:
        """Send *data* where `ssh` shows errors, if there is room for it."""
        data = self._as_wanted(data)
        room = min(self.remoteWindowLeft, self.remoteMaxPacket)
        if not (self.localClosed or self._lost or self._blocked) and len(data) <= room:
            self.remoteWindowLeft -= len(data)
            self.conn.sendExtendedData(self, EXTENDED_DATA_STDERR, data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Twisted: *producer*, a push producer, is told when to write."""
        assert streaming
        self._producer = producer
        # Nobody could be told before. What it writes first tells it, if it is so still.
        self._blocked = False

    def unregisterProducer(self) -> None:
        """Twisted: nobody is to be told any more."""
        self._producer = None

    def loseConnection(self) -> None:
        """Close when all is sent."""
        self.disconnecting = True
        self.push()

    def abortConnection(self) -> None:
        """Close at once, and the connection with it."""
        self._unsent.clear()
        self.conn.transport.abort()

    def _finish(self) -> None:
        """Tell the client how its program ended, and close."""
        if not (self._finished or self.localClosed or self._lost):
            # What is sent here may fill the socket, which leads here again.
            self._finished = True
            # RFC 4254, section 6.10: before the channel is closed.
            self.conn.sendRequest(self, b"exit-status", struct.pack(">L", self.status))
            self.conn.sendEOF(self)
            self.conn.sendClose(self)
            self.conn.transport.session_over()

    # -- as a transport: reading

    def pauseProducing(self) -> None:
        """Twisted: the protocol takes nothing for now."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Twisted: the protocol takes input again."""
        self._reading = True
        self._deliver()

    def received(self, data: bytes) -> None:
        """Take *data* of the client."""
        if self.requested.command is not None or self.disconnecting:
            # A command has no input, and a user who is leaving says nothing more.
            self.consume(len(data))
            return
        self._unread += data
        self._deliver()

    def eofReceived(self) -> None:
        """Conch: the client sends nothing more."""
        self._ended = True
        self._deliver()

    def _deliver(self) -> None:
        """Give the protocol what it takes of what has come in."""
        if self._delivering or self._protocol is None:
            return
        self._delivering = True
        try:
            while self._reading and self._unread and not self._lost:
                data = bytes(self._unread[:PACKET_BYTES])
                del self._unread[:PACKET_BYTES]
                self.consume(len(data))
                self._protocol.dataReceived(data)
            if self._reading and self._ended and not (self._told_end or self._lost):
                self._told_end = True
                if self.requested.command is None:
                    self._protocol.readConnectionLost()
        except Exception:
            self._failed()
        finally:
            self._delivering = False

    def _failed(self) -> None:
        """Log an error of the server, and close: it is none of the client's."""
        log.failure(
            "The session of connection {connection} failed",
            event="session_failed",
            connection=self.conn.transport.origin,
        )
        self.conn.transport.abort()

    def use_window(self, count: int) -> None:
        """Count bytes of the client. Raises SshViolation if its window is too small."""
        if count > self.localWindowLeft or self._ended:
            raise SshViolation("more data than the window takes")
        self.localWindowLeft -= count

    def consume(self, count: int) -> None:
        """Let the client send *count* bytes again; it is told in portions."""
        self._owed += count
        if self._owed >= WINDOW_BYTES // 2 and not (self._ended or self.localClosed):
            owed, self._owed = self._owed, 0
            self.conn.adjustWindow(self, owed)

    # -- what the client asks for (RFC 4254, section 6)

    def requestReceived(self, requestType: bytes, data: bytes) -> bool:
        """Conch: the client asks for something; return whether it gets it."""
        match requestType:
            case b"pty-req":
                return self._terminal(data)
            case b"window-change":
                return self._resized(data)
            case b"env":
                return self._variable(data)
            case b"shell":
                return self._begin(None)
            case b"exec":
                return self._begin(getNS(data)[0])
        return False

    def _terminal(self, data: bytes) -> bool:
        requested = self.requested
        if self._protocol is not None:
            return False
        kind, data = getNS(data)
        requested.width, requested.height = struct.unpack(">2L", data[:8])
        requested.terminal = _printable(kind)
        return True

    def _resized(self, data: bytes) -> bool:
        requested = self.requested
        requested.width, requested.height = struct.unpack(">2L", data[:8])
        if self._protocol is not None and self._resizing is None:
            # Drawing is work, and a window that is being resized sends many sizes.
            self._resizing = self.conn.transport.clock.callLater(RESIZE_SECONDS, self._resize)
        return True

    def _resize(self) -> None:
        self._resizing = None
        requested = self.requested
        if self._protocol is not None and requested.terminal is not None:
            try:
                self._protocol.resized(requested.width, requested.height)
            except Exception:
                self._failed()

    def _variable(self, data: bytes) -> bool:
        name, value, _ = getNS(data, 2)
        if self._protocol is not None or name != b"NO_COLOR":
            return False
        self.requested.no_color = bool(value)
        return True

    def _begin(self, command: bytes | None) -> bool:
        if self._protocol is not None or self.disconnecting:
            return False
        self.requested.command = command
        self.bare = command is not None and self.requested.terminal is None
        self._protocol = self._start(self.requested)
        # The client is told that it has its shell before there is anything to read in it.
        self.conn.after_reply(self._connect)
        return True

    def _connect(self) -> None:
        assert self._protocol is not None
        try:
            self._protocol.makeConnection(self)
        except Exception:
            self._failed()
            return
        if self.requested.command is not None:
            # Whatever came in before is no input either.
            self._unread.clear()
        self._deliver()

    # -- the end

    def closeReceived(self) -> None:
        """Conch: the client has closed its side, and reads nothing more."""
        self._unsent.clear()
        self.disconnecting = True
        self.lose()
        if not self.localClosed:
            self.conn.sendClose(self)
        self.conn.transport.session_over()

    def closed(self) -> None:
        """Conch: both sides are closed, or the connection is gone."""
        self.lose(properly=bool(self.localClosed))

    def lose(self, properly: bool = False) -> None:
        """Tell the protocol that the channel is gone.

        properly: whether the session was closed here; the end of its input is a proper end as well.
        """
        if self._lost:
            return
        self._lost = self.disconnecting = True
        self._producer = None
        if self._resizing is not None:
            self._resizing.cancel()
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            properly = properly or self._told_end
            protocol.connectionLost(Failure(ConnectionDone() if properly else ConnectionLost()))


def _printable(data: bytes) -> str:
    """Return what can be shown of the beginning of *data*."""
    text = data[:MAX_TERMINAL_CHARACTERS].decode("ascii", errors="replace")
    return "".join(character for character in text if character.isprintable())
