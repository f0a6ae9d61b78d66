"""Taking back: who has said it has not said it, and nobody is shown it again."""

import pytest

from chatroom.model.events import Said, TookBack
from tests.support.doubles import refuse
from tests.support.lookups import TODAY, said
from tests.support.world import Person, World

TAKEN = "-- alice took back what they said in the last hour."
ONE = "-- alice took back a line."
ALL = (
    "-- This takes back all that you said in the last hour, in all rooms. To do it, type /forget "
    "hour once more."
)
NOTHING = (
    "-- You have said nothing on this connection in the last hour. What you said as a guest on an "
    "earlier one only an operator can remove: /ops lists them."
)


def test_who_takes_back_what_they_said_has_not_said_it(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("/join den")
    alice.says("one", "/me waves", "/join den", "two", "/join lobby", "three")
    bob.says("four")
    carol.says("five")
    _ = alice.sees, bob.sees, carol.sees
    assert alice.asks("/forget hour") == [ALL]
    assert alice.asks("/forget HOUR") == [TAKEN, "-- What you said in #den is removed."]
    # Each room is told, in one line.
    assert bob.sees == carol.sees == [TAKEN]
    assert bob.asks("/history") == [TODAY, "08:00 bob: four"]
    assert carol.asks("/history") == [TODAY, "08:00 carol: five"]
    assert bob.asks("/search one") == ["-- Nothing was found."]
    shown = Person(world)
    world.settle()
    assert "08:00 bob: four" in shown.sees
    assert not any("alice:" in line or "waves" in line for line in shown.sees)
    assert alice.asks("/forget") == [NOTHING]


def test_a_newcomer_is_not_shown_what_was_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    bob.says("two")
    # The scrollback has been made before.
    world.person("carol")
    alice.says("/forget")
    dave = Person(world)
    world.settle()
    assert said(dave.sees)[-1:] == ["two"]


def test_what_is_still_on_its_way_is_taken_back_too(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("oops", "/forget")
    world.settle()
    assert bob.sees == ["alice: oops", ONE]
    assert bob.asks("/history") == ["-- Nothing has been said here."]


def test_who_is_behind_is_not_shown_what_was_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(5)
    alice.says("one", "two")
    alice.says("/forget hour", "/forget hour")
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["alice: one", TAKEN]


def test_what_is_older_than_an_hour_stays(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    world.wait(3000)
    alice.says("two")
    world.wait(1000)
    _ = bob.sees
    assert alice.asks("/forget hour") == [ALL]
    assert alice.asks("/forget hour") == [TAKEN]
    assert said(bob.asks("/history")) == ["one"]


def test_who_has_said_nothing_for_an_hour_has_nothing_to_take_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    world.wait(3700)
    bob.says("two")
    _ = alice.sees, bob.sees
    assert alice.asks("/forget") == [NOTHING]
    assert bob.sees == []


def test_what_was_taken_back_already_is_not_taken_back_again(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "/forget")
    _ = alice.sees, bob.sees
    assert alice.asks("/forget hour") == [NOTHING]
    assert bob.sees == []


def test_a_name_that_changed_hands_takes_nothing_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "/quit")
    bob.says("/nick alice")
    _ = bob.sees
    assert bob.asks("/forget") == [NOTHING]
    assert said(bob.asks("/history")) == ["one"]


def test_taking_back_that_is_refused_can_be_asked_for_again(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    alice.says("one")
    refuse(failing.ledger, TookBack)
    _ = bob.sees
    assert alice.asks("/forget") == [
        "-- Your lines in #lobby were not taken back: the disk is full."
    ]
    assert said(bob.asks("/history")) == ["one"]
    refuse(failing.ledger)
    assert alice.asks("/forget") == [ONE]
    assert bob.asks("/history")[-1] == "-- Nothing has been said here."


def test_what_was_never_said_in_a_room_that_is_gone_is_nothing(failing: World) -> None:
    (alice,) = failing.people("alice")
    refuse(failing.ledger, Said)
    alice.says("/join den", "hi", "/part")
    assert list(failing.chat.rooms) == ["lobby"]
    assert alice.asks("/forget")[-1] == NOTHING


def test_the_last_line_is_taken_back_and_then_the_one_before_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two", "three")
    bob.says("four")
    assert alice.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["one", "two", "four"]
    assert alice.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["one", "four"]


def test_the_last_lines_are_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*"abcde")
    _ = bob.sees
    assert alice.asks("/forget 3") == ["-- alice took back 3 lines."]
    assert bob.sees == ["-- alice took back 3 lines."]
    assert said(bob.asks("/history")) == ["a", "b"]
    assert alice.asks("/forget 99") == ["-- alice took back 2 lines."]
    assert alice.asks("/forget 1") == [NOTHING]


@pytest.mark.parametrize("number", ["²", "③"])
def test_what_is_no_number_is_nobodys_name_either(world: World, number: str) -> None:
    (alice,) = world.people("alice")
    alice.says("one")
    assert not any("took back" in line for line in alice.asks(f"/forget {number}"))
    assert alice.asks("/forget") == [ONE]


@pytest.mark.parametrize("number", ["0", "101", "9" * 2000])
def test_only_so_many_lines_are_taken_back_at_once(world: World, number: str) -> None:
    (alice,) = world.people("alice")
    alice.says("one")
    assert alice.asks(f"/forget {number}") == [
        "-- /forget N takes back from 1 to 100 lines, /forget hour what you said in the last hour."
    ]


def test_the_last_line_may_be_in_another_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two", "/join den")
    _ = bob.sees
    assert alice.asks("/forget") == ["-- What you said in #lobby is removed."]
    assert bob.sees == [ONE]
    assert said(bob.asks("/history")) == ["one"]


def test_who_thinks_better_of_it_takes_nothing_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    assert alice.asks("/forget hour") == [ALL]
    world.wait(100)
    assert alice.asks("/forget hour") == [ALL]
    assert said(bob.asks("/history")) == ["one"]


def test_who_has_logged_in_again_takes_back_what_they_said_before(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("as a guest", "/register kohlrabi77", "one", "two")
    alice.hangs_up()
    world.settle()
    again = world.person()
    again.says("/login alice kohlrabi77")
    assert again.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["as a guest", "one"]
    # What was said under that name before it was registered may be somebody else's.
    assert again.asks("/forget 9") == [ONE]
    assert said(bob.asks("/history")) == ["as a guest"]
    assert again.asks("/forget") == ["-- You have said nothing in the last hour."]


def test_a_guest_who_came_again_is_told_who_can_remove_what_they_said(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    alice.hangs_up()
    world.settle()
    again = world.person("alice")
    assert again.asks("/forget") == again.asks("/forget hour") == [NOTHING]
    assert said(bob.asks("/history")) == ["one"]
