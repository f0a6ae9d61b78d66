"""Passwords at the line door: what is typed is not shown, and what is not shown is not said."""

from __future__ import annotations

import pytest

from chatroom.doors.telnet.protocol import TELNET_HINT, ChatFactory
from chatroom.model.limits import Limits
from tests.support.garbage import kept, uncollected
from tests.support.lines import ASK, HIDES, SHOW, Door, cut
from tests.support.wire import Visitor
from tests.support.world import World

PASSWORD = b"kohlrabi-77"
HIDE = b"\xff\xfb\x01"
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
    names = [user.name for user in registered.world.chat.people.values()]
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
