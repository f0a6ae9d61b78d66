"""The line door: what comes in as bytes is said as lines, and only safe text comes out."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IProtocol
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from chatroom.doors.telnet.protocol import ChatProtocol
from chatroom.model.limits import Limits
from tests.support.fuzzing import examples
from tests.support.lines import OVERLONG, Door, cut, made
from tests.support.wire import Visitor, Wire

BOUNDED = examples(100)


# What it is


def test_its_classes_are_those_that_twisted_has_for_lines(door: Door) -> None:
    visitor = door.visitor()
    assert isinstance(visitor.protocol, ChatProtocol)
    assert isinstance(visitor.protocol, LineReceiver)
    assert isinstance(door.factory, ServerFactory)
    assert verifyObject(IProtocol, visitor.protocol)
    assert verifyObject(IHalfCloseableProtocol, visitor.protocol)
    assert verifyObject(IHandshakeListener, visitor.protocol)


def test_the_factory_knows_its_connections_while_they_last(door: Door) -> None:
    assert door.factory.clients == set()
    one, two = door.visitor(), door.visitor()
    assert door.factory.clients == {one.protocol, two.protocol}
    one.hangs_up()
    assert door.factory.clients == {two.protocol}
    two.sends(b"/quit\n")
    assert door.factory.clients == set()


def test_the_first_thing_a_person_sees_is_who_they_are_and_how_to_talk(door: Door) -> None:
    door.world.wait(5)
    assert Visitor(door.world, door.factory).sees == [
        "-- Welcome to chatroom. You are guest2, in #lobby with bob.",
        "-- Type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves.",
    ]


# Lines


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r\0"])
def test_a_line_ends_in_lf_or_cr_lf_or_cr_nul(door: Door, ending: bytes) -> None:
    door.alice().sends(b"one" + ending + b"two" + ending)
    assert door.said == ["one", "two"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r\0"])
def test_a_line_that_comes_byte_by_byte_is_a_line(door: Door, ending: bytes) -> None:
    door.alice().sends(*[bytes([byte]) for byte in "née".encode() + ending + b"two" + ending])
    assert door.said == ["née", "two"]


def test_carriage_returns_and_nuls_elsewhere_are_made_visible(door: Door) -> None:
    door.alice().sends(b"a\rb\0c\r\r\n")
    assert door.said == ["a\ufffdb\ufffdc\ufffd"]


def test_the_last_line_counts_without_its_end(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"one\ntwo")
    alice.half_closes()
    assert door.said == ["one", "two"]
    assert alice.gone
    assert not alice.wire.aborted


def test_answers_are_flushed_before_a_half_closed_connection_is_closed(door: Door) -> None:
    visitor = Visitor(door.world, door.factory)
    visitor.sends(b"/nick ci\nhi\n/uptime\n")
    visitor.half_closes()
    assert visitor.gone
    assert visitor.sees[2] == "-- You are now ci."
    assert door.bob.sees == ["-- ci joined.", "ci: hi", "-- ci left."]


def test_a_script_that_half_closes_before_it_is_in_the_room_is_heard(door: Door) -> None:
    visitor = Visitor(door.world, door.factory)
    visitor.protocol.dataReceived(b"/nick ci\nhi")
    visitor.half_closes()
    assert [line for line in door.bob.sees if "ci: " in line] == ["ci: hi"]


def test_what_waits_is_said_after_an_orderly_close(door: Door) -> None:
    visitor = door.visitor()
    visitor.protocol.dataReceived(b"/nick ci\nhi\nho")
    visitor.hangs_up(ConnectionDone())
    assert [line for line in door.bob.sees if "ci: " in line] == ["ci: hi", "ci: ho"]
    assert not door.world.chat.connections.keys() - {door.bob.connection.origin}


def test_what_waits_is_dropped_when_the_connection_breaks(door: Door) -> None:
    visitor = door.visitor()
    visitor.protocol.dataReceived(b"/nick ci\nhi\n")
    visitor.hangs_up(ConnectionLost())
    assert door.said == []
    assert not door.world.chat.connections.keys() - {door.bob.connection.origin}


def test_whoever_said_nothing_and_goes_at_once_is_not_mentioned(door: Door) -> None:
    door.visitor().hangs_up()
    assert door.bob.sees == []


def test_empty_lines_are_not_said(door: Door) -> None:
    door.alice().sends(b"\n\r\n \n" + b"\n" * 8192 + b"hi\n")
    assert door.said == ["hi"]


@BOUNDED
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"\n", b"\r\n", b"\r\0", b"\r", b"\0", b"x" * 63, b"x" * 64, b"x"]),
            st.text("aé你 \u2028").map(str.encode),
        ),
        max_size=30,
    ).map(b"".join),
    st.lists(st.integers(0, 4096), max_size=20),
)
@example(b"x" * 64 + b"\r\0" + b"y\n", [65])
@example(b"x" * 100 + b"\r\0" + b"y\r\0", [101])
@example(b"x" * 64 + b"\r\n", [65])
@example(b"x" * 64 + b"\r\r\0", [66])
@example(b"x" * 64 + b"\r\r\r\0", [67])
def test_any_cutting_of_the_bytes_gives_the_same_lines(data: bytes, places: list[int]) -> None:
    heard = []
    for pieces in ([data], cut(data, places)):
        door = made(Limits(rate=0, byte_rate=0, line_length=64))
        alice = door.alice()
        alice.sends(*pieces, b"\n")
        alice.half_closes()
        heard.append(door.said)
        door.world.end()
    assert heard[0] == heard[1]


# Lines that are too long


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r\0"])
def test_a_line_of_just_the_right_length_is_said(door: Door, ending: bytes) -> None:
    door.alice().sends(b"x" * 2048 + ending)
    assert door.said == ["x" * 2048]


@pytest.mark.parametrize("size", [2049, 5000, 1_000_000])
@pytest.mark.parametrize("step", [1_000_001, 8192, 1000])
def test_a_longer_line_is_refused_once_and_the_connection_lives(
    door: Door, size: int, step: int
) -> None:
    alice = door.alice()
    data = b"x" * size + b"\nhi\n"
    for start in range(0, len(data), step):
        alice.protocol.dataReceived(data[start : start + step])
    alice.settle()
    assert alice.sees == [OVERLONG]
    assert door.said == ["hi"]


def test_a_long_line_without_end_is_refused_once_and_nothing_of_it_is_kept(door: Door) -> None:
    alice = door.alice()
    for _ in range(200):
        alice.protocol.dataReceived(b"x" * 8192)
    alice.settle()
    assert alice.sees == [OVERLONG]
    assert len(alice.protocol.buffer.tail) <= 1
    alice.half_closes()
    assert door.said == []


def test_each_line_that_is_too_long_is_refused(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"x" * 3000 + b"\n" + b"y" * 3000 + b"\nhi\n" + b"z" * 3000)
    assert sorted(alice.sees) == [OVERLONG] * 3
    assert door.said == ["hi"]


# What the others see

UNSAFE = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}
NASTY = [
    b"\xff",
    b"\xff\xf4\xff\xfd\x06",
    b"\xff\xfa",
    b"\r",
    b"\0",
    b"\x1b[2J",
    b"\x9b",
    b"\x85",
    "\u202e".encode(),
    "\u2028".encode(),
    "\u2029".encode(),
    "\ue000".encode(),
    "\ufdd0".encode(),
    "\U000e0041".encode(),
    "\ufeff".encode(),
    b"\xed\xa0\x80",
    b"\n-- You are root\n",
    b"/me \x07\n",
    b"/nick \x1b\n",
    b"/topic \x1b]0;x\x07\n",
    b"/msg bob \x1b\n",
    b"/away \x1b\n",
    b"/quit \x1b\n",
    b"x" * 3000,
    b"\n",
]


def is_safe(shown: bytes) -> bool:
    lines = shown.decode().split("\r\n")
    return lines.pop() == "" and all(
        unicodedata.category(character) not in UNSAFE or character in "\u200c\u200d"
        for line in lines
        for character in line
        # Newer than Python's tables.
        if unicodedata.category(character) != "Cn" or ord(character) & 0xFFFE == 0xFFFE
    )


@BOUNDED
@given(
    st.lists(st.one_of(st.sampled_from(NASTY), st.binary(max_size=80), st.text().map(str.encode)))
)
@example([b"\xff" * 5000, b"\nhi\n"])
@example([b"x" * 1_000_000, b"\nhi\n"])
@example([bytes(range(256)), b"\n"])
def test_whatever_one_sends_the_others_see_safe_text(pieces: list[bytes]) -> None:
    door = made()
    _ = door.bob.sees
    start = len(door.bob.writer.data)
    alice = door.alice()
    alice.sends(*pieces, b"\n")
    if not alice.gone:
        alice.half_closes()
    door.world.wait(5)
    assert is_safe(door.bob.writer.data[start:])
    assert not door.bob.gone
    assert door.factory.clients == set()
    door.world.end()


@pytest.mark.parametrize("nasty", NASTY[:16])
def test_no_nasty_byte_is_passed_on_as_it_came(nasty: bytes) -> None:
    door = made()
    door.alice().sends(b"\xff\xfb\x00", b"a" + nasty + b"b\n")
    shown = door.bob.writer.data
    assert is_safe(shown)
    assert b"\x1b" not in shown
    door.world.end()


# Stopping


def test_the_server_says_that_it_stops_to_everybody(door: Door) -> None:
    one, two = door.alice(), door.visitor()
    gone: list[object] = []
    door.factory.stop_reading()
    door.factory.dismiss().addCallback(gone.append)
    one.settle()
    two.settle()
    assert one.sees[-1] == two.sees[-1] == "-- The server is shutting down."
    assert gone == [None]
    assert not [call for call in door.world.clock.getDelayedCalls() if call.getTime() == 2]


def test_what_is_sent_after_the_server_began_to_stop_is_not_said(door: Door) -> None:
    alice = door.alice()
    door.factory.stop_reading()
    alice.sends(b"too late\n")
    assert alice.unread == 1
    alice.hangs_up()
    assert door.said == []


def test_whoever_does_not_read_is_dropped_after_two_seconds(door: Door) -> None:
    alice = door.alice()
    gone: list[object] = []
    door.factory.stop_reading()
    door.factory.dismiss().addCallback(gone.append)
    door.world.clock.advance(1.5)
    assert not alice.wire.aborted
    door.world.clock.advance(0.5)
    assert alice.wire.aborted
    assert gone == []
    alice.settle()
    assert gone == [None]


def test_with_nobody_there_stopping_is_done_at_once(door: Door) -> None:
    gone: list[object] = []
    door.factory.stop_reading()
    door.factory.dismiss().addCallback(gone.append)
    assert gone == [None]


def test_whoever_comes_while_the_server_stops_is_told_and_sent_away(door: Door) -> None:
    door.factory.stop_reading()
    wire = Wire()
    protocol = door.factory.buildProtocol(wire.getPeer())
    protocol.makeConnection(wire)
    assert wire.value() == b"-- The server is shutting down.\r\n"
    assert wire.disconnecting
    door.world.clock.advance(2)
    assert wire.aborted
    protocol.connectionLost()


def test_a_connection_that_was_let_in_before_the_stop_and_made_after_it_is_sent_away(
    door: Door,
) -> None:
    wire = Wire()
    protocol = door.factory.buildProtocol(wire.getPeer())
    door.factory.stop_reading()
    protocol.makeConnection(wire)
    gone: list[object] = []
    door.factory.dismiss().addCallback(gone.append)
    protocol.connectionLost(Failure(ConnectionDone()))
    door.world.settle()
    assert gone == [None]


def test_a_client_cut_for_not_reading_leaves_with_that_reason(door: Door) -> None:
    alice = door.alice()
    alice.protocol.writer.pauseProducing()
    for _ in range(4):
        door.world.wait(10)
    assert alice.wire.aborted
    alice.settle()
    assert door.bob.sees == ["-- alice left (not reading)."]
