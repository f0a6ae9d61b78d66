"""Connections by SSH without a terminal: they are beside whoever is here as the same person."""

from __future__ import annotations

from chatroom.doors.ssh.factory import SshFactory
from tests.support.accounts import WORD, owner
from tests.support.sshclient import Guest
from tests.support.world import Person, World


def beside(world: World, factory: SshFactory) -> Guest:
    """alice with `ssh -T`, who has read what she was told first."""
    guest = Guest(world, factory, "alice", answers=(WORD,))
    _ = guest.sees
    return guest


def at_a_terminal(world: World, factory: SshFactory) -> Guest:
    return Guest(world, factory, "alice", answers=(WORD,), term="xterm")


def test_it_ends_no_other_connection_and_says_lines_as_the_same_person(
    world: World, factory: SshFactory
) -> None:
    alice, bob = owner(world), world.person("bob")
    script = beside(world, factory)
    script.sends(b"one\n")
    script.sends(b"two")
    script.ends()
    world.wait(5)
    assert not alice.gone
    for person in (alice, bob):
        assert [line for line in person.sees if "joined" not in line] == [
            "alice: one",
            "alice: two",
        ]
    script.hangs_up()
    assert logged_in_as(world, alice)


def logged_in_as(world: World, person: Person) -> bool:
    account = person.connection.user.account
    return account is not None and world.chat.logins.online[account.id] is person.connection.user


def test_it_is_in_no_list_and_nobody_is_told_of_it(world: World, factory: SshFactory) -> None:
    alice, bob = owner(world), world.person("bob")
    world.wait(5)
    _ = bob.sees
    script = beside(world, factory)
    world.wait(5)
    assert bob.asks("/who") == ["-- 2 people in #lobby: alice, bob"]
    script.hangs_up()
    world.wait(5)
    assert bob.sees == []
    assert alice.asks("/who") == ["-- 2 people in #lobby: alice, bob"]


def test_it_reads_the_room(world: World, factory: SshFactory) -> None:
    alice, bob = owner(world), world.person("bob")
    script = beside(world, factory)
    bob.says("hello")
    alice.says("hello, bob")
    bob.says("/me waves")
    assert [line for line in script.sees if "joined" not in line] == [
        "bob: hello",
        "alice: hello, bob",
        "* bob waves",
    ]
    script.sends(b"/join elsewhere\n")
    _ = script.sees
    bob.says("not for you")
    assert script.sees == []


def test_its_greeting_names_the_others(world: World, factory: SshFactory) -> None:
    owner(world)
    world.person("bob")
    world.wait(5)
    script = Guest(world, factory, "alice", answers=(WORD,))
    assert "-- Welcome to chatroom. You are alice, in #lobby with bob." in script.sees


def test_private_lines_go_to_both_connections(world: World, factory: SshFactory) -> None:
    alice, bob = owner(world), world.person("bob")
    script = beside(world, factory)
    bob.says("/msg alice hello")
    assert "-> bob to you: hello" in alice.sees
    assert "-> bob to you: hello" in script.sees


def test_alone_it_is_an_ordinary_connection(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    world.settle()
    bob = world.person("bob")
    script = beside(world, factory)
    world.wait(5)
    assert bob.asks("/who") == ["-- 2 people in #lobby: alice, bob"]
    bob.says("/msg alice hello")
    assert "-> bob to you: hello" in script.sees


def test_it_goes_on_beside_a_terminal_and_after_it(world: World, factory: SshFactory) -> None:
    owner(world).hangs_up()
    world.settle()
    bob = world.person("bob")
    script = beside(world, factory)
    script.sends(b"before\n")
    terminal = at_a_terminal(world, factory)
    assert not script.gone
    assert "alice" in terminal.data.decode()
    assert "-- You are logged in" not in " ".join(script.sees)
    world.wait(5)
    assert bob.asks("/who")[-1] == "-- 2 people in #lobby: alice, bob"
    bob.says("hello")
    assert script.sees[-1:] == ["bob: hello"]
    script.sends(b"after\n")
    assert "alice: after" in bob.sees
    terminal.hangs_up()
    world.wait(5)
    assert bob.asks("/who")[-1] == "-- 2 people in #lobby: alice, bob"
    script.sends(b"on and on\n")
    assert "alice: on and on" in bob.sees


def test_who_does_not_read_has_missed_nothing_when_they_do(
    world: World, factory: SshFactory
) -> None:
    owner(world)
    bob = world.person("bob")
    script = Guest(world, factory, "alice", answers=(WORD,), window=8192, reads=False)
    for number in range(200):
        bob.says(f"{number} {'x' * 100}")
    script.reads = True
    script.connection.adjustWindow(script.channel, 1 << 20)
    said = [line for line in script.sees if line.startswith("bob: ")]
    assert [int(line.split()[1]) for line in said] == list(range(200))


def test_it_alone_is_a_guest_by_logging_out(world: World, factory: SshFactory) -> None:
    alice = owner(world)
    script = beside(world, factory)
    script.sends(b"/logout\n")
    assert script.sees == ["-- You are now guest3."]
    assert logged_in_as(world, alice)
    script.sends(b"hello\n")
    assert "guest3: hello" in alice.sees
    script.sends(b"/quit\n")
    assert script.session_closed


def test_whoever_is_sent_away_goes_with_it(world: World, factory: SshFactory) -> None:
    olga = world.person("olga")
    olga.operates()
    alice = owner(world)
    script = beside(world, factory)
    olga.says("/kick alice enough")
    script.settle()
    assert alice.gone
    assert script.session_closed


def test_forget_takes_back_the_last_line_whichever_connection_said_it(
    world: World, factory: SshFactory
) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("stays")
    bob.says("/join tea")
    script = beside(world, factory)
    script.sends(b"/join tea\nslip\n/forget\n/history\n")
    assert script.sees[-2:] == ["-- alice took back a line.", "-- Nothing has been said here."]
    assert bob.sees[-2:] == ["alice: slip", "-- alice took back a line."]
    alice.says("/history")
    assert "alice: stays" in " ".join(alice.sees)


def test_all_of_an_hour_is_taken_back_once_from_either_connection(
    world: World, factory: SshFactory
) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("one")
    script = beside(world, factory)
    script.sends(b"two\n")
    _ = bob.sees
    script.sends(b"/forget hour\n/forget hour\n")
    assert bob.sees == ["-- alice took back what they said in the last hour."]
    script.sends(b"/forget hour\n")
    assert script.sees[-1] == "-- You have said nothing in the last hour."
    alice.says("/forget hour")
    assert alice.sees[-1] == "-- You have said nothing in the last hour."


def test_connections_of_one_account_share_what_is_the_users(
    world: World, factory: SshFactory
) -> None:
    alice, bob = owner(world), world.person("bob")
    script = beside(world, factory)
    bob.says("/msg alice hello")
    script.sends(b"/reply hello yourself\n/away for tea\n/ignore bob\n")
    world.wait(5)
    assert "<- alice to you: hello yourself" in [line.replace("->", "<-") for line in bob.sees]
    assert bob.asks("/msg alice tea?")[-1] == "-- alice is away: for tea."
    assert alice.asks("/ignore") == ["-- You ignore bob."]
    assert alice.asks("/back") == ["-- You are back."]
    script.hangs_up()
    assert alice.asks("/ignore") == ["-- You ignore bob."]


def test_a_user_who_logs_out_leaves_the_other_connection_as_it_is(
    world: World, factory: SshFactory
) -> None:
    alice = owner(world)
    script = beside(world, factory)
    alice.says("/logout", "/nick carl")
    assert alice.name == "carl"
    script.sends(b"/ignore\nhello\n")
    assert "-- You ignore nobody." in script.sees
    assert alice.sees[-1] == "alice: hello"
