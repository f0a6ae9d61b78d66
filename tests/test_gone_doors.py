"""Whoever goes, in whatever state of a connection and however: nothing of them is left.

As test_gone, over real connections to each door, for the states that have to do with bytes.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, ServerFactory
from twisted.internet.ssl import CertificateOptions

from chatroom.backends.interfaces import Ledger
from chatroom.backends.memory import MemoryNameClaims
from chatroom.chat.chat import Chat
from chatroom.doors.relay import RelayFactory
from chatroom.doors.ssh.factory import SshFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.events import SERVER, Relayed, Said
from chatroom.model.limits import Limits
from chatroom.server.tls import Certificate, secured
from tests.support.accounts import WORD
from tests.support.certificates import certificate
from tests.support.doubles import DelayedLedger, immediate
from tests.support.reactor import clock, on_reactor, reactor, turns
from tests.support.sockets import Client
from tests.support.sshclient import HOST_KEY, Auth, Caller
from tests.support.stores import stored_ledger

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


class Hesitating(Auth):
    """Somebody who is asked for a password and does not answer."""

    def getGenericAnswers(self, name: bytes, instruction: bytes, prompts: Any) -> Deferred[Any]:
        self.guest.prompts += [prompt for prompt, _ in prompts]
        return Deferred()


class HesitatingCaller(Caller):
    def connectionSecure(self) -> None:
        if not self.asked:
            self.asked = True
            self.requestService(Hesitating(self))


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
        factory = Factory.forProtocol(Client)
        client: Client = await self.endpoint(way or self.way).connect(factory)
        return client

    async def comes(self, name: str = "zed") -> Any:
        """A client in the room."""
        if self.door == "ssh":
            caller = Caller(name)
            await connectProtocol(self.endpoint(self.way), caller)
            await until(lambda: b"/quit leaves." in caller.data)
            return caller
        client = await self.connects()
        if self.door == "relay":
            await until(lambda: any(room.members for room in self.chat.rooms.values()))
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
            "sessions": chat.sessions,
            "people": list(chat.people),
            "members": [r for r in rooms if r.members or r._entering or r._passing],
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


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gives people time does not give much."""
    monkeypatch.setattr("chatroom.chat.announcer.STAY_SECONDS", 0.01)
    monkeypatch.setattr("chatroom.doors.ssh.connection.GOING", 0.1)
    monkeypatch.setattr("chatroom.doors.factory.GOING", 0.1)
    monkeypatch.setattr("chatroom.doors.telnet.charmode.PATIENCE", 0.1)


# -- the states


async def connected(inn: Inn) -> Any:
    """Nothing was said, not of TLS either."""
    client = await inn.connects("tcp")
    await until(lambda: inn.chat.limiter.connected)
    return client


async def shaking_hands(inn: Inn) -> Any:
    """In the middle of the first message of TLS (RFC 8446, section 4.1.2)."""
    client = await connected(inn)
    client.sends(bytes.fromhex("16030101000100"))
    await turns(5)
    return client


async def exchanging_keys(inn: Inn) -> Any:
    """The client has said that it speaks SSH, and begun its first packet (RFC 4253, section 7)."""
    client = await inn.connects()
    client.sends(b"SSH-2.0-test\r\n\0\0\1")
    await until(lambda: client.data)
    return client


async def authenticating(inn: Inn) -> Any:
    """A password was asked for."""
    caller = HesitatingCaller("alice")
    await connectProtocol(inn.endpoint(inn.way), caller)
    await until(lambda: caller.prompts)
    return caller


async def comparing(inn: Inn) -> Any:
    """A password is compared."""

    def run(*_: object) -> Deferred[bool]:
        inn.comparing.append(Deferred())
        return inn.comparing[-1]

    inn.chat.logins._run = run
    if inn.door == "ssh":
        client: Any = Caller("alice", answers=(WORD,))
        await connectProtocol(inn.endpoint(inn.way), client)
    else:
        client = await inn.comes()
        inn.says(client, b"/login alice %s\r\n" % WORD.encode())
    await until(lambda: inn.comparing)
    return client


async def in_the_room(inn: Inn) -> Any:
    return await inn.comes()


async def entering(inn: Inn) -> Any:
    client = await inn.comes()
    inn.says(client, b"hello\r\n/join elsewhere\r\n")
    return client


async def looking_up(inn: Inn) -> Any:
    """A page of history is on its way."""

    def before(*_: object) -> Deferred[Any]:
        inn.pages.append(Deferred())
        return inn.pages[-1]

    history: Any = inn.chat.history
    history.before = before
    client = await inn.comes()
    inn.says(client, b"/history\r\n")
    await until(lambda: inn.pages)
    return client


async def congested(inn: Inn) -> Any:
    """The client reads nothing of much that is said."""
    client = await inn.comes()
    client.transport.pauseProducing()
    chat = inn.chat
    (room,) = [each for each in chat.rooms.values() if each.members]
    (member,) = room.members.values()
    while not member.writer.congested:
        for _ in range(200):
            line = "x" * 1000
            event: Any = Said(clock.time(), SERVER, "bob", line)
            if inn.door == "relay":
                event = Relayed(clock.time(), SERVER, line.encode())
            chat.submit(room, event)
        await turns(5)
    return client


async def leaving(inn: Inn) -> Any:
    client = await inn.comes()
    inn.says(client, b"/quit\r\n")
    return client


# -- how they go


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
    """The end of the input, then of the session, as OpenSSH does it."""
    client.connection.sendEOF(client.channel)
    client.connection.sendClose(client.channel)


async def ssh_disconnect(client: Any) -> None:
    client.sendDisconnect(11, b"bye")


WAYS: dict[str, list[Callable[[Any], Awaitable[None]]]] = {
    "tcp": [fin, half_fin, rst],
    # Twisted's TLS for clients cannot be half closed; test_tls has one that does it by itself.
    "tls": [fin, rst, close_notify],
}

#: The states that there are in each place, besides.
EARLY: dict[str, list[Callable[[Inn], Awaitable[Any]]]] = {
    "tcp": [connected],
    "tls": [connected, shaking_hands],
}
TALKING = [in_the_room, entering, comparing, looking_up, congested, leaving]


def cases() -> list[Any]:
    found = []
    for place in PLACES:
        door, transport = place.split()
        states = {"relay": [in_the_room, congested]}.get(door, TALKING)
        if door == "ssh":
            states = [exchanging_keys, authenticating, *states]
        for state in [*EARLY[transport], *states]:
            ways = WAYS["tcp" if state in EARLY[transport] else transport]
            if door == "ssh" and state in TALKING and state is not comparing:
                ways = [*ways, ssh_eof, ssh_disconnect]
            for way in ways:
                name = f"{place}-{state.__name__}-{way.__name__}"
                found.append(pytest.param(place, state, way, id=name))
    return found


@pytest.mark.parametrize(("place", "state", "way"), cases())
@on_reactor
async def test_nothing_is_left(
    place: str,
    state: Callable[[Inn], Awaitable[Any]],
    way: Callable[[Any], Awaitable[None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with opened(place, shared(tmp_path_factory)) as inn:
        gc.collect()
        gc.disable()
        try:
            client = await state(inn)
            await way(client)
            await turns(5)
            for waits in [*inn.comparing, *inn.pages]:
                waits.callback([] if waits in inn.pages else False)
            await is_empty(inn)
        finally:
            gc.enable()
            below(client).abortConnection()
            await turns(5)


def shared(factory: pytest.TempPathFactory) -> Path:
    """One folder for all, whose certificate is made once."""
    folder = factory.getbasetemp() / "gone"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("ledger", [immediate, DelayedLedger, stored_ledger])
@pytest.mark.parametrize("place", ["line tls", "ssh tcp", "ssh tls"])
@on_reactor
async def test_nothing_is_left_of_thirty_that_close_at_once(
    place: str, ledger: Callable[[Any], Ledger], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with opened(place, shared(tmp_path_factory), ledger) as inn:
        for number in range(30):
            if inn.door == "ssh":
                client: Any = Caller(f"n{number}")
                await connectProtocol(inn.endpoint(inn.way), client)
                await until(lambda client=client: client.channel is not None)  # type: ignore[misc]
                await (ssh_eof, rst, fin)[number % 3](client)
            else:
                client = await inn.connects()
                client.sends(b"/join x\n" * (number % 2))
                await (close_notify, rst, fin)[number % 3](client)
        await is_empty(inn)
