"""SSH over a socket that takes as much as a test says: whatever it takes, the stream is whole."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from chatroom.doors.ssh.factory import SshFactory
from chatroom.doors.ssh.transport import SshViolation
from chatroom.model.limits import Limits
from tests.support.fuzzing import examples
from tests.support.sshclient import HOST_KEY, Caller
from tests.support.world import World

#: More than anybody sends.
ENDLESS = 1 << 40


class Narrow:
    """A socket that takes `room` bytes more, and then none."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.room = ENDLESS
        self.sent = b""
        self.incoming = b""
        #: What errno says of every attempt to send.
        self.error = 0
        self.shut = self.closed = False

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None: ...

    def setsockopt(self, *_: object) -> None: ...

    def send(self, data: Any) -> int:
        assert not self.closed
        assert not self.shut, "written to after it was shut"
        if self.error:
            raise OSError(self.error, "no")
        taken = min(len(data), self.room)
        if len(data) and not taken:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        self.room -= taken
        self.sent += bytes(data[:taken])
        return taken

    def recv(self, size: int) -> bytes:
        data, self.incoming = self.incoming[:size], self.incoming[size:]
        return data

    def shutdown(self, how: int) -> None:
        self.shut = True

    def close(self) -> None:
        self.closed = True


class Turns:
    """The part of a reactor that a transport needs, moved by hand."""

    def __init__(self, world: World) -> None:
        self.callLater = world.clock.callLater
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class Squeezed(Caller):
    """Somebody whose connection takes as much as a test says."""

    def __init__(
        self,
        world: World,
        factory: SshFactory,
        user: str = "alice",
        room: int = ENDLESS,
        **able: Any,
    ) -> None:
        super().__init__(user, **able)
        self.world = world
        self.socket: Any = Narrow()
        self.socket.room = room
        self.turns = Turns(world)
        self.transport: Any = StringTransport()
        self.server: Any = factory.buildProtocol(None)
        made: Any = tcp.Server
        self.server_side = made(self.socket, self.server, ("127.0.0.1", 9), None, 1, self.turns)
        self.server_side.repstr = "a connection"
        self.server.makeConnection(self.server_side)
        self._read = self._said = 0
        self.makeConnection(self.transport)

    # -- what a reactor does

    def writes(self) -> bool:
        """The socket is asked to take what waits; whether there was anything."""
        if self.server_side not in self.turns.writers or not self.socket.room:
            return False
        self._done(self.server_side.doWrite())
        return True

    def takes(self, size: int) -> None:
        """The socket takes so much more."""
        self.socket.room += size
        self.writes()

    def receives(self) -> bool:
        """The client reads all that was sent; whether that was anything."""
        new, self._read = self.socket.sent[self._read :], len(self.socket.sent)
        if new and not self.transport.disconnecting:
            self.dataReceived(new)
        return bool(new)

    def is_read(self) -> bool:
        """The server reads what the client has sent, if it wants to; whether it did."""
        out = self.transport.value()
        self.socket.incoming += out[self._said :]
        self._said = len(out)
        if not self.socket.incoming or self.server_side not in self.turns.readers:
            return False
        self._done(self.server_side.doRead())
        return True

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        moved = True
        while moved:
            self.world.settle()
            moved = self.writes()
            moved = self.receives() or moved
            moved = self.is_read() or moved

    def hangs_up(self) -> None:
        """The connection is gone."""
        if not self.gone:
            self.gone = True
            if self.server_side.connected:
                self.server_side.connectionLost(Failure(ConnectionDone()))
            self.world.settle()

    def _done(self, why: Any) -> None:
        if why is not None and self.server_side.connected:
            self.server_side.connectionLost(Failure(why))

    # -- what tests ask

    @property
    def intact(self) -> bool:
        """Whether the client could make sense of all that it read."""
        return not self.transport.disconnecting

    @property
    def lines(self) -> list[bytes]:
        """The whole lines that were shown."""
        return self.data.split(b"\r\n")[:-1]


@pytest.mark.parametrize("room", range(0, 400, 7))
def test_closing_sends_each_packet_once_and_whole(
    world: World, factory: SshFactory, room: int
) -> None:
    guest = Squeezed(world, factory)
    guest.settle()
    guest.socket.room = room
    guest.channel.write(b"/quit\n")
    guest.settle()
    while guest.server_side in guest.turns.writers:
        guest.takes(50)
        guest.receives()
    guest.settle()
    assert guest.intact
    assert guest.data.endswith(b"-- Good-bye.\r\n")
    assert (guest.status, guest.eof, guest.session_closed) == (0, True, True)
    guest.hangs_up()


def test_a_kernel_without_memory_costs_nobody_their_connection(
    world: World, factory: SshFactory
) -> None:
    bob, guest = world.person("bob"), Squeezed(world, factory)
    guest.settle()
    guest.socket.error = errno.ENOBUFS
    bob.says("hello")
    guest.writes()
    guest.socket.error = 0
    guest.settle()
    assert guest.lines[-1] == b"bob: hello"
    guest.hangs_up()


def test_whoever_cannot_be_sent_anything_has_gone(world: World, factory: SshFactory) -> None:
    bob, guest = world.person("bob"), Squeezed(world, factory)
    guest.settle()
    guest.socket.error = errno.EPIPE
    bob.says("hello")
    world.settle()
    assert not factory.clients
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]


def test_whoever_stops_reading_before_their_session_begins_is_cut_like_others(
    world: World, factory: SshFactory
) -> None:
    bob = world.person("bob")
    guest = Squeezed(world, factory, opens=False)
    guest.settle()
    guest.socket.room = 10
    # RFC 4254, sections 5.1 and 6.5, without waiting for an answer between them.
    guest.sendPacket(90, NS(b"session") + struct.pack(">3L", 0, 1 << 30, 32768))
    guest.sendPacket(98, struct.pack(">L", 0) + NS(b"shell") + b"\1")
    guest.settle()
    (client,) = factory.clients
    talker, connection = client._talker, guest.server._connection.session
    assert talker is not None
    for _ in range(300):
        bob.says("x" * 1000)
    assert len(connection._unsent) < 70_000
    assert talker.writer.congested
    world.wait(31)
    guest.settle()
    assert not factory.clients
    assert world.chat.counters.cut == 1


def test_whoever_has_been_told_of_new_keys_can_read_why_they_may_not_go_on(
    world: World, factory: SshFactory
) -> None:
    guest = Squeezed(world, factory)
    guest.settle()
    guest.sendKexInit()
    # Up to the server's NEWKEYS; the client's is not read any more.
    for _ in range(2):
        guest.is_read()
        guest.receives()
    assert guest.server.exchanging
    assert guest._keyExchangeState == guest._KEY_EXCHANGE_NONE
    guest.server.misbehaved(SshViolation("Enough."))
    guest.settle()
    assert guest.reason == b"Enough."
    guest.hangs_up()


SIZES = st.one_of(st.integers(0, 60), st.integers(0, 1900))
STEPS = st.one_of(
    st.tuples(st.just("says"), st.lists(SIZES, min_size=1, max_size=20)),
    st.tuples(st.just("takes"), st.one_of(st.integers(1, 300), st.integers(1, 40_000))),
    st.tuples(st.sampled_from(["reads", "is_read", "asks", "rekeys", "is_rekeyed"]), st.none()),
)


@examples(150)
@given(
    st.lists(STEPS, max_size=40),
    st.sampled_from([3000, 20_000, 1 << 30]),
    st.integers(1, 3000),
)
def test_whatever_the_socket_takes_and_when_the_stream_is_whole_and_in_order(
    steps: list[tuple[str, Any]], window: int, portion: int
) -> None:
    world = World(limits=Limits(rate=0, byte_rate=0))
    factory = SshFactory(world.chat, HOST_KEY)
    bob = world.person("bob")
    guest = Squeezed(world, factory, window=window)
    guest.settle()
    guest.socket.room = 0
    number = asked = 0
    for step, what in steps:
        match step:
            case "says":
                for size in what:
                    bob.says(f"{number} {'x' * size}".rstrip())
                    number += 1
                world.settle()
            case "takes":
                guest.takes(what)
            case "reads":
                guest.receives()
            case "is_read":
                guest.is_read()
            case "asks":
                guest.channel.write(b"/nosuch\n")
                asked += 1
            case "rekeys":
                if guest._keyExchangeState == guest._KEY_EXCHANGE_NONE:
                    guest.sendKexInit()
            case "is_rekeyed":
                if not guest.server.exchanging:
                    guest.server.sendKexInit()
    guest.channel.write(b"/quit\n")
    for _ in range(100_000):
        guest.takes(portion)
        world.settle() if not guest.turns.writers else None
        moved = guest.receives()
        moved = guest.is_read() or moved
        if guest.session_closed or not guest.intact:
            break
    assert guest.intact
    said = [line for line in guest.lines if line.startswith(b"bob: ")]
    assert [int(line.split()[1]) for line in said] == list(range(number))
    assert sum(b"/nosuch" in line for line in guest.lines) == asked
    assert guest.data.endswith(b"-- Good-bye.\r\n")
    assert (guest.status, guest.eof, guest.session_closed) == (0, True, True)
    guest.hangs_up()
    assert not factory.clients
    world.end()
