"""Connections for tests of the doors: made of nothing but objects, or of real sockets.

The rule: whoever waits for bytes waits for those bytes, with a deadline, never for some time.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any, ParamSpec

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from twisted.application.service import Service
from twisted.internet import reactor as installed_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, serverFromString, wrapClientTLS
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.chat.chat import Chat
from chatroom.chat.member import Member
from chatroom.chat.session import Session
from chatroom.doors.factory import DoorFactory
from chatroom.doors.proxy import ProxyFactory
from chatroom.doors.relay import RelayFactory, RelayProtocol
from chatroom.doors.ssh.channel import SessionChannel
from chatroom.doors.telnet.protocol import ChatFactory, ChatProtocol
from chatroom.doors.writer import Writer
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from chatroom.server.service import ReactorClock
from chatroom.terminal.terminal import Terminal
from fakes import World

# Its module stands in for itself, so mypy does not know what it is.
reactor: Any = installed_reactor

#: Made before anything is put off, see chatroom.model.clock.
clock = ReactorClock(reactor)

#: How long a test waits, in seconds, for something that is to come, late on a busy machine.
DEADLINE = 30.0

#: How long a test may take, in seconds.
LIMIT = 120.0

#: Services that a test has made, which are stopped after it, however it ends.
services: list[Service] = []

#: How many bytes the kernel may hold for a client that does not read, which it doubles (socket(7)).
LITTLE = 32 * 1024

#: What everybody may do where a test is not about limits.
UNLIMITED = Limits(rate=0, byte_rate=0)

DOORS: dict[str, Callable[[Chat], DoorFactory[Any]]] = {"line": ChatFactory, "relay": RelayFactory}
WAYS = ["tcp", "unix", "ssl", "proxy"]

#: What a proxy says first, of a client to which no limits apply.
FROM_LOOPBACK = b"PROXY TCP4 127.0.0.9 127.0.0.1 1024 8008\r\n"

P = ParamSpec("P")


def on_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Deferred[None]]:
    """Run an async test on the real reactor; pytest-twisted waits for what a test returns.

    One that has not ended within `LIMIT` fails where it waits, and puts its things away.
    """

    def overdue(result: Failure | None, seconds: float) -> None:
        if isinstance(result, Failure):
            if result.check(CancelledError):
                raise AssertionError(f"it took longer than {seconds:g} seconds") from result.value
            result.raiseException()

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[None]:
        ended = Deferred.fromCoroutine(test(*args, **kwargs))
        # Once more for what it does about the first time.
        return ended.addTimeout(LIMIT, reactor, overdue).addTimeout(LIMIT + 5, reactor, overdue)

    return run


async def turns(count: int = 5) -> None:
    """Let the reactor do what it has to do at once."""
    for _ in range(count):
        await deferLater(reactor, 0)


async def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    overdue = reactor.seconds() + DEADLINE
    while not condition():
        assert reactor.seconds() < overdue, "it did not come about"
        await deferLater(reactor, 0.002)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing that refers to itself in a circle is freed meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def kept(known: Sequence[object] = ()) -> list[object]:
    """The objects that there are of which a connection consists, but for those that are *known*.

    Those of earlier tests, which a traceback may keep for a while, are known to whoever asks first.
    """
    parts = (ChatProtocol, RelayProtocol, SessionChannel, Terminal, Session, Member, Writer)
    old = set(map(id, known))
    return [
        thing for thing in gc.get_objects() if isinstance(thing, parts) and id(thing) not in old
    ]


# Without sockets


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


# With sockets


@implementer(IHalfCloseableProtocol)
class Client(Protocol):
    """A client on a real connection."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.closed = False
        self.reason: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It has closed its side and goes on reading."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        self.reason = reason.value

    def sends(self, data: bytes) -> None:
        self.transport.write(data)

    def half_closes(self) -> None:
        """All that was sent is sent, then the server sees an end."""
        self.transport.loseWriteConnection()

    def stops_reading(self) -> None:
        """What comes waits, and of that its kernel holds but little, however much it could."""
        self.transport.pauseProducing()
        below = getattr(self.transport, "transport", self.transport)
        below.getHandle().setsockopt(SOL_SOCKET, SO_RCVBUF, LITTLE)

    def reads_on(self) -> None:
        """What has waited comes now."""
        self.transport.resumeProducing()

    async def reads(self, expected: bytes) -> bytes:
        """All up to and with *expected*, which is awaited."""
        await until(lambda: expected in self.data or self.closed)
        before, found, self.data = self.data.partition(expected)
        assert found, f"closed before {expected!r}: {before!r}"
        return before + found

    async def reads_to_the_end(self) -> bytes:
        """All there is until the server closes."""
        await until(lambda: self.closed)
        data, self.data = self.data, b""
        return data

    async def leaves(self) -> None:
        if not self.closed:
            self.transport.abortConnection()
        await until(lambda: self.closed)


class House:
    """A door that is open on a real port."""

    def __init__(self, chat: Chat, factory: DoorFactory[Any], way: str, address: str) -> None:
        self.chat = chat
        self.factory = factory
        self.way = way
        self.address = address
        self.clients: list[Client] = []

    async def comes(self, name: str = "") -> Client:
        """A new client that is in the room; on the line door it has read its greeting."""
        # Who has hung up may still be there, and leave meanwhile.
        there = set(self._members)
        client = await self.connects()
        await until(lambda: self._members.keys() - there)
        if isinstance(self.factory, ChatFactory):
            await client.reads(b"/quit leaves.\r\n")
            if name:
                client.sends(f"/nick {name}\n".encode())
                await client.reads(f"-- You are now {name}.\r\n".encode())
        return client

    async def connects(self) -> Client:
        """A new client, of which the server need not have taken notice yet."""
        endpoint: Any = clientFromString(reactor, self.address)
        if self.way == "ssl":
            endpoint = wrapClientTLS(CertificateOptions(), endpoint)
        client: Client = await endpoint.connect(Factory.forProtocol(Client))
        self.clients.append(client)
        if self.way == "proxy":
            client.sends(FROM_LOOPBACK)
        return client

    @property
    def _members(self) -> dict[int, Any]:
        room = self.factory.room if isinstance(self.factory, RelayFactory) else self.chat.lobby
        return room.members


@asynccontextmanager
async def opened(
    door: str, way: str, folder: Path, limits: Limits = UNLIMITED, settings: Settings | None = None
) -> AsyncIterator[House]:
    """An open door, and in the end nothing that is left of it."""
    chat = Chat(clock, settings, limits)
    factory = DOORS[door](chat)
    path = folder / "socket"
    match way:
        case "unix":
            listen = f"unix:{path}:backlog=4096"
        case "tcp" | "proxy":
            listen = "tcp:0:interface=127.0.0.1:backlog=4096"
        case _:
            listen = f"ssl:0:interface=127.0.0.1:privateKey={certificate(folder)}"
    gate: ServerFactory = factory
    if way == "proxy":
        gate = ProxyFactory(factory, chat, [ip_network("127.0.0.1")])
    port: Any = await serverFromString(reactor, listen).listen(gate)
    address = f"unix:{path}"
    if way != "unix":
        address = f"tcp:127.0.0.1:{port.getHost().port}:timeout={DEADLINE:g}"
    house = House(chat, factory, way, address)
    try:
        yield house
    finally:
        await port.stopListening()
        for client in house.clients:
            await client.leaves()
        await until(lambda: not factory.clients)
        await turns()
        await chat.close()
        await turns()


@functools.cache
def certificate(folder: Path) -> Path:
    """A file with a key and a certificate for it that nobody else has signed."""
    path = folder / "server.pem"
    path.write_bytes(b"".join(issued("localhost")))
    return path


def issued(name: str, days: int = 1, weak: bool = False) -> tuple[bytes, bytes]:
    """A key and a certificate for *name* that ends in so many *days*, both in PEM.

    weak: its key is one that OpenSSL does not want.
    """
    key: Any = ec.generate_private_key(ec.SECP256R1())
    if weak:
        key = rsa.generate_private_key(65537, 1024)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, signed.public_bytes(serialization.Encoding.PEM)
