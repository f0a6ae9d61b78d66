"""What a terminal shows: prompts, passwords not, colours where they are wanted."""

from __future__ import annotations

from tests.support.accounts import WORD, FakeBook, book_of, owner
from tests.support.telnet import (
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
    console,
    named,
    visitor,
)
from tests.support.wire import UNLIMITED
from tests.support.world import World


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
    assert telnet.protocol.connection.user.account is not None
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
    assert telnet.protocol.connection.asking
    telnet.answers = True
    telnet.sends(bytes([IAC, WONT, TTYPE, IAC, WONT, NAWS, IAC, WONT, NEW_ENVIRON, IAC, DO, ECHO]))
    telnet.sends(bytes([IAC, DO, SGA]))
    assert telnet.protocol.keys is not None
    telnet.sends(b"correct-horse\r")
    telnet.sends(b"correct-horse\r")
    world.wait(1)
    telnet.settle()
    assert "correct" not in "\n".join(telnet.shown.rows)
    assert telnet.protocol.connection.user.account is not None
    telnet.types("/terminal off\n")
    # Its client shows again what is typed.
    assert ECHO not in telnet.theirs


def test_a_terminal_that_ends_at_a_question_has_the_client_hide_the_answer(world: World) -> None:
    telnet = named(world)
    telnet.types("/register\n")
    telnet.theirs.discard(ECHO)
    telnet.sends(bytes([IAC, DONT, ECHO]))
    assert telnet.protocol.keys is None
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
    assert one.protocol.connection.format is two.protocol.connection.format
    one.resizes((40, 24))
    assert one.protocol.connection.format is not two.protocol.connection.format
