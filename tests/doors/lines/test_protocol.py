"""The line door: what comes in as bytes is said as lines, and only safe text comes out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
)
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from chatroom.chat.session import Session
from chatroom.commands.interpreter import Interpreter
from chatroom.doors.lines import protocol as lines
from chatroom.doors.telnet.protocol import TELNET_HINT, ChatFactory, ChatProtocol
from chatroom.model.limits import Limits
from tests.conftest import Strictness
from tests.support.doubles import DelayedLedger
from tests.support.fuzzing import examples
from tests.support.garbage import kept, uncollected
from tests.support.telnet import DAMAGED
from tests.support.wire import UNLIMITED, Visitor, Wire
from tests.support.world import Person, World

BOUNDED = examples(100)

ASK = b"\xff\xfd\x00"
WITHHELD = "-- Not said: your line arrived damaged. That is cured; please send it again."
REPLACED = "-- Your line was not UTF-8; what could not be read was said as \ufffd."
OVERLONG = "-- Not said: a line may have at most 2,048 bytes."
HELLO = bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03")


class Door:
    """The line door in memory. *bob* is in the lobby and listens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.factory = ChatFactory(world.chat)
        self.bob: Person = world.person("bob")

    def visitor(self) -> Visitor:
        """Somebody who has read the greeting."""
        visitor = Visitor(self.world, self.factory)
        _ = visitor.received
        # What those who speak telnet are told of terminals is tested with these.
        visitor.protocol._hinted = True
        return visitor

    def alice(self) -> Visitor:
        """Somebody who was announced as alice."""
        alice = self.visitor()
        alice.sends(b"/nick alice\n")
        self.world.wait(3)
        _ = alice.received, self.bob.sees
        return alice

    @property
    def said(self) -> list[str]:
        """What bob heard from one other person, without the name before it."""
        return [line.partition(": ")[2] for line in self.bob.sees if not line.startswith("-- ")]


def made(limits: Limits = UNLIMITED, ledger: Any = None) -> Door:
    return Door(World(ledger, limits=limits) if ledger else World(limits=limits))


@pytest.fixture(params=["immediate", "late"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    opened = made(ledger=DelayedLedger if request.param == "late" else None)
    yield opened
    opened.world.end()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """*data* in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


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


# Telnet and UTF-8


def test_utf_8_may_be_cut_anywhere(door: Door) -> None:
    alice = door.alice()
    for place in range(1, 12):
        data = "你好, né\n".encode()
        alice.sends(data[:place], data[place:])
    assert door.said == ["你好, né"] * 11
    assert alice.received == b""


@BOUNDED
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).map(
                lambda text: text.encode() + b"\n"
            ),
            st.text(st.characters(max_codepoint=0x7F)).map(lambda text: text.encode() + b"\r\n"),
            st.binary().map(lambda data: data.translate(None, b"\xff\r") + b"\n"),
        )
    ).map(b"".join),
    st.lists(st.integers(0, 4096), max_size=10),
)
def test_no_telnet_is_sent_to_a_client_that_has_shown_none(data: bytes, places: list[int]) -> None:
    door = made()
    visitor = Visitor(door.world, door.factory)
    visitor.sends(*cut(data, places))
    assert b"\xff" not in visitor.wire.value()
    visitor.wire.value().decode()
    door.world.end()


def test_a_line_that_is_not_ascii_and_ends_in_cr_lf_comes_from_telnet(door: Door) -> None:
    alice = door.alice()
    alice.sends("hé\r\n".encode())
    assert alice.received == ASK
    assert door.said == ["hé"]
    alice.sends("hé\r\n".encode())
    assert alice.received == b""
    assert door.said == ["hé"]


@pytest.mark.parametrize(("typed", "sent"), DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_line_is_withheld_once_and_said_when_it_is_sent_again(
    door: Door, typed: str, sent: str
) -> None:
    alice = door.alice()
    alice.sends(bytes.fromhex(sent))
    answer = alice.received
    assert answer.startswith((ASK, b"\xff\xfb\x06" + ASK))
    assert answer.count(ASK) == 1
    assert answer.replace(ASK, b"").replace(b"\xff\xfb\x06", b"").decode() == WITHHELD + "\r\n"
    assert door.said == []
    alice.sends(b"\xff\xfb\x00" + typed.encode() + b"\n")
    assert door.said == [typed]
    assert alice.received == b""


def test_a_line_damaged_in_the_middle_of_which_binary_came_on_is_withheld(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"ab\xd0\xff\xf4\xff\xfd\x06\xff\xfb\x00cd\r\n")
    assert door.said == []
    alice.sends(b"\xd0\n")
    assert door.said == ["\ufffd"]


def test_only_one_damaged_line_is_withheld(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xd0\r\n\xd0\r\n\xd0\r\n")
    assert door.said == ["\ufffd", "\ufffd"]
    assert alice.received == ASK + f"{WITHHELD}\r\n{REPLACED}\r\n".encode()


def test_latin_1_from_netcat_is_replaced_and_its_author_told_once(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"n\xe9e\n", b"n\xe9e\n")
    assert door.said == ["n\ufffde", "n\ufffde"]
    assert alice.sees == [REPLACED]


def test_invalid_utf_8_is_replaced_once_binary_is_on(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xfb\x00", b"n\xe9e\n")
    assert alice.received == ASK + f"{REPLACED}\r\n".encode()
    assert door.said == ["n\ufffde"]


def test_erase_character_takes_back_one_character(door: Door) -> None:
    door.alice().sends("née你".encode() + b"\xff\xf7\xff\xf7\xff\xf7" + b"o\n")
    assert door.said == ["no"]


def test_erase_character_on_an_empty_line_takes_nothing_back(door: Door) -> None:
    door.alice().sends(b"one\n\xff\xf7two\n")
    assert door.said == ["one", "two"]


def test_erase_line_takes_back_the_line(door: Door) -> None:
    door.alice().sends(b"one\ntwo\xff\xf8three\n")
    assert door.said == ["one", "three"]


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_keys_that_erase_do_so_in_a_line_without_an_editor(door: Door, step: int) -> None:
    data = "helo\blo\r\nse\u0301\x7f\x7fhi né\be\n/nick wrong\x15kept\nto be nt\x17not\r\0".encode()
    door.alice().sends(*[data[start : start + step] for start in range(0, len(data), step)])
    assert door.said == ["hello", "hi ne", "kept", "to be not"]


def test_whoever_asks_whether_we_are_there_is_answered_once_a_read(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xf6\xff\xf6\xff\xf6")
    assert alice.received == ASK + b"-- Yes, chatroom is here.\r\n"


def test_a_subnegotiation_without_end_is_no_text_up_to_the_next_line_end(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xfa\x18" + b"x" * 9000 + b"\nhi\n")
    assert door.said == ["hi"]
    assert alice.received == ASK + f"{OVERLONG}\r\n".encode()


def test_a_command_may_be_cut_anywhere(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"one\xff", b"\xf1", b"\xff", b"\xfd", b"\x06two\n")
    assert door.said == ["onetwo"]
    assert alice.received == ASK + b"\xff\xfb\x06"


def test_answers_of_telnet_come_out_while_the_line_is_congested(door: Door) -> None:
    alice = door.alice()
    alice.protocol.writer.pauseProducing()
    alice.protocol.dataReceived(b"\xff\xfd\x06")
    assert alice.received == b"\xff\xfb\x06" + ASK


def test_what_comes_in_after_it_was_closed_is_not_looked_at(door: Door) -> None:
    alice = door.alice()
    alice.protocol.dataReceived(b"/quit\n")
    door.world.settle()
    assert alice.wire.disconnecting
    # Over TLS more can come until the peer has agreed to close.
    alice.protocol.dataReceived(b"too late\n" * 1000)
    assert not alice.protocol.intake.lines
    alice.settle()
    assert door.bob.sees == ["-- alice left."]


def test_bytes_that_come_while_others_wait_for_their_rate_come_after_them() -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    # Over TLS one read can be several pieces.
    alice.protocol.dataReceived(b"\xff\xf1" * 500 + b"one\ntw")
    alice.protocol.dataReceived(b"o\nthree\n")
    door.world.wait(600)
    assert door.said == ["one", "two", "three"]
    alice.hangs_up()
    door.world.end()


def test_the_end_of_file_key_is_not_text(door: Door) -> None:
    door.alice().sends(b"\x04\x04hi\r\n\x04\r\n")
    assert door.said == ["hi"]


# Whoever is not a person


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\nbody\n",
        b"POST /x HTTP/1.0\nHost: here\n\nbody\n",
        b"POST /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: here\r\n\r\nbody\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\nrest\n",
        HELLO + b"\0" * 500,
        HELLO + b"\0" * 500 + b"\nrest\n",
        HELLO + b"\xff" * 30 + b"\n" * 5,
        HELLO + b"x" * 3000,
        HELLO + b"x" * 3000 + b"\nrest\n",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000, 100_000])
def test_a_browser_or_a_tls_client_is_closed_at_once_and_heard_by_nobody(
    first: bytes, step: int
) -> None:
    door = made()
    visitor = door.visitor()
    for start in range(0, len(first), step):
        if not visitor.wire.disconnecting:
            visitor.protocol.dataReceived(first[start : start + step])
    visitor.settle()
    assert visitor.gone
    door.world.wait(5)
    assert door.bob.sees == []
    assert visitor.wire.value().count(b"\r\n") == 2
    door.world.end()


NO_IRC = b"ERROR :This is no IRC port but a chat for telnet and nc. Nothing was said.\r\n"


@pytest.mark.parametrize(
    "first",
    [
        b"PASS s3cretpw\r\nNICK zoe\r\nUSER zoe 0 * :Zoe\r\n",
        b"CAP LS 302\r\nPASS s3cretpw\r\nNICK zoe\r\nUSER zoe 0 * :Zoe\r\n",
        b"NICK zoe\r\nUSER zoe 0 * :Zoe\r\nPRIVMSG NickServ :IDENTIFY s3cretpw\r\n",
        b"USER zoe 0 * :Zoe\nNICK zoe\n",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_irc_client_is_told_so_in_a_line_of_its_own_and_closed(first: bytes, step: int) -> None:
    door = made()
    visitor = door.visitor()
    for start in range(0, len(first), step):
        if not visitor.wire.disconnecting:
            visitor.protocol.dataReceived(first[start : start + step])
            door.world.settle()
    visitor.settle()
    assert visitor.gone
    assert visitor.received.endswith(NO_IRC)
    door.world.wait(5)
    assert door.bob.sees == []
    door.world.end()


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"EHLO mail.example.org\r\n", b"554 "),
        (b"HELO localhost\r\nMAIL FROM:<a@example.org>\r\n", b"554 "),
        (b"MAIL FROM:<a@example.org> SIZE=100\r\n", b"554 "),
        (b"a001 CAPABILITY\r\n", b"* BYE "),
        (b"A1 LOGIN zoe s3cretpw\r\n", b"* BYE "),
        (b"*1\r\n$4\r\nPING\r\n", b"-ERR "),
        (b"*2\r\n$4\r\nAUTH\r\n$8\r\ns3cretpw\r\n", b"-ERR "),
    ],
)
def test_a_client_of_mail_or_redis_is_told_so_in_its_own_words_and_closed(
    first: bytes, answer: bytes
) -> None:
    door = made()
    visitor = door.visitor()
    visitor.protocol.dataReceived(first)
    visitor.settle()
    assert visitor.gone
    last = visitor.received.splitlines()[-1]
    assert last.startswith(answer)
    assert last.endswith(b"Nothing was said.")
    door.world.wait(5)
    assert door.bob.sees == []
    door.world.end()


def test_a_request_that_comes_before_the_greeting_is_closed_as_well(door: Door) -> None:
    wire = Wire()
    protocol = door.factory.buildProtocol(wire.getPeer())
    protocol.makeConnection(wire)
    protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    door.world.settle()
    assert wire.disconnecting
    protocol.connectionLost(Failure(ConnectionDone()))
    assert door.bob.sees == []


@pytest.mark.parametrize("text", ["GET / HTTP/1.1", "\x16\x03 is a TLS hello"])
def test_as_a_second_line_the_same_is_said(door: Door, text: str) -> None:
    alice = door.alice()
    alice.sends(f"{text}\n".encode())
    assert door.said == [text.replace("\x16\x03", "\ufffd\ufffd")]


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/1.1 is what browsers say",
        "get / HTTP/1.1",
        "HTTP/1.1",
        "GET / HTTP/2.0",
        "PASS",
        "pass me the salt",
        "CAP on the bottle",
        "USER error",
        "SSH-2 or SSH-1?",
        "HELO EVERYBODY",
        "MAIL FROM: my mother",
        "1 LOGIN is enough",
        "*1",
    ],
)
def test_what_only_looks_a_little_like_a_request_is_said(door: Door, text: str) -> None:
    door.visitor().sends(f"{text}\n".encode())
    assert door.said == [text]


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


# Passwords

PASSWORD = b"kohlrabi-77"
HIDE = b"\xff\xfb\x01"
SHOW = b"\xff\xfc\x01"
HIDES = b"\xff\xfd\x01"
SHOWS = b"\xff\xfe\x01"
ASKED = b"-- What is the password of alice? It is not shown; an empty line cancels.\r\n"
NOT_SAID = b"-- Not said: it may be a password. If it is none, /say says it.\r\n"


@pytest.fixture
def registered(door: Door) -> Door:
    """A door at which alice is registered, and not here."""
    alice = door.alice()
    alice.sends(b"/register " + PASSWORD + b"\n/quit\n")
    return door


def test_netcat_is_never_sent_a_telnet_command_for_a_password(registered: Door) -> None:
    netcat = registered.visitor()
    netcat.sends(b"/login alice\n")
    assert netcat.received == b"-- Usage: /login alice PASSWORD\r\n"
    netcat.sends(PASSWORD + b"\n")
    assert netcat.received == NOT_SAID
    netcat.sends(b"/login alice wrong-one\n", b"/login alice " + PASSWORD + b"\n")
    netcat.sends(b"/password\n", b"/unregister\n", b"/logout\n", b"/register\n")
    assert b"\xff" not in netcat.wire.value()
    assert not [line for line in registered.said if PASSWORD.decode() in line]


def test_a_telnet_that_has_sent_only_ascii_is_asked_for_the_password(registered: Door) -> None:
    telnet = registered.visitor()
    telnet.sends(b"hello\r\n")
    assert telnet.received == b""
    telnet.sends(b"/login alice\r\n")
    assert telnet.received == ASK + HIDE + ASKED
    telnet.sends(b"\xff\xfc\x00" + HIDES, b"wrong-one\r\n")
    again = b"-- That is not the password of alice. Once more?\r\n"
    again += b"-- It is not shown; an empty line cancels.\r\n"
    assert telnet.received.replace(SHOW + HIDE, b"") == again
    telnet.sends(HIDES, PASSWORD + b"\r\n")
    received = telnet.received
    assert received.startswith(SHOW)
    assert b"-- You are now alice.\r\n" in received
    assert b"not encrypted" not in received
    telnet.sends(SHOWS + b"hi\r\n")
    assert telnet.received == b""
    assert registered.said[-1] == "hi"


@pytest.mark.parametrize("places", [[1], [2], [3], [4], [5], [9], [1, 2, 3, 4, 5, 6]])
def test_answers_and_a_password_may_be_cut_anywhere(registered: Door, places: list[int]) -> None:
    telnet = registered.visitor()
    telnet.sends(b"/login alice\r\n")
    telnet.sends(*cut(b"\xff\xfb\x00" + HIDES + PASSWORD + b"\r\n", places))
    assert b"-- You are now alice.\r\n" in telnet.received


@pytest.mark.parametrize(
    ("answers", "warned"), [(HIDES, False), (SHOWS, True), (b"", True), (2 * HIDES, False)]
)
def test_who_has_seen_their_password_on_the_screen_is_warned(
    registered: Door, answers: bytes, warned: bool
) -> None:
    telnet = registered.visitor()
    telnet.sends(b"/login alice\r\n")
    telnet.sends(answers + PASSWORD + b"\r\n")
    received = telnet.received
    assert b"-- You are now alice.\r\n" in received
    assert (b"not encrypted" in received) is warned
    telnet.sends(HIDES)
    assert HIDE not in telnet.received


def test_registering_hides_both_lines_and_shows_the_next(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"/register\r\n")
    first = alice.received
    assert first.startswith(ASK + HIDE)
    alice.sends(HIDES + PASSWORD + b"\r\n")
    assert (
        alice.received == b"-- Once more, to be sure. It is not shown; an empty line cancels.\r\n"
    )
    alice.sends(PASSWORD + b"\r\n")
    assert alice.received.startswith(SHOW)


def test_the_hint_about_terminals_comes_after_the_questions_for_a_password(door: Door) -> None:
    alice = Visitor(door.world, door.factory)
    alice.sends(b"/nick alice\r\n/register\r\n")
    alice.sends(PASSWORD + b"\r\n")
    alice.sends(PASSWORD + b"\r\n")
    alice.sends(b"hi\r\n")
    received = alice.received
    told = [
        received.index(text) for text in (b"Once more", b"alice is yours", TELNET_HINT.encode())
    ]
    assert told == sorted(told)


def test_a_password_that_came_with_the_command_goes_to_the_prompt(registered: Door) -> None:
    telnet = registered.visitor()
    telnet.sends(b"hello\r\n/login alice\r\n" + PASSWORD + b"\r\nit is me\r\n")
    assert b"-- You are now alice.\r\n" in telnet.received
    assert registered.said == ["hello", "it is me"]


def test_a_connection_is_told_and_closed_when_its_owner_comes_from_elsewhere(
    registered: Door,
) -> None:
    login = b"/login alice " + PASSWORD + b"\n"
    ghost = registered.visitor()
    ghost.sends(login)
    registered.bob.says("are you there?")
    again = registered.visitor()
    again.sends(login)
    assert b"-- You are now alice.\r\n" in again.received
    registered.world.settle()
    names = [session.user.name for session in registered.world.chat.people.values()]
    assert sorted(names) == ["alice", "bob"]
    assert ghost.wire.value().endswith(
        b"-- You are logged in at 127.0.0.1 (a plain line) now. This connection ends.\r\n"
    )


def test_who_hangs_up_after_a_login_that_failed_is_freed() -> None:
    world = World()
    factory = ChatFactory(world.chat)
    with uncollected():
        before = kept()
        visitor = Visitor(world, factory)
        visitor.sends(b"/login nobody wrong1wrong\n")
        assert b"nobody is not registered." in visitor.received
        visitor.hangs_up()
        del visitor
        world.wait(5)
        assert not kept(before)
    world.end()


@pytest.mark.parametrize(
    "typed", [b"", b"short\r\n", PASSWORD + b"\r\n", b"kohlrabi\r\nother-one\r\n"]
)
def test_who_hangs_up_while_a_password_is_asked_for_is_freed(typed: bytes) -> None:
    world = World()
    factory = ChatFactory(world.chat)
    with uncollected():
        before = kept()
        visitor = Visitor(world, factory)
        visitor.sends(b"/nick alice\r\n/register\r\n" + typed)
        assert b"an empty line cancels" in visitor.received
        visitor.hangs_up()
        del visitor
        world.wait(5)
        assert not kept(before)
    world.end()


def test_who_hangs_up_is_freed_when_what_they_sent_has_been_said() -> None:
    world = World(limits=Limits(rate=2, burst=10))
    factory = ChatFactory(world.chat)
    with uncollected():
        before = kept()
        visitor = Visitor(world, factory)
        visitor.sends(b"hello\n" * 14)
        visitor.hangs_up()
        del visitor
        assert kept(before)
        world.wait(5)
        assert world.chat.lobby.log.lines == 14
        assert not kept(before)
    world.end()
