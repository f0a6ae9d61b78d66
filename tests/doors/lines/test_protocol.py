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

from chatroom.chat.session import Session
from chatroom.commands.interpreter import Interpreter
from chatroom.doors.lines import protocol as lines
from chatroom.doors.telnet.protocol import ChatProtocol
from chatroom.model.limits import Limits
from tests.conftest import Strictness
from tests.support.fuzzing import examples
from tests.support.lines import HIDES, OVERLONG, SHOW, Door, cut, made
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
    assert not door.world.chat.sessions.keys() - {door.bob.session.origin}


def test_what_waits_is_dropped_when_the_connection_breaks(door: Door) -> None:
    visitor = door.visitor()
    visitor.protocol.dataReceived(b"/nick ci\nhi\n")
    visitor.hangs_up(ConnectionLost())
    assert door.said == []
    assert not door.world.chat.sessions.keys() - {door.bob.session.origin}


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
    assert len(alice.protocol.intake.tail) <= 1
    alice.half_closes()
    assert door.said == []


def test_each_line_that_is_too_long_is_refused(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"x" * 3000 + b"\n" + b"y" * 3000 + b"\nhi\n" + b"z" * 3000)
    assert sorted(alice.sees) == [OVERLONG] * 3
    assert door.said == ["hi"]


# Input that waits


def test_lines_wait_while_a_name_is_claimed_and_go_on_in_order(door: Door) -> None:
    door.visitor().sends(b"/nick ci\none\n/nick co\ntwo\n")
    assert door.bob.sees == [
        "-- ci joined.",
        "ci: one",
        "-- ci is now co.",
        "co: two",
    ]


def test_a_client_that_does_not_read_is_not_read_from(door: Door) -> None:
    alice = door.alice()
    alice.protocol.writer.pauseProducing()
    alice.sends(b"one\n", b"two\n")
    assert alice.unread == 2
    assert door.said == []
    alice.protocol.writer.resumeProducing()
    alice.settle()
    assert door.said == ["one", "two"]


def test_lines_of_one_read_wait_when_their_answers_are_not_read(door: Door) -> None:
    alice = door.alice()
    write = alice.wire.write

    def full(data: bytes) -> None:
        write(data)
        alice.protocol.writer.pauseProducing()

    alice.wire.write = full
    alice.sends(b"/nick anna\none\ntwo\n")
    assert door.said == []
    alice.wire.write = write
    alice.protocol.writer.resumeProducing()
    alice.settle()
    assert door.said == ["one", "two"]


def test_more_lines_than_may_wait_stop_the_reading_until_they_went_out() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(b"".join(b"%d\n" % number for number in range(300)), b"last\n")
    assert alice.unread == 1
    assert len(door.said) < 12
    for _ in range(4):
        door.world.wait(60)
        alice.settle()
    assert alice.unread == 0
    assert door.said[-1] == "last"
    door.world.end()


def test_whoever_pastes_is_told_once() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(*[b"line\n"] * 40)
    told = [line for line in alice.sees if "are waiting" in line or "is waiting" in line]
    assert len(told) == 1
    door.world.wait(60)
    assert len(door.said) == 40
    door.world.end()


@pytest.mark.parametrize("flood", [b"x" * 8192, b"\xff\xf1" * 4096, b"\n" * 8192, b"\xff" * 8192])
def test_bytes_come_in_at_their_rate_whatever_they_are(flood: bytes) -> None:
    door = made(Limits(rate=0, byte_rate=1024))
    alice = door.alice()
    alice.sends(*[flood] * 10)
    assert alice.unread >= 7
    door.world.wait(2000)
    for _ in range(40):
        door.world.wait(2000)
        alice.settle()
    assert alice.unread == 0
    alice.hangs_up()
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
def test_bytes_that_wait_for_their_rate_count_when_the_client_closes(way: str) -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    # As text in some other encoding, and no telnet.
    alice.sends(b"\xff\x01" * 1000 + b"\nhi\n")
    getattr(alice, way)()
    assert door.said[1:] == ["hi"]
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
@pytest.mark.parametrize("shown", [b"\xff\xf1", "né\r\n".encode()])
def test_what_waits_is_dropped_when_somebody_who_typed_it_closes(way: str, shown: bytes) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(shown, b"line\r\n" * 50 + b"not ended")
    assert alice.protocol.intake.lines
    getattr(alice, way)()
    assert not alice.protocol.intake.lines
    door.world.wait(60)
    assert len(door.said) <= 10
    assert not door.world.chat.sessions.keys() - {door.bob.session.origin}
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
def test_all_that_a_script_wrote_is_said(way: str) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    script = door.alice()
    script.sends(b"line\r\n" * 20 + b"/help\n" + b"line\n" * 20 + b"/quit\n")
    getattr(script, way)()
    door.world.wait(60)
    assert len(door.said) == 40
    door.world.end()


IP = b"\xff\xf4\xff\xfd\x06"


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("key", [IP, b"\xff\xee"])
def test_the_interrupting_key_drops_what_waits_and_says_so(step: int, key: bytes) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    data = b"line\r\n" * 200 + b"half a line" + key
    alice.sends(*[data[start : start + step] for start in range(0, len(data), step)])
    told = f"-- {200 - len(door.said)} lines that waited were not said.\r\n"
    assert alice.received.endswith(told.encode())
    alice.sends(b"sorry\r\n")
    door.world.wait(60)
    assert door.said == ["sorry"]
    door.world.end()


def test_the_interrupting_key_cancels_a_question_for_a_password(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"/register\r\n", HIDES + b"half" + IP, b"hello to all\r\n")
    received = alice.received
    assert b"Nothing was changed." in received
    assert received.rstrip(b"\xff\xfd\x06\xfb").count(SHOW) == 1
    assert door.said == ["hello to all"]


def test_a_character_that_telnet_takes_for_the_interrupting_key_drops_nothing() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    # Katakana and Cyrillic have 0x83, see DAMAGED.
    alice.sends(b"line\r\n" * 12 + b"\xe3" + IP + b"\x83 \xd1" + IP + b"\r\n")
    assert b"were not said" not in alice.received
    door.world.wait(60)
    assert len(door.said) == 12
    alice.hangs_up()
    door.world.end()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"line\n" * 50, b"/quit\n"],
        [b"line\r\n" * 50, b"/quit so long\r\n"],
        [b"line\r\n" * 50, b"/exit\r\n"],
        [b"\xff\xf1", b"line\r\n" * 50 + b"/quit\r\n" + b"line\r\n"],
    ],
)
def test_who_leaves_does_not_wait_for_what_they_pasted(pieces: list[bytes]) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(*pieces)
    door.world.wait(1)
    alice.settle()
    assert alice.gone
    assert "lines that waited were not said." in alice.received.decode(errors="ignore")
    door.world.wait(60)
    assert len(door.said) <= 11
    door.world.end()


def test_bytes_that_wait_for_their_rate_are_dropped_when_the_server_stops() -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    alice.sends(b"\xff\xf1" * 1000 + b"hi\n")
    door.factory.stop_reading()
    door.world.wait(60)
    assert door.said == []
    assert alice.wire.producerState == "paused"
    alice.hangs_up()
    door.world.end()


def test_lines_of_a_client_that_has_closed_do_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = made(Limits(rate=0.1, burst=1, byte_rate=0))
    alice = door.visitor()
    ended = False
    monkeypatch.setattr(lines, "peer_ended", lambda _: ended)
    alice.sends(b"line\n" * 1000)
    for _ in range(6):
        door.world.wait(60)
    assert door.said
    assert alice.protocol in door.factory.clients
    ended = True
    for _ in range(7):
        door.world.wait(60)
    alice.settle()
    assert alice.gone
    _ = door.said
    door.world.wait(60)
    assert door.said == []
    door.world.end()


# Faults


def test_a_connection_that_cannot_be_begun_is_dropped(
    door: Door, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lines, "tune", broken)
    visitor = Visitor(door.world, door.factory)
    assert visitor.wire.aborted
    assert visitor.gone
    assert door.factory.clients == set()
    assert door.world.chat.limiter.connected == 0
    assert len(strict.expected()) == 1


def test_a_session_that_cannot_be_opened_is_dropped(
    door: Door, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Session, "open", broken)
    visitor = Visitor(door.world, door.factory)
    assert visitor.wire.aborted
    assert visitor.gone
    assert door.factory.clients == set()
    assert len(strict.expected()) == 1


@pytest.fixture
def bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saying "bomb" is too much for the server."""
    received = Interpreter.received

    def fragile(interpreter: Interpreter, text: str) -> None:
        if text == "bomb":
            raise ZeroDivisionError
        received(interpreter, text)

    monkeypatch.setattr(Interpreter, "received", fragile)


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_one_line_ends_the_connection_it_came_from(door: Door) -> None:
    alice = door.alice()
    # Twisted ends a connection whose dataReceived raises.
    with pytest.raises(ZeroDivisionError):
        alice.protocol.dataReceived(b"one\nbomb\ntwo\n")
    alice.hangs_up(ZeroDivisionError())
    assert door.bob.sees == ["alice: one", "-- alice left."]


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_a_line_that_waited_ends_the_connection_it_came_from(
    door: Door, strict: Strictness
) -> None:
    alice = door.alice()
    alice.sends(b"/nick anna\nbomb\ntwo\n")
    assert alice.gone
    assert door.bob.sees == ["-- alice is now anna.", "-- anna left."]
    assert len(strict.expected()) == 1


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_a_line_that_waited_for_its_bytes_ends_the_connection(
    strict: Strictness,
) -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    alice.sends(b"\xff\xf1" * 1000 + b"bomb\n")
    door.world.wait(600)
    alice.settle()
    assert alice.gone
    assert len(strict.expected()) == 1
    door.world.end()


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_the_last_line_leaves_no_ghost(door: Door, strict: Strictness) -> None:
    alice = door.alice()
    alice.protocol.dataReceived(b"bomb")
    # Twisted logs what connectionLost raises.
    with pytest.raises(ZeroDivisionError):
        alice.hangs_up()
    door.world.settle()
    assert door.bob.sees == ["-- alice left."]


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
