"""A terminal at a door: what telnet clients do when they are taken over, and what they show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted

from chatroom.doors.lines.protocol import TERMINAL_HINT
from chatroom.doors.telnet.charmode import EDITS, REFUSED
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import TELNET_HINT, ChatFactory
from chatroom.formats.ansi import Colours
from chatroom.model.limits import Limits
from chatroom.model.preferences import Preferences
from chatroom.terminal.editor import Line
from chatroom.terminal.keys import KEY_SECONDS, PASTE_SECONDS
from chatroom.terminal.terminal import MAX_WAITING_LINES, Kind, Terminal, kind_of
from chatroom.text.cells import wrap
from chatroom.text.names import clean
from tests.support.accounts import WORD, FakeBook, book_of, owner
from tests.support.doubles import Clock, FakeWriter
from tests.support.fuzzing import examples
from tests.support.garbage import kept, uncollected
from tests.support.telnet import (
    BINARY,
    DO,
    DONT,
    ECHO,
    IAC,
    NAWS,
    NEW_ENVIRON,
    SGA,
    TTYPE,
    WONT,
    Telnet,
)
from tests.support.terminal import Terminal as Shown
from tests.support.terminal import expected, filled
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World


@pytest.fixture
def world() -> Any:
    made = World(limits=UNLIMITED)
    yield made
    made.end()


def console(world: World, size: tuple[int, int] = (80, 24), **able: Any) -> Telnet:
    """Somebody at the telnet door who was greeted."""
    return Telnet(world, ConsoleFactory(world.chat), size, **able)


def named(world: World, name: str = "alice", **able: Any) -> Telnet:
    """Somebody at a terminal who was announced."""
    telnet = console(world, **able)
    telnet.types(f"/nick {name}\n")
    world.wait(3)
    telnet.settle()
    return telnet


# -- taken over


def test_a_telnet_is_greeted_at_a_terminal_of_its_size(world: World) -> None:
    telnet = console(world, (40, 10))
    assert telnet.characters
    assert telnet.screen == [
        "-- Welcome to chatroom. You are guest1,",
        "   in #lobby.",
        "-- Type to talk. /nick NAME picks a",
        "   name, /help lists the rest, /quit",
        "   leaves.",
        "-- Tab completes, the arrow keys edit.",
        "   For screen readers: /reader on.",
        "[guest1 #lobby]",
    ]
    assert telnet.protocol.session.format.colours is Colours.MANY


def test_what_is_typed_stays_below_what_arrives(world: World) -> None:
    bob = world.person("bob")
    alice = named(world)
    alice.types("half a li")
    bob.says("one", "two")
    alice.settle()
    assert alice.screen[-3:] == ["bob: one", "bob: two", "[alice #lobby] half a li"]
    _ = bob.sees
    alice.types("ne\n")
    assert bob.sees == ["alice: half a line"]
    assert alice.screen[-3:] == ["bob: two", "alice: half a line", "[alice #lobby]"]


@pytest.mark.parametrize("refused", [BINARY, TTYPE, NAWS, NEW_ENVIRON])
def test_a_client_may_refuse_what_is_not_essential(world: World, refused: int) -> None:
    telnet = console(world, (80, 24), refuses=(refused,))
    assert telnet.characters
    telnet.types("hello")
    assert telnet.last == "[guest1 #lobby] hello"
    few = refused == TTYPE
    assert telnet.protocol.session.format.colours is (Colours.FEW if few else Colours.MANY)


@pytest.mark.parametrize(
    "refused", [(ECHO,), (SGA,), (ECHO, SGA), (BINARY, ECHO, SGA, TTYPE, NAWS)]
)
def test_a_client_that_does_not_send_keys_goes_on_with_lines(
    world: World, refused: tuple[int, ...]
) -> None:
    bob = world.person("bob")
    telnet = console(world, refuses=refused)
    assert not telnet.theirs
    assert " ".join(telnet.screen).count(REFUSED) == 1
    telnet.types("hello 小明\n")
    assert bob.sees[-1] == "guest2: hello 小明"
    assert telnet.protocol.terminal is None


def test_a_client_that_says_nothing_is_greeted_in_lines_in_the_end(world: World) -> None:
    bob = world.person("bob")
    netcat = console(world, answers=False)
    assert netcat.screen == [""]
    netcat.sends(b"hello\n")
    assert bob.sees == []
    world.wait(3)
    netcat.settle()
    assert netcat.screen[0].startswith("-- Welcome to chatroom.")
    assert bob.sees[-1] == "guest2: hello"
    assert not netcat.theirs


def test_a_client_that_leaves_out_an_answer_is_a_terminal_a_little_later(world: World) -> None:
    telnet = console(world, leaves_out=(NEW_ENVIRON,))
    assert not telnet.theirs
    world.wait(3)
    telnet.settle()
    assert telnet.characters
    assert telnet.last == "[guest1 #lobby]"


def test_the_telnet_door_can_be_plain_lines_and_a_terminal_again(world: World) -> None:
    telnet = named(world)
    telnet.types("/terminal off\n")
    assert telnet.screen[-2:] == ["-- Back to plain lines.", ""]
    telnet.types("/terminal\n")
    assert f"-- {TERMINAL_HINT}" in " ".join(telnet.screen)
    assert telnet.last == "[alice #lobby]"


@pytest.mark.parametrize(
    "kinds", [("DUMB",), ("UNKNOWN",), ("MUDLET", "ANSI-256COLOR", "MTTS 2349"), ("VT52",)]
)
def test_what_is_no_terminal_is_left_alone(world: World, kinds: tuple[str, ...]) -> None:
    telnet = console(world, kinds=kinds)
    assert not telnet.theirs
    assert EDITS in " ".join(telnet.screen)
    assert telnet.protocol.terminal is None


@pytest.mark.parametrize(
    ("names", "mtts", "kind"),
    [
        ((), 0, Kind(True, Colours.FEW)),
        (("XTERM",), 0, Kind(True, Colours.MANY)),
        (("screen-256color",), 0, Kind(True, Colours.MANY)),
        (("LINUX",), 0, Kind(True, Colours.FEW)),
        (("VT100",), 0, Kind(True, Colours.NONE)),
        (("dumb",), 0, Kind(False, Colours.FEW)),
        (("TINTIN++", "XTERM-256COLOR"), 271, Kind(False, Colours.FEW)),
        (("MUDLET", "ANSI"), 2349, Kind(False, Colours.FEW)),
    ],
)
def test_what_a_terminal_calls_itself(names: tuple[str, ...], mtts: int, kind: Kind) -> None:
    assert kind_of(names, mtts) == kind


def test_a_size_of_nothing_is_that_of_a_vt100(world: World) -> None:
    telnet = console(world, (40, 10))
    telnet.size = (0, 0)
    telnet.sends(telnet._naws())
    assert telnet.protocol.session.format.width == 80


@pytest.mark.parametrize(
    "hello", [b"\x16\x03\x01\x02\x00\x01", b"GET /" + b"x" * 3000, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_person_is_let_go(world: World, hello: bytes) -> None:
    bob = world.person("bob")
    telnet = console(world, answers=False)
    telnet.sends(hello)
    world.wait(7)
    telnet.settle()
    assert telnet.wire.disconnecting
    assert b"Welcome" not in telnet.received or b"HTTP" in hello
    if not telnet.gone:
        telnet.hangs_up()
    world.wait(7)
    assert bob.asks("/who")[0].count("guest") == 0


def test_who_goes_before_they_are_greeted_is_not_there() -> None:
    world = World(limits=Limits(byte_rate=100))
    bob = world.person("bob")
    telnet = console(world, answers=False)
    agreed = bytes([IAC, WONT, TTYPE, IAC, WONT, NAWS, IAC, WONT, NEW_ENVIRON, IAC, DONT, ECHO])
    telnet.protocol.dataReceived(bytes([IAC, 241]) * 128 + agreed)
    telnet.hangs_up(ConnectionAborted())
    world.wait(100)
    world.wait(10)
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]
    assert not telnet.protocol._begun
    world.end()


# -- to and fro


def visitor(world: World, **able: Any) -> Telnet:
    """Somebody with telnet at the line door."""
    return Telnet(world, ChatFactory(world.chat), **able)


def test_the_line_door_becomes_a_terminal_and_a_line_door_again(world: World) -> None:
    bob = world.person("bob")
    telnet = visitor(world)
    telnet.types("/nick alice\n")
    telnet.types("/terminal\n")
    assert telnet.characters
    assert telnet.last == "[alice #lobby]"
    assert TERMINAL_HINT in " ".join(telnet.screen).replace("    ", " ").replace("   ", " ")
    telnet.types("hel\x02\x02X\n")
    assert bob.sees[-1] == "alice: hXel"
    telnet.types("/terminal off\n")
    assert telnet.theirs == set()
    assert telnet.last == ""
    assert telnet.screen[-2] == "-- Back to plain lines."
    telnet.types("hello\n")
    assert bob.sees[-1] == "alice: hello"
    world.wait(3)
    bob.says("hi alice")
    telnet.settle()
    # Its own line is shown by the client, not from the log.
    assert telnet.screen[-4:] == ["hello", "-- bob joined.", "bob: hi alice", ""]
    telnet.types("/terminal on\n")
    assert telnet.last == "[alice #lobby]"


def test_netcat_is_no_terminal(world: World) -> None:
    netcat = Visitor(world, ChatFactory(world.chat))
    _ = netcat.sees
    netcat.sends(b"/terminal\n")
    assert netcat.sees == ["-- That needs a telnet client, which yours does not seem to be."]
    netcat.sends(b"/terminal off\n")
    assert netcat.sees == ["-- It is no terminal. /terminal makes it one."]
    netcat.sends(b"/terminal maybe\n")
    assert netcat.sees == ["-- It can be on or off: /terminal on, /terminal off."]


def test_who_shows_that_they_have_telnet_is_told_of_it_once(world: World) -> None:
    telnet = Visitor(world, ChatFactory(world.chat))
    telnet.sends("你好\r\n".encode(), b"hello\n")
    assert telnet.received.decode(errors="replace").count(TELNET_HINT) == 1


def test_a_client_that_takes_its_word_back_has_lines_again(world: World) -> None:
    telnet = named(world)
    telnet.sends(bytes([IAC, DONT, ECHO]))
    assert telnet.protocol.terminal is None
    bob = world.person("bob")
    telnet.sends(b"hello\r\n")
    assert bob.sees == ["alice: hello"]


# -- keys


def test_keys_that_telnet_has_commands_for(world: World) -> None:
    telnet = named(world)
    telnet.types("abc")
    telnet.sends(b"\xff\xf7")
    assert telnet.last == "[alice #lobby] ab"
    telnet.sends(b"\xff\xf4")
    assert telnet.last == "[alice #lobby]"
    telnet.types("abc")
    telnet.sends(b"\xff\xf8")
    assert telnet.last == "[alice #lobby]"
    telnet.sends(b"\xff\xf6")
    assert telnet.screen[-2] == "-- Yes, chatroom is here."
    telnet.sends(b"\xff\xec")
    assert telnet.gone


def test_the_end_of_file_key_leaves(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    telnet.types("a\x02\x04\x04")
    assert telnet.gone
    assert bob.sees[-1] == "-- alice left."
    assert telnet.shown.rows[telnet.shown.above] == ""


def test_tab_completes_names(world: World) -> None:
    world.people("bob", "barbara")
    telnet = named(world)
    telnet.types("bo\t")
    assert telnet.last == "[alice #lobby] bob:"
    telnet.types("\x15b\t\t")
    assert telnet.screen[-2].split() in (["bob:", "barbara:"], ["barbara:", "bob:"])
    assert telnet.last == "[alice #lobby] b"


def test_a_pasted_block_asks_before_it_goes_out(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    block = "\r".join([*(f"line {number}" for number in range(50)), "and"])
    telnet.sends(f"\x1b[200~{block}\x1b[201~".encode())
    assert telnet.last == "Send 50 lines? y/n"
    assert bob.sees == []
    telnet.types("n")
    assert telnet.last == "[alice #lobby]"
    telnet.sends(f"\x1b[200~{block}\x1b[201~".encode())
    telnet.types("y")
    assert bob.sees == [f"alice: line {number}" for number in range(50)]
    assert telnet.last == "[alice #lobby] and"


def test_an_empty_line_of_a_paste_is_said_and_one_that_is_typed_is_not(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.types("\n \n")
    telnet.sends(b"\x1b[200~if x:\r\r\ty\r\x1b[201~")
    telnet.types("y")
    assert bob.sees == ["alice: if x:", "alice: ", "alice:     y"]


@pytest.mark.parametrize("gives_up", ["interrupt", "^C", "silence"])
def test_a_paste_without_its_end_is_dropped(world: World, gives_up: str) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"\x1b[200~abc")
    telnet.types("\n")
    if gives_up == "interrupt":
        telnet.sends(bytes([IAC, 244]))
    elif gives_up == "^C":
        telnet.sends(b"\x03")
        world.wait(KEY_SECONDS)
    else:
        world.wait(PASTE_SECONDS)
    telnet.settle()
    (told,) = (row for row in telnet.screen if "pasted" in row)
    assert told == "-- The end of what you pasted is missing; nothing of it was sent."
    telnet.types("hello\n")
    assert bob.sees == ["alice: hello"]


def test_a_line_that_is_too_long_stays_to_be_shortened(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"\x1b[200~" + b"x" * 2049 + b"\x1b[201~")
    telnet.types("\n")
    assert any("at most 2,048 bytes, and this one has 2,049" in row for row in telnet.screen)
    assert bob.sees == []
    telnet.types("\x7f\n")
    assert bob.sees == ["alice: " + "x" * 2048]


def test_an_interrupt_drops_lines_that_wait() -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    _ = bob.sees
    telnet.sends(b"".join(b"%d\r" % number for number in range(200)))
    assert MAX_WAITING_LINES - 3 <= len(telnet.protocol.intake.lines) <= MAX_WAITING_LINES + 1
    telnet.types("typed\x03")
    assert telnet.last == "[alice #lobby]"
    assert any("lines that waited were not said." in row for row in telnet.screen)
    said = len(bob.sees)
    assert said <= 5
    world.wait(60)
    telnet.types("next\n")
    world.wait(5)
    assert bob.sees == ["alice: next"]
    telnet.hangs_up()
    world.end()


@pytest.mark.parametrize("leaving", ["/quit\r", "/bye\r", "\x04"])
def test_who_leaves_a_terminal_does_not_wait_for_what_they_pasted(leaving: str) -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    telnet.sends(b"".join(b"%d\r" % number for number in range(50)))
    telnet.types(leaving)
    world.wait(2)
    telnet.settle()
    assert telnet.gone
    world.wait(60)
    assert len([line for line in bob.sees if line.startswith("alice: ")]) <= 5
    world.end()


def test_who_closes_a_terminal_says_nothing_more() -> None:
    world = World(limits=Limits(rate=2, burst=3))
    bob = world.person("bob")
    telnet = named(world)
    world.wait(10)
    telnet.sends(b"".join(b"%d\r" % number for number in range(50)))
    telnet.hangs_up()
    _ = bob.sees
    world.wait(60)
    assert bob.sees == ["-- alice left."]
    world.end()


def test_a_flood_is_said_to_its_end() -> None:
    world = World(limits=Limits(rate=100, burst=3, byte_rate=0))
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"".join(b"%d\r" % number for number in range(500)))
    for _ in range(20):
        world.wait(1)
        telnet.settle()
    assert bob.sees == [f"alice: {number}" for number in range(500)]
    telnet.hangs_up()
    world.end()


# -- what keys cost


def test_keys_cost_what_they_make_the_server_do() -> None:
    world = World(limits=Limits())
    telnet = named(world)
    world.wait(20)
    # Both cost next to nothing by the line that there is before them.
    telnet.types("я" * 1000)
    telnet.sends(b"\x15")
    world.wait(20)
    telnet.sends(b"\x19\x15" * 4000)
    seconds = 0
    while telnet.wire.producerState == "paused":
        world.wait(1)
        seconds += 1
    assert 60 < seconds < 120
    telnet.hangs_up()
    world.end()


def test_so_does_a_terminal_that_is_resized_all_the_time() -> None:
    world = World(limits=Limits())
    telnet = named(world)
    telnet.types("я" * 1000)
    world.wait(20)
    turns = 0
    while telnet.wire.producerState == "producing":
        telnet.size = (40 + turns % 2, 24)
        telnet.protocol.dataReceived(telnet._naws())
        turns += 1
    assert turns < 50
    telnet.hangs_up()
    world.end()


@pytest.mark.parametrize("limits", [UNLIMITED, Limits()])
def test_others_have_their_turn_between_many_keys(limits: Limits) -> None:
    world = World(limits=limits)
    telnet = named(world)
    telnet.types("x" * 2000)
    world.wait(20)
    _ = telnet.received
    telnet.protocol.dataReceived(b"\x14" * 100 + b"\x15done")
    assert telnet.wire.producerState == "paused"
    assert b"done" not in telnet.received
    world.wait(20)
    telnet.settle()
    assert telnet.last == "[alice #lobby] done"
    assert telnet.wire.producerState == "producing"
    telnet.hangs_up()
    world.end()


def test_who_wants_to_leave_is_still_not_read_while_nothing_is_taken() -> None:
    world = World(limits=Limits(rate=1, burst=2, byte_rate=0))
    telnet = named(world)
    telnet.sends(b"one\rtwo\rthree\rfour\r\x04")
    telnet.protocol.writer.congested = True
    telnet.protocol.stalled()
    assert telnet.wire.producerState == "paused"
    telnet.protocol.writer.congested = False
    telnet.protocol.flowing()
    assert telnet.wire.producerState == "producing"
    # They may still drop what waits, and go at once.
    telnet.sends(b"\x03")
    world.wait(1)
    telnet.settle()
    assert telnet.gone
    world.end()


# -- what is shown


def test_a_password_is_not_shown_nor_brought_back(world: World) -> None:
    telnet = named(world)
    telnet.types("/register\n")
    assert telnet.last == "[not shown]"
    telnet.types("correct-horse\n")
    telnet.types("correct-horse\n")
    world.wait(1)
    telnet.settle()
    assert telnet.last == "[alice #lobby]"
    shown = "\n".join(telnet.shown.rows)
    assert "alice is yours" in shown
    assert "correct" not in shown
    telnet.types("/password\n")
    telnet.types("half a pass\x03")
    assert telnet.screen[-2:] == ["-- Your password stays as it is.", "[alice #lobby]"]
    assert "half a" not in "\n".join(telnet.shown.rows)
    telnet.types("/password correct-horse other-horse\n\x1b[A")
    assert telnet.last == "[alice #lobby] /password"


def test_what_follows_the_answer_at_once_is_not_said(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.sends(b"/register\rcorrect-horse\rcorrect-horse\r")
    world.wait(1)
    telnet.settle()
    assert telnet.protocol.session.user.account is not None
    # What was typed behind the last answer was not shown, and is nothing that was said.
    telnet.types("/password\n")
    telnet.sends(b"wrong-horse\rwrong-horse\r\x1b[A")
    world.wait(1)
    telnet.settle()
    assert "horse" not in "\n".join(telnet.shown.rows)
    assert bob.sees == []


def test_more_answers_than_questions_are_never_said(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    _ = bob.sees
    telnet.types("/register\n")
    assert telnet.last == "[not shown]"
    telnet.sends(b"\rcorrect-horse")
    assert telnet.last == "[alice #lobby]"
    telnet.types("/register\n")
    telnet.protocol.writer.congested = True
    telnet.sends(b"\rcorrect-horse\r")
    telnet.protocol.writer.congested = False
    telnet.protocol.flowing()
    telnet.settle()
    assert bob.sees == []


def test_a_password_typed_before_it_was_asked_for_is_not_brought_back() -> None:
    book = FakeBook()
    world = World(limits=UNLIMITED, accounts=book_of(book))
    owner(world)
    telnet = console(world)
    telnet.types("/nick carol\n")
    book.late = True
    telnet.types("/login alice\n")
    telnet.types(f"{WORD}\n")
    while book.waiting:
        book.answer_all()
        world.wait(1)
        telnet.settle()
    telnet.types("\x1b[A")
    assert telnet.last.endswith("/login alice")
    telnet.hangs_up()
    world.end()


def test_a_terminal_that_begins_at_a_question_does_not_show_the_answer(world: World) -> None:
    telnet = visitor(world, answers=False)
    telnet.types("/nick alice\n")
    telnet.types("/terminal\n")
    telnet.types("/register\n")
    assert telnet.protocol.session.asking
    telnet.answers = True
    telnet.sends(bytes([IAC, WONT, TTYPE, IAC, WONT, NAWS, IAC, WONT, NEW_ENVIRON, IAC, DO, ECHO]))
    telnet.sends(bytes([IAC, DO, SGA]))
    assert telnet.protocol.terminal is not None
    telnet.sends(b"correct-horse\r")
    telnet.sends(b"correct-horse\r")
    world.wait(1)
    telnet.settle()
    assert "correct" not in "\n".join(telnet.shown.rows)
    assert telnet.protocol.session.user.account is not None
    telnet.types("/terminal off\n")
    # Its client shows again what is typed.
    assert ECHO not in telnet.theirs


def test_a_terminal_that_ends_at_a_question_has_the_client_hide_the_answer(world: World) -> None:
    telnet = named(world)
    telnet.types("/register\n")
    telnet.theirs.discard(ECHO)
    telnet.sends(bytes([IAC, DONT, ECHO]))
    assert telnet.protocol.terminal is None
    assert ECHO in telnet.theirs
    assert telnet.protocol.hidden
    telnet.sends(b"\r\n")
    assert ECHO not in telnet.theirs


def test_the_prompt_says_who_and_where(world: World) -> None:
    telnet = named(world)
    telnet.types("/join den\n")
    assert telnet.last == "[alice #den]"
    telnet.types("/nick " + "a" * 24 + "\n")
    telnet.resizes((40, 10))
    assert telnet.last == ">"
    telnet.resizes((60, 10))
    assert telnet.last == f"[{'a' * 24}]"


def test_a_line_is_drawn_anew_when_the_size_changes(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    telnet.types("some words that need more room than forty columns")
    telnet.resizes((40, 10))
    assert telnet.screen[-2:] == [
        "[alice #lobby] some words that need more",
        " room than forty columns",
    ]
    bob.says("a line that needs more room than forty columns as well")
    telnet.settle()
    assert telnet.screen[-4:-2] == [
        "bob: a line that needs more room than",
        "     forty columns as well",
    ]
    telnet.types("\n")
    assert bob.sees[-1] == "alice: some words that need more room than forty columns"


def test_colours_are_shown_to_who_wants_them(world: World) -> None:
    bob = world.person("bob")

    def coloured(telnet: Telnet) -> bool:
        _ = telnet.received
        bob.says("hello")
        return b"\x1b[38;5;" in telnet.received

    telnet = console(world)
    assert coloured(telnet)
    telnet.types("/color off\n")
    assert not coloured(telnet)
    telnet.types("/color auto\n")
    assert coloured(telnet)
    shy = console(world, no_color="1")
    assert not coloured(shy)
    shy.types("/color on\n")
    assert coloured(shy)
    telnet.types("/color green\n")
    assert telnet.screen[-2] == "-- Colours can be auto, on or off."


def test_who_is_named_sees_it_and_nobody_else(world: World) -> None:
    bob = world.person("bob")
    alice, carol = named(world), named(world, "carol")
    shown = {person: person.received for person in (alice, carol)}
    bob.says("hi ALICE!", "and all others")
    shown = {person: person.received for person in (alice, carol)}
    assert b": hi \x1b[7mALICE\x1b[27m!\r\n" in shown[alice]
    assert b": hi ALICE!\r\n" in shown[carol]
    assert b": and all others\r\n" in shown[alice]
    # From the log as well, after a pause in reading.
    assert b"\a" not in shown[alice]
    alice.types("/bell mentions\n")
    _ = alice.received
    bob.says("alice?")
    assert b"\a" in alice.received


def test_a_screen_reader_is_given_lines_without_anything_drawn_twice(world: World) -> None:
    bob = world.person("bob")
    telnet = named(world)
    telnet.types("/reader on\n")
    telnet.types("half")
    _ = telnet.sent
    bob.says("hello alice")
    assert telnet.sent == b"\r\nbob: hello alice\r\n"
    telnet.types(" a line")
    assert telnet.last == "half a line"
    telnet.types("\n")
    # What was typed is there already.
    assert telnet.screen[-2:] == ["half a line", ""]
    assert bob.sees[-1] == "alice: half a line"
    telnet.types("whole\n")
    assert telnet.screen[-2:] == ["whole", ""]
    telnet.sends(b"\x1b[200~one\rtwo\r\x1b[201~")
    assert telnet.screen[-3:] == ["one", "two", ""]
    telnet.types("/reader off\n")
    assert telnet.screen[-3] == "/reader off"
    assert telnet.last == "[alice #lobby]"


def test_what_others_do_is_shared_bytes(world: World) -> None:
    one, two = named(world, "one"), named(world, "two")
    assert one.protocol.session.format is two.protocol.session.format
    one.resizes((40, 24))
    assert one.protocol.session.format is not two.protocol.session.format


# -- an writer that takes what it wants


class Owner:
    """Whose terminal it is, as the tests have them."""

    prompt = ("alice", "lobby")

    def told(self, text: str) -> None:
        """They are not."""

    def ended(self) -> None:
        """They stay."""


def made(writer: Any, clock: Clock, size: tuple[int, int] = (30, 6)) -> Terminal:
    lines: list[bytes | Line] = []
    terminal = Terminal(
        writer,
        Owner(),
        lines,
        clock.callLater,
        line_length=400,
        kind=Kind(),
        size=size,
        no_color=False,
        complete=lambda before, after: ("alice: ", "alina: "),
        secret=lambda text: False,
    )
    terminal.format_for(Preferences())
    terminal.begin()
    return terminal


class Inserting(FakeWriter):
    """What a door's writer does beside what a room needs."""

    def insert(self, data: bytes) -> None:
        self.data += data


MESSAGES = st.text(st.characters(codec="utf-8"), max_size=60).map(clean)


@given(
    st.lists(MESSAGES, min_size=1, max_size=6),
    st.integers(0, 300),
    st.sampled_from(["", "hello", "小明 👩‍👩‍👧 and more than fits into a row of the terminal"]),
    st.booleans(),
)
@examples(300)
def test_however_little_is_taken_at_a_time_the_screen_is_whole(
    messages: list[str], room: int, typed: str, rings: bool
) -> None:
    clock = Clock()
    shown = Shown(30, 6)
    writer = Inserting()
    terminal = made(writer, clock)
    terminal.receive(typed.encode())
    terminal.work()
    rows = [wrap(f"bob: {message}", 30, 5) for message in messages]
    pieces = ["".join(f"{row}\r\n" for row in part).encode() for part in rows]
    data = b"".join(pieces) + b"\a" * rings
    writer.room = room
    taken = terminal.write(data)
    if taken != len(data):
        # As Room._stall does it: the piece in which it stopped goes out whole.
        done = 0
        for piece in (*pieces, b"\a" * rings):
            if done >= taken:
                break
            done += len(piece)
        terminal.finish(data[taken:done])
        writer.room, writer.congested, writer._unfinished = None, False, False
        if data[done:]:
            terminal.write(data[done:])
    elif writer.congested:
        writer.room, writer.congested, writer._unfinished = None, False, False
    shown.feed(writer.data)
    expected = [row.rstrip() for part in rows for row in part]
    screen = [row.rstrip() for row in shown.rows[: shown.above + 1]]
    whole = Shown(30, 6)
    again = Inserting()
    other = made(again, clock)
    other.receive(typed.encode())
    other.work()
    other.write(data)
    whole.feed(again.data)
    assert shown.rows == whole.rows
    assert (shown.cursor.x, shown.above) == (whole.cursor.x, whole.above)
    assert len(screen) >= len(expected)


def test_keys_wait_while_nothing_is_taken() -> None:
    clock = Clock()
    writer = Inserting()
    terminal = made(writer, clock)
    writer.congested = True
    before = writer.data
    terminal.receive(b"hello\t\t")
    terminal.work()
    assert writer.data == before
    assert terminal.backlog == 7
    writer.congested = False
    terminal.work()
    assert writer.data.endswith(b"hello")


TYPED = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12
)
EDITED = st.sampled_from(
    ["\x01", "\x05", "\x02", "\x17", "\x19", "\x14", "\x7f", "\x1b[A", "\x1b[D", "\x1b[3~"]
)
SAID = st.lists(MESSAGES.map("x{}".format), min_size=1, max_size=4)


@given(
    st.sampled_from([(80, 24), (40, 10), (24, 5)]),
    st.lists(st.one_of(TYPED, EDITED, SAID), max_size=20),
)
@examples(150)
def test_at_the_door_every_message_is_whole_above_what_is_typed(
    size: tuple[int, int], steps: list[str | list[str]]
) -> None:
    world = World(limits=UNLIMITED)
    bob = world.person("bob")
    world.wait(3)
    alice = named(world, "alice", size=size, no_color="1")
    log = alice.screen[:-1]
    drawn = alice.protocol.terminal
    for step in steps:
        if isinstance(step, list):
            bob.says(*step)
            alice.settle()
            lines = [line for text in step for line in wrap(f"bob: {clean(text)}", size[0], 5)]
            log += [row.rstrip() for line in lines for row in filled(line, size[0])]
        else:
            alice.types(step)
        prompt, text, cursor = drawn._editor.view(drawn._prompt("alice", "lobby"))
        rows, place = expected(prompt, text, cursor, size[0])
        first = alice.shown.above - drawn._screen._cursor[0]
        assert alice.shown.rows[:first] == log
        if len(rows) < size[1]:
            assert alice.shown.rows[first:][: len(rows)] == [row.rstrip() for row in rows]
            assert (alice.shown.above - first, alice.shown.cursor.x) == place
    alice.hangs_up()
    world.end()


@pytest.mark.parametrize("how", ["quits", "hangs up", "hangs up before it has answered"])
def test_who_has_gone_leaves_nothing_to_the_garbage_collector(how: str) -> None:
    world = World(limits=UNLIMITED)
    factory = ConsoleFactory(world.chat)
    with uncollected():
        before = kept()
        alice = Telnet(world, factory, answers=how != "hangs up before it has answered")
        alice.sends(b"hello\r/bell mentions\r")
        assert kept(before)
        if how == "quits":
            alice.sends(b"/quit\r")
        else:
            alice.hangs_up()
        assert alice.gone
        del alice
        assert not kept(before)
    world.end()
