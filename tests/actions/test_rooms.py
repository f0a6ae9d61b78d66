"""Several rooms: joined until they are parted, one shown, and what is unread in the others."""

import pytest

from chatroom.model.chatsettings import Settings
from tests.conftest import MakeWorld
from tests.support.accounts import WORD, now, owner
from tests.support.rooms import shorten
from tests.support.world import Person, World, check


def rooms_of(person: Person) -> list[str]:
    """The keys of the rooms that they are in."""
    return list(person.connection.user.rooms)


def test_who_joins_another_room_is_in_both(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea")
    assert alice.room.key == "tea"
    assert rooms_of(alice) == ["lobby", "tea"]
    assert bob.asks("/who") == ["-- 2 people in #lobby: alice, bob"]
    assert bob.asks("/whois alice")[0].startswith("-- alice is in #lobby and #tea, ")
    check(world)


def test_what_is_said_goes_to_the_room_that_is_shown(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea", "in tea", "/join lobby", "in the lobby")
    assert bob.sees == ["alice: in the lobby"]
    assert alice.asks("/join tea", "/history")[-1] == "08:00 alice: in tea"


def test_another_room_is_silent_and_counted(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea")
    _ = alice.sees
    bob.says("one", "two")
    assert alice.sees == []
    assert alice.asks("/rooms")[0] == "-- #lobby  2 people, last line 0 seconds ago, 2 new"
    assert alice.asks("/join lobby") == [
        "-- Today (times are UTC)",
        "-- 2 new",
        "08:00 bob: one",
        "08:00 bob: two",
        "-- Now",
        "-- You are now in #lobby with bob.",
    ]
    # What was shown is not shown again, nor counted.
    assert alice.asks("/rooms")[0] == "-- #lobby  2 people, last line 0 seconds ago, you are here"
    alice.says("/join tea")
    bob.says("three")
    assert alice.asks("/join lobby")[1:3] == ["-- 1 new", "08:00 bob: three"]


def test_a_line_that_names_somebody_comes_at_once_with_its_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea")
    _ = alice.sees
    bob.says("hello Alice!", "/me waves at alice", "nobody")
    assert alice.sees == ["#lobby bob: hello Alice!", "#lobby * bob waves at alice"]
    assert alice.asks("/rooms")[0].endswith(", 3 new, 2 for you")
    alice.says("/join lobby", "/join tea")
    assert alice.asks("/rooms")[0].endswith(", joined")


def test_a_line_that_names_somebody_rings_and_has_its_time(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/bell mentions", "/timestamps on", "/join tea")
    _ = alice.sees
    bob.says("alice?")
    assert alice.sees == ["08:00 #lobby bob: alice?\a"]


def test_a_line_of_somebody_ignored_is_not_shown_from_elsewhere(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/ignore bob", "/join tea")
    _ = alice.sees
    bob.says("alice?")
    assert alice.sees == []


def test_a_name_is_listened_for_only_where_it_has_to_be(world: World) -> None:
    (alice,) = world.people("alice")
    mentions = world.chat.lobby.delivery.mentions
    assert not mentions
    alice.says("/join tea")
    assert mentions
    assert not world.chat.rooms["tea"].delivery.mentions
    alice.says("/join lobby")
    assert not mentions
    alice.says("/part tea", "/quit")
    assert not mentions


def test_a_room_that_nobody_shows_is_delivered_to_nobody(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea")
    bob.says("/join coffee")
    delivered = world.chat.counters.deliveries
    lobby = world.chat.lobby
    assert not lobby.readers
    world.person().says("hello")
    assert world.chat.counters.deliveries == delivered


def test_who_parts_a_room_is_shown_another(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join tea")
    alice.says("/join tea", "hi")
    _ = alice.sees, bob.sees
    assert alice.asks("/part") == ["-- You are now in #lobby with bob."]
    assert bob.sees == ["-- alice left."]
    assert rooms_of(alice) == ["lobby"]
    check(world)


def test_who_parts_a_room_that_is_not_shown_sees_on(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea", "/join coffee")
    _ = alice.sees
    assert alice.asks("/part #lob") == ["-- You have left #lobby."]
    assert alice.room.key == "coffee"
    assert rooms_of(alice) == ["tea", "coffee"]
    assert bob.sees == ["-- alice left."]
    # There is no lobby to go to: it is the room that was joined last.
    assert alice.asks("/part") == ["-- You are now in #tea."]
    assert alice.asks("/part") == [
        "-- #tea is your only room. /join ROOM goes to another, /quit ends it all."
    ]


def test_a_room_that_is_not_ones_own_cannot_be_parted(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join tea", "hi")
    alice.says("/join ta", "/join tb")
    _ = alice.sees
    mine = "#lobby, #ta and #tb"
    assert alice.asks("/part tea") == [f"-- You are not in that room. You are in {mine}."]
    assert alice.asks("/part t") == [f"-- Several of your rooms begin like that: {mine}."]


def test_what_was_said_after_parting_is_not_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join tea", "/part lobby")
    bob.says("alice is gone")
    assert alice.asks("/missed") == ["-- You missed nothing."]
    assert not any("new" in line for line in alice.asks("/rooms"))


def test_there_is_a_most_to_the_rooms_of_one_person(make_world: MakeWorld) -> None:
    world = make_world(Settings(rooms_per_person=2, rooms_per_hour=0))
    (alice,) = world.people("alice")
    alice.says("/join tea")
    refusal = ["-- You are in 2 rooms already. /part ROOM leaves one."]
    assert alice.asks("/join coffee") == refusal
    assert "coffee" not in world.chat.rooms
    assert alice.asks("/join lobby")[-1] == "-- You are now in #lobby."
    assert alice.asks("/part tea", "/join coffee")[-1].startswith("-- You made #coffee")


def test_a_guest_who_was_there_before_a_lockdown_looks_at_their_rooms(world: World) -> None:
    olga, greta = world.people("olga", "greta")
    olga.operates()
    greta.says("/join tea", "/join coffee")
    olga.says("/lockdown on")
    _ = greta.sees
    assert greta.asks("/join lobby")[-1] == "-- You are now in #lobby with olga."
    assert greta.asks("/join coffee") == ["-- You are now in #coffee."]
    refusal = ["-- Only registered people enter a room just now: /login NAME."]
    assert greta.asks("/join den") == refusal
    greta.says("/part coffee")
    assert greta.asks("/join coffee") == refusal


def test_a_new_name_is_told_in_all_rooms_and_once_to_its_owner(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/join tea")
    alice.says("/join tea", "hi")
    _ = alice.sees, bob.sees, carol.sees
    assert alice.asks("/nick zoe") == ["-- You are now zoe."]
    assert bob.sees == carol.sees == ["-- alice is now zoe."]
    assert bob.asks("/who") == ["-- 2 people in #tea: bob, zoe"]
    check(world)


def test_a_line_that_was_shown_on_the_way_out_is_not_shown_again(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.types("alice: hi")
    alice.types("/join tea")
    world.settle()
    assert alice.sees == ["bob: alice: hi", "-- You made #tea; nobody else is here."]
    bob.says("and on")
    assert alice.asks("/rooms")[0].endswith(", 1 new")
    check(world)


def test_who_quits_leaves_all_rooms(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/join tea")
    alice.says("/join tea", "hi")
    _ = bob.sees, carol.sees
    alice.says("/quit good night")
    assert bob.sees == carol.sees == ["-- alice left (good night)."]
    check(world)


def test_an_account_is_in_its_rooms_again(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    bob.says("/join tea", "hi")
    alice.says("/join tea", "/join coffee", "hi", "/part lobby", "/quit")
    bob.says("for alice", "another")
    again = world.person(source="198.51.100.1")
    told = again.asks(f"/login alice {WORD}")
    assert again.room.key == "coffee"
    assert set(rooms_of(again)) == {"lobby", "tea", "coffee"}
    assert any("You missed 2 lines" in line for line in told)
    assert any(line.startswith("-- #tea") and "2 new" in line for line in again.asks("/rooms"))
    assert again.asks("/join tea")[1:4] == ["08:00 bob: hi", "-- 2 new", "08:00 bob: for alice"]
    check(world)


def test_an_account_that_only_was_in_the_lobby_is_kept_as_it_was(world: World) -> None:
    alice = owner(world)
    alice.says("/bell on", "/quit")
    account = now(world.chat.logins.accounts.find("alice"))
    assert account is not None
    assert account.preferences.rooms == ()


def test_more_is_new_than_memory_goes_back_to(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    shorten(world.chat.lobby, 10)
    alice.says("/join tea")
    for number in range(40):
        bob.says(str(number))
    assert alice.asks("/rooms")[0].endswith(", 10+ new")


@pytest.mark.parametrize("how", ["hangs up", "/quit"])
def test_who_goes_on_the_way_into_a_room_is_in_none(failing: World, how: str) -> None:
    alice, bob = failing.people("alice", "bob")
    alice.types("/join tea")
    if how == "/quit":
        alice.types(how)
    else:
        alice.hangs_up()
    failing.settle()
    assert alice.gone
    assert list(failing.chat.rooms) == ["lobby"]
    assert bob.asks("/who") == ["-- 1 person in #lobby: bob"]
    check(failing)


def test_who_has_to_leave_a_room_sees_the_one_they_see(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("/join den", "/room private", "/room invite bob")
    bob.says("/join den", "/join tea")
    _ = bob.sees
    alice.says("/room uninvite bob")
    assert bob.room.key == "tea"
    assert "den" not in rooms_of(bob)
    check(world)
