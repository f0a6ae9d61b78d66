"""Writers over real transports, whose reactor and whose peer are moved by hand."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from chatroom.doors.writer import Writer
from tests.support.doubles import Clock


class Turns:
    """The part of a reactor that a transport needs, moved by hand."""

    def __init__(self, clock: Clock) -> None:
        self.callLater = clock.callLater
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None: ...

    def removeReader(self, reader: Any) -> None: ...

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class Ending(Protocol):
    """Keeps why its connection ended."""

    reason: BaseException | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value


class Log:
    """Whose writer it is: lines that are to be sent, and how far it has come."""

    def __init__(self, portion: int = 10_000) -> None:
        self.writer: Writer
        self.lines: list[bytes] = []
        self.cursor = 0
        self.portion = portion
        self.heard: list[str] = []

    def says(self, *lines: bytes) -> None:
        self.lines += lines
        if not self.writer.congested:
            self._serve(len(self.lines))

    def _serve(self, count: int) -> None:
        """What a room does for a member."""
        lines = self.lines[self.cursor : self.cursor + count]
        data = b"".join(lines)
        taken = self.writer.write(data) if data else 0
        if taken == len(data):
            self.cursor += len(lines)
            return
        rest = b""
        for line in lines:
            if taken <= 0:
                break
            self.cursor += 1
            rest = line[taken:]
            taken -= len(line)
        self.writer.finish(rest)

    def stalled(self) -> None:
        self.heard.append("stalled")

    def drained(self) -> bool:
        self.heard.append("drained")
        self._serve(self.portion)
        return self.cursor == len(self.lines)

    def flowing(self) -> None:
        self.heard.append("flowing")

    def cut(self) -> None:
        self.heard.append("cut")


class Plain:
    """A writer over a real transport whose peer reads when it is told to."""

    def __init__(
        self, portion: int = 10_000, stall_timeout: float = 30.0, kind: Any = tcp.Server
    ) -> None:
        self.socket, self.peer = socket.socketpair()
        ours = self.socket
        ours.setblocking(False)
        self.peer.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.protocol = Ending()
        address = None if kind is unix.Server else ("127.0.0.1", 1)
        self.transport = kind(ours, self.protocol, address, None, 1, self.turns)
        self.transport.repstr = "a connection"
        self.protocol.makeConnection(self.transport)
        self.log = Log(portion)
        # Any: mypy would take what changes for what stays.
        self.writer: Any = Writer(self.transport, self.log, self.clock.callLater, stall_timeout)
        self.log.writer = self.writer
        self.received = b""
        self.result: Any = None

    def turn(self) -> None:
        """The reactor: the socket takes more, if the transport wants to know."""
        if self.transport in self.turns.writers:
            self.result = self.transport.doWrite()
            if self.result is not None:
                self.turns.removeWriter(self.transport)

    def reads(self, size: int = 1 << 20) -> None:
        """The peer reads up to so many bytes, then the reactor turns."""
        with suppress(BlockingIOError):
            self.received += self.peer.recv(size)
        self.turn()

    def reads_all(self) -> None:
        before = -1
        while before != len(self.received) or self.transport in self.turns.writers:
            before = len(self.received)
            self.reads()

    def was_dropped(self) -> bool:
        """Whether the connection was aborted."""
        self.clock.advance(0)
        return isinstance(self.protocol.reason, ConnectionAborted)

    def ends(self) -> None:
        self.writer.lost()
        self.clock.advance(0)
        self.socket.close()
        self.peer.close()
        assert not self.clock.getDelayedCalls()
