"""The slash commands, each with what it does, what it refuses and what else it is called."""

import pytest

from chatroom.chat.connection import Connection
from chatroom.commands import COMMANDS, command, rooms
from chatroom.model.chatsettings import Settings
from tests.conftest import MakeWorld
from tests.support.accounts import WORD, owner
from tests.support.answers import ANSWERS, LONG, groups
from tests.support.world import World


@pytest.mark.parametrize(("typed", "shown"), ANSWERS)
def test_a_command_is_answered(world: World, typed: str, shown: list[str]) -> None:
    alice, _bob = world.people("alice", "bob")
    assert alice.asks(typed) == shown


def test_every_command_and_alias_is_tried() -> None:
    tried = {typed[1:].partition(" ")[0].lower() for typed, _ in ANSWERS}
    assert COMMANDS.keys() - tried == {"unignore", "r"} - tried


def test_help_lists_all_commands_by_their_groups(world: World) -> None:
    (alice,) = world.people("alice")
    alice.operates()
    *listed, more, rest = alice.asks("/help")
    # A long group goes on in the next row.
    shown = [word for line in listed for word in line.removeprefix("-- ").split()]
    assert shown == [
        word for group, names in groups().items() for word in (group.capitalize(), *names)
    ]
    assert "/help GROUP" in more
    assert rest.endswith("//text says /text.")


def test_the_groups_of_help_are_the_modules() -> None:
    assert groups()["rooms"] == ["/join", "/part", "/rooms", "/who", "/topic", "/room"]
    assert groups()["preferences"] == [
        *("/timestamps", "/timezone", "/quiet", "/bell"),
        *("/color", "/reader"),
    ]


def test_every_group_has_help(world: World) -> None:
    (alice,) = world.people("alice")
    alice.operates()
    for group, names in groups().items():
        shown = alice.asks(f"/help {group.upper()}")
        assert [line.split()[1] for line in shown if line.startswith("-- /")] == names
        assert max(map(len, shown)) < 80


def test_help_fits_a_terminal_of_80_by_24_with_many_commands(world: World) -> None:
    def some(connection: Connection, rest: str) -> None:
        """do it"""

    (alice,) = world.people("alice")
    alice.operates()
    own = dict(COMMANDS)
    for number in range(60 - len(dict.fromkeys(COMMANDS.values()))):
        some.__module__ = f"somewhere.group{number % 3}"
        command(f"command{number}", into=own, group="talking")(some)
    alice.connection.commands = own
    shown = alice.asks("/help")
    assert len(shown) <= 20
    assert max(map(len, shown)) < 80
    typed = {word for line in shown for word in line.split()}
    assert typed >= {f"/{found.name}" for found in own.values()}


def test_every_command_has_help(world: World) -> None:
    (alice,) = world.people("alice")
    for name, found in COMMANDS.items():
        shown = alice.asks(f"/help /{name}")
        assert shown[0].startswith(f"-- {found.synopsis}")
        assert len(shown) > 1
        assert max(map(len, shown)) < 80


def test_a_private_line_is_for_one_person_alone(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("/msg bob psst")
    assert bob.sees == ["-> alice to you: psst"]
    assert carol.sees == []


def test_a_private_line_reaches_another_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join den")
    _ = bob.sees
    alice.says("/msg bob psst")
    assert bob.sees == ["-> alice to you: psst"]


@pytest.mark.parametrize("typed", ["/reply yes", "/r yes"])
def test_a_reply_goes_to_whoever_wrote_last(world: World, typed: str) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("/msg bob one")
    alice.says("/msg bob two")
    # It goes to the person, whatever they are called by now.
    alice.says("/nick ann")
    _ = alice.sees
    assert bob.asks(typed) == ["-> you to ann: yes"]
    assert alice.sees == ["-> bob to you: yes"]
    assert carol.sees == ["-> you to bob: one", "-- alice is now ann."]


def test_a_reply_to_somebody_who_has_left_is_refused(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/msg bob hi", "/quit")
    assert bob.asks("/reply hi") == [
        "-- Whoever sent you the last private line has left: /msg NAME TEXT."
    ]


def test_a_reply_finds_an_account_that_has_come_again(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("/msg bob hi", "/quit")
    again = world.person()
    again.says(f"/login alice {WORD}")
    _ = again.sees
    assert bob.asks("/reply hello")[-1:] == ["-> you to alice: hello"]
    assert again.sees == ["-> bob to you: hello"]


def test_who_ignores_somebody_is_not_told_anything_by_them(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/ignore alice")
    _ = bob.sees
    # They are not told.
    assert alice.asks("/msg bob hi") == ["-> you to bob: hi"]
    assert bob.sees == []
    assert bob.asks("/reply what") == ["-- Nobody has sent you a private line yet: /msg NAME TEXT."]


def test_the_ignored_are_listed_under_their_names_of_now(world: World) -> None:
    alice, bob, carol, _dave = world.people("alice", "bob", "carol", "dave")
    alice.says("/ignore carol", "/ignore bob", "/ignore dave")
    carol.says("/quit")
    bob.says("/nick bert")
    assert alice.asks("/ignore") == ["-- You ignore bert, dave."]
    assert alice.asks("/unignore bert") == ["-- You see what bert says again."]
    assert alice.asks("/unignore dave", "/ignore")[-1] == "-- You ignore nobody."


def test_history_leaves_out_the_ignored(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("one")
    carol.says("two")
    assert bob.asks("/ignore alice", "/history")[1:] == [
        "-- Today (times are UTC)",
        "08:00 carol: two",
    ]


def test_history_shows_as_many_lines_as_are_wanted(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*[str(number) for number in range(30)])
    assert len(bob.asks("/history")) == 22
    assert bob.asks("/history 2") == [
        "-- Today (times are UTC)",
        "08:00 alice: 28",
        "08:00 alice: 29",
        "-- /more shows what was said before.",
    ]
    assert len(bob.asks(f"/history {'9' * 100}")) == 31


@pytest.mark.parametrize(
    "typed", ["/away", "/report bob", "/kick bob", "/ban bob 1h", "/mute bob", "/close tea"]
)
def test_a_reason_that_is_too_long_is_refused_and_not_cut(world: World, typed: str) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join tea", "/join lobby")
    alice.operates()
    assert alice.asks(f"{typed} {'x' * 201}") == [
        "-- At most 200 characters, please: these are 201. Nothing was done."
    ]
    assert not bob.gone
    assert alice.asks("/whois bob")[0].startswith("-- bob is in #lobby")


def test_who_is_away_says_so(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/away")
    assert alice.asks("/msg bob hi") == ["-> you to bob: hi", "-- bob is away."]
    assert alice.asks("/whois bob")[0].endswith(", away.")
    assert alice.asks("/who") == ["-- 2 people in #lobby: alice, bob (away)"]
    bob.says(f"/away {LONG[:200]}")
    assert alice.asks("/msg bob hi")[1] == f"-- bob is away: {LONG[:200]}."
    bob.says("/away lunch")
    assert alice.asks("/whois bob")[0].endswith(", away: lunch.")
    _ = bob.sees
    assert bob.asks("/back") == ["-- You are back."]
    assert alice.asks("/msg bob hi") == ["-> you to bob: hi"]


def test_whois_tells_who_was_idle(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("hi")
    world.wait(120)
    assert alice.asks("/whois bob") == [
        "-- bob is in #lobby, here for 2 minutes, idle for 2 minutes."
    ]


def test_a_last_word_is_cut(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(f"/quit {LONG}")
    assert bob.sees == [f"-- alice left ({LONG[:200]})."]


def test_rooms_are_listed_by_how_many_are_there_ones_own_first(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("/join den", "/topic tea", "hi")
    world.wait(120)
    bob.says("/join den", "/join full")
    carol.says("/join attic")
    assert carol.asks("/rooms") == [
        "-- #lobby  3 people, silent so far, joined",
        "-- #attic  1 person, silent so far, you are here",
        "-- #den  2 people, last line 2 minutes ago  tea",
        "-- #full  1 person, silent so far",
    ]
    alice.says("/part lobby")
    assert alice.asks("/who lobby") == ["-- 2 people in #lobby: bob, carol"]


def test_only_so_many_rooms_are_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_LISTED", 2)
    (alice,) = world.people("alice")
    for name in ("one", "two", "three"):
        alice.says(f"/join {name}", "hi")
    assert alice.asks("/rooms") == [
        "-- #lobby  1 person, silent so far, joined",
        "-- #one  1 person, last line 0 seconds ago, joined",
        "-- ... and 2 more.",
    ]


def test_a_beginning_of_several_rooms_is_not_guessed(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/join den1", "hi", "/join den2", "hi")
    assert alice.asks("/who den") == ["-- Several rooms' names begin like that. /rooms lists them."]


def test_only_so_many_people_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "MAX_NAMED", 2)
    alice, *_ = world.people("alice", "Bob", "carol", "dave")
    assert alice.asks("/who") == ["-- 4 people in #lobby: alice, Bob and 2 others"]


def test_a_topic_is_shown_set_and_cleared(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(f"/topic {LONG}")
    assert bob.sees == [f"-- alice set the topic: {LONG[:300]}"]
    assert bob.asks("/topic") == [f"-- #lobby is about: {LONG[:300]}"]
    assert bob.asks("/topic -") == ["-- bob cleared the topic."]
    assert bob.asks("/topic") == ["-- #lobby has no topic. /topic TEXT sets one."]


def test_the_message_of_the_day_can_be_read_again(make_world: MakeWorld) -> None:
    world = make_world(Settings(motd="Be kind.\nAlways."))
    (alice,) = world.people("alice")
    assert alice.asks("/motd") == ["-- Be kind.", "-- Always."]


def test_who_is_alone_is_told_so(world: World) -> None:
    (alice,) = world.people("alice")
    assert alice.asks("/uptime") == ["-- chatroom has been up for 5 seconds. 1 person is here."]


def test_two_commands_cannot_have_one_name() -> None:
    def first(connection: Connection, rest: str) -> None:
        """do it"""

    table = dict(COMMANDS)
    command("first", "f", usage="[X]", into=table, group="talking")(first)
    assert table["f"] is table["first"]
    assert table["f"].synopsis == "/first [X]"
    with pytest.raises(ValueError, match="two commands /f"):
        command("f", into=table, group="talking")(first)
    assert "first" not in COMMANDS


def test_a_door_may_have_commands_of_its_own(world: World) -> None:
    def ping(connection: Connection, rest: str) -> None:
        connection.notice("pong")

    alice, bob = world.people("alice", "bob")
    own = dict(COMMANDS)
    command("ping", into=own, group="talking")(ping)
    alice.connection.commands = own
    assert alice.asks("/ping") == ["-- pong"]
    assert bob.asks("/ping")[0].startswith("-- No command /ping.")
    assert alice.asks("/help ping") == ["-- /ping", "--"]
    assert any("/ping" in line.split() for line in alice.asks("/help"))
    assert not any("/ping" in line for line in bob.asks("/help"))


def test_who_leaves_a_room_is_in_the_lobby(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/join tea")
    assert alice.asks("/part #tea") == ["-- You are now in #lobby."]
    alice.says("/join tea")
    assert alice.asks("/leave") == ["-- You are now in #lobby."]


def test_an_operators_command_has_to_be_typed_in_full(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.operates()
    assert alice.asks("/kic bob") == ["-- /kick has to be typed in full: /kick NAME [REASON]"]
    assert not bob.gone


@pytest.mark.parametrize(("typed", "near"), [
    ("te", " There is #tea."),
    ("teatime", " There is #tea."),
    ("tae", " There is #tea."),
    ("coffee", ""),
])  # fmt: skip
def test_who_makes_a_room_is_told_so_and_which_they_may_have_meant(
    world: World, typed: str, near: str
) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/join tea", "hello")
    shown = [f"-- You made #{typed}; nobody else is here.{near}"]
    assert alice.asks(f"/join {typed}") == shown


def test_a_private_room_is_not_named_to_who_may_not_enter_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.operates()
    bob.says("/join teapot", "/room private")
    assert alice.asks("/join tea")[0] == "-- You made #tea; nobody else is here."
    assert alice.asks("/join teap0t")[0].startswith("-- You made #teap0t; nobody else is here.")


def test_no_room_is_made_that_looks_like_another(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    assert alice.asks("/join l0bby") == [
        "-- #l0bby looks like #lobby. /join lobby goes there; a new room needs another name."
    ]
    bob.says("/join Island", "hello")
    assert "looks like #Island." in alice.asks("/join lsland")[0]
    assert alice.asks("/join ISLAND")[-1] == "-- You are now in #Island with bob."
    assert set(world.chat.rooms) == {"lobby", "island"}
