"""What people look up: pages of history and of a search, and what these leave out."""

import pytest

from chatroom.actions.pager import FOUND
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Emoted, Said
from chatroom.model.history import Query
from chatroom.text.words import Phrase
from tests.support.accounts import owner
from tests.support.lookups import TODAY, LateHistory, at, found, numbers, said
from tests.support.world import World

MORE = "-- /more shows what was said before."


# -- history


def test_history_is_paged_back_to_its_beginning(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(25))
    shown = bob.asks("/history 10")
    assert (shown[0], said(shown), shown[-1]) == (TODAY, numbers(15, 25), MORE)
    shown = bob.asks("/more")
    assert (shown[0], said(shown), shown[-1]) == (TODAY, numbers(5, 15), MORE)
    assert bob.asks("/more") == [TODAY, *[f"08:00 alice: {number}" for number in range(5)]]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_a_page_that_ends_with_the_first_line_has_nothing_before_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two")
    assert bob.asks("/history 2")[-1] == MORE
    assert bob.asks("/more") == ["-- Nothing earlier has been said here."]


def test_what_is_said_meanwhile_does_not_move_the_pages(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(6))
    assert said(bob.asks("/history 2")) == ["4", "5"]
    alice.says("6", "7")
    assert said(bob.asks("/more")) == ["2", "3"]


def test_more_stays_in_the_room_that_was_asked_for(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(4))
    bob.says("/history 2", "/join den")
    assert said(bob.asks("/more")) == ["0", "1"]


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("/history before 12:03", ["one", "two"]),
        ("/history 1 before 12:03", ["two"]),
        ("/history before 10:00", ["one"]),
        ("/history before 2h", ["one", "two"]),
        ("/history before 5h ago", ["one"]),
        ("/history before 2027-01-16", ["one", "two", "three"]),
        ("/history before yesterday", []),
    ],
)
def test_history_before_a_time(world: World, typed: str, lines: list[str]) -> None:
    alice, bob = world.people("alice", "bob")
    for hour, text in ((9, "one"), (12, "two"), (13, "three")):
        at(world, hour)
        alice.says(text)
    at(world, 14, 30)
    _ = bob.sees
    assert said(bob.asks(typed)) == lines


def test_a_page_of_the_ignored_goes_on_all_the_same(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("hi")
    alice.says(*numbers(4))
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/history 4") == [MORE]
    assert bob.asks("/more") == [TODAY, "08:00 carol: hi"]


def test_history_of_nobody_but_the_ignored_is_nothing(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/history") == ["-- Nothing has been said here."]


def test_history_goes_on_where_the_log_ends(world: World, late: LateHistory) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("new")
    room = world.chat.lobby
    _ = bob.sees
    assert bob.asks("/history 3") == []
    assert late.asked == [("before", "lobby", room.log.first_id, 2)]
    old = [Entry("lobby", id, Said(id * 1.0, SERVER, "zoe", "old")) for id in (1, 2)]
    late.answers[0].callback(old)
    world.settle()
    assert bob.sees == [
        "-- Thursday 01 January 1970 (times are UTC)",
        *["00:00 zoe: old"] * 2,
        "-- Today",
        "08:00 alice: new",
        MORE,
    ]
    bob.says("/more")
    assert late.asked[1:] == [("before", "lobby", 1, 3)]
    late.answers[1].callback([])
    world.settle()
    assert bob.sees == ["-- Nothing earlier has been said here."]


# -- search


def test_a_search_shows_the_newest_first_with_day_and_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("green tea", "coffee", "/join den", "/me makes tea")
    assert bob.asks("/search TEA") == [
        "2027-01-15 08:00 #den * alice makes tea",
        "2027-01-15 08:00 #lobby alice: green tea",
    ]


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("/search tea", ["no tea in mirror", "black tea", "green tea"]),
        ("/find tea", ["no tea in mirror", "black tea", "green tea"]),
        ("/search tea in den", ["no tea in mirror"]),
        ("/search tea in #DEN", ["no tea in mirror"]),
        ("/search tea from Bob", ["black tea"]),
        ("/search tea from bob in lobby", ["black tea"]),
        ("/search tea IN lobby FROM alice", ["green tea"]),
        ("/search tea from zoe", []),
        ("/search green tea", ["green tea"]),
        ('/search "green tea"', ["green tea"]),
        ('/search "tea green"', []),
        ('/search "tea in mirror"', ["no tea in mirror"]),
        ("/search tea in den in den", []),
        ("/search tea in mirror in den", ["no tea in mirror"]),
        ("/search in den", []),
        ("/search umbr*", ["my umbrella"]),
        ("/search umbr", []),
        ("/search cafe", ["au café"]),
        ("/search 好", ["你好吗"]),
        ("/search 吗", ["你好吗"]),
        ("/search 你好", ["你好吗"]),
        ("/search 你吗", []),
    ],
)
def test_a_search_finds(world: World, typed: str, lines: list[str]) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("green tea")
    bob.says("black tea", "my umbrella", "au café", "你好吗")
    alice.says("/join den", "no tea in mirror")
    _ = carol.sees
    shown = carol.asks(typed)
    assert said(shown) == lines
    assert lines or shown == ["-- Nothing was found."]


def test_a_search_is_paged(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*[f"tea {number}" for number in range(2 * FOUND + 3)])
    _ = bob.sees
    shown = bob.asks("/search tea")
    assert said(shown) == [f"tea {number}" for number in range(22, 12, -1)]
    assert shown[-1] == "-- These are the newest. /more shows older ones."
    shown = bob.asks("/more")
    assert said(shown) == [f"tea {number}" for number in range(12, 2, -1)]
    assert shown[-1] == "-- /more shows older ones."
    shown = bob.asks("/more")
    assert (len(shown), said(shown)) == (3, ["tea 2", "tea 1", "tea 0"])
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_a_search_says_when_nothing_is_left(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*["tea"] * FOUND)
    bob.says("/search tea")
    _ = bob.sees
    assert bob.asks("/more") == ["-- That is all."]


def test_a_search_leaves_out_the_ignored_and_hidden_rooms(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    hidden = world.chat.open_room("hidden", listed=False)
    world.chat.submit(hidden, Said(world.clock.seconds(), 99, "dave", "tea"))
    alice.says("tea")
    carol.says("/me drinks tea")
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/search tea") == ["2027-01-15 08:00 #lobby * carol drinks tea"]
    bob.says("/ignore carol")
    _ = bob.sees
    assert bob.asks("/search tea") == ["-- Nothing was found."]


def test_what_was_found_in_a_room_that_is_gone_is_not_shown(
    world: World, late: LateHistory
) -> None:
    (alice,) = world.people("alice")
    alice.says("/search tea")
    (asked,) = late.asked
    assert asked == ("search", Query([Phrase(("tea",))], {"lobby"}), FOUND)
    found = [Entry(room, 1, Emoted(0.0, 9, "zoe", "has tea")) for room in ("den", "lobby")]
    late.answers[0].callback(found)
    world.settle()
    assert alice.sees == ["1970-01-01 00:00 #lobby * zoe has tea"]


# -- what is not shown


def test_what_is_taken_back_is_not_found_in_a_file_that_cannot_be_written(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("tea", "green tea")
    rows = [row for row in world.chat.lobby.log.between() if row.event.line]
    bob.says("/forget")
    _ = alice.sees
    alice.says("/search tea")
    late.answers[0].callback([Entry("lobby", row.id, row.event) for row in rows])
    world.settle()
    assert said(alice.sees) == ["tea"]


def test_who_is_not_here_can_be_ignored_if_they_are_registered(world: World) -> None:
    owner(world, "bob").says("tea", "/quit")
    alice = world.person("alice")
    assert said(alice.asks("/search tea")) == ["tea"]
    assert alice.asks("/ignore bob") == ["-- You ignore bob. /unignore bob ends it."]
    assert alice.asks("/search tea") == ["-- Nothing was found."]
    assert alice.asks("/ignore nobody")[0].startswith("-- Nobody here is called nobody.")


def test_what_a_guest_said_in_an_earlier_run_is_not_shown_to_who_ignores_that_name(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/ignore bob", "/ignore guest2")
    rob = bob.connection.origin
    for origin, name in ((SERVER, "Bob"), (SERVER, "zoe"), (rob, "rob"), (99, "bob")):
        late.answers.clear()
        alice.says("/search tea")
        late.answers[0].callback([Entry("lobby", 1, Said(0.0, origin, name, "tea"))])
        world.settle()
    assert said(alice.sees) == ["tea", "tea"]


# -- what a search is about


def test_a_search_may_be_for_all_that_somebody_said(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("one", "/join den", "two")
    bob.says("three")
    assert found(carol.asks("/search from alice")) == ["two", "one"]
    assert found(carol.asks("/search from ALICE in lobby")) == ["one"]
    assert found(carol.asks("/search in lobby from alice")) == ["one"]


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("do you believe in magic", "/search believe in magic"),
        ("a letter from home", "/search letter from home"),
        ("a letter from home in may", "/search letter from home in may"),
        ("all in lobbying", "/search in lobbying"),
    ],
)
def test_what_is_no_room_and_nobody_is_looked_for(world: World, said: str, asked: str) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(said, "home", "magic")
    assert found(bob.asks(asked)) == [said]
