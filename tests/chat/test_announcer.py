"""When a room is told who joins and leaves."""

import pytest

from chatroom.chat.announcer import JoinAnnouncer
from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.model.chatsettings import Settings
from chatroom.model.events import SERVER, CrowdMoved, Event
from tests.conftest import MakeWorld
from tests.support.doubles import Clock
from tests.support.world import Person, World


def test_who_stays_for_two_seconds_is_announced(world: World) -> None:
    (alice,) = world.people("alice")
    Person(world)
    world.settle()
    world.wait(1.8)
    assert alice.sees == []
    world.wait(0.3)
    assert alice.sees == ["-- guest2 joined."]


def test_who_comes_and_goes_without_a_word_is_not_mentioned(world: World) -> None:
    (alice,) = world.people("alice")
    scan = Person(world)
    world.wait(1.5)
    scan.hangs_up()
    world.wait(5)
    assert alice.sees == []


def test_who_goes_and_comes_again_is_announced_two_seconds_after_that(world: World) -> None:
    alice, bob = world.person("alice"), world.person()
    alice.says("/join tea")
    bob.says("/join tea")
    world.wait(1.5)
    _ = alice.sees
    bob.says("/part", "/join tea")
    world.wait(1.8)
    assert alice.sees == []
    world.wait(0.3)
    assert alice.sees == ["-- guest2 joined."]


def test_who_speaks_is_announced_first(world: World) -> None:
    (alice,) = world.people("alice")
    world.person().says("hi", "there")
    assert alice.sees == ["-- guest2 joined.", "guest2: hi", "guest2: there"]
    world.wait(5)
    assert alice.sees == []


@pytest.mark.parametrize("line", ["/me waves", "/topic tea"])
def test_doing_something_in_the_room_is_speaking(world: World, line: str) -> None:
    (alice,) = world.people("alice")
    world.person().says(line)
    assert alice.sees[0] == "-- guest2 joined."
    assert len(alice.sees) == 0


def test_nobody_is_told_of_their_own_joining(world: World) -> None:
    bob = Person(world)
    world.wait(5)
    assert len(bob.sees) == 2


def test_who_was_announced_is_seen_to_leave(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/quit see you")
    carol.hangs_up("not reading")
    world.settle()
    assert alice.sees == ["-- bob left (see you).", "-- carol left (not reading)."]


def test_another_name_before_being_announced_is_not_shown(world: World) -> None:
    (alice,) = world.people("alice")
    bob = world.person("bob")
    assert alice.sees == []
    world.wait(3)
    assert alice.sees == ["-- bob joined."]
    bob.says("/nick bert")
    assert alice.sees == ["-- bob is now bert."]


def test_more_than_three_in_a_second_are_one_line(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(12):
        Person(world)
    world.settle()
    world.wait(2.1)
    assert alice.sees == ["-- guest2 joined.", "-- guest3 joined.", "-- guest4 joined."]
    world.wait(1)
    assert alice.sees == ["-- guest5, guest6 and 7 others joined."]


def test_the_fourth_alone_is_named(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(4):
        Person(world)
    world.wait(5)
    assert alice.sees[3:] == ["-- guest5 joined."]


def test_three_in_a_second_again_and_again_are_all_named(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(4):
        for _ in range(3):
            Person(world)
        world.wait(1.5)
    world.wait(5)
    assert alice.sees == [f"-- guest{number} joined." for number in range(2, 14)]


def test_a_crowd_that_goes_on_is_a_line_a_second(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(30):
        Person(world)
        world.clock.advance(0.1)
    world.wait(10)
    lines = alice.sees
    assert len(lines) < 10
    assert all(line.endswith("joined.") for line in lines)


def test_a_crowd_that_leaves_is_one_line(world: World) -> None:
    alice, *others = world.people("alice", *[f"b{number}" for number in range(8)])
    for other in others:
        other.hangs_up()
    world.settle()
    assert alice.sees == ["-- b0 left.", "-- b1 left.", "-- b2 left."]
    world.wait(1)
    assert alice.sees == ["-- b3, b4 and 3 others left."]


def test_who_joins_and_leaves_at_the_same_time_is_told_apart(world: World) -> None:
    alice, *others = world.people("alice", "b0", "b1", "b2")
    for other in others:
        other.hangs_up()
        Person(world)
    world.wait(5)
    lines = alice.sees
    assert len([line for line in lines if line.endswith("left.")]) == 3
    assert len([line for line in lines if line.endswith("joined.")]) == 3


def test_one_person_who_comes_again_and_again_is_named_once() -> None:
    clock = Clock()
    told: list[Event] = []
    announcer = JoinAnnouncer(Room("den", "den"), clock, told.append, 0)
    for origin, name in enumerate(["a", "b", "c", "dave", "dave", "eve"], 1):
        announcer.spoke(Member(User(origin, name), 0.0))
    clock.advance(1)
    assert told[-1] == CrowdMoved(1.0, SERVER, ("dave", "eve"), 3, joined=True)


def test_in_a_big_room_only_those_who_speak_are_announced(make_world: MakeWorld) -> None:
    world = make_world(Settings(join_quiet_above=3))
    alice, *_ = world.people("alice", "b0", "b1")
    quiet = world.person()
    loud = world.person()
    world.wait(5)
    assert alice.sees == []
    loud.says("hi")
    assert alice.sees == ["-- guest5 joined.", "guest5: hi"]
    quiet.hangs_up()
    loud.hangs_up()
    world.settle()
    assert alice.sees == ["-- guest5 left."]


def test_the_default_big_room_has_more_than_fifty(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(49):
        Person(world)
    world.wait(5)
    assert alice.sees != []
    Person(world)
    world.wait(5)
    assert alice.sees == []


def test_without_that_limit_every_room_is_told(make_world: MakeWorld) -> None:
    world = make_world(Settings(join_quiet_above=0))
    (alice,) = world.people("alice")
    for _ in range(60):
        Person(world)
    world.wait(5)
    assert alice.sees[-1] == "-- guest5, guest6 and 55 others joined."


def test_joining_another_room_is_leaving_none(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/join den")
    carol.says("/join den")
    world.wait(3)
    assert alice.sees == []
    assert bob.sees[-1] == "-- carol joined."
    carol.says("/part")
    assert alice.sees == []
    assert bob.sees == ["-- carol left."]


def test_a_room_that_goes_while_a_crowd_is_told_of_is_told_nothing(world: World) -> None:
    people = world.people(*[f"b{number}" for number in range(6)])
    for person in people:
        person.says("/join den")
    world.wait(3)
    for person in people:
        person.says("/part")
    world.wait(5)
    assert list(world.chat.rooms) == ["lobby"]


def test_after_closing_nothing_is_announced(world: World) -> None:
    (alice,) = world.people("alice")
    for _ in range(6):
        world.person().types("hi")
    Person(world)
    world.settle()
    _ = alice.sees
    world.chat.close()
    world.wait(5)
    assert alice.sees == []


def test_whose_coming_is_told_later_is_in_no_greeting_before(world: World) -> None:
    world.people("alice")
    bob = world.person("bob")
    carol = Person(world)
    world.settle()
    assert "in #lobby with alice." in carol.sees[0]
    world.wait(2.1)
    assert carol.sees == ["-- bob joined."]
    dave = Person(world)
    world.settle()
    assert "in #lobby with alice, bob and guest3." in dave.sees[0]
    # Whoever asks is told of everybody who reads along.
    assert bob.asks("/who")[0].endswith("alice, bob, guest3, guest4")


def test_who_spoke_at_once_is_in_the_next_greeting(world: World) -> None:
    world.people("alice")
    world.person("bob").says("hello")
    carol = Person(world)
    world.settle()
    assert any("in #lobby with alice and bob." in line for line in carol.sees)
