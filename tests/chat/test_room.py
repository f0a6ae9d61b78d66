"""A room: who comes, goes and moves in the middle of things, and what is forgotten."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.room import Room
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Joined, Left, Renamed, Said, TookBack, TopicSet
from tests.conftest import MakeWorld
from tests.support.doubles import DelayedLedger, immediate
from tests.support.fuzzing import examples
from tests.support.rooms import filled, reader
from tests.support.world import Person, World

# -- coming and going in the middle of things


@given(
    ledger=st.sampled_from([immediate, DelayedLedger]),
    actions=st.lists(st.sampled_from(["says", "joins", "turn"]), max_size=25),
)
@examples(100)
def test_between_scrollback_and_the_first_live_line_there_is_neither_gap_nor_duplicate(
    ledger: type[DelayedLedger], actions: list[str]
) -> None:
    world = World(ledger, Settings(scrollback=5))
    (alice,) = world.people("alice")
    newcomers: list[Person] = []
    said = 0
    for action in actions:
        if action == "says":
            alice.types(f"line {said}")
            said += 1
        elif action == "joins":
            newcomers.append(Person(world))
        else:
            world.clock.advance(0.001)
    world.settle()
    alice.says(f"line {said}")
    for newcomer in newcomers:
        numbers = [
            int(line.split()[-1]) for line in newcomer.sees if re.search(r"alice: line", line)
        ]
        assert numbers == list(range(numbers[0], said + 1))
    world.end()


def test_who_joins_in_the_turn_in_which_others_talk_sees_each_line_once(world: World) -> None:
    (alice,) = world.people("alice")
    alice.types("before")
    bob = Person(world)
    alice.types("after")
    world.settle()
    shown = bob.sees
    assert shown[:3] == ["-- Today (times are UTC)", "08:00 alice: before", "-- Now"]
    assert shown[5:] == ["alice: after"]


def test_a_line_a_rename_a_topic_and_a_leave_in_one_turn_stay_in_order(world: World) -> None:
    alice, bob, carol, dave = world.people("alice", "bob", "carol", "dave")
    alice.types("one")
    bob.types("/nick bert")
    dave.types("/topic tea")
    alice.types("three")
    carol.types("/quit bye")
    bob.types("two")
    world.settle()
    assert dave.sees == [
        "alice: one",
        "-- bob is now bert.",
        "-- dave set the topic: tea",
        "alice: three",
        "-- carol left (bye).",
        "bert: two",
    ]
    assert bob.sees == [
        "alice: one",
        "-- dave set the topic: tea",
        "alice: three",
        "-- carol left (bye).",
        "-- You are now bert.",
    ]
    assert sorted(carol.sees) == [
        "-- Good-bye.",
        "-- bob is now bert.",
        "-- dave set the topic: tea",
        "alice: one",
        "alice: three",
    ]
    assert carol.gone


def test_who_leaves_is_shown_what_was_said_before_and_nothing_after(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("before")
    bob.types("/quit")
    alice.types("after")
    world.settle()
    assert [line for line in bob.sees if ":" in line] == ["alice: before"]


def test_who_shows_another_room_is_shown_one_at_a_time(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("/join den", "hi")
    _ = alice.sees, bob.sees, carol.sees
    alice.types("one")
    bob.types("/join den")
    alice.types("two")
    carol.types("three")
    world.settle()
    assert bob.sees == [
        "alice: one",
        "-- Today (times are UTC)",
        "08:00 carol: hi",
        "-- Now",
        "-- You are now in #den with carol.",
        "carol: three",
    ]
    assert alice.sees == []


def test_who_comes_and_goes_in_one_turn_leaves_nothing(world: World) -> None:
    (alice,) = world.people("alice")
    ghost = Person(world)
    ghost.hangs_up()
    world.settle()
    world.wait(5)
    assert alice.sees == []
    assert list(world.chat.lobby.members) == [alice.connection.origin]


# -- members and the topic


def test_events_of_strangers_change_nobody() -> None:
    room = Room("den", "den")
    writer = reader(room, 1)
    room.append(2, Left(0.0, 7, "x", "", shown=True))
    room.append(3, Renamed(0.0, 7, "x", "y", shown=True))
    room.append(4, Joined(0.0, 7, "x"))
    room.flush()
    assert writer.data == b"-- x left.\r\n-- x is now y.\r\n"
    assert list(room.members) == [1]


def test_a_topic_belongs_to_the_room_not_to_who_set_it() -> None:
    room = Room("den", "den")
    room.append(1, TopicSet(0.0, 7, "x", "tea"))
    room.flush()
    assert room.topic == "tea"


def test_a_member_without_a_connection_may_be_renamed_and_leave() -> None:
    room = Room("den", "den")
    reader(room, 1)
    room.append(2, Renamed(0.0, 1, "m1", "x", shown=True))
    room.append(3, Left(0.0, 1, "x", "", shown=True))
    room.flush()
    assert room.deserted


def test_a_greeting_waits_for_nothing_that_follows(make_world: MakeWorld) -> None:
    world = make_world(Settings(motd="be kind"))
    (alice,) = world.people("alice")
    bob = Person(world)
    alice.types("hi")
    world.settle()
    assert bob.sees[-2:] == ["-- be kind", "alice: hi"]


# -- what is kept and what is forgotten


def spoken(room: Room) -> list[str]:
    return [event.text for event in room.log.recent(99) if isinstance(event, Said)]


@pytest.mark.parametrize(
    ("before", "keep", "left"),
    [
        (0.0, 0, "01234"),
        (2.0, 0, "234"),
        (99.0, 0, ""),
        (0.0, 2, "34"),
        (0.0, 9, "01234"),
        (4.0, 3, "4"),
        (1.0, 1, "4"),
    ],
)
def test_lines_that_are_too_old_or_too_many_are_forgotten(
    before: float, keep: int, left: str
) -> None:
    room = filled()
    room.expire(before, keep)
    assert "".join(spoken(room)) == left
    # What is not a line stays, and so does the place of every event.
    assert (room.log.end, room.log.lines, room.topic, room.log.first_id) == (10, 5, "tea", 0)


@pytest.mark.parametrize(
    ("author", "since", "left"), [(1, 0.0, "13"), (1, 3.0, "0123"), (3, 0.0, "01234")]
)
def test_lines_that_were_taken_back_are_not_there(author: int, since: float, left: str) -> None:
    room = filled()
    room.append(50, TookBack(9.0, author, "alice", frozenset([author]), since))
    assert "".join(spoken(room)) == left


def test_a_room_begins_with_what_was_kept() -> None:
    room = Room("den", "den")
    room.restore("tea", [(5, Said(1.0, 0, "alice", "one")), (8, Said(2.0, 0, "bob", "two"))])
    assert (room.topic, room.log.lines, room.log.spoken, room.log.first_id) == ("tea", 2, 2.0, 5)
    # It has all been delivered, to people of another run.
    writer = reader(room, 9)
    room.append(10, Said(3.0, 7, "carol", "three"))
    room.flush()
    assert writer.data == b"carol: three\r\n"
    assert spoken(room) == ["one", "two", "three"]


def test_only_what_was_said_counts_as_a_line(world: World) -> None:
    lobby = world.chat.lobby
    alice = world.person("alice")
    alice.says("/topic tea")
    assert not lobby.log.has(lambda event: event.origin == alice.connection.origin, 0)
    alice.says("hello")
    assert lobby.log.has(lambda event: event.origin == alice.connection.origin, 0)
    said = world.clock.seconds()
    assert not lobby.log.has(lambda event: event.origin == alice.connection.origin, said + 1)
