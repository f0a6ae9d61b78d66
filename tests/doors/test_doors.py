"""What every door must do, over every kind of connection."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone

from chatroom.doors import protocol, relay
from chatroom.doors.sockets import is_encrypted, peer_ended, tune
from chatroom.doors.telnet import protocol as telnet
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from tests.conftest import Strictness
from tests.support.garbage import kept, uncollected
from tests.support.reactor import DEADLINE, on_reactor, reactor, turns, until
from tests.support.sockets import DOORS, WAYS, House, connect, opened
from tests.support.wire import UNLIMITED, Wire

# Twisted's ssl: endpoint hands pyOpenSSL objects of a kind that it does not want any more.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


@pytest.fixture(params=sorted(DOORS))
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["tcp", "unix", "proxy"])
def plain_way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbered(count: int, size: int = 500) -> list[bytes]:
    return [b"%06d%s" % (number, b"x" * size) for number in range(count)]


@on_reactor
async def test_a_line_reaches_the_others(door: str, way: str, tmp_path: Path) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob = await house.comes(), await house.comes()
        alice.sends(b"hello\n")
        assert (await bob.reads(b"hello")).endswith(b"hello")
        bob.sends("née 你好\n".encode())
        await alice.reads("née 你好".encode())


@on_reactor
async def test_lines_come_in_their_order_each_once(door: str, way: str, tmp_path: Path) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob = await house.comes(), await house.comes()
        sent = numbered(2000)
        alice.sends(b"".join(line + b"\n" for line in sent) + b"end\n")
        heard = (await bob.reads(b"end")).split(b"\n")[:-1]
        heard = [line.rstrip(b"\r").rpartition(b" ")[2] for line in heard]
        assert [line for line in heard if b"x" in line] == sent


@on_reactor
async def test_the_factory_knows_who_is_connected(door: str, way: str, tmp_path: Path) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, _ = await house.comes(), await house.comes()
        assert len(house.factory.clients) == 2
        await alice.leaves()
        await until(lambda: len(house.factory.clients) == 1)
        assert house.chat.limiter.connected == 1


@pytest.mark.parametrize("how", ["closes", "aborts", "is let go"])
@on_reactor
async def test_who_has_gone_leaves_nothing_to_the_garbage_collector(
    door: str, way: str, how: str, tmp_path: Path
) -> None:
    async with opened(door, way, tmp_path) as house:
        bob = await house.comes()
        with uncollected():
            before = kept()
            alice = await house.comes()
            alice.sends(b"/history\nhello\n")
            await bob.reads(b"hello")
            assert kept(before)
            if how == "is let go":
                alice.sends(b"/quit\n" if door == "line" else b"x" * 10_000)
                await until(lambda: alice.closed)
            elif how == "closes":
                alice.transport.loseConnection()
            else:
                alice.transport.abortConnection()
            await until(lambda: not kept(before))


@on_reactor
async def test_a_last_line_without_its_end_is_passed_on(
    door: str, way: str, tmp_path: Path
) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob = await house.comes(), await house.comes()
        alice.sends(b"one\nlast")
        # TLS has no half-close: its client closes.
        (alice.transport.loseConnection if way == "ssl" else alice.half_closes)()
        await bob.reads(b"one")
        await bob.reads(b"last")
        await until(lambda: len(house.factory.clients) == 1)


@on_reactor
async def test_a_client_that_half_closes_is_closed_when_all_was_said(
    door: str, plain_way: str, tmp_path: Path
) -> None:
    async with opened(door, plain_way, tmp_path) as house:
        bob = await house.comes()
        script = await house.connects()
        script.sends(b"one\ntwo\n")
        script.half_closes()
        await script.reads_to_the_end()
        await bob.reads(b"one")
        await bob.reads(b"two")


@on_reactor
async def test_whoever_does_not_read_holds_up_nobody_and_misses_nothing_when_it_does(
    door: str, way: str, tmp_path: Path
) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob, carol = [await house.comes() for _ in range(3)]
        carol.stops_reading()
        sent = numbered(800, 1900)
        alice.sends(b"".join(line + b"\n" for line in sent) + b"end\n")
        await bob.reads(b"end")
        assert any(client.writer.congested for client in house.factory.clients)
        carol.reads_on()
        heard = (await carol.reads(b"end")).split(b"\n")[:-1]
        heard = [line.rstrip(b"\r").rpartition(b" ")[2] for line in heard]
        assert [line for line in heard if b"x" in line] == sent
        carol.sends(b"I am back\n")
        await bob.reads(b"I am back")


@on_reactor
async def test_whoever_does_not_read_is_cut_after_the_stall_timeout(
    door: str, way: str, tmp_path: Path
) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob = await house.comes(), await house.comes()
        # For her alone: whoever reads may come to it late on a busy machine.
        limits = Limits(rate=0, byte_rate=0, stall_timeout=0.2)
        house.chat.configure(house.chat.settings, limits)
        carol = await house.comes()
        carol.stops_reading()
        alice.sends(b"".join(line + b"\n" for line in numbered(1500, 1900)) + b"end\n")
        await bob.reads(b"end")
        await until(lambda: len(house.factory.clients) == 2)
        assert not bob.closed


@on_reactor
async def test_stopping_closes_every_connection(
    door: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody has to be dropped.
    monkeypatch.setattr("chatroom.doors.factory.FAREWELL_SECONDS", 1000)
    async with opened(door, way, tmp_path) as house:
        clients = [await house.comes() for _ in range(5)]
        # The relay greets nobody: over TLS somebody could still be shaking hands.
        clients[0].sends(b"anybody\n")
        for client in clients[1:]:
            await client.reads(b"anybody")
        clients[1].sends(b"here\n")
        await clients[0].reads(b"here")
        house.factory.stop_reading()
        await house.factory.dismiss().addTimeout(DEADLINE, reactor)
        for client in clients:
            last = await client.reads_to_the_end()
            if door == "line":
                assert last.endswith(b"-- The server is shutting down.\r\n")
            # Of a UNIX socket Twisted calls every close a loss.
            assert way == "unix" or isinstance(client.reason, ConnectionDone), "it was dropped"
        assert house.factory.clients == set()


@on_reactor
async def test_stopping_does_not_wait_for_whoever_does_not_read(
    door: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.doors.factory.FAREWELL_SECONDS", 0.2)
    async with opened(door, way, tmp_path) as house:
        alice, bob, carol = [await house.comes() for _ in range(3)]
        carol.stops_reading()
        alice.sends(b"".join(line + b"\n" for line in numbered(1500, 1900)) + b"end\n")
        await bob.reads(b"end")
        house.factory.stop_reading()
        await house.factory.dismiss()
        assert house.factory.clients == set()
        await bob.reads_to_the_end()


@on_reactor
async def test_a_fault_when_a_connection_begins_ends_that_connection_alone(
    door: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: Strictness
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with opened(door, way, tmp_path) as house:
        alice, bob = await house.comes(), await house.comes()
        with monkeypatch.context() as patch:
            patch.setattr(protocol if door == "line" else relay, "tune", broken)
            unlucky = await house.connects()
            await unlucky.reads_to_the_end()
        await turns()
        assert len(strict.expected()) == 1
        alice.sends(b"hello\n")
        await bob.reads(b"hello")
        assert len(house.factory.clients) == 2


@on_reactor
async def test_a_fault_in_a_line_ends_that_connection_alone(
    door: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: Strictness
) -> None:
    async with opened(door, way, tmp_path) as house:
        alice, bob, carol = [await house.comes() for _ in range(3)]
        protocol: Any = telnet.ChatProtocol if door == "line" else relay.RelayProtocol
        received = protocol.lineReceived

        def fragile(self: Any, data: bytes) -> None:
            if data == b"bomb":
                raise ZeroDivisionError
            received(self, data)

        monkeypatch.setattr(protocol, "lineReceived", fragile)
        carol.sends(b"one\nbomb\ntwo\n")
        await until(lambda: len(house.factory.clients) == 2)
        alice.sends(b"hello\n")
        heard = await bob.reads(b"hello")
        assert b"one" in heard
        assert b"two" not in heard
        assert strict.expected()


@on_reactor
async def test_more_connections_than_there_may_be_are_told_and_closed(
    door: str, way: str, tmp_path: Path
) -> None:
    limits = Limits(rate=0, byte_rate=0, max_connections=1)
    async with opened(door, way, tmp_path, limits) as house:
        alice = await house.comes()
        refused = await house.connects()
        told = await refused.reads_to_the_end()
        # A proxy is closed before it has said for whom it comes.
        full = b"-- The server is full. Please try again later.\r\n"
        assert told == (b"" if way == "proxy" else full)
        await alice.leaves()
        await until(lambda: not house.factory.clients)
        await house.comes()


# Line door


async def script(house: House, number: int) -> bytes:
    client = await house.connects()
    client.sends(b"/nick u%d\nhi from %d.\n/uptime\n" % (number, number))
    client.half_closes()
    return await client.reads_to_the_end()


def heard_once(heard: bytes, count: int) -> None:
    for number in range(count):
        assert heard.count(b"u%d: hi from %d.\r\n" % (number, number)) == 1


@on_reactor
async def test_scripts_that_come_one_after_the_other_are_heard_and_answered(
    plain_way: str, tmp_path: Path
) -> None:
    quiet = Settings(scrollback=0)
    async with opened("line", plain_way, tmp_path, settings=quiet) as house:
        bob = await house.comes("bob")
        for number in range(100):
            answers = await script(house, number)
            assert answers.count(b"-- You are now u%d." % number) == 1
            assert answers.endswith(b"\r\n")
            # A second may be over, and the room is told who came and left in it.
            moved = (b" joined.", b" left.")
            own = [line for line in answers.split(b"\r\n")[:-1] if not line.endswith(moved)]
            assert [line[:3] for line in own] == 4 * [b"-- "]
        bob.sends(b"/whois bob\n")
        heard_once(await bob.reads(b"-- bob"), 100)


@on_reactor
async def test_scripts_that_come_all_at_once_are_heard_and_answered(
    plain_way: str, tmp_path: Path
) -> None:
    quiet = Settings(scrollback=0)
    async with opened("line", plain_way, tmp_path, settings=quiet) as house:
        bob = await house.comes("bob")
        runs = [Deferred.fromCoroutine(script(house, number)) for number in range(100)]
        for number, answers in enumerate(await gatherResults(runs)):
            assert answers.count(b"-- You are now u%d." % number) == 1
        await turns()
        bob.sends(b"/whois bob\n")
        heard_once(await bob.reads(b"-- bob"), 100)


@on_reactor
async def test_nothing_goes_out_in_the_clear_where_tls_is_spoken(door: str, tmp_path: Path) -> None:
    async with opened(door, "ssl", tmp_path) as house:
        alice = await house.comes()
        eavesdropper = await connect(clientFromString(reactor, house.address))
        house.clients.append(eavesdropper)
        await until(lambda: house.chat.limiter.connected == 2)
        alice.sends(b"hello\n")
        await turns(20)
        eavesdropper.sends(b"not TLS at all\n")
        overheard = await eavesdropper.reads_to_the_end()
        assert b"Welcome" not in overheard
        assert b"hello" not in overheard


@on_reactor
async def test_whoever_never_agrees_on_tls_is_cut_and_counts_until_then(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr("chatroom.doors.factory.HANDSHAKE_SECONDS", 0.2)
    # It is another matter than not reading.
    limits = Limits(rate=0, byte_rate=0, stall_timeout=0)
    async with opened(door, "ssl", tmp_path, limits) as house:
        silent = await connect(clientFromString(reactor, house.address))
        house.clients.append(silent)
        await until(lambda: house.chat.limiter.connected == 1)
        await turns()
        # Nobody is there yet: no name was given out, and no room was told.
        assert not house.factory.clients
        assert not house._readers
        assert await silent.reads_to_the_end() == b""
        await until(lambda: house.chat.limiter.connected == 0)
    told = f"A connection from 127.0.0.1 ended before TLS was agreed on, at the {door} door"
    assert told in logged
    assert not [line for line in logged if line.startswith("Connection ")]


@on_reactor
async def test_whoever_has_agreed_on_tls_stays(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handshake = 100_000
    monkeypatch.setattr("chatroom.doors.factory.HANDSHAKE_SECONDS", handshake)

    def overdue() -> list[Any]:
        """What is to happen when the time for agreeing on TLS is over."""
        least = reactor.seconds() + handshake / 2
        return [call for call in reactor.getDelayedCalls() if call.getTime() > least]

    async with opened(door, "ssl", tmp_path, UNLIMITED) as house:
        silent = await connect(clientFromString(reactor, house.address))
        house.clients.append(silent)
        await until(overdue)
        await silent.leaves()
        alice, bob = await house.comes(), await house.comes()
        assert not overdue()
        alice.sends(b"still here\n")
        await bob.reads(b"still here")


@on_reactor
async def test_a_paste_over_any_connection_waits_for_its_turn(way: str, tmp_path: Path) -> None:
    limits = Limits(rate=500, burst=10, byte_rate=0)
    async with opened("line", way, tmp_path, limits) as house:
        alice, bob = await house.comes(), await house.comes()
        alice.sends(b"".join(b"line %d\n" % number for number in range(200)))
        await bob.reads(b"line 199\r\n")
        assert alice.data.count(b"waiting") == 1


# The kernel


@on_reactor
async def test_what_the_kernel_is_told_of_a_new_connection(way: str, tmp_path: Path) -> None:
    async with opened("line", way, tmp_path) as house:
        await house.comes()
        (client,) = house.factory.clients
        transport = client.transport
        # So much is read at once before the next connection has its turn.
        assert transport.bufferSize == 8192
        handle = (transport.transport if way == "ssl" else transport).getHandle()
        # The kernel doubles it (socket(7)).
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 32 * 1024
        if way != "unix":
            assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)
            assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle, interval, count = (
                handle.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count <= 90
            unanswered = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert unanswered <= 90_000


@on_reactor
async def test_behind_a_proxy_as_much_is_read_at_once_as_without_one(tmp_path: Path) -> None:
    sizes = []
    for way in ("tcp", "proxy"):
        async with opened("relay", way, tmp_path) as house:
            await house.comes()
            (client,) = house.factory.clients
            sizes.append(client.transport.bufferSize)
    assert sizes[0] == sizes[1]


@on_reactor
async def test_dead_peers_may_be_left_alone(tmp_path: Path) -> None:
    async with opened("line", "tcp", tmp_path, Limits(dead_after=0)) as house:
        await house.comes()
        (client,) = house.factory.clients
        handle = client.transport.getHandle()
        assert not handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@on_reactor
async def test_a_close_is_seen_behind_what_was_not_read(plain_way: str, tmp_path: Path) -> None:
    async with opened("line", plain_way, tmp_path) as house:
        alice = await house.comes()
        (client,) = house.factory.clients
        client.transport.pauseProducing()
        assert not peer_ended(client.transport)
        alice.sends(b"unread\n")
        alice.half_closes()
        await until(lambda: peer_ended(client.transport))
        client.transport.resumeProducing()


@on_reactor
async def test_what_is_asked_of_a_connection_that_is_gone_has_an_answer(
    way: str, tmp_path: Path
) -> None:
    async with opened("line", way, tmp_path) as house:
        alice = await house.comes()
        (client,) = house.factory.clients
        transport = client.transport
        alice.transport.abortConnection()
        await until(lambda: not house.factory.clients)
        # A login may go on all the same, which asks that.
        assert is_encrypted(transport) is (way == "ssl")
        assert not peer_ended(transport)


def test_a_connection_without_a_socket_needs_nothing_of_the_kernel() -> None:
    wire = Wire()
    tune(wire, Limits())
    assert not peer_ended(wire)
