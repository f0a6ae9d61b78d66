"""Connections in memory: made of nothing but objects."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from chatroom.doors.factory import DoorFactory
from chatroom.model.limits import Limits
from tests.support.world import World

#: What everybody may do where a test is not about limits.
UNLIMITED = Limits(rate=0, byte_rate=0)


class Wire(StringTransport):
    """The server's end of a connection in memory."""

    _aborted = False

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 9), lenient=True)

    def abortConnection(self) -> None:
        self._aborted = True
        super().abortConnection()

    @property
    def aborted(self) -> bool:
        """Whether it was dropped."""
        return self._aborted


class Visitor:
    """Somebody at a door, over a connection in memory that is read as a real one would be."""

    def __init__(self, world: World, factory: DoorFactory[Any], address: str = "") -> None:
        self.world = world
        self.wire: Any = Wire()
        peer = IPv4Address("TCP", address, 1024) if address else self.wire.getPeer()
        self.protocol = factory.buildProtocol(peer)
        self.gone = False
        self._sent: list[bytes] = []
        self._seen = 0
        self.protocol.makeConnection(self.wire)
        self.settle()

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(2):
            self.world.settle()
            while self._sent and self._open and self.wire.producerState == "producing":
                self.protocol.dataReceived(self._sent.pop(0))
        self.world.settle()
        if not self.gone and not self._open:
            self.hangs_up(ConnectionAborted() if self.wire.aborted else ConnectionDone())

    @property
    def _open(self) -> bool:
        return not (self.gone or self.wire.disconnecting or self.wire.aborted)

    @property
    def unread(self) -> int:
        """How many pieces the server has left unread."""
        return len(self._sent)

    def sends(self, *pieces: bytes) -> None:
        """Each piece is one read, when the server reads."""
        self._sent += pieces
        for _ in pieces:
            self.settle()

    def half_closes(self) -> None:
        """The client will send nothing more."""
        self.protocol.readConnectionLost()
        self.settle()

    def hangs_up(self, reason: Exception | None = None) -> None:
        """The connection is gone."""
        self.gone = True
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))
        self.settle()

    @property
    def received(self) -> bytes:
        """What was sent to it since this was last asked."""
        data: bytes = self.wire.value()
        new, self._seen = data[self._seen :], len(data)
        return new

    @property
    def sees(self) -> list[str]:
        """The whole lines that were sent to it since this was last asked."""
        lines = self.received.decode().split("\r\n")
        assert lines.pop() == "", "a line was cut"
        return lines
