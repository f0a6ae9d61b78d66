"""What people missed: told when they come back, and shown room by room."""

from collections.abc import Mapping

import pytest

from chatroom.actions.pager import MISSED, pager_of
from tests.support.lookups import TODAY, LateHistory, at, numbers, said, unread
from tests.support.world import Person, World


def back(world: World, person: Person, seen: Mapping[str, int]) -> list[str]:
    """What *person*, who comes back, is told first."""
    _ = person.sees
    person.connection.unread = unread(seen)
    pager_of(person.connection).returned(seen, person.name)
    world.settle()
    return person.sees


def last_id(world: World, room: str = "lobby") -> int:
    return world.chat.rooms[room].log.before(2**63 - 1, 1)[0][0]


def test_who_comes_back_is_told_what_they_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("seen")
    seen = last_id(world)
    at(world, 12, 3)
    alice.says(*numbers(12), "bob, are you there?", "/me waves to BOB")
    at(world, 13)
    assert back(world, bob, {"lobby": seen}) == [
        "-- You missed 14 lines since 12:03, 2 of them name you. /missed shows them."
    ]
    assert bob.asks("/missed") == [
        "-- In #lobby:",
        TODAY,
        *[f"12:03 alice: {number}" for number in range(12)],
        "12:03 alice: bob, are you there?",
        "12:03 * alice waves to BOB",
        "-- That is all that you missed.",
    ]
    assert bob.asks("/missed") == ["-- You missed nothing."]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["hi"], "You missed 1 line since 08:00. /missed shows it."),
        (["hi bob"], "You missed 1 line since 08:00, which names you. /missed shows it."),
        (["a", "bob"], "You missed 2 lines since 08:00, 1 of them names you. /missed shows them."),
        (["a", "bobby"], "You missed 2 lines since 08:00. /missed shows them."),
    ],
)
def test_what_was_missed_in_words(world: World, lines: list[str], told: str) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*lines)
    assert back(world, bob, {"lobby": 0}) == [f"-- {told}"]


def test_what_was_missed_on_another_day_has_its_day(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    at(world, 24 + 9)
    assert back(world, bob, {"lobby": 0}) == [
        "-- You missed 1 line since Friday 15 January 08:00. /missed shows it."
    ]


def test_who_missed_nothing_is_told_nothing(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("seen")
    assert back(world, bob, {"lobby": last_id(world), "den": 0}) == []
    assert bob.asks("/missed") == ["-- You missed nothing."]


def test_what_was_missed_is_paged_room_by_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den", *numbers(MISSED + 2))
    world.wait(60)
    alice.says("/join lobby", "hi")
    # The room where it began comes first, whatever the order in which they are asked for.
    told = back(world, bob, {"lobby": 0, "den": 0})
    assert told == ["-- You missed 53 lines since 08:00. /missed shows them."]
    shown = bob.asks("/missed")
    assert shown[0] == "-- In #den:"
    assert said(shown) == numbers(MISSED)
    assert shown[-1] == "-- /more goes on."
    shown = bob.asks("/more")
    assert (shown[0], said(shown)) == ("-- In #den:", numbers(MISSED, MISSED + 2))
    assert shown[-1] == "-- /more goes on."
    assert bob.asks("/missed") == [
        "-- In #lobby:",
        TODAY,
        "08:01 alice: hi",
        "-- That is all that you missed.",
    ]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_long_lines_that_were_missed_are_not_passed_over(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    for number in range(45):
        alice.types(f"{'x' * 1900}: {number}")
    world.settle()
    back(world, bob, {"lobby": 0})
    pages = [bob.asks("/missed")]
    while pages[-1][-1] == "-- /more goes on.":
        pages.append(bob.asks("/more"))
    assert len(pages) == 2
    assert [text for page in pages for text in said(page)] == numbers(45)


def test_a_line_larger_than_a_send_queue_does_not_stand_in_the_way(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "x" * 70_000, "two")
    back(world, bob, {"lobby": 0})
    assert said(bob.asks("/missed")) == ["one"]
    assert said(bob.asks("/more")) == ["two"]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_what_the_ignored_said_was_not_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    back(world, bob, {"lobby": 0})
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/missed") == ["-- You missed nothing."]


def test_what_was_missed_in_a_room_that_is_gone_is_nothing(world: World, late: LateHistory) -> None:
    (alice,) = world.people("alice")
    alice.says("hi")
    alice.connection.unread = unread({"den": 5, "lobby": 7})
    alice.says("/missed")
    assert late.asked == [("after", "lobby", 7, MISSED)]
    late.answers[0].callback([])
    world.settle()
    assert alice.sees == ["-- You missed nothing."]


def test_more_of_what_was_missed_ends_with_its_rooms(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(MISSED))
    back(world, bob, {"lobby": 0})
    assert bob.asks("/missed")[-1] == "-- /more goes on."
    bob.connection.unread = None
    assert bob.asks("/more", "/more") == [
        "-- That is all that you missed.",
        "-- There is no more: /history, /search, /missed.",
    ]


def test_who_pages_through_a_room_does_not_wait_for_who_searches(
    world: World, late: LateHistory
) -> None:
    searching = [world.person(source=f"192.0.2.{number}") for number in range(3)]
    reading = world.person(source="198.51.100.1")
    for person in searching:
        person.types("/search tea")
    reading.types("/history before 1h")
    # The searches wait for one another.
    assert [kind for kind, *_ in late.asked] == ["search", "place"]
