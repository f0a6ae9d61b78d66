"""A terminal at a door: what telnet clients do when they are taken over, and what they show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted

from chatroom.doors.lines.protocol import TERMINAL_HINT
from chatroom.doors.state import State
from chatroom.doors.telnet.charmode import EDITS, REFUSED
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import TELNET_HINT, ChatFactory
from chatroom.formats.ansi import Colours
from chatroom.model.limits import Limits
from chatroom.model.preferences import Preferences
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import Kind, Terminal, kind_of
from chatroom.text.cells import wrap
from chatroom.text.names import clean
from tests.support.doubles import Clock, FakeWriter
from tests.support.fuzzing import examples
from tests.support.garbage import kept, uncollected
from tests.support.telnet import (
    BINARY,
    DONT,
    ECHO,
    IAC,
    NAWS,
    NEW_ENVIRON,
    SGA,
    TTYPE,
    WONT,
    Telnet,
    console,
    named,
    visitor,
)
from tests.support.terminal import Terminal as Shown
from tests.support.terminal import expected, filled
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World

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
    assert telnet.protocol.connection.format.colours is Colours.MANY


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
    assert telnet.protocol.connection.format.colours is (Colours.FEW if few else Colours.MANY)


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
    assert telnet.protocol.keys is None


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
    assert telnet.protocol.keys is None


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
    assert telnet.protocol.connection.format.width == 80


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
    assert telnet.protocol.state is State.CLOSED
    world.end()


# -- to and fro


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
    assert telnet.protocol.keys is None
    bob = world.person("bob")
    telnet.sends(b"hello\r\n")
    assert bob.sees == ["alice: hello"]


# -- a writer that takes what it wants


class Owner:
    """Whose terminal it is, as the tests have them."""

    prompt = ("alice #lobby", "alice")

    def told(self, text: str) -> None:
        """They are not."""

    def ended(self) -> None:
        """They stay."""

    def draw_later(self) -> None:
        """The test calls `draw`."""


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


def test_what_a_line_leads_to_is_drawn_together() -> None:
    shown = Shown(30, 6)
    writer = Inserting()
    terminal = made(writer, Clock())
    terminal.receive(b"hello")
    terminal.work()
    before = writer.data
    terminal.receive(b"\rnext\r")
    terminal.work()
    assert writer.data == before
    terminal.write(b"alice: hello\r\n")
    terminal.draw()
    sent = writer.data[len(before) :]
    assert sent.count(b"\x1b[J") == 1
    assert sent.count(b"[alice #lobby]") == 1
    shown.feed(writer.data)
    assert [row.rstrip() for row in shown.rows[:2]] == ["alice: hello", "[alice #lobby]"]


def test_a_line_that_leads_to_nothing_is_drawn_at_the_end_of_the_turn() -> None:
    shown = Shown(30, 6)
    writer = Inserting()
    terminal = made(writer, Clock())
    terminal.receive(b"hello\r")
    terminal.work()
    terminal.draw()
    sent = writer.data
    terminal.draw()
    assert writer.data == sent
    shown.feed(sent)
    assert [row.rstrip() for row in shown.rows[:2]] == ["[alice #lobby]", ""]


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
    drawn = alice.protocol.keys.terminal
    for step in steps:
        if isinstance(step, list):
            bob.says(*step)
            alice.settle()
            lines = [line for text in step for line in wrap(f"bob: {clean(text)}", size[0], 5)]
            log += [row.rstrip() for line in lines for row in filled(line, size[0])]
        else:
            alice.types(step)
        prompt, text, cursor = drawn._editor.view(drawn._prompt())
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


def test_the_prompt_says_what_is_new_in_other_rooms() -> None:
    world = World(limits=UNLIMITED)
    bob = world.person("bob")
    alice = named(world, "alice")
    alice.types("/join tea\r")
    bob.says("one", "alice, two")
    alice.types("x")
    assert alice.screen[-1] == "[alice #tea | #lobby 2, 1 for you] x"
    for room in ("a", "b", "c"):
        bob.says(f"/join {room}", "first")
        alice.types(f"\x15/join {room}\r")
        bob.says("second")
        alice.types("/join tea\r")
        bob.says("third")
    alice.types("y")
    assert alice.screen[-1].startswith("[alice #tea | #lobby 2, 1 for you] ")
    # There is less of it where there is no room for more.
    narrow = named(world, "al", size=(40, 24))
    assert narrow.screen[-1] == "[al #lobby]"
    world.end()
