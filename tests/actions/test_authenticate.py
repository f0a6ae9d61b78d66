"""What a door asks of whoever says who they are, and what is done with their password."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from chatroom.accounts import passwords
from chatroom.actions import authenticate
from chatroom.actions.authenticate import PendingConnection
from chatroom.actions.steps import SORRY
from chatroom.model.accounts import Account
from chatroom.model.chatsettings import Settings
from chatroom.model.identity import Identity
from chatroom.model.refused import TooMany
from tests.conftest import MakeWorld
from tests.support.accounts import WORD, FakeBook, book_of, now, register
from tests.support.arrivals import FIRST, KEY, LAST, OTHER_KEY, SECOND, as_owner, with_key
from tests.support.world import World

# -- what a door asks


def known(answer: Deferred[Any]) -> Any:
    """The answer that is there already; a failure is raised."""
    return now(answer)


def test_whose_a_name_is(world: World) -> None:
    account = register(world, "alice")
    assert known(authenticate.owner(world.chat, "ALICE")) == account
    assert known(authenticate.owner(world.chat, "bob")) is None
    assert known(authenticate.owner(world.chat, "")) is None
    assert known(authenticate.owner(world.chat, "a" * 1_000_000)) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", ""),
        ("zoe", ""),
        ("7up", "A name begins with a letter. /nick NAME picks another."),
        ("x" * 25, "A name has at most 24 characters. /nick NAME picks another."),
        ("\x1b[2J", "A name begins with a letter. /nick NAME picks another."),
        ("root", "root is reserved. /nick NAME picks another."),
        ("guest7", "guest7 is reserved. /nick NAME picks another."),
        ("Boss", "Boss is kept for an operator. /nick NAME picks another."),
    ],
)
def test_what_a_guest_may_be_called(name: str, why: str) -> None:
    world = World(reserved=["boss"])
    identity = authenticate.by_name(world.chat, name, KEY)
    assert identity == Identity("" if why else name, None, KEY, why=why)
    assert known(authenticate.by_key(world.chat, name, KEY)) == identity
    world.end()


def test_a_key_that_is_an_accounts_makes_whoever_has_it_that_account(world: World) -> None:
    identity = with_key(world)
    register(world, "bob")
    for name in ("alice", "ALICE", "zoe", "", "root", "\x1b"):
        assert known(authenticate.by_key(world.chat, name, KEY)) == identity
    assert known(authenticate.by_key(world.chat, "bob", KEY)) is None


def test_a_key_that_was_pasted_does_so_for_who_asks_for_that_account_alone(world: World) -> None:
    identity = with_key(world, proven=False)
    register(world, "bob")
    assert known(authenticate.by_key(world.chat, "Alice", KEY)) == identity
    assert known(authenticate.by_key(world.chat, "zoe", KEY)) == Identity("zoe", key=KEY)
    assert known(authenticate.by_key(world.chat, "bob", KEY)) is None
    # Asking has changed nothing.
    holder = now(world.chat.logins.accounts.keyholder(KEY.fingerprint))
    assert holder is not None
    assert not holder.proven


def test_a_key_that_is_nobodys_is_not_let_in_as_somebody(world: World) -> None:
    with_key(world)
    assert known(authenticate.by_key(world.chat, "alice", OTHER_KEY)) is None
    assert known(authenticate.by_key(world.chat, "zoe", OTHER_KEY)) == Identity(
        "zoe", key=OTHER_KEY
    )


@pytest.mark.parametrize("how", ["failing", "silent"])
@pytest.mark.parametrize("method", ["find", "keyholder"])
def test_a_door_has_its_answer_in_time_whatever_the_book_does(how: str, method: str) -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    identity = with_key(world)
    setattr(fake, how, {method})
    by_key = authenticate.by_key(world.chat, "alice", KEY)
    owns = authenticate.owner(world.chat, "alice")
    world.wait(6)
    world.wait(6)
    assert known(by_key) == Identity(key=KEY, why=SORRY)
    assert known(owns) == (None if method == "find" else identity.account)
    fake.answer_all()
    world.end()


# -- passwords


def stranger(world: World, source: str = "192.0.2.7") -> PendingConnection:
    return PendingConnection(world.chat.next_origin(), source, source, world.clock.seconds())


def tries(world: World, who: PendingConnection, account: Account, password: str) -> Deferred[Any]:
    return authenticate.by_password(world.chat, who, account, password)


def test_a_password_makes_whoever_has_it_that_account(world: World) -> None:
    account, who = register(world, "alice"), stranger(world)
    who.key = KEY
    assert known(tries(world, who, account, WORD)) == Identity("alice", account, KEY)
    assert who.failures == 0


def test_it_is_the_password_that_counts_when_it_is_given(world: World) -> None:
    account, who = register(world, "alice"), stranger(world)
    book = world.chat.logins.accounts
    book.set_password(account.id, passwords.make("another one"))
    assert known(tries(world, who, account, WORD)) is None
    identity = known(tries(world, who, account, "another one"))
    assert identity is not None
    assert identity.account is not None
    assert identity.account.id == account.id
    book.remove(account.id)
    why = "alice is not registered any more."
    assert known(tries(world, who, account, "another one")) == Identity(why=why)


def test_a_wrong_password_counts_and_is_logged(world: World, log_events: list[LogEvent]) -> None:
    account, who = register(world, "alice"), stranger(world)
    for wrong in ("", "guess", WORD.upper()):
        assert known(tries(world, who, account, wrong)) is None
    assert who.failures == world.chat.counters.wrong_passwords == 3
    logged = [event for event in log_events if event.get("event") == "password_wrong"]
    assert len(logged) == 3
    fields = ("name", "connection", "address", "source")
    assert [logged[0][field] for field in fields] == [
        *("alice", who.origin, "192.0.2.7", "192.0.2.7")
    ]
    assert WORD not in str(logged)


def test_who_guesses_waits_as_with_login_and_shares_the_limit_with_it(world: World) -> None:
    account, who = register(world, "alice"), stranger(world)
    guesser = world.person(source="192.0.2.7")
    guesser.says(*["/login alice guess-0001"] * 4)
    answers: list[Any] = []
    tries(world, who, account, WORD).addCallback(answers.append)
    assert answers == []
    world.wait(1)
    assert answers == [Identity("alice", account)]


def test_who_is_gone_is_not_looked_at(world: World) -> None:
    account, who = register(world, "alice"), stranger(world)
    world.chat.logins.throttle._width = 0
    answers: list[Any] = []
    tries(world, who, account, "guess").addBoth(answers.append)
    who.over = True
    world.chat.logins.throttle._width = 1
    assert known(tries(world, stranger(world), account, WORD)) == Identity("alice", account)
    world.wait(31)
    assert who.failures == 0


def test_who_does_not_get_their_turn_in_time_is_told_so(world: World) -> None:
    account, who = register(world, "alice"), stranger(world)
    world.chat.logins.throttle._width = 0
    answers: list[Any] = []
    tries(world, who, account, "guess").addBoth(answers.append)
    world.wait(31)
    (failure,) = answers
    assert failure.check(TooMany)
    # Nor is it made afterwards.
    world.chat.logins.throttle._width = 1
    tries(world, stranger(world), account, WORD)
    world.wait(1)
    assert len(world.chat.logins.throttle) == 0
    assert (who.failures, world.chat.counters.wrong_passwords) == (0, 0)


def test_a_wrong_password_over_there_does_not_change_what_is_shown(make_world: MakeWorld) -> None:
    world = make_world(Settings(motd="Be kind."))
    alice = world.arrives(as_owner(world))
    assert alice.sees == [f"{FIRST}alice, in #lobby.", SECOND, "-- Be kind.", LAST]
