"""How people are shown things who have said how they want them."""

from dataclasses import replace
from sys import maxsize

import pytest

from chatroom.actions.pager import pager_of
from chatroom.chat import scrollback
from chatroom.chat.sendqueue import MAX_ENTRIES
from chatroom.chat.unread import Unread
from chatroom.formats.ansi import Colours, terminal
from chatroom.formats.plain import PLAIN, RAW
from chatroom.model.events import Left, Said
from chatroom.model.preferences import Preferences
from chatroom.text.times import DAY
from tests.conftest import MakeWorld
from tests.support.doubles import refuse
from tests.support.world import Person, World


def rings(person: Person) -> int:
    """How often the bell rang since *person* last looked."""
    return person.writer.data[person._seen :].count(b"\a")


# -- formats


def test_what_one_prefers_is_what_one_is_shown(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/timestamps on", "/timezone +5:30")
    _ = bob.sees
    alice.says("hi", "/me waves", "/topic tea")
    alice.says("/msg bob psst")
    assert bob.sees == [
        "13:30 alice: hi",
        "13:30 * alice waves",
        "13:30 -- alice set the topic: tea",
        "13:30 -> alice to you: psst",
    ]
    assert bob.asks("/msg alice yes") == ["13:30 -> you to alice: yes"]
    bob.says("/timestamps off")
    _ = bob.sees
    alice.says("ho")
    assert bob.sees == ["alice: ho"]


def test_what_one_prefers_goes_along_to_other_rooms(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/timestamps seconds", "/bell mentions", "/join den")
    alice.says("/join den")
    _ = bob.sees
    alice.says("hi bob")
    assert bob.sees == ["08:00:05 -- alice joined.", "08:00:05 alice: hi bob", "\a"]


def test_who_prefers_the_same_is_sent_the_same_object(world: World) -> None:
    alice, *others = world.people("alice", "bob", "carol", "dave", "erin")
    *same, different = others
    for person, where in zip(
        same, ("Europe/Berlin", "europe/berlin", "EUROPE/BERLIN"), strict=True
    ):
        person.says("/timestamps on", f"/timezone {where}")
    # Whom one ignores is nobody else's concern, nor is the room.
    connection = same[0].connection
    connection.set_preferences(lambda kept: replace(kept, ignores={7: "eve"}, room="den"))
    different.says("/timestamps seconds", "/timezone Europe/Berlin")
    assert len({person.reader.format for person in others}) == 2
    alice.types("one", "two")
    world.settle()
    first, second, third, last = (person.writer.written[-1] for person in others)
    assert first == b"09:00 alice: one\r\n09:00 alice: two\r\n"
    assert first is second is third
    assert last == b"09:00:05 alice: one\r\n09:00:05 alice: two\r\n"


def test_who_prefers_nothing_is_shown_things_as_ever(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/bell on", "/quiet on", "/timezone +1", "/timestamps on")
    assert alice.reader.format is not PLAIN
    alice.says("/bell off", "/quiet off", "/timezone UTC", "/timestamps off")
    assert alice.connection.user.preferences == Preferences()
    assert alice.connection.format is alice.reader.format is PLAIN


def test_a_door_with_a_format_of_its_own_keeps_it(world: World) -> None:
    person = world.person(format=RAW)
    person.says("/timestamps on", "/timezone Asia/Tokyo", "/bell on")
    assert person.connection.format is person.reader.format is RAW


def test_who_wants_quiet_is_not_shown_who_comes_and_goes(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/quiet on")
    _ = bob.sees, carol.sees
    alice.says("/nick ann", "hi", "/quit")
    world.people("dave")
    assert bob.sees == ["ann: hi"]
    assert len(carol.sees) == 4
    # Their own name is an answer.
    assert bob.asks("/nick bert") == ["-- You are now bert."]


# -- times elsewhere


def test_scrollback_is_shown_in_the_time_of_its_reader(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/timezone +17:00", "/timezone Asia/Tokyo", "/join den")
    alice.says("hi")
    assert bob.asks("/join lobby")[:-1] == [
        "-- Today (times are Asia/Tokyo)",
        "-- 1 new",
        "17:00 alice: hi",
        "-- Now",
    ]


def test_scrollback_is_of_the_day_of_its_reader(world: World) -> None:
    alice, bob, carol, dave, erin = world.people("alice", "bob", "carol", "dave", "erin")
    for person in (bob, dave):
        person.says("/timezone Asia/Tokyo")
    for person in (bob, carol, dave, erin):
        person.says("/join den")
    alice.says("hi")
    assert "-- Today (times are Asia/Tokyo)" in bob.asks("/join lobby")
    assert "-- Today (times are UTC)" in carol.asks("/join lobby")
    # Midnight in Tokyo is at 15:00 UTC.
    world.wait(7.5 * 3600)
    assert "-- Yesterday (times are Asia/Tokyo)" in dave.asks("/join lobby")
    assert "-- Today (times are UTC)" in erin.asks("/join lobby")


def test_a_room_keeps_the_scrollback_of_so_many_formats(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrollback, "MAX_FORMATS", 3)
    (alice,) = world.people("alice")
    alice.says("hi")
    for width in range(60, 70):
        newcomer = Person(world, format=terminal(width, Colours.NONE))
        world.settle()
        assert "08:00 alice: hi" in newcomer.sees
    assert len(world.chat.lobby.scrollback) == 3


def test_what_is_looked_up_is_shown_in_the_time_of_its_reader(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("tea one")
    world.wait(8 * 3600)
    alice.says("tea two")
    bob.says("/timezone Asia/Tokyo", "/ignore alice", "/unignore alice")
    assert bob.asks("/history") == [
        "-- Yesterday (times are Asia/Tokyo)",
        "17:00 alice: tea one",
        "-- Today",
        "01:00 alice: tea two",
    ]
    assert bob.asks("/history before today")[:2] == [
        "-- Yesterday (times are Asia/Tokyo)",
        "17:00 alice: tea one",
    ]
    assert bob.asks("/history before 17:00") == ["-- Nothing earlier has been said here."]
    assert bob.asks("/search tea") == [
        "2027-01-16 01:00 #lobby alice: tea two",
        "2027-01-15 17:00 #lobby alice: tea one",
    ]


def test_what_was_missed_is_dated_in_the_time_of_its_reader(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/timezone Asia/Tokyo")
    alice.says("seen")
    ((seen, _),) = world.chat.lobby.log.before(maxsize, 1)
    alice.says("missed")
    # The same day in UTC, the next one in Tokyo.
    world.wait(7.5 * 3600)
    _ = bob.sees
    bob.connection.unread = Unread()
    bob.connection.unread.log_in({"lobby": seen}, "", 0)
    pager_of(bob.connection).returned({"lobby": seen}, "bob")
    world.settle()
    assert bob.sees == ["-- You missed 1 line since Friday 15 January 17:00. /missed shows it."]


def test_no_line_is_lost_where_every_line_has_its_day(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/timezone America/Argentina/ComodRivadavia")
    lines = [(number, Said(number * DAY, 99, "bob", f"{number:030}")) for number in range(1, 990)]
    world.chat.open_room("den").restore("", lines)
    alice.says("/join den")
    shown = alice.asks("/history 1000")
    while shown[-1].startswith("-- /more"):
        shown += alice.asks("/more")
    said = [line for line in shown if not line.startswith("--")]
    assert sorted(said) == [f"21:00 bob: {number:030}" for number in range(1, 990)]


# -- the bell


def test_the_bell_rings_for_what_others_say(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    for person in (alice, bob):
        person.says("/bell on")
    _ = alice.sees, bob.sees, carol.sees
    alice.says("hi")
    assert (alice.sees, bob.sees, carol.sees) == ([], ["alice: hi\a"], ["alice: hi"])
    alice.says("/msg bob psst")
    assert (alice.sees, bob.sees) == (["-> you to bob: psst"], ["-> alice to you: psst\a"])
    bob.says("/ignore alice")
    _ = bob.sees
    alice.says("hi", "/msg bob psst")
    assert bob.sees == []


def test_the_bell_rings_after_the_line_for_who_is_named(make_world: MakeWorld) -> None:
    world = make_world()
    alice, bob, carol = world.people("alice", "bob", "carol")
    for person in (alice, bob, carol):
        person.says("/bell mentions")
    _ = alice.sees, bob.sees, carol.sees
    alice.says("Hello BOB, this is alice")
    assert bob.writer.data.endswith(b"alice: Hello BOB, this is alice\r\n\a")
    # Not for others, and not for one's own line.
    assert carol.sees == ["alice: Hello BOB, this is alice"]
    assert alice.sees == []
    _ = bob.sees
    alice.says("bobby", "/topic bob", "/me looks at bob")
    assert bob.sees == ["alice: bobby", "-- alice set the topic: bob", "* alice looks at bob", "\a"]
    alice.says("/msg bob psst")
    assert bob.sees == ["-> alice to you: psst\a"]


def test_the_bell_rings_once_for_all_lines_of_a_turn(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions")
    _ = bob.sees
    alice.types("bob", "bob?", "BOB!")
    world.settle()
    assert bob.sees == ["alice: bob", "alice: bob?", "alice: BOB!", "\a"]


def test_who_is_shown_their_own_lines_is_not_rung_for_them(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/bell mentions")
    alice.reader.echo = True
    assert alice.asks("I am alice") == ["alice: I am alice"]


def test_a_name_is_found_in_any_script(world: World) -> None:
    alice, ming = world.people("alice", "小明")
    ming.says("/bell mentions")
    _ = ming.sees
    alice.says("你好小明在吗")
    assert ming.sees == ["alice: 你好小明在吗", "\a"]
    alice.says("大明")
    assert ming.sees == ["alice: 大明"]


def test_the_ignored_do_not_ring(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/bell mentions", "/ignore alice")
    _ = bob.sees
    alice.types("bob")
    carol.types("hi")
    world.settle()
    assert bob.sees == ["carol: hi"]
    bob.says("/unignore alice")
    _ = bob.sees
    alice.says("bob")
    assert bob.sees == ["alice: bob", "\a"]


def test_the_bell_rings_for_the_name_of_now(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions", "/nick bert")
    _ = bob.sees
    alice.says("bob")
    assert bob.sees == ["alice: bob"]
    alice.says("bert")
    assert bob.sees == ["alice: bert", "\a"]


def test_the_bell_does_not_ring_any_more(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions", "/bell off")
    _ = bob.sees
    alice.says("bob")
    assert rings(bob) == 0
    assert not world.chat.lobby.delivery.mentions


def test_who_has_left_is_not_listened_for(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    for person in (alice, bob):
        person.says("/bell mentions")
    bob.says("/quit")
    alice.hangs_up()
    world.settle()
    assert not world.chat.lobby.delivery.mentions


def test_who_could_not_be_noted_as_gone_is_not_listened_for(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    bob.says("/bell mentions")
    refuse(failing.ledger, Left)
    bob.hangs_up()
    failing.settle()
    refuse(failing.ledger)
    assert alice.asks("bob?", "anybody?") == []
    assert not failing.chat.lobby.delivery.mentions


def test_scrollback_and_history_do_not_ring(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/bell mentions", "/join den")
    carol.says("/bell on", "/join den")
    alice.says("bob and carol")
    _ = bob.sees, carol.sees
    for person in (bob, carol):
        person.says("/join lobby", "/history", "/search bob")
        assert rings(person) == 0
        assert len(person.sees) > 4


def test_nobody_is_rung_for_what_was_said_before_they_came() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions")
    alice.says("/join den", "hi")
    _ = bob.sees
    # In one turn, before and after.
    alice.types("bob one")
    bob.types("/join den")
    world.settle()
    assert rings(bob) == 0
    bob.says("/part")
    _ = bob.sees
    bob.types("/join den")
    alice.types("bob two")
    world.settle()
    assert bob.sees[-2:] == ["alice: bob two", "\a"]
    world.end()


def test_who_reads_again_is_rung_once_after_the_lines(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions")
    _ = bob.sees
    bob.writer.stall()
    for number in range(2 * MAX_ENTRIES):
        alice.says(f"bob {number}")
    # Their queue is not full of bells: others can still write to them.
    assert alice.asks("/msg bob psst") == ["-> you to bob: psst"]
    alice.says("bob?")
    bob.writer.drain()
    world.settle()
    assert rings(bob) == 3
    shown = bob.sees
    lines = [f"alice: bob {number}" for number in range(2 * MAX_ENTRIES)]
    assert shown == [*lines, "alice: bob?", "\a-> alice to you: psst\a", "\a"]


def test_who_is_cut_off_in_a_line_is_rung_after_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/bell mentions")
    _ = bob.sees
    bob.writer.stall(room=5)
    alice.says("hello bob")
    assert rings(bob) == 0
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["alice: hello bob", "\a"]


def test_a_room_in_which_nobody_listens_does_not_look_for_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = world.people("alice", "bob")
    monkeypatch.delattr("chatroom.chat.mentions.words_of")
    alice.says("bob")
    assert bob.sees == ["alice: bob"]


# -- screen readers


def test_who_listens_to_a_screen_reader_does_so_logged_in_or_not(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/register correct-horse")
    bob.says("/register battery-staple", "/color off")
    alice.says("/reader on", "/bell on")
    alice.says("/logout")
    assert alice.connection.user.preferences == Preferences(reader=True)
    alice.says("/login bob battery-staple")
    assert alice.name == "bob"
    assert alice.connection.user.preferences == Preferences(reader=True, color="off")


def test_a_place_that_nobody_knows_is_answered_with_one_that_is_near(world: World) -> None:
    (alice,) = world.people("alice")
    assert alice.asks("/tz berlni") == ["-- No time zone berlni. Did you mean Europe/Berlin?"]
    shown = alice.asks("/tz america/north_dakota/")
    assert shown[0].startswith("-- No time zone america/north_dakota/. Did you mean America/")
