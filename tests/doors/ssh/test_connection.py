"""What clients of SSH may not send: it costs them the connection, and nobody else anything."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.logger import LogEvent, globalLogPublisher

from chatroom.doors.ssh import algorithms, transport
from chatroom.doors.ssh.factory import SshFactory
from chatroom.model.limits import Limits
from tests.conftest import Strictness
from tests.support.fuzzing import examples
from tests.support.sshclient import HOST_KEY, Guest
from tests.support.world import World


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"S" * 5000,
        b"SSH-2.0-x\r\n" + b"\xff" * 64,
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 40_004, 8) + bytes(3),
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 12, 0) + bytes(20),
        b"SSH-2.0-x\r\n" + struct.pack(">LB", 12, 200) + bytes(20),
        # EXT_INFO and SERVICE_REQUEST, as somebody on the way could slip them in.
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 6, 7) + bytes(10),
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 28, 10, 5) + NS(b"ssh-userauth") + bytes(10),
        # NEWKEYS, KEXDH_INIT and USERAUTH_REQUEST where there was no KEXINIT.
        *(
            b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 10, kind) + bytes(10)
            for kind in (21, 30, 50)
        ),
        # A KEXINIT that is cut short.
        b"SSH-2.0-x\r\n" + struct.pack(">LBB", 12, 5, 20) + bytes(10),
    ],
)
def test_what_is_no_ssh_ends_the_connection_in_one_line(
    world: World, factory: SshFactory, junk: bytes, logged: list[str], strict: Strictness
) -> None:
    guest = Guest(world, factory, starts=False)
    guest.server.dataReceived(junk)
    assert guest.wire.half_closed
    assert len([line for line in logged if "was ended" in line]) == 1
    assert not strict.errors
    guest.hangs_up()


def test_a_second_session_and_forwarding_are_refused(world: World, factory: SshFactory) -> None:
    from tests.support.sshclient import Channel

    guest = Guest(world, factory)
    guest.connection.openChannel(Channel(guest))
    other = Channel(guest)
    other.name = b"direct-tcpip"
    guest.connection.openChannel(other)
    answers: list[object] = []
    asked = guest.connection.sendGlobalRequest(b"tcpip-forward", NS(b"") + bytes(4), wantReply=1)
    asked.addErrback(answers.append)
    for kind in (b"x11-req", b"auth-agent-req@openssh.com", b"subsystem", b"shell", b"break"):
        request = guest.connection.sendRequest(guest.channel, kind, NS(b"sftp"), wantReply=1)
        request.addErrback(answers.append)
    guest.settle()
    assert guest.refused == 2
    assert len(answers) == 6
    guest.sends(b"/who\n")
    assert "-- 1 person in #lobby: bob" in guest.sees
    guest.hangs_up()


def test_the_keys_can_be_made_anew_by_either_side(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest(world, factory)
    first = guest.server.currentEncryptions
    guest.sendKexInit()
    guest.settle()
    second = guest.server.currentEncryptions
    assert second is not first
    world.wait(transport.REKEY_SECONDS)
    guest.sends(b"/who\n")
    assert guest.server.currentEncryptions is not second
    assert "-- 1 person in #lobby: bob" in guest.sees
    assert not guest.server.exchanging
    guest.hangs_up()


def test_strict_key_exchange_is_offered_and_held_to(world: World, factory: SshFactory) -> None:
    from twisted.conch.ssh.common import getNS

    guest = Guest(world, factory, starts=False)
    guest.server.dataReceived(b"SSH-2.0-x\r\n")
    kex = NS(b"curve25519-sha256," + algorithms.STRICT_CLIENT)
    offered = [b"ssh-ed25519", b"aes256-ctr", b"aes256-ctr", b"hmac-sha2-256", b"hmac-sha2-256"]
    rest = b"".join(map(NS, [*offered, b"none", b"none", b"", b""]))
    packet = bytes([20]) + bytes(16) + kex + rest + bytes(5)
    padding = 8 - (len(packet) + 5) % 8 + 8
    guest.server.dataReceived(
        struct.pack(">LB", len(packet) + 1 + padding, padding) + packet + bytes(padding)
    )
    assert algorithms.STRICT_SERVER in getNS(guest.server.ourKexInitPayload[17:])[0]
    assert not guest.wire.half_closed
    # An IGNORE, which is harmless otherwise.
    guest.server.dataReceived(struct.pack(">LBB", 12, 6, 2) + NS(b"") + bytes(6))
    assert guest.wire.half_closed
    guest.hangs_up()


def test_keys_that_are_never_agreed_on_end_the_connection(
    world: World, factory: SshFactory
) -> None:
    # It is another matter than not reading.
    world.chat.configure(world.chat.settings, Limits(rate=0, byte_rate=0, stall_timeout=0))
    bob, guest = world.person("bob"), Guest(world, factory, "alice")
    guest.server.sendKexInit()
    for _ in range(100):
        bob.says("x" * 1000)
    assert len(guest.server._blockedByKeyExchange) < 10
    world.wait(31)
    guest.settle()
    assert guest.gone
    assert guest.server.closing == "no proper SSH"
    assert guest.reason == b"new keys are overdue"


def test_the_service_is_asked_for_once(world: World, factory: SshFactory) -> None:
    guest = Guest(world, factory)
    guest.sendPacket(5, NS(b"ssh-userauth"))
    guest.settle()
    assert guest.gone


@pytest.mark.parametrize("kind", [81, 82, 91, 92, 99, 100])
def test_answers_that_nobody_asked_for_end_it(world: World, factory: SshFactory, kind: int) -> None:
    guest = Guest(world, factory)
    # As the answer to an opened channel it would set the size of what is sent to it.
    guest.sendPacket(kind, struct.pack(">4L", 0, 0, 1000, 1))
    guest.settle()
    assert (guest.gone, guest.reason) == (True, b"nothing was asked")
    assert not world.chat.connections


def test_whoever_asks_to_be_let_in_once_more_is_not_answered(
    world: World, factory: SshFactory
) -> None:
    guest = Guest(world, factory)
    before = guest.server.outgoingPacketSequence
    guest.sendPacket(50, NS(b"alice") + NS(b"ssh-connection") + NS(b"none"))
    guest.settle()
    assert guest.server.outgoingPacketSequence == before
    guest.sends(b"/who\n")
    assert "-- 1 person in #lobby: bob" in guest.sees
    guest.hangs_up()


@pytest.mark.parametrize("kind", [9, 120, 200])
def test_a_message_that_is_not_known_is_named_in_the_answer(
    world: World, factory: SshFactory, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    named: list[int] = []
    guest = Guest(world, factory)
    monkeypatch.setattr(guest, "receiveUnimplemented", named.append)
    sent = guest.outgoingPacketSequence
    guest.sendPacket(kind, b"x")
    guest.settle()
    assert named == [sent]
    guest.hangs_up()


STRINGS = st.sampled_from([b"", b"session", b"pty-req", b"shell", b"exec", b"env", b"x" * 50])
FIELDS = st.one_of(
    STRINGS.map(NS),
    st.sampled_from([0, 1, 2, 80, 0xFFFFFFFF]).map(lambda number: struct.pack(">L", number)),
    st.binary(max_size=9),
)
PACKETS = st.tuples(
    st.one_of(st.integers(1, 127), st.integers(90, 100)), st.lists(FIELDS, max_size=5).map(b"".join)
)


@examples(60)
@given(early=st.booleans(), packets=st.lists(PACKETS, max_size=8))
def test_whatever_is_sent_ends_that_connection_at_most(
    early: bool, packets: list[tuple[int, bytes]]
) -> None:
    events: list[LogEvent] = []
    world = World(limits=Limits(rate=0, byte_rate=0))
    factory = SshFactory(world.chat, HOST_KEY)
    bob, guest = world.person("bob"), Guest(world, factory, "alice", opens=not early)
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    try:
        # Conch's client would not understand what it is answered.
        guest.starts = False
        for kind, payload in packets:
            guest.sendPacket(kind, payload)
        guest.settle()
        guest.hangs_up()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert not [event for event in events if event.get("log_failure") is not None]
    assert sum(event.get("event") == "ssh_ended" for event in events) <= 1
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]
    assert not factory.clients
    world.end()
