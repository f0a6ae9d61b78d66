"""Several devices: one user by several connections, of whom others see one."""

import pytest

from chatroom.model.events import Joined, Renamed, Said
from chatroom.model.identity import Identity
from tests.support.accounts import WORD, logged_in, now, owner
from tests.support.doubles import FailingLedger, refuse
from tests.support.world import Person, World, check

LOGIN = f"/login alice {WORD}"


def device(world: World, *, replaces: bool = False) -> Person:
    """One more connection of alice, as a door opens it that knows her already."""
    account = now(world.chat.logins.accounts.find("alice"))
    person = Person(world, identity=Identity("alice", account), replaces=replaces)
    world.settle()
    return person


@pytest.fixture
def alice(world: World) -> Person:
    return owner(world)


def test_nobody_sees_a_second_device_come_or_go(world: World, alice: Person) -> None:
    bob = world.person("bob")
    world.wait(5)
    _ = bob.sees
    second = device(world)
    assert "-- Welcome to chatroom. You are alice, in #lobby with bob." in second.sees
    world.wait(5)
    assert bob.asks("/who") == ["-- 2 people in #lobby: alice, bob"]
    second.says("/quit")
    world.wait(5)
    assert bob.sees == []
    assert logged_in(world, alice, "alice")
    check(world)


def test_each_device_is_shown_what_the_other_says(world: World, alice: Person) -> None:
    second = device(world)
    _ = alice.sees, second.sees
    alice.says("from the first")
    second.says("from the second")
    assert alice.sees == ["alice: from the second"]
    assert second.sees == ["alice: from the first"]


def test_each_device_shows_its_own_room(world: World, alice: Person) -> None:
    bob = world.person("bob")
    second = device(world)
    second.says("/join tea")
    world.wait(5)
    _ = alice.sees, second.sees
    bob.says("one")
    assert alice.sees == ["bob: one"]
    assert second.sees == []
    assert second.asks("/rooms")[0].endswith(", 1 new")
    assert alice.asks("/rooms")[1].endswith(", joined")
    check(world)


def test_a_room_is_parted_by_all_devices(world: World, alice: Person) -> None:
    second = device(world)
    for person in (alice, second):
        person.says("/join tea")
    _ = alice.sees, second.sees
    second.says("/part")
    assert alice.room is second.room is world.chat.lobby
    assert alice.sees == second.sees == ["-- You are now in #lobby."]
    check(world)


def test_the_user_stays_until_the_last_device_goes(world: World, alice: Person) -> None:
    bob = world.person("bob")
    world.wait(5)
    second = device(world)
    _ = bob.sees
    alice.hangs_up()
    world.settle()
    assert bob.sees == []
    assert logged_in(world, second, "alice")
    second.says("still here")
    assert bob.sees == ["alice: still here"]
    second.hangs_up("gone")
    world.settle()
    assert bob.sees == ["-- alice left (gone)."]
    assert bob.asks("/nick alice")[0].startswith("-- alice is registered.")
    check(world)


def test_the_last_two_devices_may_go_at_once(world: World, alice: Person) -> None:
    bob = world.person("bob")
    world.wait(5)
    second = device(world)
    _ = bob.sees
    alice.hangs_up("one")
    second.hangs_up("two")
    world.settle()
    assert bob.sees == ["-- alice left (two)."]
    check(world)


def test_a_private_line_comes_to_all_devices_and_once_to_each(world: World, alice: Person) -> None:
    bob = world.person("bob")
    second = device(world)
    _ = alice.sees, second.sees
    bob.says("/msg alice psst")
    assert alice.sees == second.sees == ["-> bob to you: psst"]
    # One that has taken it is enough.
    alice.writer.stall()
    bob.says("/msg alice again")
    assert second.sees == ["-> bob to you: again"]
    alice.hangs_up()
    second.hangs_up()
    world.settle()
    assert not any("again" in line for line in device(world).sees)


def test_a_private_line_that_no_device_has_taken_waits(world: World, alice: Person) -> None:
    bob = world.person("bob")
    second = device(world)
    for person in (alice, second):
        person.writer.stall()
    bob.says("/msg alice psst")
    alice.hangs_up()
    second.hangs_up()
    world.settle()
    assert "08:00 -> bob to you: psst" in device(world).sees


def test_a_terminal_ends_another_and_leaves_the_rest(world: World, alice: Person) -> None:
    bob = world.person("bob")
    world.wait(5)
    script = device(world)
    _ = bob.sees
    again = world.person()
    told = again.asks(LOGIN)
    assert alice.gone
    assert not script.gone
    assert told[0] == "-- You are now alice."
    assert logged_in(world, again, "alice")
    world.wait(5)
    # A guest was there for a moment, and nobody had been told of them.
    assert bob.sees == []
    check(world)


def test_who_takes_over_is_shown_the_room_that_was_shown_last(world: World, alice: Person) -> None:
    alice.says("/join tea", "hi", "/join coffee")
    again = world.person()
    again.says(LOGIN)
    assert again.room.key == "coffee"
    assert list(again.connection.user.rooms) == ["lobby", "tea", "coffee"]
    check(world)


def test_a_guest_who_logs_in_elsewhere_leaves_their_own_rooms(world: World, alice: Person) -> None:
    bob = world.person("bob")
    bob.says("/join den", "hi")
    guest = world.person("zoe")
    guest.says("/join den", "hello")
    _ = bob.sees
    guest.says(LOGIN)
    assert bob.sees == ["-- zoe left."]
    # What they see they go on seeing, as themselves.
    assert guest.room.key == "den"
    guest.says("it is me")
    assert bob.sees == ["-- alice joined.", "alice: it is me"]
    bob.says("/nick zoe")
    assert bob.name == "zoe"
    check(world)


def test_preferences_hold_for_all_devices(world: World, alice: Person) -> None:
    bob = world.person("bob")
    second = device(world)
    second.says("/timestamps on", "/ignore bob")
    world.person("carol").says("hello")
    bob.says("hello")
    _ = alice.sees, second.sees
    for person in (alice, second):
        assert person.connection.user.preferences.timestamps == "on"
        assert person.reader.ignores is not None


def test_a_new_name_is_told_to_each_device_once(world: World, alice: Person) -> None:
    bob = world.person("bob")
    world.wait(5)
    second = device(world)
    _ = alice.sees, second.sees, bob.sees
    alice.says("/logout")
    assert alice.name == "guest4"
    assert second.name == "alice"
    assert alice.asks("hi") == []
    assert second.sees[-1] == "guest4: hi"
    assert bob.sees == ["-- guest4 joined.", "guest4: hi"]
    check(world)


def test_a_name_that_could_not_be_noted_is_nobodys(failing: World) -> None:
    alice = owner(failing)
    alice.says("/quit")
    assert isinstance(failing.ledger, FailingLedger)
    first = failing.person()
    failing.ledger.refuses = lambda event: isinstance(event, Renamed)
    assert first.asks(LOGIN)[0].startswith("-- You are still guest")
    failing.ledger.refuses = lambda event: False
    assert first.connection.user.account is None
    first.says(LOGIN)
    assert logged_in(failing, first, "alice")
    check(failing)


def test_a_room_that_only_the_guest_could_enter_is_shown_no_longer(failing: World) -> None:
    alice = owner(failing)
    guest = failing.person("zoe")
    guest.says("/join den", "hi")
    refuse(failing.ledger, Joined)
    assert "-- #den cannot be entered: the disk is full." in guest.asks(LOGIN)
    assert guest.room is failing.chat.lobby
    assert "den" not in guest.connection.user.rooms
    assert alice.gone
    refuse(failing.ledger)
    check(failing)


def test_what_a_device_said_is_decided_before_it_is_closed(failing: World) -> None:
    owner(failing)
    assert isinstance(failing.ledger, FailingLedger)
    second = device(failing)
    _ = second.sees
    failing.ledger.refuses = lambda event: isinstance(event, Said)
    second.types("lost")
    second.ends()
    failing.settle()
    assert second.gone
    assert second.sees == ["-- Your line was not said: the disk is full. Please send it again."]


def test_what_was_read_while_another_device_came_slowly_stays_read(
    world: World, alice: Person
) -> None:
    bob = world.person("bob")
    alice.says("/join den", "/join lobby")
    bob.says("/join den", "of which the slow one is told", "/join tea")
    account = now(world.chat.logins.accounts.find("alice"))
    second = Person(world, identity=Identity("alice", account), replaces=False)
    second.writer.stall()
    world.settle()
    alice.says("/join tea")
    bob.says("one")
    alice.says("/join lobby")
    second.writer.drain()
    world.settle()
    alice.says("/quit")
    second.says("/quit")
    bob.says("two")
    told = device(world).sees
    assert any(line.startswith("-- You missed 1 line since") for line in told)
    check(world)


def test_a_guest_with_two_devices_goes_on_by_one_when_the_other_logs_in(
    world: World, alice: Person
) -> None:
    owner(world, "bob", "198.51.100.2")
    second = device(world)
    alice.says(f"/unregister {WORD}", f"/login bob {WORD}")
    assert (alice.name, second.name) == ("bob", "alice")
    check(world)
    alice.says("/logout")
    second.says("still here")
    assert alice.sees[-1] == "alice: still here"
    check(world)


def test_an_operator_sends_all_devices_away(world: World, alice: Person) -> None:
    second = device(world)
    olga = world.person("olga")
    olga.operates()
    assert olga.asks("/kick alice enough")[-1] == "-- alice is sent away."
    assert alice.gone
    assert second.gone
    check(world)


def test_an_account_that_is_given_up_is_so_for_all_devices(world: World, alice: Person) -> None:
    second = device(world)
    alice.says(f"/unregister {WORD}")
    assert second.connection.user is alice.connection.user
    assert second.connection.user.account is None
    assert second.sees[-1] == "-- alice is given up; when you leave it is anybody's."
    check(world)


def test_who_was_muted_as_a_guest_is_so_as_themselves(world: World, alice: Person) -> None:
    olga = world.person("olga")
    olga.operates()
    guest = world.person("zoe")
    olga.says("/mute zoe")
    guest.says(LOGIN)
    assert logged_in(world, guest, "alice")
    assert guest.asks("hello")[-1].startswith("-- You are muted")
