"""A connection that is gone is gone from everything, in whatever state it was and however it went.

The first half takes each state of a connection apart from any door, over each kind of ledger; the
second half closes connections of each door in each state that has to do with bytes.
"""

from __future__ import annotations

import ast
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, fail

import chatroom
from chatroom.actions.steps import outcome, start
from chatroom.chat.connection import Connection
from chatroom.commands import Command
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.model.entry import Entry
from tests.support.accounts import WORD, FakeBook, owner
from tests.support.doubles import FailingLedger, LateClaims
from tests.support.wire import Visitor
from tests.support.world import Person, World

ROOT = Path(chatroom.__file__).parent

#: How a connection goes: what was sent counts when the client closes, and not when it is reset.
GOES: dict[str, Callable[[Person], None]] = {
    "closes": Person.closes,
    "is reset": Person.hangs_up,
    "is cut": lambda person: person.hangs_up("not reading"),
    "half closes": Person.ends,
}


@contextmanager
def freed(world: World, *people: Person) -> Iterator[None]:
    """In the end nothing is left of *people*, though nothing in a circle is collected."""
    marks = [mark(person.connection) for person in people]
    before = pending(world)
    gc.collect()
    gc.disable()
    try:
        yield
        settle(world)
        chat = world.chat
        origins = {person.connection.origin for person in people}
        for person in people:
            world.came.remove(person)
            assert person.connection.closed or person.gone
            # The door lets go of it.
            del person.connection, person.interpreter
        assert not origins & chat.connections.keys()
        assert not origins & {user.origin for user in chat.people.values()}
        assert not origins & {user.origin for user in chat.logins.online.values()}
        for room in chat.rooms.values():
            assert not origins & {*room.members, *room.readers, *room._entering}
        local = world.claims.local if isinstance(world.claims, LateClaims) else world.claims
        assert not origins & set(getattr(local, "_holders", {}).values())
        assert pending(world) <= before
        assert not [mark for mark in marks if mark() is not None]
    finally:
        gc.enable()


class Mark(dict[str, Command]):
    """What nothing but a connection has: it is there as long as that is."""


def mark(connection: Connection) -> weakref.ref[Mark]:
    """What tells whether *connection*, of which there are no weak references, is there."""
    mark = Mark(connection.commands)
    connection.commands = mark
    return weakref.ref(mark)


def settle(world: World) -> None:
    """Let everything end that has begun, and those be announced who were to be."""
    world.settle()
    world.wait(6)


def pending(world: World) -> int:
    """How many calls are put off."""
    return len(world.clock.getDelayedCalls())


# -- states that have to do with a ledger


def talking(world: World, alice: Person) -> None:
    alice.types("one", "two")


def moving(world: World, alice: Person) -> None:
    alice.types("/join elsewhere")


def moving_on(world: World, alice: Person) -> None:
    alice.types("/join elsewhere", "hello", "/join lobby", "hello")


def being_renamed(world: World, alice: Person) -> None:
    alice.types("/nick alicia")


def leaving(world: World, alice: Person) -> None:
    alice.types("/quit")


def looking_up(world: World, alice: Person) -> None:
    alice.types("/history", "/more")


def full(world: World, alice: Person) -> None:
    """She reads nothing, and what she has asked for fills her queue."""
    alice.writer.stall(10)
    alice.types(*["/help"] * 200)


STATES = [talking, moving, moving_on, being_renamed, leaving, looking_up, full]


@pytest.mark.parametrize("way", GOES)
@pytest.mark.parametrize("state", STATES)
def test_nothing_is_left_of_who_goes(
    state: Callable[[World, Person], None], way: str, world: World
) -> None:
    bob = world.person("bob")
    bob.says("hello")
    alice = world.person("alice")
    if state is full and way == "half closes":
        pytest.skip("a client that reads nothing is cut in the end, see doors/test_writer.py")
    with freed(world, alice):
        state(world, alice)
        GOES[way](alice)
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]


@pytest.mark.parametrize("way", GOES)
def test_nothing_is_left_of_who_goes_while_coming_in(way: str, world: World) -> None:
    bob = world.person("bob")
    alice = Person(world)
    with freed(world, alice):
        GOES[way](alice)
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]


@pytest.mark.parametrize("way", GOES)
def test_the_last_lines_of_who_closes_while_coming_in_are_said(way: str, world: World) -> None:
    bob = world.person("bob")
    alice = Person(world)
    alice.types("hello")
    with freed(world, alice):
        GOES[way](alice)
    said = way in ("closes", "half closes")
    assert any(line.endswith("hello") for line in bob.sees) == said


@pytest.mark.parametrize("way", GOES)
def test_who_goes_while_being_renamed_leaves_under_the_new_name(way: str, world: World) -> None:
    alice, bob = world.people("alice", "bob")
    with freed(world, alice):
        alice.types("/nick alicia")
        GOES[way](alice)
    seen = bob.sees
    assert seen[0] == "-- alice is now alicia."
    assert seen[1].startswith("-- alicia left")
    assert len(seen) == 2
    # Both are free again.
    carol = world.person()
    assert carol.asks("/nick alice") == ["-- You are now alice."]
    assert carol.asks("/nick alicia") == ["-- You are now alicia."]


@pytest.mark.parametrize("way", GOES)
@pytest.mark.parametrize("kind", ["Joined", "Left", "Renamed"])
def test_nothing_is_left_though_the_ledger_refuses(way: str, kind: str, failing: World) -> None:
    bob = failing.person("bob")
    alice = failing.person("alice")
    ledger = failing.ledger
    assert isinstance(ledger, FailingLedger)
    with freed(failing, alice):
        ledger.refuses = lambda event: type(event).__name__ == kind
        alice.types("/nick alicia" if kind == "Renamed" else "/join elsewhere", "hello")
        GOES[way](alice)
    ledger.refuses = lambda event: False
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]


# -- states that wait for something else


@pytest.mark.parametrize("way", GOES)
@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize(
    "line", [f"/login alice {WORD}", "/login alice wrong1234", "/login nobody xyz-1234", "/nick al"]
)
def test_nothing_is_left_of_who_goes_while_an_account_is_asked_for(
    way: str, steps: int, line: str, kept: World, book: FakeBook
) -> None:
    alice = owner(kept)
    alice.hangs_up()
    kept.settle()
    guest = kept.person()
    with freed(kept, guest):
        book.late = True
        guest.types(line)
        for _ in range(steps):
            book.answer()
            kept.clock.advance(0.001)
        GOES[way](guest)
        book.late = False
        book.answer_all()


@pytest.mark.parametrize("way", GOES)
def test_nothing_is_left_of_who_goes_while_a_password_waits_for_its_turn(way: str) -> None:
    comparing: list[Deferred[bool]] = []

    def run(*_: object) -> Deferred[bool]:
        comparing.append(Deferred())
        return comparing[-1]

    world = World()
    owner(world).hangs_up()
    world.settle()
    world.chat.logins._run = run
    first, second = world.person(), world.person()
    first.types(f"/login alice {WORD}")
    world.settle()
    with freed(world, second):
        second.types(f"/login alice {WORD}")
        world.settle()
        assert len(comparing) == 1
        GOES[way](second)
        if way in ("closes", "half closes"):
            # What was sent counts: it is compared when it is its turn.
            comparing[0].callback(False)
            world.settle()
            comparing[1].callback(False)
    if not comparing[0].called:
        comparing[0].callback(False)
    world.end()


@pytest.mark.parametrize("way", GOES)
@pytest.mark.parametrize("answer", [True, False, None])
def test_nothing_is_left_of_who_goes_while_a_name_is_claimed(way: str, answer: bool | None) -> None:
    claims = LateClaims()
    world = World(claims=claims)
    bob, alice = world.person(), world.person()
    with freed(world, alice):
        bob.types("/nick al") if answer is False else None
        alice.types("/nick al")
        GOES[way](alice)
        while claims._asked:
            claims.answer() if answer is not None else claims.fail()
            world.settle()
    world.end()


@pytest.mark.parametrize("way", GOES)
def test_nothing_is_left_of_who_goes_while_a_page_is_on_its_way(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Deferred[list[Entry]] = Deferred()
    monkeypatch.setattr(world.chat.history, "before", lambda *_: answer)
    alice = world.person("alice")
    with freed(world, alice):
        alice.types("/history", "/more")
        world.settle()
        GOES[way](alice)
        world.settle()
        answer.callback([])


# -- what is done with, but went wrong

WRONG = [
    f"/login alice {WORD}x",
    f"/login nobody {WORD}",
    f"/login {WORD}",
    "/login alice",
    "/register",
    "/password",
    f"/register {WORD}",
    "/register abc",
    f"/password {WORD} {WORD}",
    "/unregister",
    f"/unregister {WORD}x",
    "/nick alice",
    "/msg nobody hello",
    "/msg alice hello",
    "/join #private",
    "/key list",
    "/history",
    "/search hello",
]


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.parametrize("how", ["telnet", "plain", "failing", "silent"])
def test_nothing_is_left_of_who_goes_after_something_went_wrong(
    line: str, how: str, kept: World, book: FakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Least of all the password that was tried, in the frames of what was raised."""
    owner(kept).hangs_up()
    kept.settle()
    zed = owner(kept, "zed") if "password" in line or "unregister" in line else kept.person("zed")
    zed.telnet = how == "telnet"
    with freed(kept, zed):
        methods = {
            "find",
            "resembling",
            "save",
            "messages",
            "places",
            "add",
            "set_password",
            "remove",
            "leave",
        }
        if how == "failing":
            book.failing |= methods
            away = OSError("the disk is away")
            monkeypatch.setattr(kept.chat.history, "search", lambda *_: fail(away))
        if how == "silent":
            book.silent |= methods
            monkeypatch.setattr(kept.chat.history, "before", lambda *_: Deferred())
            monkeypatch.setattr(kept.chat.history, "search", lambda *_: Deferred())
        zed.says(line)
        kept.wait(20)
        if how == "telnet":
            zed.says(*[WORD, "other-1234"] * 2)
        zed.hangs_up()
    book.failing.clear()


@pytest.mark.parametrize("fires", ["before", "later"])
def test_what_steps_have_caught_is_freed_at_once(fires: str) -> None:
    async def carry_on(typed: Mark, answer: Deferred[None]) -> None:
        with suppress(OSError):
            await outcome(answer)

    typed = Mark()
    known = weakref.ref(typed)
    answer: Deferred[None] = Deferred()
    away = OSError("the disk is away")
    gc.collect()
    gc.disable()
    try:
        if fires == "before":
            answer.errback(away)
        ended = start(carry_on(typed, answer))
        if fires == "later":
            answer.errback(away)
        assert ended.called
        del typed, answer, away, ended
        assert known() is None
    finally:
        gc.enable()


def test_whatever_waits_for_steps_keeps_no_frames() -> None:
    """A Deferred that is awaited itself raises its failure from a frame that knows the failure.

    So does Twisted's own decorator, from Python 3.12 on: it is for what nobody leaves.
    """
    trees = {path: ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}
    users = {
        path.relative_to(ROOT).parts[0]
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "inlineCallbacks"
    }
    # In actions it drives all steps, in one place.
    assert users == {"actions", "backends", "server"}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    coroutines = {"outcome"} | {
        node.name for node in nodes if isinstance(node, ast.AsyncFunctionDef)
    }
    # Parameters that are coroutines, or make some.
    coroutines |= {
        node.arg
        for node in nodes
        if isinstance(node, ast.arg)
        if node.annotation is not None and "Coroutine[" in ast.unparse(node.annotation)
    }
    awaited = [ast.unparse(node.value) for node in nodes if isinstance(node, ast.Await)]
    names = [text.partition("(")[0].rpartition(".")[2] for text in awaited]
    assert names
    assert not set(names) - coroutines


def test_who_ends_before_a_terminal_is_agreed_on_is_not_waited_for(world: World) -> None:
    """As a port scan does at the telnet door."""
    factory = ConsoleFactory(world.chat)
    bob = world.person("bob")
    scan = Visitor(world, factory)
    scan.half_closes()
    assert scan.gone
    assert not factory.clients
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]
