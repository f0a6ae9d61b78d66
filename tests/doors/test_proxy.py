"""The PROXY protocol: its headers as bytes, then over real connections."""

from __future__ import annotations

import gc
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import address
from twisted.internet.endpoints import clientFromString, serverFromString

from chatroom.chat.chat import Chat
from chatroom.doors import proxy
from chatroom.doors.proxy import Header, HeaderError, ProxyFactory, parse
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.limits import Limits
from tests.support.garbage import uncollected
from tests.support.reactor import clock, on_reactor, reactor, turns, until
from tests.support.sockets import Client, connect
from tests.support.wire import UNLIMITED

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family, size) + body


def addresses(source: str, destination: str, sport: int = 1, dport: int = 2) -> bytes:
    kind = IPv6Address if ":" in source else IPv4Address
    packed = kind(source).packed + kind(destination).packed
    return packed + struct.pack("!HH", sport, dport)


def result(data: bytes) -> Header | str | None:
    try:
        return parse(data)
    except HeaderError as error:
        return str(error)


# Bytes

ports = st.integers(0, 65535)
ends = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4), ports, ports),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6), ports, ports),
)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, Header]:
    """A valid header, and what it says."""
    source, destination, sport, dport = draw(ends)
    four = source.version == 4
    match draw(st.sampled_from(["v1", "unknown", "v2", "local", "nameless"])):
        case "v1":
            kind = "TCP4" if four else "TCP6"
            data = f"PROXY {kind} {source} {destination} {sport} {dport}\r\n".encode()
        case "unknown":
            data = draw(st.sampled_from([b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff:: a b c\r\n"]))
            return data, Header(None, 0, len(data))
        case "v2":
            body = addresses(str(source), str(destination), sport, dport)
            tlvs = draw(st.binary(max_size=536 - 16 - len(body)))
            data = version_2(0x21, 0x11 if four else 0x21, body + tlvs)
        case "local":
            data = version_2(0x20, draw(st.integers(0, 255)), draw(st.binary(max_size=520)))
            return data, Header(None, 0, len(data))
        case _:
            family, least = draw(st.sampled_from([(0x00, 0), (0x31, 216)]))
            data = version_2(0x21, family, draw(st.binary(min_size=least, max_size=520)))
            return data, Header(None, 0, len(data))
    mapped = getattr(source, "ipv4_mapped", None)
    return data, Header(str(mapped or source), sport, len(data))


@given(headers(), st.binary(max_size=600))
def test_a_valid_header_is_understood_and_what_is_behind_it_is_left(
    header: tuple[bytes, Header], behind: bytes
) -> None:
    data, says = header
    assert parse(data + behind) == says


@given(headers())
def test_of_the_beginning_of_a_valid_header_more_is_wanted(header: tuple[bytes, Header]) -> None:
    data, _ = header
    assert [parse(data[:length]) for length in range(len(data))] == [None] * len(data)


beginnings = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21\x11\0\x0c"]
)


@given(beginnings, st.one_of(st.binary(max_size=600), st.from_regex(rb"[PROXYTC46 .:0-9\r\n]*")))
def test_whatever_comes_is_a_header_or_is_not_and_never_both(start: bytes, rest: bytes) -> None:
    data = start + rest
    # What is found out stays, however much more comes.
    found = [found for found in map(result, (data[:n] for n in range(len(data) + 1))) if found]
    if found and isinstance(found[0], Header):
        assert set(found) == {found[0]}
    else:
        assert all(isinstance(each, str) for each in found)
    assert len(data) < 536 or found


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 8008\r\n", ("192.0.2.7", 56324)),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", ("2001:db8::7", 1)),
        (b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 1 2\r\n", ("2001:db8::7", 1)),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", ("192.0.2.7", 1)),
        (b"PROXY UNKNOWN\r\n", (None, 0)),
        (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", (None, 0)),
        (version_2(0x21, 0x11, addresses("192.0.2.7", "203.0.113.1", 9)), ("192.0.2.7", 9)),
        (version_2(0x20, 0x00, b""), (None, 0)),
        (version_2(0x21, 0x31, bytes(216)), (None, 0)),
    ],
)
def test_headers_as_proxies_send_them(data: bytes, says: tuple[str | None, int]) -> None:
    assert parse(data) == Header(*says, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"/nick alice\n",
        b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r2\r\n",
        b"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \u0662\r\n".encode(),
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY " + b"x" * 101,
        SIGNATURE + b"\x11",
        SIGNATURE + b"\x22",
        version_2(0x21, 0x12, addresses("192.0.2.7", "203.0.113.1")),
        version_2(0x21, 0x41, bytes(40)),
        version_2(0x21, 0x11, b"", 11),
        version_2(0x21, 0x21, b"", 35),
        version_2(0x21, 0x31, b"", 215),
        version_2(0x21, 0x11, b"", 521),
        version_2(0x20, 0x00, b"", 65535),
    ],
)
def test_what_is_no_header_is_known_before_more_comes(data: bytes) -> None:
    with pytest.raises(HeaderError):
        parse(data)


# Connections


class Gate:
    """A line door behind a proxy."""

    def __init__(self, chat: Chat, door: ChatFactory, address: str) -> None:
        self.chat = chat
        self.door = door
        self.address = address
        self.clients: list[Client] = []
        self.port: Any = None

    async def connects(self, data: bytes = b"") -> Client:
        client = await connect(clientFromString(reactor, self.address))
        self.clients.append(client)
        if data:
            client.sends(data)
        return client


@asynccontextmanager
async def gate(
    limits: Limits = UNLIMITED, allowed: str = "127.0.0.1", listen: str = "127.0.0.1"
) -> AsyncIterator[Gate]:
    chat = Chat(clock, None, limits)
    door = ChatFactory(chat)
    before = ProxyFactory(door, chat, [ip_network(allowed)])
    if "/" in listen:
        endpoint, address = f"unix:{listen}", f"unix:{listen}"
    else:
        quoted = listen.replace(":", r"\:")
        kind = "tcp6" if ":" in listen else "tcp"
        endpoint, address = f"{kind}:0:interface={quoted}", f"tcp:{quoted}"
    port: Any = await serverFromString(reactor, endpoint).listen(before)
    if "/" not in listen:
        address += f":{port.getHost().port}"
    opened = Gate(chat, door, address)
    opened.port = port
    try:
        yield opened
    finally:
        if port.connected:
            await port.stopListening()
        for client in opened.clients:
            await client.leaves()
        await until(lambda: not door.clients and not chat.limiter.connected)
        await chat.close()
        await turns()


FAR = b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 8008\r\n"


@on_reactor
async def test_the_door_sees_the_client_and_a_plain_transport() -> None:
    async with gate() as opened:
        alice = await opened.connects(FAR + b"/nick alice\n")
        await alice.reads(b"You are now alice.\r\n")
        (client,) = opened.door.clients
        assert (client.address, client.source) == ("192.0.2.7", "192.0.2.7")
        assert client.transport.protocol is client
        # So it writes to the socket at once.
        assert client.writer._at_once
        assert not client.encrypted


@on_reactor
async def test_a_header_that_comes_byte_by_byte_loses_nothing_behind_it() -> None:
    async with gate() as opened:
        alice = await opened.connects()
        alice.transport.setTcpNoDelay(True)
        for byte in FAR + b"/nick alice\nlast":
            alice.sends(bytes([byte]))
            await turns(2)
        alice.half_closes()
        assert b"You are now alice.\r\n" in await alice.reads_to_the_end()


@on_reactor
async def test_a_binary_header_over_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with gate(allowed="::1/128", listen="::1") as opened:
        body = addresses("2001:db8::7", "2001:db8::1")
        alice = await opened.connects(version_2(0x21, 0x21, body) + b"/nick alice\n")
        await alice.reads(b"You are now alice.\r\n")
        (client,) = opened.door.clients
        assert (client.address, client.source) == ("2001:db8::7", "2001:db8::/64")


@on_reactor
async def test_nothing_is_kept_of_who_came_through_or_did_not() -> None:
    known = {id(thing) for thing in gc.get_objects() if isinstance(thing, proxy.Waiting)}
    with uncollected():
        async with gate() as opened:
            alice = await opened.connects(FAR)
            await alice.reads(b"leaves.\r\n")
            mallory = await opened.connects(b"no header\r\n")
            await mallory.reads_to_the_end()
            await turns()
            waiting = [thing for thing in gc.get_objects() if isinstance(thing, proxy.Waiting)]
            assert not [thing for thing in waiting if id(thing) not in known]


@on_reactor
async def test_a_long_paste_behind_a_header_arrives_whole() -> None:
    async with gate() as opened:
        bob = await opened.connects(FAR)
        await bob.reads(b"/quit leaves.\r\n")
        lines = b"".join(b"%d %s\n" % (number, b"x" * 300) for number in range(300))
        script = await opened.connects(FAR + b"/nick alice\n" + lines)
        script.half_closes()
        heard = await bob.reads(b"alice: 299 ")
        assert heard.count(b"alice: ") == 300
        await script.reads_to_the_end()


@pytest.mark.parametrize("data", [b"PROXY UNKNOWN\r\n", version_2(0x20, 0, b"")])
def test_a_proxy_that_speaks_for_itself_has_its_own_address(data: bytes) -> Any:
    @on_reactor
    async def run() -> None:
        async with gate() as opened:
            health = await opened.connects(data)
            await health.reads(b"/quit leaves.\r\n")
            (client,) = opened.door.clients
            assert client.address == "127.0.0.1"

    return run()


@on_reactor
async def test_limits_are_those_of_the_client() -> None:
    limits = Limits(connections_per_source=2)
    async with gate(limits) as opened:
        for _ in range(2):
            client = await opened.connects(FAR)
            await client.reads(b"/quit leaves.\r\n")
        third = await opened.connects(FAR)
        told = await third.reads_to_the_end()
        assert told == b"-- There are 2 connections from your address already.\r\n"
        other = await opened.connects(FAR.replace(b"192.0.2.7", b"192.0.2.8"))
        await other.reads(b"/quit leaves.\r\n")
        assert opened.chat.limiter.connected == 3


@on_reactor
async def test_who_is_no_proxy_is_closed_unheard(logged: list[str]) -> None:
    async with gate(allowed="192.0.2.0/24") as opened:
        for _ in range(3):
            client = await opened.connects(FAR)
            assert await client.reads_to_the_end() == b""
        assert opened.chat.limiter.connected == 0
    line, _, _ = [line for line in logged if "by a proxy" in line]
    assert "127.0.0.1" in line
    assert "--proxy-from" in line


def test_an_ipv4_proxy_is_known_on_a_socket_for_both() -> None:
    factory = ProxyFactory(None, Chat(clock, None, UNLIMITED), [ip_network("192.0.2.0/24")])
    for host, trusted in [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("::ffff:203.0.113.7", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
    ]:
        assert factory._trusted(address.IPv6Address("TCP", host, 1)) is trusted


@on_reactor
async def test_who_comes_by_a_unix_socket_is_a_proxy_and_not_a_private_way(
    tmp_path: Path,
) -> None:
    async with gate(allowed="192.0.2.0/24", listen=str(tmp_path / "proxy")) as opened:
        client = await opened.connects(FAR)
        await client.reads(b"/quit leaves.\r\n")
        (there,) = opened.door.clients
        assert there.address == "192.0.2.7"
        # How the client came to the proxy, nobody knows.
        assert not there.encrypted


@on_reactor
async def test_a_wrong_header_is_closed_at_once(logged: list[str]) -> None:
    async with gate() as opened:
        client = await opened.connects(b"/nick alice\n")
        assert await client.reads_to_the_end() == b""
    assert any("127.0.0.1" in line and "no header" in line for line in logged)


@on_reactor
async def test_a_header_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr(proxy, "HEADER_SECONDS", 0.2)
    async with gate() as opened:
        silent = await opened.connects(FAR[:20])
        await until(lambda: opened.chat.limiter.connected == 1)
        assert await silent.reads_to_the_end() == b""
        await until(lambda: opened.chat.limiter.connected == 0)
        monkeypatch.setattr(proxy, "HEADER_SECONDS", 1000)
        stays = await opened.connects(FAR)
        await stays.reads(b"/quit leaves.\r\n")
    assert any("no whole header in 0.2 seconds" in line for line in logged)


@on_reactor
async def test_who_waits_for_a_header_counts_as_connected() -> None:
    async with gate(Limits(max_connections=2)) as opened:
        waiting = [await opened.connects() for _ in range(2)]
        await until(lambda: opened.chat.limiter.connected == 2)
        third = await opened.connects(FAR)
        assert await third.reads_to_the_end() == b""
        # And has a place when the header comes.
        waiting[0].sends(FAR)
        await waiting[0].reads(b"/quit leaves.\r\n")
        await waiting[1].leaves()
        await until(lambda: opened.chat.limiter.connected == 1)


@on_reactor
async def test_who_waits_for_a_header_is_closed_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy, "HEADER_SECONDS", 1000)
    async with gate() as opened:
        waiting = await opened.connects(FAR[:20])
        await until(lambda: opened.chat.limiter.connected == 1)
        await opened.port.stopListening()
        assert await waiting.reads_to_the_end() == b""
