"""A door on a real port of which each connection is watched, and the ways in which clients go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, wrapClientTLS
from twisted.internet.protocol import ServerFactory
from twisted.internet.ssl import CertificateOptions

from chatroom.backends.interfaces import Ledger
from chatroom.backends.memory import MemoryNameClaims
from chatroom.chat.chat import Chat
from chatroom.doors.relay import RelayFactory
from chatroom.doors.ssh.factory import SshFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.limits import Limits
from chatroom.server.tls import Certificate, secured
from tests.support.certificates import certificate
from tests.support.doubles import immediate
from tests.support.reactor import clock, reactor, turns
from tests.support.sockets import Client, connect
from tests.support.sshclient import HOST_KEY, Caller

#: How long, in seconds, anything may take here.
DEADLINE = 5.0
LIMITS = Limits(rate=0, byte_rate=0, stall_timeout=0.2, connections_per_source=0)
DOORS: dict[str, Callable[[Chat], ServerFactory]] = {
    "line": ChatFactory,
    "telnet": ConsoleFactory,
    "relay": RelayFactory,
    "ssh": lambda chat: SshFactory(chat, HOST_KEY),
}
#: A door, and how it is reached.
PLACES = ["line tcp", "line tls", "telnet tcp", "relay tcp", "relay tls", "ssh tcp", "ssh tls"]


async def until(condition: Callable[[], object], what: str = "it did not come about") -> None:
    """Wait until *condition* holds."""
    overdue = clock.seconds() + DEADLINE
    while not condition():
        assert clock.seconds() < overdue, what
        await turns(1)
        await pause(0.002)


#: After how many seconds the garbage collector is asked to free what only it can.
COLLECT_SECONDS = 0.2


async def pause(seconds: float) -> None:
    waits: Deferred[None] = Deferred()
    reactor.callLater(seconds, waits.callback, None)
    await waits


class Inn:
    """One open door, of which each connection is watched."""

    def __init__(self, chat: Chat, door: str, way: str, port: int, seen: list[Any]) -> None:
        self.chat, self.door, self.way, self.port = chat, door, way, port
        #: Weak references to all connections that came, and passwords that are being compared.
        self.seen = seen
        self.comparing: list[Deferred[bool]] = []
        self.pages: list[Deferred[Any]] = []

    def endpoint(self, way: str) -> Any:
        endpoint: Any = clientFromString(reactor, f"tcp:127.0.0.1:{self.port}")
        return wrapClientTLS(CertificateOptions(), endpoint) if way == "tls" else endpoint

    async def connects(self, way: str = "") -> Client:
        """A client that says nothing. way: tcp for one that does not even speak TLS."""
        return await connect(self.endpoint(way or self.way))

    async def comes(self, name: str = "zed") -> Any:
        """A client in the room."""
        if self.door == "ssh":
            caller = Caller(name)
            await connectProtocol(self.endpoint(self.way), caller)
            await until(lambda: b"/quit leaves." in caller.data)
            return caller
        client = await self.connects()
        if self.door == "relay":
            await until(lambda: any(room.readers for room in self.chat.rooms.values()))
            return client
        if self.door == "telnet":
            # IAC WONT for whatever it is asked.
            client.sends(bytes.fromhex("fffc18fffc1ffffc27fffe01fffe03"))
        await until(lambda: b"/quit leaves." in client.data)
        return client

    def says(self, client: Any, data: bytes) -> None:
        (client.channel if self.door == "ssh" else client.transport).write(data)

    @property
    def connections(self) -> list[Any]:
        return [there for each in self.seen if (there := each()) is not None]


@asynccontextmanager
async def opened(
    place: str, folder: Path, ledger: Callable[[Any], Ledger] = immediate
) -> AsyncIterator[Inn]:
    """An open door in which alice is registered; in the end nobody may be left."""
    door, way = place.split()
    chat = Chat(clock, None, LIMITS, ledger=ledger(clock))
    factory: Any = DOORS[door](chat)
    seen: list[Any] = []
    build = factory.buildProtocol

    def watched(address: Any) -> Any:
        protocol = build(address)
        seen.append(weakref.ref(protocol))
        return protocol

    factory.buildProtocol = watched
    outer = factory if way == "tcp" else secured(factory, made(folder), reactor)
    port: Any = reactor.listenTCP(0, outer, interface="127.0.0.1", backlog=512)
    inn = Inn(chat, door, way, port.getHost().port, seen)
    try:
        chat.logins.accounts.add("alice", "no form of a password", clock.time())
        yield inn
    finally:
        await port.stopListening()
        for connection in inn.connections:
            connection.transport.abortConnection()
        await turns(10)
        for waits in [*inn.comparing, *inn.pages]:
            if not waits.called:
                waits.callback(None)
        await chat.close()
        await turns()


def made(folder: Path) -> Certificate:
    return Certificate(str(certificate(folder)))


async def is_empty(inn: Inn) -> None:
    """Wait until nothing of anybody is left."""
    chat = inn.chat

    def left() -> dict[str, object]:
        rooms = chat.rooms.values()
        everything: dict[str, object] = {
            "sessions": chat.connections,
            "people": list(chat.people),
            "members": [r for r in rooms if r.members or r.readers or r._entering],
            "places": chat.limiter.connected,
            "attempts": chat.logins.throttle._waiting,
            "connections": inn.connections,
        }
        assert isinstance(chat.claims, MemoryNameClaims)
        everything["claims"] = chat.claims._holders
        return {name: what for name, what in everything.items() if what}

    began = clock.seconds()
    while left():
        waited = clock.seconds() - began
        assert waited < DEADLINE, left()
        if waited > COLLECT_SECONDS and inn.way != "tcp":
            # When a peer ends without close_notify, Twisted's TLS (_flushReceiveBIO) leaves a
            # Failure in a circle with its own frames, and so with whatever these were called by:
            # that is for the garbage collector to free.
            gc.collect()
        await pause(0.002)


def below(client: Any) -> Any:
    """The transport of the client's socket."""
    transport = client.transport
    return getattr(transport, "transport", transport)


async def fin(client: Any) -> None:
    """Both ways at once, as with a client that is ended; over TLS without a word of TLS."""
    below(client).unregisterProducer()
    below(client).loseConnection()


async def half_fin(client: Any) -> None:
    """One way: it reads on until the server closes, which a client without TLS may do."""
    below(client).loseWriteConnection()


async def rst(client: Any) -> None:
    below(client).abortConnection()


async def close_notify(client: Any) -> None:
    """TLS's own word for it (RFC 8446, section 6.1)."""
    client.transport.loseConnection()


async def ssh_eof(client: Any) -> None:
    """The end of the input, then of the connection, as OpenSSH does it."""
    client.connection.sendEOF(client.channel)
    client.connection.sendClose(client.channel)


async def ssh_disconnect(client: Any) -> None:
    client.sendDisconnect(11, b"bye")


def shared(factory: pytest.TempPathFactory) -> Path:
    """One folder for all, whose certificate is made once."""
    folder = factory.getbasetemp() / "gone"
    folder.mkdir(exist_ok=True)
    return folder
