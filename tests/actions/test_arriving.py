"""Who arrives with an identity: greeted once, with their name, where they were, or told why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.logger import LogEvent

from chatroom.actions.handler import TEXT
from chatroom.backends.memory import MemoryNameClaims
from chatroom.chat.connection import Connection
from chatroom.commands import COMMANDS
from chatroom.formats.plain import plain
from chatroom.model.events import Event, Joined
from chatroom.model.identity import Identity
from chatroom.model.sanctions import Sanction
from chatroom.text import names
from tests.conftest import MakeWorld
from tests.support.accounts import (
    LOGIN,
    WORD,
    FakeBook,
    again,
    book_of,
    code_of,
    hangs_up_while_answered,
    logged_in,
    now,
    owner,
    register,
    take_steps,
)
from tests.support.arrivals import FIRST, KEY, LAST, SECOND, as_owner, with_key
from tests.support.doubles import FailingLedger, FakeWriter, LateClaims, refuse
from tests.support.stores import LEDGERS
from tests.support.world import Person, World, check


def greetings(lines: list[str]) -> list[str]:
    return [line for line in lines if "Welcome to" in line or "You are now" in line]


# -- with an account


def test_who_has_an_account_is_greeted_once_by_their_name(world: World) -> None:
    bob = world.person("bob")
    world.wait(5)
    alice = world.arrives(as_owner(world))
    assert alice.sees == [f"{FIRST}alice, in #lobby with bob.", SECOND, LAST]
    assert logged_in(world, alice, "alice")
    check(world)
    alice.says("hello")
    assert bob.sees == ["-- alice joined.", "alice: hello"]
    alice.says("/quit")
    assert bob.sees == ["-- alice left."]


def test_who_arrives_is_where_they_were_with_what_they_prefer(world: World) -> None:
    alice, bob = owner(world), owner(world, "bob", "198.51.100.2")
    bob.says("/join den", "hello den")
    alice.says("/join den", "hi", "/bell on", "/timestamps on", "/ignore bob", "/quit")
    bob.says("you are not shown this")
    person = world.arrives(again(world))
    told = person.sees
    assert greetings(told) == [f"{FIRST}alice, in #den with bob."]
    assert [line[6:] for line in told if line.endswith(("hi", "den", "this"))] == ["alice: hi"]
    assert person.connection.user.preferences.bell == "on"
    assert person.connection.format is plain(person.connection.user.preferences)
    bob.says("nor this")
    assert person.sees == []
    check(world)


@pytest.mark.parametrize("why", ["private", "gone"])
def test_who_cannot_be_where_they_were_is_in_the_lobby(world: World, why: str) -> None:
    alice, bob = owner(world), owner(world, "bob", "198.51.100.2")
    bob.says("/join den", "hello den")
    alice.says("/join den", "/quit")
    if why == "private":
        bob.says("/room private")
    else:
        bob.says("/quit")
        del world.chat.rooms["den"]
        world.chat._announcers.pop("den").close()
    person = world.arrives(again(world))
    (greeting,) = greetings(person.sees)
    assert greeting.startswith(f"{FIRST}alice, in #lobby")
    assert (world.chat.moderation.rooms.get("den") is not None) or why == "gone"
    check(world)


def test_what_was_missed_and_what_was_left_is_told_once(world: World) -> None:
    owner(world).says("/quit")
    bob = world.person("bob")
    bob.says("alice, look", "/msg alice psst")
    person = world.arrives(again(world))
    told = person.sees
    assert [line for line in told if "look" in line] == ["08:00 bob: alice, look"]
    assert told[told.index("08:00 bob: alice, look") - 1] == "-- 1 new"
    assert told[told.index(LAST) :] == [
        LAST,
        "-- A private line was left for you:",
        "-- Today (times are UTC)",
        "08:00 -> bob to you: psst",
    ]
    bob.says("and now?")
    assert person.sees == ["bob: and now?"]
    person.says("/quit")
    assert not [line for line in world.arrives(again(world)).sees if "psst" in line]


def test_what_somebody_who_left_before_the_greeting_missed_is_missed_still(world: World) -> None:
    owner(world).says("/quit")
    world.person("bob").says("one", "two")
    gone = Person(world, identity=again(world))
    gone.hangs_up()
    world.settle()
    assert "-- 2 new" in world.arrives(again(world)).sees


def test_the_former_connection_ends_and_who_squatted_is_a_guest_again(world: World) -> None:
    former = owner(world)
    former.says("/join den", "hi")
    person = world.arrives(again(world))
    assert former.sees[-1] == (
        "-- You are logged in at 192.0.2.7 (a plain line) now. This connection ends."
    )
    assert former.gone
    assert greetings(person.sees) == [f"{FIRST}alice, in #den."]
    assert logged_in(world, person, "alice")
    squatter = world.person("carol")
    carol = world.arrives(as_owner(world, "carol"))
    assert names.is_reserved(squatter.name)
    assert "-- carol is registered, and who it belongs to is here." in squatter.sees
    assert logged_in(world, carol, "carol")
    check(world)


def test_what_is_typed_waits_and_is_said_under_the_name(world: World) -> None:
    bob = world.person("bob")
    alice = Person(world, identity=as_owner(world))
    alice.types("one", "two")
    alice.ends()
    assert not alice.connection.gate.is_open
    world.settle()
    assert bob.sees == ["-- alice joined.", "alice: one", "alice: two", "-- alice left."]
    assert alice.gone


def test_nobody_finds_who_has_not_been_greeted(world: World) -> None:
    fake: Any = FakeBook()
    fake.book = world.chat.logins.accounts
    world.chat.logins.accounts = fake
    identity, bob = as_owner(world), world.person("bob")
    fake.late = True
    alice = Person(world, identity=identity)
    for line in ("/who", "/msg guest2 psst", "/whois guest2", "/whois alice"):
        assert not [told for told in bob.asks(line) if "guest" in told and "Nobody" not in told]
    bob.says("a line from before")
    assert alice.sees == []
    fake.late = False
    fake.answer_all()
    world.settle()
    told = alice.sees
    assert told[0].startswith(FIRST)
    assert sum("a line from before" in line for line in told) == 1
    check(world)


def test_in_lockdown_who_has_an_account_enters_and_who_has_none_waits(world: World) -> None:
    world.person("root1").operates()
    world.chat.moderation.lockdown.set("", Sanction("", 0, "", "root", 0))
    alice = world.arrives(as_owner(world))
    assert alice.sees[0] == f"{FIRST}alice, in #lobby."
    dave = world.arrives(Identity("dave"))
    assert dave.sees == [
        f"{FIRST}{dave.name}.",
        "-- Only registered people may talk just now: /login NAME.",
        "-- Only registered people enter and talk just now: /login NAME.",
    ]
    register(world, "carol")
    carol = world.arrives(Identity("carol"))
    assert carol.name.startswith("guest")
    assert carol.connection.room is None
    check(world)


def test_who_is_banned_is_a_guest_and_told_why(world: World) -> None:
    identity = as_owner(world)
    assert identity.account is not None
    order = Sanction("alice", 0, "spam", "root", 0)
    world.chat.moderation.account_bans.set(identity.account.id, order)
    person = world.arrives(identity)
    told = person.sees
    assert told[:2] == [f"{FIRST}{person.name}, in #lobby.", "-- alice is banned for good: spam."]
    assert names.is_reserved(person.name)
    assert person.connection.user.account is None
    check(world)


def test_a_network_that_is_banned_meanwhile_is_sent_away(world: World) -> None:
    fake: Any = FakeBook()
    fake.book = world.chat.logins.accounts
    world.chat.logins.accounts = fake
    identity, root = as_owner(world), world.person("root1")
    root.operates()
    fake.late = True
    person = Person(world, "192.0.2.9", address="192.0.2.9", identity=identity)
    root.types("/ban 192.0.2.0/24 1h spam")
    assert person.gone
    assert person.sees[0].startswith("-- You are banned until ")
    fake.answer_all()
    fake.late = False
    world.settle()
    check(world)


def test_an_account_that_is_gone_meanwhile_leaves_a_guest(world: World) -> None:
    identity = as_owner(world)
    assert identity.account is not None
    now(world.chat.logins.accounts.remove(identity.account.id))
    person = world.arrives(identity)
    assert person.sees[1] == "-- alice is not registered any more."
    assert names.is_reserved(person.name)
    check(world)


def test_a_code_from_who_arrived_logs_a_plain_line_in(world: World) -> None:
    alice = world.arrives(with_key(world))
    phone = world.person()
    phone.says(f"/login {code_of(alice)}")
    assert logged_in(world, phone, "alice")
    assert alice.gone
    check(world)


# -- by a key


def test_the_key_is_kept_with_the_connection_and_is_in_the_log(
    world: World, log_events: list[LogEvent]
) -> None:
    alice = world.arrives(with_key(world))
    assert alice.connection.key == KEY
    assert not [line for line in alice.sees if "/key" in line]
    (event,) = [event for event in log_events if event.get("event") == "logged_in"]
    assert (event["name"], event["key"]) == ("alice", KEY.fingerprint)
    assert not [event for event in log_events if "guest" in str(event.get("name", ""))]


def test_a_key_that_was_pasted_is_proven_by_arriving_with_it(world: World) -> None:
    world.arrives(with_key(world, proven=False))
    holder = now(world.chat.logins.accounts.keyholder(KEY.fingerprint))
    assert holder is not None
    assert holder.proven


def test_a_key_that_was_removed_meanwhile_opens_nothing(world: World) -> None:
    identity = with_key(world)
    assert identity.account is not None
    book = world.chat.logins.accounts
    now(book.remove_key(identity.account.id, KEY.fingerprint))
    person = world.arrives(identity)
    assert person.sees[1] == "-- Your key is not a key of alice any more."
    assert person.connection.user.account is None
    # Nor is it bound anew by that.
    assert now(book.keyholder(KEY.fingerprint)) is None
    check(world)


def test_who_came_by_password_with_a_key_is_told_how_to_add_it(world: World) -> None:
    account = register(world, "alice")
    alice = world.arrives(Identity("alice", account, KEY))
    assert "-- You have a key with you: /key add has it log you in from now on." in alice.sees
    assert logged_in(world, alice, "alice")


# -- without an account


def test_a_guest_who_asks_for_a_name_has_it_from_the_beginning(world: World) -> None:
    bob = world.person("bob")
    world.wait(5)
    zoe = world.arrives(Identity("Zoe", key=KEY))
    assert zoe.sees == [f"{FIRST}Zoe, in #lobby with bob.", SECOND]
    assert zoe.connection.key == KEY
    zoe.says("hello")
    assert bob.sees == ["-- Zoe joined.", "Zoe: hello"]
    check(world)
    assert bob.asks("/nick zoe") == [
        "-- zoe is taken. You are still bob. /nick NAME picks another."
    ]
    zoe.says(f"/register {WORD}")
    assert logged_in(world, zoe, "Zoe")


def test_who_does_not_get_the_name_is_a_guest_and_told_why_in_one_line(world: World) -> None:
    register(world, "alice")
    world.person("bob")
    world.wait(5)
    for identity, why in (
        (Identity("bob"), "bob is taken. /nick NAME picks another."),
        (
            Identity("ALICE"),
            "ALICE is registered. If it is yours: /login ALICE. /nick NAME picks another.",
        ),
        (
            Identity("aIice"),
            "aIice looks like the registered name alice. /nick NAME picks another.",
        ),
        (Identity(why="root is reserved."), "root is reserved."),
    ):
        person = world.arrives(identity)
        name = person.name
        assert names.is_reserved(name)
        told = person.sees
        assert greetings(told) == [told[0]]
        assert told[0].startswith(f"{FIRST}{name}, in #lobby with ")
        assert told[1:] == [f"-- {why}", SECOND]
        check(world)
    assert world.arrives(Identity()).sees[1:] == [SECOND]


def test_who_arrives_as_nobody_else_sees_what_a_bare_connection_sees(world: World) -> None:
    bare = world.arrives(Identity())
    world.wait(5)
    arrived = Person(world)
    world.settle()
    one, other = bare.sees, arrived.sees
    assert [line.replace(bare.name, "X") for line in one[1:]] == other[1:]
    assert one[0] == f"{FIRST}{bare.name}, in #lobby."
    assert other[0] == f"{FIRST}{arrived.name}, in #lobby with {bare.name}."


def test_a_connection_has_the_number_that_it_had_at_its_door() -> None:
    world = World()
    origin = world.chat.next_origin()
    client = world.person()
    writer = FakeWriter()
    connection = Connection(world.chat, client, writer, TEXT, COMMANDS, origin=origin)
    assert connection.origin == origin
    assert client.connection.origin > origin
    world.end()


# -- what is late, fails, or is not there any more


BOOK = ["find", "resembling", "save", "places", "messages", "shown", "keyholder", "prove_key"]
WAYS: list[Callable[[World], Identity]] = [
    as_owner,
    with_key,
    lambda world: with_key(world, proven=False),
    lambda world: Identity("alice"),
]


@pytest.mark.parametrize("how", ["failing", "silent", "too late"])
@pytest.mark.parametrize("method", BOOK)
@pytest.mark.parametrize("way", WAYS)
def test_everybody_is_greeted_whatever_the_book_does(
    way: Callable[[World], Identity], method: str, how: str
) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    bob, identity = world.person("bob"), way(world)
    setattr(fake, "failing" if how == "failing" else "silent", {method})
    person = Person(world, identity=identity)
    person.types("I go on")
    for _ in range(4):
        world.wait(6)
    told = person.sees
    assert len(greetings(told)) == 1
    assert told[0].startswith(f"{FIRST}{person.name}, ")
    assert bob.sees[-1] == f"{person.name}: I go on"
    if how == "too late":
        fake.answer_all()
        world.settle()
    fake.failing = fake.silent = set()
    check(world)
    looked_up = "find" if identity.account else "resembling"
    if method == looked_up or (method == "keyholder" and identity.by_key):
        assert names.is_reserved(person.name)
        assert told[1].endswith("try again later." if identity.account else "tries again.")
    elif identity.account is not None:
        assert logged_in(world, person, "alice")
    world.end()


@pytest.mark.parametrize("how", ["fails", "too late", "gone"])
@pytest.mark.parametrize("way", WAYS)
def test_a_claim_that_is_not_there_in_time_leaves_a_guest(
    way: Callable[[World], Identity], how: str, make_world: MakeWorld
) -> None:
    claims = LateClaims()
    world = make_world(claims=claims)
    person = Person(world, identity=way(world))
    world.settle()
    assert person.sees == []
    if how == "fails":
        claims.fail()
    elif how == "gone":
        person.hangs_up()
        claims.answer()
    world.wait(6)
    if how == "too late":
        claims.answer()
    world.settle()
    assert person.gone is (how == "gone")
    assert claims.local._holders == {}
    if how != "gone":
        told = person.sees
        assert names.is_reserved(person.name)
        assert len(greetings(told)) == 1
        assert told[1].startswith(("-- Accounts cannot be used", "-- Names cannot be had"))
    check(world)


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("way", WAYS)
def test_who_hangs_up_at_any_moment_leaves_nothing(
    ledger: Any, way: Callable[[World], Identity]
) -> None:
    for moment in range(20):
        fake, claims = FakeBook(), MemoryNameClaims()
        world = World(ledger, claims=claims, accounts=book_of(fake))
        identity = way(world)
        fake.late = True
        person = Person(world, identity=identity)
        hangs_up_while_answered(person, fake, 20, moment)
        world.wait(6)
        assert not world.chat.connections, moment
        assert not world.chat.people, moment
        assert claims._holders == {}, moment
        assert not world.chat.logins.online, moment
        if identity.account is not None:
            back = world.arrives(again(world))
            assert logged_in(world, back, "alice")
        world.end()


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize("other", ["arrives", "logs in", "nick"])
def test_of_two_who_want_a_name_at_once_one_has_it(ledger: Any, other: str) -> None:
    for moment in range(14):
        fake = FakeBook()
        world = World(ledger, accounts=book_of(fake))
        identity = as_owner(world)
        second = world.person() if other != "arrives" else None
        fake.late = True
        first = Person(world, identity=identity)
        take_steps(world, fake, range(moment))
        fake.late = False
        fake.answer_all()
        if second is None:
            second = Person(world, identity=identity)
        else:
            second.types(LOGIN if other == "logs in" else "/nick alice")
        world.settle()
        assert len(greetings(first.sees)) <= 1
        winner = first if other == "nick" else second
        assert logged_in(world, winner, "alice"), moment
        assert first.gone is (winner is second)
        check(world)
        world.end()


@pytest.mark.parametrize("ledger", LEDGERS)
def test_whose_name_is_taken_by_its_owner_while_they_arrive_ends_well(ledger: Any) -> None:
    for moment in range(14):
        fake = FakeBook()
        world = World(ledger, accounts=book_of(fake))
        fake.late = True
        guest = Person(world, identity=Identity("alice"))
        take_steps(world, fake, range(moment))
        fake.late = False
        identity = as_owner(world)
        alice = Person(world, identity=identity)
        world.settle()
        fake.answer_all()
        world.settle()
        assert logged_in(world, alice, "alice"), moment
        assert names.is_reserved(guest.name)
        check(world)
        world.end()


def test_who_has_a_name_only_as_long_as_nobody_took_it_meanwhile(make_world: MakeWorld) -> None:
    world = make_world()
    fake: Any = FakeBook()
    fake.book = world.chat.logins.accounts
    world.chat.logins.accounts = fake
    fake.silent = {"resembling"}
    guest = Person(world, identity=Identity("alice"))
    fake.silent = set()
    identity = as_owner(world)
    assert identity.account is not None
    alice = world.arrives(identity)
    # What the guest is told of the name is from another moment.
    now(fake.book.remove(identity.account.id))
    fake.answer_all()
    world.settle()
    assert logged_in(world, alice, "alice")
    assert names.is_reserved(guest.name)
    assert guest.sees[1] == (
        "-- alice is registered. If it is yours: /login alice. /nick NAME picks another."
    )
    check(world)


def test_a_claim_that_was_made_though_its_answer_failed_is_given_back(
    make_world: MakeWorld,
) -> None:
    claims = LateClaims()
    world = make_world(claims=claims)
    person = Person(world, identity=Identity("alice"))
    claims.local.claim("alice", person.connection.origin)
    claims.fail()
    world.settle()
    assert names.is_reserved(person.name)
    assert claims.local._holders == {}


def test_a_room_that_cannot_be_entered_leads_to_the_lobby(failing: World) -> None:
    alice = owner(failing)
    alice.says("/join den", "hi", "/quit")

    def no_den(event: Event) -> bool:
        return isinstance(event, Joined) and next(refusals)

    refusals = iter([True, False])
    ledger = failing.ledger
    assert isinstance(ledger, FailingLedger)
    ledger.refuses = no_den
    person = failing.arrives(again(failing))
    told = person.sees
    assert told[0] == "-- #den cannot be entered: the disk is full."
    assert greetings(told) == [f"{FIRST}alice, in #lobby."]
    assert logged_in(failing, person, "alice")
    person.says("/quit")
    refuse(ledger, Joined)
    for identity in (again(failing), Identity("zoe"), Identity()):
        gone = failing.arrives(identity)
        assert gone.gone
        assert gone.connection.origin not in failing.chat.connections
    refuse(ledger)
    check(failing)
