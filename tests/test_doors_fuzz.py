"""People come by all doors at once, do anything, and go in any way: nothing is left of them.

Over real sockets, with what breaks things most: resets, halves of lines, a lockdown, rooms with
names that the program uses itself. Whatever is logged as an error fails the test, as everywhere.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions

from chatroom.chat.chat import Chat
from chatroom.commands import COMMANDS
from chatroom.model.chatsettings import Settings
from chatroom.server.tls import secured
from tests.support.accounts import WORD
from tests.support.fuzzing import seeds
from tests.support.inn import (
    DOORS,
    LIMITS,
    PLACES,
    Inn,
    below,
    close_notify,
    fin,
    half_fin,
    is_empty,
    made,
    pause,
    rst,
    shared,
    ssh_disconnect,
    ssh_eof,
)
from tests.support.reactor import clock, on_reactor, reactor, turns
from tests.support.sockets import Client
from tests.support.sshclient import Caller

pytestmark = pytest.mark.usefixtures("hasty")

NAMES = ["alice", "bob", "olga", "zoe"]
ROOMS = ["lobby", "den", "entrance", "#entrance", "server"]
ARGUMENTS = [*NAMES, *ROOMS, WORD, "on", "off", "private", "public", "invite", "1h", "hello", "99"]

#: What else may come: halves of lines, of commands of telnet and of what is no text.
BYTES = [
    *(b"half a li", b"\r\n", b"\n" * 50, b"/", b"//\n", b"\xff\xf4\xff\xfd\x06", b"\xff\xfb"),
    *(b"\xff\xfa\x18\0", b"\x1b[200~one\ntwo\n", b"\x03\x04\x09\x09", b"\xe4\xbd"),
    *(b"x" * 5000 + b"\n", b"GET / HTTP/1.1\r\n\r\n", b"/terminal\n"),
    *(b"/lockdown on\n", b"/lockdown off\n"),
]


class House:
    """All doors of one chat."""

    def __init__(self, chat: Chat, ports: dict[str, Any], random: Random) -> None:
        self.chat, self.ports, self.random = chat, ports, random
        self.there: list[tuple[str, Any]] = []

    async def comes(self) -> None:
        """Somebody comes by some door; of SSH they may not have got far."""
        random = self.random
        place = random.choice(PLACES)
        door, way = place.split()
        endpoint: Any = clientFromString(
            reactor, f"tcp:127.0.0.1:{self.ports[place].getHost().port}"
        )
        if way == "tls" and random.random() < 0.9:
            endpoint = wrapClientTLS(CertificateOptions(), endpoint)
        if door == "ssh" and random.random() < 0.9:
            command = random.choice([None, None, "/who", "hello all", "/join entrance"])
            term = random.choice(["", "xterm"])
            client: Any = Caller(
                random.choice(NAMES), answers=(WORD,) * 9, command=command, term=term
            )
            await connectProtocol(endpoint, client)
        else:
            client = await endpoint.connect(Factory.forProtocol(Client))
        self.there.append((place, client))

    def types(self, client: Any) -> None:
        random = self.random
        line = " ".join([f"/{random.choice(sorted(COMMANDS))}", *random.choices(ARGUMENTS, k=2)])
        often = [f"/join {random.choice(ROOMS)}", "hello", f"/login alice {WORD}", "/quit"]
        data = random.choice([line.encode() + b"\r\n", *(f"{each}\n".encode() for each in often)])
        if random.random() < 0.3:
            data = random.choice(BYTES)
        to = client.channel if isinstance(client, Caller) else client.transport
        if to is not None:
            to.write(data)

    async def goes(self, place: str, client: Any) -> None:
        ways = [fin, rst, rst]
        if place.endswith("tcp"):
            ways.append(half_fin)
        elif not isinstance(client, Caller):
            ways.append(close_notify)
        if isinstance(client, Caller) and client.channel is not None:
            ways += [ssh_eof, ssh_disconnect]
        if below(client).connected:
            await self.random.choice(ways)(client)

    async def lives(self, steps: int) -> None:
        random = self.random
        for _ in range(steps):
            if len(self.there) < 2 or (len(self.there) < 8 and random.random() < 0.25):
                await self.comes()
            elif random.random() < 0.12:
                await self.goes(*self.there.pop(random.randrange(len(self.there))))
            else:
                self.types(random.choice(self.there)[1])
            if random.random() < 0.5:
                await turns(random.randrange(1, 6))
        for place, client in self.there:
            await self.goes(place, client)


@asynccontextmanager
async def opened(folder: Path, random: Random) -> AsyncIterator[tuple[House, Inn]]:
    """All doors, open; in which olga keeps order, and may be anybody who logs in as her."""
    chat = Chat(clock, Settings(names_per_day=0, rooms_per_hour=0), LIMITS)
    ports: dict[str, Any] = {}
    everybody = Inn(chat, "all", "any", 0, [])
    for place in PLACES:
        door, way = place.split()
        factory: Any = DOORS[door](chat)
        watch(factory, everybody)
        outer = factory if way == "tcp" else secured(factory, made(folder), reactor)
        ports[place] = reactor.listenTCP(0, outer, interface="127.0.0.1", backlog=512)
    house = House(chat, ports, random)
    try:
        yield house, everybody
    finally:
        for port in ports.values():
            await port.stopListening()
        for _, client in house.there:
            below(client).abortConnection()
        for connection in everybody.connections:
            connection.transport.abortConnection()
        await turns(10)
        await chat.close()
        await turns()


def watch(factory: Any, everybody: Inn) -> None:
    """Have all connections of *factory* known to *everybody*."""
    build = factory.buildProtocol

    def watched(address: Any) -> Any:
        protocol = build(address)
        if protocol is not None:
            everybody.seen.append(weakref.ref(protocol))
        return protocol

    factory.buildProtocol = watched


async def olga(house: House) -> None:
    """Somebody registers and may keep order from then on, as whoever logs in as her."""
    endpoint: Any = clientFromString(
        reactor, f"tcp:127.0.0.1:{house.ports['line tcp'].getHost().port}"
    )
    client: Client = await endpoint.connect(Factory.forProtocol(Client))
    house.there.append(("line tcp", client))
    await client.reads(b"/quit leaves.\r\n")
    client.sends(f"/nick olga\n/register {WORD}\n".encode())
    await client.reads(b"olga is yours")
    (connection,) = house.chat.connections.values()
    assert connection.user.account is not None
    house.chat.moderation.make_operator(connection, connection.user.account)


@pytest.mark.parametrize("seed", seeds(6, 60))
@on_reactor
async def test_nothing_is_left_of_anybody(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with opened(shared(tmp_path_factory), Random(seed)) as (house, everybody):
        await olga(house)
        await house.lives(120)
        await pause(0.05)
        await is_empty(everybody)
        assert len({room.key for room in house.chat.rooms.values()}) == len(house.chat.rooms)
