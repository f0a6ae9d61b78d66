"""Keys as people have them: added, listed, removed."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from twisted.logger import LogEvent

from chatroom.actions import authenticate
from chatroom.model.accounts import MAX_KEYS
from chatroom.model.identity import Identity
from chatroom.model.publickeys import PublicKey
from tests.support.accounts import WORD, FakeBook, book_of, code_of, logged_in, made_key, now, owner
from tests.support.world import Person, World, check

KEY, OTHER = made_key(1, "laptop"), made_key(2)
MARK, OTHER_MARK = KEY.fingerprint, OTHER.fingerprint
NO_SUCH = ["-- You have no key with such a fingerprint. /key lists them."]


def pasted(key: PublicKey) -> str:
    """What is typed to add *key*."""
    return f"/key add {key.type} {b64encode(key.blob).decode()} {key.comment}"


def came_with(world: World, key: PublicKey, name: str = "alice") -> Person:
    """Somebody who has just registered *name*, and came with *key*."""
    person = world.arrives(Identity(name, key=key), "198.51.100.1")
    person.says(f"/register {WORD}")
    assert logged_in(world, person, name)
    _ = person.sees
    return person


def comes(world: World, name: str, key: PublicKey) -> Person | None:
    """Who comes with *key* and asks for *name*; None if they are not let in."""
    identity = now(authenticate.by_key(world.chat, name, key))
    return world.arrives(identity) if identity is not None else None


def listed(person: Person) -> list[str]:
    """The keys that somebody is shown as theirs."""
    return [line.removeprefix("-- ") for line in person.asks("/key") if line[3:].startswith("SHA")]


def test_the_key_that_somebody_came_with_is_added_and_logs_them_in(world: World) -> None:
    alice = came_with(world, KEY)
    assert alice.asks("/key") == [
        "-- You have no keys. /key add ssh-... AAAA adds one that you paste.",
        f"-- You came with {MARK}, which /key add adds.",
    ]
    told = alice.asks("/key add")
    assert " ".join(line.removeprefix("-- ") for line in told) == (
        f"{MARK} is a key of yours. Whoever comes with it is alice."
    )
    assert listed(alice) == [f"{MARK} ssh-ed25519, laptop, since 2027-01-15, you came with it"]
    alice.says("/quit")
    back = comes(world, "zoe", KEY)
    assert back is not None
    assert logged_in(world, back, "alice")
    check(world)


def test_a_key_that_is_pasted_logs_in_under_the_name_and_then_by_itself(world: World) -> None:
    alice = owner(world)
    told = " ".join(line.removeprefix("-- ") for line in alice.asks(pasted(KEY)))
    first = f"{MARK} is a key of yours."
    assert told == f"{first} Come with it as alice once; from then on it is enough by itself."
    assert listed(alice) == [f"{MARK} ssh-ed25519, laptop, since 2027-01-15, not used yet"]
    assert alice.asks("/key")[0] == "-- This key logs you in:"
    alice.says("/quit")
    stranger = comes(world, "zoe", KEY)
    assert stranger is not None
    assert stranger.connection.user.account is None
    for name in ("alice", "anybody"):
        back = comes(world, name, KEY)
        assert back is not None
        assert logged_in(world, back, "alice")
        assert listed(back) == [f"{MARK} ssh-ed25519, laptop, since 2027-01-15, you came with it"]
        back.says("/quit")


def test_who_pastes_the_key_of_somebody_else_does_not_keep_it_from_them(world: World) -> None:
    mallory = owner(world, "mallory")
    mallory.says(pasted(KEY))
    bob = came_with(world, KEY, "bob")
    assert bob.connection.user.account is not None
    bob.says("/key add")
    assert [line[:50] for line in listed(bob)] == [MARK]
    assert listed(mallory) == []
    assert mallory.asks(pasted(KEY)) == [f"-- {MARK} is a key of somebody else's."]


def test_a_key_is_added_once(world: World) -> None:
    alice = came_with(world, KEY)
    alice.says("/key add")
    assert alice.asks("/key add") == [f"-- {MARK} is a key of yours already."]
    assert alice.asks(pasted(KEY)) == [f"-- {MARK} is a key of yours already."]
    assert len(listed(alice)) == 1
    bob = owner(world, "bob")
    assert bob.asks(pasted(KEY)) == [f"-- {MARK} is a key of somebody else's."]


def test_only_so_many_are_added(world: World) -> None:
    alice = owner(world)
    for number in range(MAX_KEYS):
        alice.says(pasted(made_key(number)))
    assert alice.asks(pasted(made_key(MAX_KEYS))) == [
        "-- You have 20 keys already. /key remove FINGERPRINT removes one."
    ]
    assert len(listed(alice)) == MAX_KEYS


def test_what_is_no_key_is_refused_with_the_reason(world: World) -> None:
    alice = owner(world)
    assert alice.asks("/key add") == [
        "-- You came without a key. One that you paste is added: /key add ssh-... AAAA"
    ]
    assert alice.asks("/key add hello") == [
        "-- A public key looks like this: ssh-ed25519 AAAA... comment"
    ]
    assert alice.asks("/key add ssh-ed25519 AAAA") == ["-- That key is cut short or damaged."]
    for line in ("/key add -----BEGIN OPENSSH PRIVATE KEY-----", "/key what", "/key list all"):
        assert len(alice.asks(line)) == 1
    assert listed(alice) == []


@pytest.mark.parametrize("line", ["/key", "/key add", pasted(KEY), "/key remove SHA256:x"])
def test_a_guest_has_no_keys(world: World, line: str) -> None:
    guest = world.arrives(Identity("zoe", key=KEY))
    _ = guest.sees
    assert guest.asks(line) == [
        "-- Keys are for registered people: /register or /login comes first."
    ]
    assert now(world.chat.logins.accounts.keyholder(MARK)) is None


def test_who_came_by_a_code_adds_none_until_they_log_in_by_password(world: World) -> None:
    alice = owner(world)
    phone = world.person()
    phone.says(f"/login {code_of(alice)}")
    assert logged_in(world, phone, "alice")
    assert phone.asks(pasted(KEY)) == [
        "-- You came by a code of /pair. To add a key log in with your password: /logout, then "
        "/login alice."
    ]
    assert listed(phone) == []
    phone.says("/logout", f"/login alice {WORD}", pasted(KEY))
    assert len(listed(phone)) == 1


def test_a_key_is_removed_by_a_beginning_of_its_fingerprint(world: World) -> None:
    alice = owner(world)
    for spelled in (MARK, MARK[:12], MARK[7:12], f"sha256:{MARK[7:]}"):
        alice.says(pasted(KEY), pasted(OTHER))
        assert alice.asks(f"/key remove {spelled}") == [f"-- {MARK} is no key of yours any more."]
        assert [line[:50] for line in listed(alice)] == [OTHER_MARK]
    assert alice.asks(f"/key remove {MARK}") == NO_SUCH
    guest = comes(world, "zoe", KEY)
    assert guest is not None
    assert guest.connection.user.account is None


def test_what_is_ambiguous_or_not_there_removes_nothing(world: World) -> None:
    alice, bob = owner(world), owner(world, "bob")
    bob.says(pasted(OTHER))
    marks: dict[str, str] = {}
    for number in range(10, 30):
        alice.says(pasted(made_key(number)))
        marks.setdefault(made_key(number).fingerprint[7], "")
    twice = next(
        first
        for first in marks
        if sum(made_key(number).fingerprint[7] == first for number in range(10, 30)) > 1
    )
    assert alice.asks(f"/key remove {twice}") == [
        "-- Several of your keys begin like that. /key lists them."
    ]
    for nothing in ("SHA256:", "sha256:", OTHER_MARK, "!"):
        assert alice.asks(f"/key remove {nothing}") == NO_SUCH
    assert len(listed(alice)) == 20
    assert len(listed(bob)) == 1


def test_what_is_added_and_removed_is_in_the_log(world: World, log_events: list[LogEvent]) -> None:
    alice = owner(world)
    alice.says(pasted(KEY), pasted(KEY), f"/key remove {MARK}", f"/key remove {MARK}")
    logged = [event for event in log_events if str(event.get("event")).startswith("key_")]
    assert [event["event"] for event in logged] == ["key_added", "key_removed"]
    for event in logged:
        assert (event["name"], event["fingerprint"]) == ("alice", MARK)
        assert event["connection"] == alice.connection.origin


def test_with_the_account_its_keys_are_gone(world: World) -> None:
    alice = owner(world)
    alice.says(pasted(KEY), f"/unregister {WORD}")
    assert now(world.chat.logins.accounts.keyholder(MARK)) is None
    assert alice.asks("/key")[0].startswith("-- Keys are for registered people")
    bob = owner(world, "bob")
    bob.says(pasted(KEY))
    assert len(listed(bob)) == 1


@pytest.mark.parametrize("method", ["add_key", "remove_key"])
@pytest.mark.parametrize("how", ["failing", "silent"])
def test_what_is_not_sure_is_said_to_be_so(
    method: str, how: str, log_events: list[LogEvent]
) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    alice = owner(world)
    if method == "remove_key":
        alice.says(pasted(KEY))
    _ = alice.sees
    setattr(fake, how, {method})
    alice.types(pasted(KEY) if method == "add_key" else f"/key remove {MARK}")
    world.wait(6)
    done = "added" if method == "add_key" else "removed"
    assert alice.sees == [f"-- It is not sure whether the key is {done}. /key lists them."]
    alice.hangs_up()
    before = len(log_events)
    fake.answer_all()
    # When it has happened after all, the log has it, whoever is still there.
    late: list[Any] = [event.get("event") for event in log_events[before:]]
    assert late.count(f"key_{done}") == (how == "silent")
    world.end()
