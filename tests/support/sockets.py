"""Clients and doors on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString, wrapClientTLS
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.chat.chat import Chat
from chatroom.doors.factory import DoorFactory
from chatroom.doors.proxy import ProxyFactory
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from tests.support.certificates import certificate
from tests.support.reactor import DEADLINE, clock, reactor, turns, until
from tests.support.wire import UNLIMITED

#: How many bytes the kernel may hold for a client that does not read, which it doubles (socket(7)).
LITTLE = 32 * 1024

DOORS: dict[str, Callable[[Chat], DoorFactory[Any]]] = {"line": ChatFactory, "relay": RelayFactory}


WAYS = ["tcp", "unix", "ssl", "proxy"]

#: What a proxy says first, of a client to which no limits apply.
FROM_LOOPBACK = b"PROXY TCP4 127.0.0.9 127.0.0.1 1024 8008\r\n"


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


async def connect(endpoint: Any) -> Client:
    """A client that is connected to *endpoint*."""
    client: Client = await endpoint.connect(Factory.forProtocol(Client))
    return client


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
        there = set(self._readers)
        client = await self.connects()
        await until(lambda: self._readers.keys() - there)
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
        client = await connect(endpoint)
        self.clients.append(client)
        if self.way == "proxy":
            client.sends(FROM_LOOPBACK)
        return client

    @property
    def _readers(self) -> dict[int, Any]:
        room = self.factory.room if isinstance(self.factory, RelayFactory) else self.chat.lobby
        return room.readers


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
