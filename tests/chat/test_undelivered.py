"""Private lines, and what was said: what nobody has taken is neither delivered nor read."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.conftest import MakeWorld
from tests.support.accounts import WORD, FakeBook, owner
from tests.support.rooms import shorten
from tests.support.world import Person, World

#: How somebody goes who has not taken what was for them.
GOES: dict[str, Callable[[Person], None]] = {
    "is reset": Person.hangs_up,
    "is cut": lambda person: person.hangs_up("not reading"),
    "closes": Person.closes,
}


@pytest.fixture(params=GOES)
def goes(request: pytest.FixtureRequest) -> Callable[[Person], None]:
    return GOES[request.param]


def comes_back(world: World, name: str = "alice") -> Person:
    """The owner of *name*, at another connection, logged in; what was shown is to be read."""
    person = world.person(source="198.51.100.9")
    person.says(f"/login {name} {WORD}")
    return person


def private(person: Person) -> list[str]:
    """The private lines that *person* was shown, without the time that those left behind have."""
    return [line[line.index("-> ") :] for line in person.sees if "to you: " in line]


# -- live ones


def test_a_private_line_that_its_recipient_has_not_taken_waits_for_their_account(
    world: World, goes: Callable[[Person], None]
) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall()
    assert bob.asks("/msg alice hello") == ["-> you to alice: hello"]
    goes(alice)
    world.settle()
    again = comes_back(world)
    assert private(again) == ["-> bob to you: hello"]
    # And not once more.
    again.hangs_up()
    world.settle()
    assert not private(comes_back(world))


def test_one_that_was_taken_is_not_shown_again(
    world: World, goes: Callable[[Person], None]
) -> None:
    alice, bob = owner(world), world.person("bob")
    bob.says("/msg alice hello")
    assert private(alice) == ["-> bob to you: hello"]
    goes(alice)
    world.settle()
    assert not private(comes_back(world))


@pytest.mark.parametrize("room", [0, 5, 20])
def test_one_of_which_only_a_part_was_taken_waits(
    room: int, world: World, goes: Callable[[Person], None]
) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall(room)
    bob.says("/msg alice hello", "/msg alice again")
    goes(alice)
    world.settle()
    assert private(comes_back(world)) == ["-> bob to you: hello", "-> bob to you: again"]


@pytest.mark.parametrize("room", [0, 5, 50])
def test_one_that_comes_in_the_turn_in_which_its_recipient_quits_waits_unless_it_was_taken(
    room: int, world: World
) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall(room)
    bob.types("/msg alice hello")
    alice.types("/quit")
    world.settle()
    taken = private(alice) if room == 50 else []
    assert [*taken, *private(comes_back(world))] == ["-> bob to you: hello"]


def test_one_of_which_the_rest_was_taken_later_is_done_with(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall(5)
    bob.says("/msg alice hello")
    alice.writer.drain()
    world.settle()
    assert "-> bob to you: hello" in alice.sees
    alice.hangs_up()
    world.settle()
    assert not private(comes_back(world))


def test_of_a_guest_the_sender_is_told(world: World, goes: Callable[[Person], None]) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    alice.writer.stall()
    bob.says("/msg alice hello")
    _ = bob.sees
    goes(alice)
    world.settle()
    assert bob.sees == [
        "-- alice has gone and did not read your last line. It was not delivered: hello"
    ]


def test_where_nothing_can_be_kept_the_sender_is_told(
    kept: World, book: FakeBook, goes: Callable[[Person], None]
) -> None:
    alice, bob = owner(kept), kept.person("bob")
    alice.writer.stall()
    bob.says("/msg alice hello")
    _ = bob.sees
    book.failing.add("leave")
    goes(alice)
    kept.settle()
    assert bob.sees == [
        "-- alice has gone and did not read your last line. It was not delivered: hello"
    ]


def test_who_comes_by_another_connection_has_it_there(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall()
    bob.says("/msg alice hello")
    again = comes_back(world)
    world.settle()
    assert len(private(again)) == 1
    again.hangs_up()
    world.settle()
    assert not private(comes_back(world))


def test_when_the_server_stops_it_waits(make_world: MakeWorld) -> None:
    world = make_world()
    alice, bob = owner(world), world.person("bob")
    account = alice.connection.user.account
    assert account is not None
    alice.writer.stall()
    bob.says("/msg alice hello")
    world.chat.close()
    waiting: list[object] = []
    world.chat.logins.accounts.messages(account.id).addCallback(waiting.extend)
    assert len(waiting) == 1


def test_what_a_kick_says_is_sent_and_the_private_line_waits(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.writer.stall()
    bob.says("/msg alice hello")
    alice.connection.expel("You were sent away.", "sent away")
    world.settle()
    assert alice.sees[-1] == "-- You were sent away."
    assert private(comes_back(world))


# -- those that waited


@pytest.mark.parametrize("step", range(12))
def test_what_was_left_for_somebody_waits_until_they_have_taken_it(
    step: int, kept: World, book: FakeBook, goes: Callable[[Person], None]
) -> None:
    """They go in each moment of a login; whenever they come back and read, it is there once."""
    owner(kept).hangs_up()
    kept.settle()
    bob = kept.person("bob", source="198.51.100.2")
    bob.says("/msg alice hello")
    first = kept.person(source="198.51.100.9")
    book.late = True
    first.types(f"/login alice {WORD}")
    for _ in range(step):
        book.answer()
        kept.clock.advance(0.0005)
    goes(first)
    seen = len(private(first)) if not first.connection.queue.size else 0
    book.late = False
    book.answer_all()
    kept.settle()
    again = comes_back(kept)
    assert seen + len(private(again)) >= 1
    again.hangs_up()
    kept.settle()
    assert not private(comes_back(kept))


def test_what_was_left_for_somebody_who_does_not_read_waits(world: World) -> None:
    owner(world).hangs_up()
    world.settle()
    world.person("bob", source="198.51.100.2").says("/msg alice hello")
    first = world.person(source="198.51.100.9")
    first.writer.stall()
    first.says(f"/login alice {WORD}")
    first.hangs_up("not reading")
    world.settle()
    assert private(comes_back(world))


# -- what was said


def said(world: World, person: Person, count: int, size: int = 10) -> None:
    for number in range(count):
        person.says(f"{number} {'x' * size}")


def missed(person: Person) -> int:
    """How many lines they are told to be new to them, shown already or not."""
    told = "\n".join(person.sees)
    marked = re.findall(r"^-- (\d+) new|^-- You missed (\d+) |^-- The last (\d+) lines", told, re.M)
    return sum(int(number) for numbers in marked for number in numbers if number)


@pytest.mark.parametrize("count", [3, 30])
def test_who_took_nothing_missed_all_of_it_also_when_the_log_has_moved_on(
    count: int, world: World, goes: Callable[[Person], None]
) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = owner(world), world.person("bob")
    bob.says("before")
    alice.writer.stall()
    said(world, bob, count)
    goes(alice)
    world.settle()
    told = missed(comes_back(world))
    # In memory ten events are kept, of which some are no lines; a store keeps all.
    most = 10 if world.store is None else 30
    assert min(count, most - 3) <= told <= min(count, most)


def test_what_was_read_is_the_last_line_that_was_handed_over(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = owner(world), world.person("bob")
    bob.says("before")
    (before,) = [row.id for row in world.chat.lobby.log.between() if row.event.line]
    alice.writer.stall()
    said(world, bob, 30)
    assert world.chat.lobby.last_shown(alice.reader) == before
    account = alice.connection.user.account
    assert account is not None
    alice.hangs_up("not reading")
    world.settle()
    places: list[dict[str, int]] = []
    world.chat.logins.accounts.places(account.id).addCallback(places.append)
    assert places == [{"lobby": before}]


def test_who_goes_before_being_told_what_they_missed_has_missed_it_still(
    kept: World, book: FakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = owner(kept), kept.person("bob")
    alice.hangs_up()
    kept.settle()
    said(kept, bob, 5)
    first = kept.person(source="198.51.100.9")
    book.silent.add("messages")
    first.says(f"/login alice {WORD}")
    first.hangs_up()
    kept.settle()
    book.silent.clear()
    book.answer_all()
    assert missed(comes_back(kept)) == 5


def test_who_closes_while_logging_in_has_missed_it_still(make_world: MakeWorld) -> None:
    for way in GOES.values():
        world = make_world()
        alice, bob = owner(world), world.person("bob")
        alice.hangs_up()
        world.settle()
        said(world, bob, 5)
        first = world.person(source="198.51.100.9")
        first.types(f"/login alice {WORD}")
        way(first)
        world.settle()
        assert missed(comes_back(world)) == 5
