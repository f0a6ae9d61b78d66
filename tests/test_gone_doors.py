"""Whoever goes, in whatever state of a connection and however: nothing of them is left.

As test_gone, over real connections to each door, for the states that have to do with bytes.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol

from chatroom.backends.interfaces import Ledger
from chatroom.model.events import SERVER, Relayed, Said
from tests.support.accounts import WORD
from tests.support.doubles import DelayedLedger, immediate
from tests.support.inn import (
    PLACES,
    Inn,
    below,
    close_notify,
    fin,
    half_fin,
    is_empty,
    opened,
    rst,
    shared,
    ssh_disconnect,
    ssh_eof,
    until,
)
from tests.support.reactor import clock, on_reactor, turns
from tests.support.sshclient import Auth, Caller
from tests.support.stores import stored_ledger

pytestmark = pytest.mark.usefixtures("hasty")


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
    (room,) = [each for each in chat.rooms.values() if each.readers]
    (reader,) = room.readers.values()
    while not reader.writer.congested:
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


WAYS: dict[str, list[Callable[[Any], Awaitable[None]]]] = {
    "tcp": [fin, half_fin, rst],
    # Twisted's TLS for clients cannot be half closed; one in server/test_tls.py does it by itself.
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


async def in_a_session(inn: Inn, name: str) -> Caller:
    """A client of SSH that has a connection, and need not have been greeted."""
    caller = Caller(name)
    await connectProtocol(inn.endpoint(inn.way), caller)
    await until(lambda: caller.channel is not None)
    return caller


@pytest.mark.parametrize("ledger", [immediate, DelayedLedger, stored_ledger])
@pytest.mark.parametrize("place", ["line tls", "ssh tcp", "ssh tls"])
@on_reactor
async def test_nothing_is_left_of_thirty_that_close_at_once(
    place: str, ledger: Callable[[Any], Ledger], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with opened(place, shared(tmp_path_factory), ledger) as inn:
        for number in range(30):
            if inn.door == "ssh":
                client: Any = await in_a_session(inn, f"n{number}")
                await (ssh_eof, rst, fin)[number % 3](client)
            else:
                client = await inn.connects()
                client.sends(b"/join x\n" * (number % 2))
                await (close_notify, rst, fin)[number % 3](client)
        await is_empty(inn)
