"""Ignoring and being ignored, by guests and accounts, across logins."""

from tests.support.accounts import WORD, owner
from tests.support.world import World


def test_an_ignored_guest_is_ignored_as_whoever_they_log_in_and_out(world: World) -> None:
    owner(world, "bob").says("/quit")
    alice, guest, carol = world.people("alice", "rob", "carol")
    guest.says("before")
    alice.says("/ignore rob")
    _ = alice.sees
    guest.says(f"/login bob {WORD}", "as bob", "/logout", "as a guest again")
    assert alice.sees == []
    assert alice.asks("/history 9") == ["-- Nothing has been said here."]
    assert any("as bob" in line for line in carol.sees)
    guest.says(f"/login bob {WORD}")
    assert alice.asks("/unignore bob") == ["-- You see what bob says again."]
    guest.says("at last")
    assert alice.sees == ["bob: at last"]


def test_an_ignored_account_goes_and_comes_unseen(world: World) -> None:
    bob = owner(world, "bob")
    alice = world.person("alice")
    alice.says("/ignore bob")
    bob.says("hello")
    _ = alice.sees
    again = world.person()
    again.says(f"/login bob {WORD}", "/me waves")
    assert not [line for line in alice.sees if "bob left" in line or "waves" in line]
    again.says("/logout", "/quit")
    assert not [line for line in alice.sees if "bob" in line]


def test_what_somebody_said_before_they_registered_is_ignored_with_them(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("as a guest", f"/register {WORD}", "as an account")
    alice.says("/ignore bob")
    _ = alice.sees
    assert alice.asks("/history 9") == ["-- Nothing has been said here."]


def test_lines_are_those_of_the_account_or_of_the_guest(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    for person in (alice, bob):
        person.says("hi")
    bob.says(f"/register {WORD}", "hi", "/logout", "hi")
    assert alice.connection.user.account is not None
    lines = [event.user for event in world.chat.lobby.log.recent(4)]
    guest = -bob.connection.origin
    assert lines == [
        alice.connection.user.account.id,
        guest,
        alice.connection.user.account.id + 1,
        guest,
    ]
