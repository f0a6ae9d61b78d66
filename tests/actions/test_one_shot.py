"""Whoever passes for one command: what is theirs stays with who is here as them."""

from __future__ import annotations

import pytest

from chatroom.model.accounts import Account
from chatroom.model.events import Said
from chatroom.model.identity import Identity
from tests.support.accounts import WORD, logged_in, now, owner
from tests.support.doubles import LateClaims, refuse
from tests.support.world import Person, World, check


def account_of(world: World, name: str = "alice") -> Account:
    """The account as it is kept."""
    account = now(world.chat.logins.accounts.find(name))
    assert account is not None
    return account


def as_account(world: World, name: str = "alice") -> Identity:
    account = account_of(world, name)
    return Identity(account.name, account)


def test_a_command_ends_nobodys_connection_and_comes_and_goes_in_silence(
    world: World,
) -> None:
    alice = owner(world)
    bob = world.person("bob")
    world.wait(5)
    _ = alice.sees, bob.sees
    assert world.passes(as_account(world), "the build is green") == []
    world.wait(5)
    assert bob.sees == ["alice: the build is green"]
    assert alice.sees == ["alice: the build is green"]
    assert logged_in(world, alice, "alice")
    assert alice.asks("/who") == ["-- 2 people in #lobby: alice, bob"]
    assert world.passes(as_account(world), "/who") == ["-- 2 people in #lobby: alice, bob"]
    check(world)


def test_it_is_done_where_who_is_here_is_and_where_they_were_last_otherwise(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("/join den")
    bob.says("/join den")
    world.wait(5)
    _ = bob.sees
    world.passes(as_account(world), "one")
    alice.hangs_up()
    world.passes(as_account(world), "two")
    world.settle()
    assert [line for line in bob.sees if ": " in line] == ["alice: one", "alice: two"]


def test_a_command_of_a_guest_is_no_noise_either(world: World) -> None:
    (bob,) = world.people("bob")
    assert world.passes(Identity("ci"), "build ok") == []
    world.passes(Identity("ci"), "/nick deploy")
    world.wait(5)
    assert bob.sees == ["ci: build ok"]
    # The name is anybody's again.
    assert bob.asks("/nick ci") == ["-- You are now ci."]


def test_whoever_comes_in_while_a_command_lasts_is_whose_name_it_is(world: World) -> None:
    owner(world).hangs_up()
    passing = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    alice = world.arrives(as_account(world))
    assert logged_in(world, alice, "alice")
    assert not passing.gone
    _ = alice.sees
    # However long it takes, nobody is told of it.
    world.wait(5)
    assert alice.sees == []
    passing.ends()
    world.settle()
    assert logged_in(world, alice, "alice")
    check(world)


def test_nobody_is_told_of_who_only_sets_a_topic(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    world.wait(5)
    _ = alice.sees, bob.sees
    world.passes(as_account(world), "/topic green")
    world.passes(Identity("ci"), "/topic red")
    world.wait(5)
    assert bob.sees == ["-- alice set the topic: green", "-- ci set the topic: red"]


def test_what_a_command_came_by_is_not_read(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.hangs_up()
    world.settle()
    bob.says("news")
    world.passes(as_account(world), "/join den")
    assert "-- 1 new" in world.arrives(as_account(world)).sees


def test_everybody_is_listed_once(world: World) -> None:
    alice = owner(world)
    world.person("bob")
    alice.says("/away")
    assert world.passes(as_account(world), "/who") == ["-- 2 people in #lobby: alice (away), bob"]
    command = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    assert alice.asks("/who") == ["-- 2 people in #lobby: alice (away), bob"]
    world.wait(5)
    assert "with alice and bob." in world.arrives(Identity("carol")).sees[0]
    alice.hangs_up()
    world.wait(5)
    assert "in #lobby with bob and carol." in world.arrives(as_account(world)).sees[0]
    command.hangs_up()


def test_private_lines_go_to_who_is_here_or_wait_for_them(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    world.passes(as_account(world), "/msg bob ready?")
    bob.says("/reply yes")
    assert alice.sees[-1] == "-> bob to you: yes"
    passing = Person(world, identity=as_account(world), one_shot=True)
    alice.hangs_up()
    world.settle()
    _ = passing.sees, bob.sees
    assert bob.asks("/msg alice later")[-1].startswith("-- alice is not here. Your line waits")
    assert passing.sees == []
    passing.hangs_up()
    assert "-> bob to you: later" in world.arrives(as_account(world)).sees[-1]


def test_nothing_of_the_room_is_shown_whatever_is_preferred(world: World) -> None:
    owner(world)
    bob = world.person("bob")
    passing = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    passing.says("/bell mentions")
    bob.says("alice: here?", *"abcdefgh")
    passing.says("/join den")
    bob.types("in the same turn")
    passing.ends()
    world.settle()
    assert passing.sees == [
        "-- The bell rings for lines that name you and for private lines.",
        "-- This connection is for one command, and shows no room.",
    ]


def test_who_passes_is_counted_with_nobody(world: World) -> None:
    crowd = [world.person(f"p{letter}") for letter in "abcdefghijkl"]
    world.wait(5)
    passing = Person(world, identity=Identity("ci"), one_shot=True)
    world.settle()
    assert passing.sees == []
    assert crowd[0].asks("/who")[0].startswith("-- 12 people in #lobby: pa,")
    assert crowd[0].asks("/uptime")[0].endswith(" 12 people are here.")
    passing.hangs_up()


def test_preferences_are_those_of_who_is_here(world: World) -> None:
    alice = owner(world)
    bob = world.person("bob")
    bob.says("here")
    world.passes(as_account(world), "/timestamps on")
    _ = alice.sees
    bob.says("hello")
    assert alice.sees == ["08:00 bob: hello"]
    assert account_of(world).preferences.timestamps == "on"
    # What they choose afterwards is not lost to a command that ends later.
    passing = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    alice.says("/timestamps seconds")
    passing.hangs_up()
    world.settle()
    assert account_of(world).preferences.timestamps == "seconds"


def test_a_command_changes_one_preference_and_leaves_the_others_alone(world: World) -> None:
    alice = owner(world)
    owner(world, "bob", "198.51.100.2")
    passing = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    alice.says("/timestamps seconds", "/ignore bob")
    passing.says("/bell on")
    passing.ends()
    world.settle()
    for found in (alice.connection.user.preferences, account_of(world).preferences):
        assert (found.timestamps, found.bell) == ("seconds", "on")
        assert list(found.ignores.values()) == ["bob"]


def test_of_two_commands_at_once_neither_undoes_what_the_other_changes(world: World) -> None:
    owner(world).hangs_up()
    owner(world, "bob", "198.51.100.2")
    owner(world, "carol", "198.51.100.3")
    commands = [Person(world, identity=as_account(world), one_shot=True) for _ in range(4)]
    world.settle()
    lines = ("/timestamps on", "/bell on", "/ignore bob", "/ignore carol")
    for command, line in zip(commands, lines, strict=True):
        command.types(line)
    world.settle()
    for command in commands:
        command.ends()
    world.settle()
    kept = account_of(world).preferences
    assert (kept.timestamps, kept.bell) == ("on", "on")
    assert sorted(kept.ignores.values()) == ["bob", "carol"]


def test_a_command_that_ends_later_does_not_bring_back_what_was_preferred_before(
    world: World,
) -> None:
    alice = owner(world)
    alice.says("/join den", "here")
    first = Person(world, identity=as_account(world), one_shot=True)
    second = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    # Whoever was here changes something, and leaves; so does another command.
    alice.says("/timestamps seconds", "/quit")
    world.passes(as_account(world), "/bell on")
    first.says("/join lobby")
    for passing in (first, second):
        passing.ends()
        world.settle()
        kept = account_of(world).preferences
        assert (kept.timestamps, kept.bell, kept.room) == ("seconds", "on", "den")


def test_preferences_are_kept_if_nobody_is_here(world: World) -> None:
    alice = owner(world)
    alice.says("/join den", "still here")
    alice.hangs_up()
    before = account_of(world).seen
    world.wait(60)
    world.passes(as_account(world), "/timezone Europe/Berlin")
    account = account_of(world)
    assert (account.preferences.timezone, account.preferences.room) == ("Europe/Berlin", "den")
    # An account that only scripts use does not lapse.
    assert account.seen >= before + 60


def test_what_is_asked_about_oneself_is_about_who_is_here(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    bob.says("/msg alice ready?")
    assert world.passes(as_account(world), "/reply yes") == ["-> you to bob: yes"]
    assert bob.sees[-1] == "-> alice to you: yes"
    # A script may tell its owner something, which nobody answers.
    world.passes(as_account(world), "/msg alice done")
    assert alice.sees[-1] == "-> alice to you: done"
    assert alice.asks("/reply no") == ["-> you to bob: no"]
    # Who is here is shown nothing of theirs that was said by accident any more.
    alice.says("my secret")
    assert world.passes(as_account(world), "/forget") == []
    assert not any("my secret" in line for line in bob.asks("/history"))


@pytest.mark.parametrize("line", ["/missed", "/away", "/back"])
def test_a_command_does_not_say_that_it_did_what_it_cannot(world: World, line: str) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.hangs_up()
    world.settle()
    bob.says("news")
    command = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    (answer,) = command.asks(line)
    assert command.connection.refusals
    assert "You missed nothing" not in answer
    command.ends()


def test_being_away_and_ignoring_are_of_who_is_here(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    assert world.passes(as_account(world), "/away lunch")[-1].startswith("-- You are away.")
    assert bob.asks("/msg alice hi")[-1] == "-- alice is away: lunch."
    assert world.passes(as_account(world), "/back") == ["-- You are back."]
    assert bob.asks("/msg alice hi") == ["-> you to alice: hi"]
    assert world.passes(as_account(world), "/ignore alice") == [
        "-- You cannot ignore yourself. /ignore NAME is for others."
    ]
    world.passes(as_account(world), "/ignore bob")
    _ = alice.sees
    bob.says("hello")
    assert alice.sees == []
    assert world.passes(as_account(world), "/ignore") == ["-- You ignore bob."]
    world.passes(as_account(world), "/unignore bob")
    bob.says("hello")
    assert alice.sees == ["bob: hello"]


def test_whoever_is_ignored_is_so_in_the_middle_of_a_command(world: World) -> None:
    owner(world)
    bob = world.person("bob")
    command = Person(world, identity=as_account(world), one_shot=True)
    world.settle()
    bob.says("/ignore alice")
    _ = bob.sees
    command.says("hello")
    assert bob.sees == []
    bob.says("/unignore alice")
    command.says("hello again")
    assert bob.sees[-1] == "alice: hello again"


def test_the_commands_of_somebody_ignored_cost_nothing(world: World) -> None:
    owner(world)
    bob = world.person("bob")
    bob.says("/ignore alice")
    ignored = bob.reader.ignores
    identity = as_account(world)
    for _ in range(3):
        Person(world, identity=identity, one_shot=True).ends()
        world.settle()
    assert bob.reader.ignores == ignored
    _ = bob.sees
    world.passes(identity, "hello")
    assert bob.sees == []


def test_what_was_missed_and_what_waits_is_left_for_who_reads(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.hangs_up()
    world.settle()
    bob.says("news", "/msg alice later")
    world.passes(as_account(world), "/who")
    seen = world.arrives(as_account(world)).sees
    assert any("bob to you: later" in line for line in seen)
    assert "-- 1 new" in seen


def test_a_code_outlasts_the_command_that_asked_for_it(world: World) -> None:
    owner(world).hangs_up()
    code = code_of(world.passes(as_account(world), "/pair"))
    bob = world.person("bob")
    assert f"-- Your code came from {bob.place}." in bob.asks(f"/login {code}")
    assert logged_in(world, bob, "alice")
    # Who is here is told, and takes it back by leaving.
    code = code_of(world.passes(as_account(world), "/pair"))
    carol = world.person("carol")
    assert bob.sees == []
    carol.says(f"/login {code}")
    assert any("Your code was used" in line for line in bob.sees)
    assert logged_in(world, carol, "alice")
    code = code_of(world.passes(as_account(world), "/pair"))
    carol.says("/logout")
    assert carol.asks(f"/login {code}")[-1].startswith("-- That code is wrong")


def test_a_code_has_its_time_and_is_the_last_one(world: World) -> None:
    owner(world).hangs_up()
    first = code_of(world.passes(as_account(world), "/pair"))
    second = code_of(world.passes(as_account(world), "/pair"))
    bob = world.person("bob")
    assert bob.asks(f"/login {first}")[-1].startswith("-- That code is wrong")
    world.wait(121)
    assert bob.asks(f"/login {second}")[-1].startswith("-- That code is wrong")


def code_of(answer: list[str]) -> str:
    (line,) = [line for line in answer if "/login" in line]
    return line.rpartition(" ")[2]


@pytest.mark.parametrize("line", [f"/login alice {WORD}", "/login 2345-6789"])
def test_a_command_does_not_log_in(world: World, line: str) -> None:
    alice = owner(world)
    (answer,) = world.passes(Identity("bob"), line)
    assert answer == "-- One command does not log in. Say and show on the way in who you are."
    assert logged_in(world, alice, "alice")


def test_a_command_does_not_use_up_the_code_of_the_first_operator(world: World) -> None:
    code = world.chat.moderation.open_claim()
    assert code
    (answer,) = world.passes(Identity("bob"), f"/claim {code}")
    assert answer.startswith("-- Only a registered name can be an operator's.")
    shown = world.person("carol").asks(f"/register {WORD}", f"/claim {code}")
    assert shown[-1].startswith("-- carol is an operator.")


def test_an_account_that_a_command_gives_up_is_nobodys(world: World) -> None:
    alice = owner(world)
    world.passes(as_account(world), f"/unregister {WORD}")
    assert alice.connection.user.account is None
    assert alice.sees[-1] == "-- alice is given up; when you leave it is anybody's."
    assert not world.chat.logins.online
    check(world)


def test_logging_out_is_of_the_command_alone(world: World) -> None:
    alice = owner(world)
    assert world.passes(as_account(world), "/logout")[-1].startswith("-- You are now guest")
    assert logged_in(world, alice, "alice")
    check(world)


def test_no_claim_is_waited_for() -> None:
    claims = LateClaims()
    world = World(claims=claims)
    alice = world.person()
    alice.types("/nick alice")
    claims.answer()
    world.settle()
    alice.says(f"/register {WORD}")
    # A claim is not answered, and nobody would wait for it so long.
    assert world.passes(as_account(world), "build ok") == []
    world.end()


def test_whoever_may_not_be_here_says_nothing_as_themselves(world: World) -> None:
    chief, alice = owner(world, "chief", "203.0.113.9"), owner(world)
    identity = as_account(world)
    chief.operates()
    chief.says("/ban alice")
    assert alice.gone
    _ = chief.sees
    world.passes(identity, "hello")
    assert not any("alice: hello" in line for line in chief.sees)


def in_passing(world: World, source: str = "198.51.100.7") -> Person:
    """A command that goes on for a while."""
    person = Person(world, source, identity=as_account(world), one_shot=True)
    world.settle()
    _ = person.sees
    return person


def chief_of(world: World) -> Person:
    chief = owner(world, "chief", "203.0.113.9")
    chief.operates()
    return chief


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("line", ["/kick alice spam", "/ban alice spam"])
def test_whoever_is_sent_away_goes_with_all_their_commands(
    world: World, here: bool, line: str
) -> None:
    chief, alice = chief_of(world), owner(world)
    commands = in_passing(world), in_passing(world)
    if not here:
        alice.hangs_up()
        world.settle()
    chief.says(line)
    for one in (alice, *commands):
        assert one.gone
    assert "spam" in commands[0].sees[-1]
    assert commands[0].connection.refusals
    check(world)
    if line.startswith("/ban"):
        # The address that they come from, if only to say something.
        source = "198.51.100.1" if here else "198.51.100.7"
        assert world.chat.moderation.refusal(source)


def test_an_operator_who_is_only_passing_is_spared(world: World) -> None:
    chief, alice = chief_of(world), owner(world)
    chief.says("/op alice")
    alice.hangs_up()
    command = in_passing(world)
    for line in ("/kick alice", "/ban alice", "/mute alice"):
        assert chief.asks(line)[-1].startswith("-- alice is an operator.")
    assert not command.gone


@pytest.mark.parametrize("here", [True, False])
def test_whoever_is_muted_says_nothing_by_a_command_either(world: World, here: bool) -> None:
    chief, alice = chief_of(world), owner(world)
    command = in_passing(world)
    if not here:
        alice.hangs_up()
        world.settle()
    chief.says("/mute alice")
    assert command.asks("hello")[-1].startswith("-- You are muted")
    # Nor as a guest, from wherever they said something last.
    guest = world.person("bob", source=(alice if here else command).connection.source)
    assert guest.asks("hello")[-1].startswith("-- You are muted")
    chief.says("/unmute alice")
    assert command.asks("hello") == guest.asks("hello") == []


@pytest.mark.parametrize("who", ["chief", "alice", "another"])
def test_commands_end_with_their_account(world: World, who: str) -> None:
    chief, alice, command = chief_of(world), owner(world), in_passing(world)
    # One that is not in a room yet, too.
    identity = as_account(world)
    late = Person(world, identity=identity, one_shot=True)
    if who == "chief":
        chief.says("/unregister alice", "/unregister alice")
    elif who == "alice":
        alice.says(f"/unregister {WORD}")
    else:
        world.passes(identity, f"/unregister {WORD}")
    assert command.gone
    assert late.gone
    assert alice.name.startswith("guest" if who == "chief" else "alice")
    check(world)
    carol = world.person()
    alice.hangs_up()
    world.settle()
    carol.says("/nick alice")
    assert carol.name == "alice"


def test_whoever_is_uninvited_is_not_there_by_a_command_either(world: World) -> None:
    bob, alice = owner(world, "bob", "198.51.100.2"), owner(world)
    bob.says("/join den", "/room private", "/room invite alice")
    alice.says("/join den")
    command = in_passing(world)
    assert command.room.name == "den"
    bob.says("/room uninvite alice")
    _ = bob.sees
    assert command.asks("hello", "/who")[-1].endswith("people in #lobby: alice, bob")
    assert "alice: hello" in alice.sees


def test_a_line_that_is_not_said_is_told(failing: World) -> None:
    owner(failing)
    refuse(failing.ledger, Said)
    (answer,) = failing.passes(as_account(failing), "lost")
    assert answer.startswith("-- Your line was not said: the disk is full.")
