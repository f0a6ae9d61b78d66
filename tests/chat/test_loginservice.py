"""Who has which name when several want it at once, and what becomes of it when the book fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chatroom.backends.memory import MemoryAccounts, MemoryNameClaims
from chatroom.model.chatsettings import Settings
from chatroom.text import names
from chatroom.text.times import DAY
from tests.conftest import MakeWorld
from tests.support.accounts import (
    LINE,
    LOGIN,
    OTHER,
    WORD,
    FakeBook,
    book_of,
    come,
    hangs_up_while_answered,
    logged_in,
    owner,
    register,
)
from tests.support.doubles import DelayedLedger, LateClaims
from tests.support.stores import LEDGERS
from tests.support.world import World, check


@pytest.fixture
def slow(make_world: MakeWorld, claims: LateClaims) -> Iterator[World]:
    """A world whose claims are late, in which alice is registered and not here."""
    world = make_world(claims=claims)
    register(world, "alice")
    yield world
    world.empty()
    assert claims.local._holders == {}


# -- two who want one name


def test_of_two_who_log_in_the_last_wins_and_the_other_is_told(world: World) -> None:
    first = owner(world)
    second = world.person()
    assert second.asks(LOGIN)[0] == "-- You are now alice."
    assert first.sees == [
        "-- You are logged in at 192.0.2.7 (a plain line) now. This connection ends."
    ]
    assert first.gone
    assert logged_in(world, second, "alice")
    check(world)


def test_of_two_who_log_in_at_once_one_stays(world: World) -> None:
    register(world, "alice")
    first, second = world.person(), world.person()
    first.types(LOGIN)
    second.types(LOGIN)
    world.settle()
    assert first.gone
    assert logged_in(world, second, "alice")
    check(world)


def test_of_two_whose_claims_are_late_the_last_wins(slow: World, claims: LateClaims) -> None:
    first, second = come(slow, LOGIN), come(slow, LOGIN)
    claims.answer()
    claims.answer()
    # It has been claimed back for whom it was given to first.
    claims.answer()
    slow.settle()
    assert first.gone
    assert logged_in(slow, second, "alice")
    check(slow)


@pytest.mark.parametrize("fails", ["first", "second"])
def test_of_two_of_whose_claims_one_fails_the_other_has_it(
    slow: World, claims: LateClaims, fails: str
) -> None:
    first, second = come(slow, LOGIN), come(slow, LOGIN)
    for which in ("first", "second"):
        if which == fails:
            claims.fail()
        else:
            claims.answer()
    slow.settle()
    loser, winner = (first, second) if fails == "first" else (second, first)
    assert logged_in(slow, winner, "alice")
    assert "-- Accounts cannot be used just now. Please try again later." in loser.sees
    check(slow)


@pytest.mark.parametrize("leaves", [False, True])
def test_a_claim_that_comes_too_late_is_given_back(
    slow: World, claims: LateClaims, leaves: bool
) -> None:
    person = come(slow, LOGIN)
    if leaves:
        person.hangs_up()
        slow.settle()
    else:
        slow.wait(6)
        assert "-- Accounts cannot be used just now. Please try again later." in person.sees
    claims.answer()
    slow.settle()
    assert claims.local._holders == {}
    check(slow)


def test_a_claim_that_comes_too_late_leaves_the_name_to_who_is_logged_in(
    slow: World, claims: LateClaims
) -> None:
    first, _ = come(slow, LOGIN), come(slow, LOGIN)
    claims.answer()
    slow.settle()
    slow.wait(6)
    claims.answer()
    slow.settle()
    # It has been claimed back for them.
    claims.answer()
    assert logged_in(slow, first, "alice")
    check(slow)


def test_a_claim_that_cannot_be_given_back_bothers_nobody(slow: World, claims: LateClaims) -> None:
    first, _ = come(slow, LOGIN), come(slow, LOGIN)
    claims.answer()
    slow.settle()
    slow.wait(6)
    claims.answer()
    claims.fail()
    assert logged_in(slow, first, "alice")
    # It is theirs all the same: nobody else is given it while it is registered.
    other = come(slow, "/nick alice")
    claims.answer()
    slow.settle()
    assert other.name != "alice"


def test_who_had_the_name_before_and_leaves_before_it_is_claimed_leaves_no_claim(
    claims: LateClaims,
) -> None:
    world = World(claims=claims)
    squatter = come(world, "/nick alice")
    claims.answer()
    world.settle()
    assert squatter.name == "alice"
    register(world, "alice")
    squatter.types(LOGIN)
    world.settle()
    squatter.hangs_up()
    world.settle()
    claims.answer()
    assert claims.local._holders == {}
    world.end()


def test_who_has_to_leave_the_name_and_logs_in_with_it_at_once_has_the_claim() -> None:
    fake, claims = FakeBook(), MemoryNameClaims()
    world = World(DelayedLedger, claims=claims, accounts=book_of(fake))
    squatter, other = world.person("alice"), world.person()
    register(world, "alice")
    fake.late = True
    squatter.types(LOGIN)
    # The account, what it has read, and the account as it is now, which is still to come.
    fake.answer()
    fake.answer()
    assert fake.waiting == 1
    fake.late = False
    other.types(LOGIN)
    # Nothing has been committed yet of the squatter being a guest again.
    fake.answer()
    world.settle()
    assert logged_in(world, squatter, "alice")
    assert other.gone
    check(world)
    world.end()


def test_who_hangs_up_between_the_password_and_the_name_leaves_nothing(world: World) -> None:
    alice = owner(world)
    alice.says("/bell on", "/join den", "hello den", "/logout", "/join den")
    alice.says(f"/login alice {WORD}", "/quit")
    person = world.person()
    person.types(LOGIN)
    person.hangs_up()
    world.settle()
    check(world)
    assert not world.chat.connections
    again = world.person()
    again.says(LOGIN)
    # What is kept for the account is what it was.
    assert again.connection.user.preferences.bell == "on"
    assert logged_in(world, again, "alice")


@pytest.mark.parametrize("ledger", LEDGERS)
def test_who_hangs_up_at_any_moment_of_a_login_leaves_nothing(ledger: Any) -> None:
    for moment in range(25):
        fake = FakeBook()
        world = World(ledger, accounts=book_of(fake))
        alice = owner(world)
        alice.says("/bell on", "/join den", "hello den", "/quit")
        fake.late = True
        person = world.person()
        person.types(LOGIN)
        hangs_up_while_answered(person, fake, 25, moment)
        world.settle()
        fake.answer_all()
        world.wait(6)
        assert not world.chat.connections, moment
        check(world)
        again = world.person()
        again.says(LOGIN)
        assert again.connection.user.preferences.bell == "on", moment
        world.end()


@pytest.mark.parametrize("ledger", LEDGERS)
def test_who_logs_in_while_another_login_is_under_way_keeps_the_preferences(ledger: Any) -> None:
    for moment in range(12):
        world = World(ledger)
        alice = owner(world)
        alice.says("/bell on", "/quit")
        first, second = world.person(), world.person()
        first.types(LOGIN)
        for _ in range(moment):
            world.clock.advance(0.001)
        second.says(LOGIN)
        assert logged_in(world, second, "alice")
        assert second.connection.user.preferences.bell == "on"
        check(world)
        world.end()


def test_a_guest_does_not_get_a_registered_name(world: World) -> None:
    register(world, "alice")
    bob = world.person("bob")
    assert bob.asks("/nick Alice") == [
        "-- Alice is registered. If it is yours: /login Alice. You are still bob. /nick NAME picks "
        "another."
    ]
    check(world)
    come(world, LOGIN)
    assert bob.asks("/nick alice") == [
        "-- alice is taken. You are still bob. /nick NAME picks another."
    ]


def test_a_guest_does_not_get_what_looks_like_a_registered_name(world: World) -> None:
    register(world, "alice")
    bob = world.person("bob")
    assert bob.asks("/nick aIice") == [
        "-- aIice looks like the registered name alice. You are still bob. /nick NAME picks "
        "another."
    ]
    for name in ("\u0430\u04cf\u0456\u0441\u0435", "\u1d00\u029f\u026a\u1d04\u1d07", "ALlCE"):
        assert "looks like the registered name alice." in bob.asks(f"/nick {name}")[0]
    check(world)
    # Nobody else has claimed what bob did not get, nor is its owner kept out.
    assert logged_in(world, come(world, LOGIN), "alice")
    assert bob.asks("/nick allice") == ["-- You are now allice."]


def test_a_guest_who_looks_like_another_guest_keeps_the_name_until_it_is_registered(
    world: World,
) -> None:
    bob, eve = world.person("alice"), world.person()
    assert eve.asks("/nick aIice") == ["-- You are now aIice."]
    assert bob.asks(f"/register {WORD}")[0].startswith("-- alice is yours")
    assert eve.name == "aIice"
    assert eve.asks(f"/register {WORD}") == [
        "-- aIice looks like the registered name alice. /nick NAME picks another."
    ]
    check(world)


def test_of_two_who_register_names_that_look_alike_at_once_one_gets_it() -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    alice, eve = world.person("alice"), world.person("aIice")
    fake.silent = {"add"}
    for person in (alice, eve):
        person.types(f"/register {WORD}")
    world.settle()
    fake.silent = set()
    fake.answer_all()
    world.settle()
    assert [person.connection.user.account is not None for person in (alice, eve)] == [True, False]
    assert eve.sees[-1] == (
        "-- Somebody has just registered aIice, or what looks like it. /nick NAME picks another."
    )
    check(world)
    world.end()


def test_a_squatter_is_a_guest_again_when_the_owner_comes(world: World) -> None:
    squatter = world.person("alice")
    register(world, "alice")
    alice = come(world, LOGIN)
    assert squatter.sees[-3:] == [
        "-- alice is registered, and who it belongs to is here.",
        "-- You are a guest again; /nick NAME picks another name.",
        f"-- You are now {squatter.name}.",
    ]
    assert names.is_reserved(squatter.name)
    assert logged_in(world, alice, "alice")
    check(world)
    assert squatter.asks("/nick zoe") == ["-- You are now zoe."]


def test_a_squatter_who_changes_the_spelling_meanwhile_is_a_guest_again() -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    squatter = world.person("alice")
    register(world, "alice")
    fake.silent = {"resembling"}
    squatter.types("/nick ALICE")
    world.settle()
    fake.silent = set()
    alice = come(world, LOGIN)
    fake.answer_all()
    world.settle()
    assert names.is_reserved(squatter.name)
    assert logged_in(world, alice, "alice")
    check(world)
    world.end()


def test_a_squatter_who_logs_in_as_somebody_else_meanwhile_does() -> None:
    world = World(DelayedLedger)
    for moment in range(12):
        squatter = world.person(f"alice{moment}")
        register(world, f"alice{moment}")
        register(world, f"bob{moment}")
        alice = world.person()
        squatter.types(f"/login bob{moment} {WORD}")
        for _ in range(moment):
            world.clock.advance(0.001)
        alice.says(f"/login alice{moment} {WORD}")
        assert logged_in(world, alice, f"alice{moment}")
        assert logged_in(world, squatter, f"bob{moment}")
        check(world)
    world.end()


def test_who_is_asked_for_a_new_password_when_the_owner_comes_registers_nothing(
    world: World,
) -> None:
    squatter = world.person("alice")
    squatter.telnet = True
    squatter.says("/register")
    register(world, "alice")
    come(world, LOGIN)
    assert squatter.asks(OTHER, OTHER)[-1].startswith("-- You are not alice any more.")
    assert squatter.connection.user.account is None
    check(world)


def test_who_logs_in_right_after_somebody_logged_out_is_no_bother_to_them(world: World) -> None:
    first, second = owner(world), world.person()
    first.types("/logout")
    second.types(LOGIN)
    world.settle()
    assert logged_in(world, second, "alice")
    assert first.sees == [f"-- You are now {first.name}."]
    check(world)


# -- a book that is late, fails, or never answers


BOOK = [
    "find",
    "resembling",
    "add",
    "set_password",
    "remove",
    "save",
    "places",
    "leave",
    "messages",
    "shown",
]
BOOK += ["add_key", "keys", "remove_key", "keyholder", "prove_key"]
DEEDS = [
    f"/register {OTHER}",
    LOGIN,
    "/nick zoe",
    "/msg alice psst",
]


@pytest.mark.parametrize("how", ["failing", "silent", "too late"])
@pytest.mark.parametrize("method", BOOK)
@pytest.mark.parametrize("deed", DEEDS)
def test_input_goes_on_whatever_the_book_does(how: str, method: str, deed: str) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    register(world, "alice")
    person, bob = world.person("carol"), world.person("bob")
    setattr(fake, "failing" if how == "failing" else "silent", {method})
    person.types(deed, "I go on")
    world.wait(6)
    world.wait(6)
    world.wait(6)
    assert bob.sees[-1] == f"{person.name}: I go on"
    if how == "too late":
        fake.answer_all()
        world.settle()
    fake.failing = fake.silent = set()
    check(world)
    if deed == LOGIN and method not in ("find",):
        assert logged_in(world, person, "alice")
    world.end()


@pytest.mark.parametrize("how", ["failing", "silent"])
@pytest.mark.parametrize("method", BOOK)
@pytest.mark.parametrize(
    "deed",
    [
        *(f"/password {WORD} {OTHER}", f"/unregister {WORD}", "/logout", "/bell on", "/quit"),
        *("/key", f"/key add {LINE}", "/key remove SHA"),
    ],
)
def test_who_is_logged_in_goes_on_whatever_the_book_does(how: str, method: str, deed: str) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    alice, bob = owner(world), world.person("bob")
    setattr(fake, how, {method})
    alice.types(deed)
    world.wait(6)
    world.wait(6)
    if deed != "/quit":
        alice.says("I go on")
        assert bob.sees[-1] == f"{alice.name}: I go on"
    fake.failing = fake.silent = set()
    fake.answer_all()
    check(world)
    world.end()


@pytest.mark.parametrize("by", ["owner", "operator"])
def test_an_account_that_is_given_up_too_late_is_gone_all_the_same(by: str) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    alice, root = owner(world), world.person("root1")
    account = alice.connection.user.account
    root.operates()
    assert account is not None
    fake.silent = {"remove"}
    if by == "owner":
        alice.types(f"/unregister {WORD}")
    else:
        root.types("/unregister alice", "/unregister alice")
    world.wait(6)
    assert account.id not in world.chat.logins.removed
    _ = alice.sees
    fake.answer_all()
    assert account.id in world.chat.logins.removed
    world.settle()
    assert alice.connection.user.account is None
    assert "alice" in alice.sees[0]
    check(world)
    world.end()


def test_an_account_that_is_given_up_while_its_owner_moves_is_nobodys() -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    alice = owner(world)
    fake.silent = {"remove"}
    alice.says(f"/unregister {WORD}")
    again = world.person()
    again.says(LOGIN)
    assert logged_in(world, again, "alice")
    _ = again.sees
    fake.answer_all()
    world.settle()
    assert again.connection.user.account is None
    assert again.sees == ["-- alice is given up; when you leave it is anybody's."]
    check(world)
    world.end()


# -- guesses, and names that lapse


def test_the_owner_gets_in_while_ten_thousand_guesses_are_made() -> None:
    world = World(accounts=MemoryAccounts())
    register(world, "alice")
    guessers = [world.person(source=f"203.0.113.{number}") for number in range(10)]
    alice = world.person(source="198.51.100.1")
    for guesser in guessers:
        guesser.types(*[f"/login alice guess-{number:04}" for number in range(1000)])
    world.settle()
    alice.says(LOGIN)
    assert logged_in(world, alice, "alice")
    # The guesses go on, each after its pause, and none of them ends it.
    world.clock.pump([2.0] * 20)
    left = sum(len(guesser._waiting) for guesser in guessers)
    assert 10_000 - 10 * 40 < left < 10_000 - 10 * 15
    alice.says("/logout", LOGIN)
    assert logged_in(world, alice, "alice")
    world.end()


def test_from_the_same_source_the_owner_waits_a_little() -> None:
    world = World(accounts=MemoryAccounts())
    register(world, "alice")
    alice, guesser = world.person(), world.person()
    guesser.types(*[f"/login alice guess-{number:04}" for number in range(10_000)])
    world.clock.pump([0.5] * 40)
    assert len(guesser._waiting) > 9_900
    alice.types(LOGIN)
    world.clock.pump([0.5] * 5)
    assert logged_in(world, alice, "alice")
    world.end()


def test_a_name_that_is_not_used_lapses(make_world: MakeWorld) -> None:
    world = make_world(Settings(keep_names=30))
    alice = owner(world)
    owner(world, "bob").says("/quit")
    world.wait(29 * DAY)
    world.chat.expire()
    person = world.person()
    assert person.asks("/nick bob")[0].startswith("-- bob is registered.")
    world.wait(2 * DAY)
    world.chat.expire()
    assert person.asks("/nick bob") == ["-- You are now bob."]
    assert logged_in(world, alice, "alice")
    alice.says("/logout", LOGIN)
    assert logged_in(world, alice, "alice")


def test_a_password_whose_connection_closed_in_good_order_does_not_leave_a_ghost() -> None:
    world = World()
    register(world, "alice")
    # Its turn does not come at once.
    world.chat.logins.throttle._width = 0
    person, bob = world.person(), world.person("bob")
    person.types(LOGIN, "last words")
    person.connection.closed = True
    person.ends()
    world.settle()
    world.chat.logins.throttle._width = 1
    come(world, f"/login alice {OTHER}")
    world.wait(10)
    assert person.connection.origin not in world.chat.connections
    assert "alice: last words" in bob.sees
    world.end()
