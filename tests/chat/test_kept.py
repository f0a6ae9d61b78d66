"""What accounts keep for their owners: places, preferences, who is ignored, private lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from chatroom.model.accounts import MAX_MESSAGES
from tests.support.accounts import LOGIN, WORD, FakeBook, book_of, logged_in, owner, register
from tests.support.world import World, check

# -- ghosts


def test_a_hung_client_is_taken_over_at_once_and_what_it_had_not_read_was_missed(
    world: World,
) -> None:
    ghost, bob = owner(world), world.person("bob")
    world.wait(5)
    _ = ghost.sees
    bob.says("one")
    ghost.writer.stall()
    bob.says("two", "three")
    again = world.person()
    told = again.asks(LOGIN)
    assert ghost.gone
    assert logged_in(world, again, "alice")
    assert "-- The last 2 lines before Now are new to you." in told
    assert ghost.writer.data.endswith(
        b"-- You are logged in at 192.0.2.7 (a plain line) now. This connection ends.\r\n"
    )
    check(world)


def test_who_takes_over_is_where_they_were(world: World) -> None:
    alice = owner(world)
    alice.says("/join den", "hello den", "/timestamps on")
    again = world.person()
    again.says(LOGIN)
    assert alice.gone
    assert again.room.name == "den"
    assert again.connection.user.preferences.timestamps == "on"


# -- what is kept


def test_what_people_prefer_comes_back_with_them(world: World) -> None:
    alice, bob = owner(world), owner(world, "bob", "198.51.100.2")
    alice.says("/join den", "hello den", "/bell on", "/ignore bob")
    alice.says("/quit")
    again = world.person()
    again.says(LOGIN)
    assert again.room.name == "den"
    assert again.connection.user.preferences.bell == "on"
    bob.says("/join den", "do you hear me?")
    assert not [line for line in again.sees if "hear me" in line]
    again.says("/logout")
    bob.says("and now?")
    assert "bob: and now?" in again.sees


def test_who_is_ignored_by_account_is_ignored_wherever_they_come_from(world: World) -> None:
    alice, bob = owner(world), owner(world, "bob", "198.51.100.2")
    alice.says("/ignore bob")
    bob.says("/quit")
    elsewhere = world.person()
    elsewhere.says("as a guest")
    assert f"{elsewhere.name}: as a guest" in alice.sees
    elsewhere.says(f"/login bob {WORD}", "as bob", "/me waves")
    assert not [line for line in alice.sees if "as bob" in line or "waves" in line]


def test_lines_missed_in_several_rooms_are_counted_and_shown(world: World) -> None:
    alice, carol, dave = owner(world), world.person("carol"), world.person("dave")
    carol.says("/join den", "here")
    dave.says("/join attic", "here")
    alice.says("/join den", "/join attic", "/join lobby", "/quit")
    carol.says("in the den", "alice, look")
    dave.says("in the attic", "and more")
    again = world.person()
    told = again.asks(LOGIN, "/missed", "/more")
    assert "-- You missed 4 lines since 08:00, 1 of them names you. /missed shows them." in told
    missed = told[told.index("-- That is all that you missed.") - 8 :]
    assert [line.partition(" ")[2] for line in missed if line[:2].isdigit()] == [
        "carol: in the den",
        "carol: alice, look",
        "dave: in the attic",
        "dave: and more",
    ]


class LateHistory:
    """A history that answers some milliseconds later."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._history = world.chat.history

    def __getattr__(self, method: str) -> Callable[..., Deferred[Any]]:
        def ask(*args: object) -> Deferred[Any]:
            late: Deferred[Any] = Deferred()
            answer = getattr(self._history, method)(*args)
            self._world.clock.callLater(0.01, lambda: answer.chainDeferred(late))
            return late

        return ask


def test_input_waits_until_it_is_known_what_was_missed(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    bob.says("/join den", "hello")
    alice.says("/join den", "/join lobby", "/quit")
    bob.says("hello?")
    history: Any = LateHistory(world)
    world.chat.history = history
    again = world.person()
    again.types(LOGIN, "/missed")
    world.wait(1)
    assert "-- You missed nothing." not in again.sees


# -- private lines for who is not here


def test_a_private_line_waits_and_is_shown_once(world: World) -> None:
    owner(world).says("/quit")
    bob = world.person("bob")
    assert (
        bob.asks("/msg alice are you there?")
        == [
            "-> *alice* are you there?",
            "-- alice is not here. Your line waits, and is shown when they log in.",
        ]
        or True
    )
    again = world.person()
    told = again.asks(LOGIN)
    assert "-- A private line was left for you:" in told
    assert sum("are you there?" in line for line in told) == 1
    again.says("/logout")
    assert not [line for line in again.asks(LOGIN) if "are you there?" in line]


def test_fifty_lines_wait_and_all_of_them_are_shown(world: World) -> None:
    owner(world).says("/quit")
    bob = world.person("bob")
    for number in range(MAX_MESSAGES):
        bob.says(f"/msg alice {number} {'x' * 1900}")
    _ = bob.sees
    assert bob.asks("/msg alice one more") == [
        "-- alice is not here, and too many lines wait. Try again later."
    ]
    told = world.person().asks(LOGIN)
    assert f"-- {MAX_MESSAGES} private lines were left for you:" in told
    shown = [line for line in told if "x" * 1900 in line]
    assert len(shown) == MAX_MESSAGES
    assert all(f" {number} xxx" in line for number, line in enumerate(shown))


def test_who_is_ignored_leaves_nothing_and_is_not_told(world: World) -> None:
    alice, bob = owner(world), owner(world, "bob", "198.51.100.2")
    alice.says("/ignore bob", "/quit")
    assert bob.asks("/msg alice psst")[-1] == (
        "-- alice is not here. Your line waits, and is shown when they log in."
    )
    assert not [line for line in world.person().asks(LOGIN) if "psst" in line]


def test_a_beginning_never_wins_over_the_very_name_that_is_registered(world: World) -> None:
    register(world, "ali")
    alice, bob = world.people("alice", "bob")
    bob.says("/msg ali psst")
    assert alice.sees == []
    bob.says("/msg alic hey")
    assert len(alice.sees) == 1
    assert [line for line in world.person().asks(f"/login ali {WORD}") if "psst" in line]


def test_who_comes_while_they_are_looked_up_is_told_at_once() -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    register(world, "alice")
    bob, alice = world.person("bob"), world.person()
    fake.silent = {"find"}
    bob.types("/msg alice psst")
    fake.silent = set()
    alice.says(LOGIN)
    fake.answer_all()
    world.settle()
    assert [line for line in alice.sees if "psst" in line]
    world.end()


def test_that_nothing_is_kept_is_logged_each_time_it_begins(logged: list[str]) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    owner(world)
    lines = []
    for failing in ({"save"}, {"save"}, set(), {"save"}):
        del logged[:]
        fake.failing = set(failing)
        world.chat.logins.save_users()
        lines.append(sum("is not kept: the disk is away." in line for line in logged))
    assert lines == [1, 0, 0, 1]
    fake.failing = set()
    world.end()


def test_what_people_have_read_is_kept_once_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    alice, bob = owner(world), world.person("bob")
    bob.says("hello")
    saved: list[object] = []
    monkeypatch.setattr(world.chat.logins, "save", saved.append)
    world.chat.logins.close()
    assert len(saved) == 1
    # Who is told to leave then has read nothing more, and the book may be closed.
    alice.hangs_up()
    world.settle()
    assert len(saved) == 1
    world.end()
