"""Registering a name."""

from __future__ import annotations

import pytest

from chatroom.model.chatsettings import Settings
from chatroom.text.times import DAY
from tests.conftest import MakeWorld
from tests.support.accounts import (
    OTHER,
    WORD,
    FakeBook,
    book_of,
    hangs_up_while_answered,
    logged_in,
    owner,
)
from tests.support.logins import CANCELS, PLAIN, WARNED, hides, notice, telnet
from tests.support.world import World


def test_elsewhere_than_on_telnet_the_password_is_typed_behind_the_command(world: World) -> None:
    alice = world.person("alice")
    assert alice.asks("/register") == ["-- Usage: /register PASSWORD"]
    assert alice.asks(f"/register {WORD}") == [
        "-- alice is yours, wherever you come from: /login alice",
        "-- This server keeps names only as long as it runs.",
        "-- This connection is not encrypted: your password could be read on the way.",
        WARNED,
    ]
    assert logged_in(world, alice, "alice")


def test_over_an_encrypted_line_nobody_is_warned(world: World) -> None:
    alice = world.person("alice")
    alice.encrypted = True
    assert WARNED not in alice.asks(f"/register {WORD}")
    alice.says("/logout")
    assert WARNED not in alice.asks(f"/login alice {WORD}")


def test_on_telnet_a_new_password_is_asked_for_twice_and_not_shown(world: World) -> None:
    alice = telnet(world.person("alice"))
    bob = world.person("bob")
    assert alice.asks("/register") == notice("Choose a password for alice.", PLAIN, CANCELS)
    assert hides(alice)
    assert alice.asks(f"  {WORD} ") == notice("Once more, to be sure.", CANCELS)
    assert hides(alice)
    told = alice.asks(WORD)
    assert not hides(alice)
    assert told[0] == "-- alice is yours, wherever you come from: /login alice"
    assert WARNED not in told
    assert logged_in(world, alice, "alice")
    alice.says("back in the open")
    assert not [line for line in bob.sees if WORD in line]


def test_the_next_line_is_the_password_whatever_it_looks_like(world: World) -> None:
    alice = telnet(world.person("alice"))
    bob = world.person("bob")
    alice.says("/register", "/nick-zoe", "/nick-zoe")
    assert logged_in(world, alice, "alice")
    alice.says("/logout", "/login alice", "/nick-zoe")
    assert logged_in(world, alice, "alice")
    assert not [line for line in bob.sees if "zoe" in line]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([""], "-- Nothing was changed."),
        ([WORD, ""], "-- Nothing was changed."),
        ([WORD, OTHER, ""], "-- Nothing was changed."),
        (["short", ""], "-- Nothing was changed."),
    ],
)
def test_registering_on_telnet_can_be_given_up(world: World, typed: list[str], told: str) -> None:
    alice = telnet(world.person("alice"))
    assert alice.asks("/register", *typed)[-1] == told
    assert not hides(alice)
    assert alice.connection.user.account is None
    assert alice.asks(f"/login alice {WORD}") == [
        "-- alice is not registered. /register makes the name that you have your own."
    ]


def test_a_password_that_is_too_weak_is_asked_for_again_on_telnet(world: World) -> None:
    alice = telnet(world.person("alice"))
    told = alice.asks("/register", "short")
    assert told[-2:] == notice(
        "A password has at least 8 characters.", "Choose another one.", CANCELS
    )
    alice.says(WORD, WORD)
    assert logged_in(world, alice, "alice")


def test_elsewhere_it_is_refused(world: World) -> None:
    alice = world.person("alice")
    assert alice.asks("/register short") == [
        "-- A password has at least 8 characters. Nothing was changed."
    ]
    assert alice.connection.user.account is None


def test_a_guest_has_no_name_to_register(world: World) -> None:
    assert world.person().asks(f"/register {WORD}") == ["-- Pick a name first: /nick NAME."]


def test_who_has_a_name_cannot_register_it_again(world: World) -> None:
    alice = owner(world)
    assert alice.asks(f"/register {OTHER}") == [
        "-- You are alice already. /password changes your password."
    ]
    assert alice.asks("/nick zoe") == [
        "-- You are logged in as alice. /logout makes you a guest again."
    ]


def test_a_source_registers_three_names_in_a_day(make_world: MakeWorld) -> None:
    world = make_world(Settings(names_per_day=3))
    for name in ("a1", "a2", "a3"):
        owner(world, name, "192.0.2.1")
    late = world.person("a4", source="192.0.2.1")
    refusal = "-- Too many names were registered from your address. Try again tomorrow."
    assert late.asks(f"/register {WORD}") == [refusal]
    owner(world, "b1", "192.0.2.2")
    world.wait(DAY + 1)
    late.says(f"/register {WORD}")
    assert logged_in(world, late, "a4")


def test_names_that_are_registered_at_the_same_time_count_as_well() -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=3), accounts=book_of(fake))
    people = [world.person(f"a{number}", source="192.0.2.1") for number in range(5)]
    fake.late = True
    for person in people:
        person.types(f"/register {WORD}")
    for _ in range(30):
        fake.answer()
        world.settle()
    assert sum(person.connection.user.account is not None for person in people) == 3
    world.end()


def test_a_name_that_could_not_be_registered_does_not_count() -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=1), accounts=book_of(fake))
    alice = world.person("alice")
    fake.failing = {"add"}
    for _ in range(3):
        assert alice.asks(f"/register {WORD}") == [
            "-- It is not sure that alice is yours now. Please see later: /login alice"
        ]
    fake.failing = set()
    alice.says(f"/register {WORD}")
    assert logged_in(world, alice, "alice")
    world.end()


@pytest.mark.parametrize("moment", range(8))
def test_a_name_that_was_registered_counts_though_its_owner_hung_up_at_once(moment: int) -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=1), accounts=book_of(fake))
    alice = world.person("alice", source="192.0.2.1")
    fake.late = True
    alice.types(f"/register {WORD}")
    hangs_up_while_answered(alice, fake, 8, moment)
    world.settle()
    made = fake.book._accounts
    assert world.chat.logins.created.spent("192.0.2.1") is bool(made)
    world.end()
