"""Logging in and out, other passwords, giving a name up; and that no password is ever shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogPublisher
from zope.interface import implementer

from chatroom.accounts import passwords
from chatroom.actions import naming
from chatroom.backends.sqlite.accounts import AccountTables, StoredAccounts
from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.writer import Writer
from chatroom.chat.connection import Connection
from chatroom.model.events import Said
from chatroom.model.preferences import Preferences
from chatroom.model.refused import TooMany
from chatroom.text import names
from tests.conftest import Strictness
from tests.support.accounts import OTHER, WORD, FakeBook, at_once, book_of, logged_in, owner
from tests.support.doubles import LateClaims
from tests.support.logins import CANCELS, NOT_SAID, WARNED, hides, notice, telnet, wary
from tests.support.world import World, check

SORRY = "-- Accounts cannot be used just now. Please try again later."


# -- logging in


def test_logging_in_elsewhere_than_on_telnet(world: World) -> None:
    owner(world).says("/quit")
    person = world.person()
    assert person.asks("/login alice") == ["-- Usage: /login alice PASSWORD"]
    told = person.asks(f"/login ALICE {WORD}")
    assert told == [
        "-- You are now alice.",
        "-- You were last here 08:00. This server keeps names only as long as it runs.",
        "-- This connection is not encrypted: your password could be read on the way.",
        WARNED,
    ]
    assert logged_in(world, person, "alice")
    assert person.asks(f"/login alice {WORD}") == [
        "-- You are alice already. /logout makes you a guest again."
    ]
    assert person.asks("/login zoe x") == ["-- You are logged in as alice. /logout ends that."]


def test_logging_in_on_telnet_asks_until_the_password_is_right(world: World) -> None:
    owner(world).says("/quit")
    person = telnet(world.person())
    bob = world.person("bob")
    assert person.asks("/login alice") == notice("What is the password of alice?", CANCELS)
    assert hides(person)
    again = notice("That is not the password of alice.", "Once more?", CANCELS)
    assert person.asks(OTHER) == again
    assert hides(person)
    assert person.asks("wrong") == again
    person.says(WORD)
    assert not hides(person)
    assert logged_in(world, person, "alice")
    assert not [line for line in bob.sees if WORD in line or OTHER in line or "wrong" in line]


def test_an_empty_line_cancels_a_login(world: World) -> None:
    owner(world).says("/quit")
    person = telnet(world.person())
    name = person.name
    assert person.asks("/login alice", "")[-1] == f"-- You are still {name}."
    assert person.asks("/login alice", OTHER, "")[-1] == f"-- You are still {name}."
    assert not hides(person)
    assert person.name == name


def test_a_telnet_that_does_not_comply_is_warned_like_netcat(world: World) -> None:
    owner(world).says("/quit")
    person = telnet(world.person())
    person.complies = False
    bob = world.person("bob")
    assert person.asks("/login alice", OTHER)[-1] == "-- That is not the password of alice."
    assert person.asks(WORD) == [NOT_SAID]
    assert person.asks("/login alice", WORD)[-1] == WARNED
    assert logged_in(world, person, "alice")
    assert not [line for line in bob.sees if WORD in line]


@pytest.mark.parametrize(
    "command", ["/login alice", f"/login alice {OTHER}", "/login nobody", "/register"]
)
def test_single_words_are_held_back_for_a_while_where_none_was_asked_for(
    world: World, command: str
) -> None:
    owner(world).says("/quit")
    person, bob = world.person(), world.person("bob")
    assert person.asks(command, WORD)[-1] == NOT_SAID
    assert person.asks(WORD) == [NOT_SAID]
    assert not [line for line in bob.sees if line.endswith(WORD)]
    person.says(f"/say {WORD}")
    assert [line for line in bob.sees if line.endswith(WORD)] == [f"{person.name}: {WORD}"]


def test_a_password_that_begins_with_slashes_is_held_back_as_well(world: World) -> None:
    person, bob = world.person(), world.person("bob")
    assert person.asks("/register", f"//{WORD}")[-1] == NOT_SAID
    assert not [line for line in bob.sees if WORD in line]


def test_what_has_several_words_is_said_after_a_wrong_password(world: World) -> None:
    owner(world).says("/quit")
    person, bob = world.person(), world.person("bob")
    person.says(f"/login alice {OTHER}", "hm, what was it", "hello")
    assert [line for line in bob.sees if line.startswith(person.name)] == [
        f"{person.name}: hm, what was it",
        f"{person.name}: hello",
    ]


def test_a_password_typed_ahead_is_not_said_when_the_book_is_away() -> None:
    fake = FakeBook()
    world = World(accounts=book_of(fake))
    person, bob = telnet(world.person()), world.person("bob")
    fake.silent = {"find"}
    person.types("/login alice", WORD)
    world.wait(6)
    assert NOT_SAID in person.sees
    assert not [line for line in bob.sees if WORD in line]
    world.end()


def test_the_warning_of_the_guard_does_not_end_it(world: World) -> None:
    owner(world).says("/quit")
    person, bob = world.person(), world.person("bob")
    person.says(f"/login alice {OTHER}", f"login alice {OTHER}")
    assert person.asks(WORD) == [NOT_SAID]
    assert person.asks(f"alice {WORD}") == [NOT_SAID]
    person.says(f" /login alice {OTHER}", "/help", "/msg bob hello", "\uff0flogin x")
    assert person.asks(WORD) == [NOT_SAID]
    assert not [line for line in bob.sees if WORD in line or OTHER in line]
    world.wait(61)
    person.says("goodness")
    assert bob.sees[-1].endswith(": goodness")


@pytest.mark.parametrize(
    "typed",
    [
        [f"/login alice {OTHER}"],
        ["/login alice", OTHER, ""],
        ["/login alice", ""],
        ["/login 23456789"],
        ["/login nobody"],
        ["/register short"],
        ["/register", "short", ""],
        ["/register", WORD, OTHER, WORD, OTHER, WORD, OTHER],
    ],
)
@pytest.mark.parametrize("hides", [False, True])
def test_whatever_way_a_password_was_refused_it_is_not_said_next(
    world: World, typed: list[str], hides: bool
) -> None:
    owner(world).says("/quit")
    person, bob = world.person("carol"), world.person("bob")
    person.telnet = hides
    person.says(*typed)
    # However long they thought about it where they were asked.
    assert not person.hidden
    assert person.asks(WORD)[-1] == NOT_SAID
    assert not [line for line in bob.sees if WORD in line]


@pytest.mark.parametrize("typed", [[OTHER, OTHER, OTHER], [WORD, OTHER, ""]])
def test_a_password_that_was_not_changed_is_not_said_next(world: World, typed: list[str]) -> None:
    alice, bob = telnet(owner(world)), world.person("bob")
    alice.says("/password", *typed[:-1])
    world.wait(600)
    alice.says(typed[-1])
    assert alice.asks(WORD)[-1] == NOT_SAID
    assert not [line for line in bob.sees if WORD in line]


def test_who_was_turned_away_may_type_their_password_again_and_it_is_not_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner(world).says("/quit")
    person, bob = telnet(world.person()), world.person("bob")

    def busy(*_: object) -> Deferred[bool]:
        return fail(TooMany())

    monkeypatch.setattr(world.chat.logins, "check_password", busy)
    assert "-- Too many are trying passwords just now." in person.asks("/login alice", WORD)
    assert person.asks(WORD) == [NOT_SAID]
    assert not [line for line in bob.sees if WORD in line]


def test_after_a_login_single_words_are_said(world: World) -> None:
    owner(world).says("/quit")
    person, bob = world.person(), world.person("bob")
    person.says(f"/login alice {OTHER}", f"/login alice {WORD}", "goodness")
    assert bob.sees[-1] == "alice: goodness"


def test_two_different_passwords_are_asked_for_again_and_not_shown(world: World) -> None:
    alice, bob = telnet(world.person("alice")), world.person("bob")
    again = notice("These were two different ones.", "Choose one again.", CANCELS)
    alice.says("/register")
    assert alice.asks(WORD, OTHER)[-2:] == again
    assert alice.asks(OTHER, WORD)[-2:] == again
    assert hides(alice)
    assert alice.asks(WORD, WORD)[1].startswith("-- alice is yours")
    alice.says("/password", WORD, OTHER, WORD, OTHER)
    assert hides(alice)
    alice.says(OTHER, "/logout", "/login alice", OTHER)
    assert logged_in(world, alice, "alice")
    assert not [line for line in bob.sees if WORD in line or OTHER in line]


def test_three_times_two_different_passwords_are_enough(world: World) -> None:
    alice, bob = telnet(world.person("alice")), world.person("bob")
    alice.says("/register")
    told = alice.asks(*[WORD, OTHER] * 3)[-1]
    assert told == "-- These were two different ones again. Nothing was changed."
    assert not hides(alice)
    assert alice.asks(WORD) == [NOT_SAID]
    assert not [line for line in bob.sees if WORD in line]


def test_a_name_that_nobody_registered_is_said_to_be_free(world: World) -> None:
    assert world.person().asks(f"/login zoe {WORD}") == [
        "-- zoe is not registered. /register makes the name that you have your own."
    ]


# -- logging out, another password, giving up


def test_logging_out_makes_a_guest(world: World) -> None:
    alice = owner(world)
    alice.says("/bell on", "/quiet on")
    alice.says("/logout")
    assert names.is_reserved(alice.name)
    assert alice.connection.user.account is None
    assert alice.connection.user.preferences.bell == "off"
    assert world.chat.logins.online == {}
    check(world)
    alice.says(f"/login alice {WORD}")
    assert logged_in(world, alice, "alice")
    assert alice.connection.user.preferences.bell == "on"
    assert alice.connection.user.preferences.quiet


def test_another_password(world: World) -> None:
    alice = owner(world)
    assert alice.asks(f"/password {OTHER} {WORD}") == [
        "-- That is not your password. Nothing was changed."
    ]
    assert alice.asks(f"/password {WORD}") == ["-- Usage: /password OLD NEW"]
    assert alice.asks(f"/password {WORD} short") == [
        "-- A password has at least 8 characters. Nothing was changed."
    ]
    assert alice.asks("/password") == ["-- Usage: /password OLD NEW"]
    assert alice.asks(f"/password {WORD} {OTHER}") == [
        "-- Your password is changed.",
        "-- This connection is not encrypted: your password could be read on the way.",
        WARNED,
    ]
    alice.says("/logout")
    assert alice.asks(f"/login alice {WORD}") == ["-- That is not the password of alice."]
    alice.says(f"/login alice {OTHER}")
    assert logged_in(world, alice, "alice")


def test_another_password_on_telnet(world: World) -> None:
    alice = telnet(owner(world))
    assert alice.asks("/password", "")[-1] == "-- Your password stays as it is."
    assert alice.asks("/password", WORD, "")[-1] == "-- Nothing was changed."
    assert alice.asks("/password", OTHER, OTHER, OTHER)[-1] == (
        "-- That is not your password. Nothing was changed."
    )
    assert alice.asks("/password", WORD, OTHER, OTHER)[-1] == "-- Your password is changed."
    assert not hides(alice)
    alice.says("/logout", "/login alice", OTHER)
    assert logged_in(world, alice, "alice")


def test_giving_a_name_up(world: World) -> None:
    alice = owner(world)
    assert alice.asks("/unregister") == ["-- Usage: /unregister PASSWORD"]
    assert alice.asks(f"/unregister {OTHER}") == [
        "-- That is not your password. Nothing was changed."
    ]
    assert alice.asks(f"/unregister {WORD}") == [
        "-- alice is given up; when you leave it is anybody's."
    ]
    assert alice.connection.user.account is None
    check(world)
    bob = world.person("bob")
    assert bob.asks("/nick alice") == [
        "-- alice is taken. You are still bob. /nick NAME picks another."
    ]
    alice.says("/quit")
    assert bob.asks("/nick alice") == ["-- You are now alice."]


def test_giving_a_name_up_on_telnet(world: World) -> None:
    alice = telnet(owner(world))
    gives_up = "This gives alice up, and all that is kept for you."
    asked = notice(gives_up, "What is your password?", CANCELS)
    assert alice.asks("/unregister", "") == [*asked, "-- alice is still yours."]
    assert alice.asks("/unregister", WORD)[-1] == (
        "-- alice is given up; when you leave it is anybody's."
    )
    assert not hides(alice)


# -- what outlasts the server


@contextmanager
def stored_book(path: Path) -> Iterator[StoredAccounts]:
    writer = Writer(path)
    reader = Reader(path)
    try:
        yield StoredAccounts(
            at_once(AccountTables(writer.connection)), at_once(AccountTables(reader.connection))
        )
    finally:
        reader.close()
        writer.close()


def test_what_is_kept_for_an_account_is_there_after_each_restart(tmp_path: Path) -> None:
    path = tmp_path / "chatroom.sqlite"
    with stored_book(path) as book:
        world = World(accounts=book)
        alice, bob = owner(world), owner(world, "bob")
        alice.says("/join den", "hello den", "/bell on", "/timezone Europe/Berlin", "/ignore bob")
        guest = world.person()
        guest.says("/bell on", "/ignore bob", "/quit")
        alice.says("/quit")
        bob.says("/msg alice I am ignored")
        world.person("carol").says("/msg alice I am not")
        world.chat.close()
    for visit in range(3):
        with stored_book(path) as book:
            world = World(accounts=book)
            world.chat.make_room("den", "here").append(
                world.chat.lobby.log.last_id, Said(1, 1, "x", "y")
            )
            person = world.person()
            assert person.connection.user.preferences == Preferences()
            told = person.asks(f"/login alice {WORD}")
            assert logged_in(world, person, "alice")
            assert person.room.name == "den"
            chosen = person.connection.user.preferences
            assert (chosen.bell, chosen.timezone) == ("on", "Europe/Berlin")
            assert list(chosen.ignores.values()) == ["bob"]
            assert sum("I am not" in line for line in told) == (visit == 0)
            assert not [line for line in told if "I am ignored" in line]
            bob = world.person()
            bob.says(f"/login bob {WORD}", "/join den", "do you hear me?")
            assert not [line for line in person.sees if "hear me" in line]
            # Not everybody leaves in good order.
            world.chat.close()


# -- what is never shown


@implementer(ILogObserver)
class Log:
    """All that is logged, in every form."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.text += [str(formatEvent(event)), repr(event), *map(str, event.values())]
        failure = event.get("log_failure")
        if failure is not None:
            self.text += [failure.getTraceback(), failure.getBriefTraceback(), repr(failure.value)]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    globalLogPublisher.addObserver(log)
    yield log
    globalLogPublisher.removeObserver(log)


SECRETS = ("kohlrabi", "sellerie", "scrypt")
FLOWS = [
    [f"/register {WORD}"],
    ["/register", WORD, WORD],
    [f"/login alice {WORD}"],
    [f"/login alice {OTHER}", OTHER],
    ["/login alice", OTHER, WORD],
    [f"/login alice {WORD}", f"/password {WORD} {OTHER}"],
    [f"/login alice {WORD}", "/password", WORD, OTHER, OTHER],
    [f"/login alice {WORD}", f"/unregister {WORD}"],
    [f"/login alice {WORD}", "/logout", f"/login alice {OTHER}"],
    [f"login alice {WORD}", f"//login alice {WORD}", f"/lgoin alice {WORD}", f"/login {WORD}"],
]
METHODS = ["find", "resembling", "add", "set_password", "remove", "save", "places", "messages"]


def fails(*args: object) -> Any:
    raise RuntimeError("it does not work")


@pytest.mark.parametrize("broken", ["", *METHODS, "make", "matches", "claims", "became", "settled"])
@pytest.mark.parametrize("telnets", [False, True])
def test_no_password_is_ever_shown_or_logged(
    broken: str,
    telnets: bool,
    log: Log,
    strict: Strictness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for flow in FLOWS:
        fake, claims = FakeBook(), LateClaims()
        world = World(accounts=book_of(fake))
        owner(world).says("/quit")
        person, bob = world.person("carol"), world.person("bob")
        person.telnet = telnets
        with monkeypatch.context() as patch:
            if broken in METHODS:
                fake.failing = {broken}
            elif broken in ("make", "matches"):
                patch.setattr(passwords, broken, fails)
            elif broken == "claims":
                world.chat.claims = claims
            elif broken == "became":
                patch.setattr(naming, "rename_to", fails)
            elif broken == "settled":
                patch.setattr(Connection, "use_preferences", fails)
            for line in flow:
                # People type a password where it is asked for, or once in vain.
                if line.startswith(("/", "login")) or hides(person) or wary(person):
                    try:
                        person.says(line)
                    except RuntimeError:
                        # As the door does it.
                        Logger().failure("Input of a connection failed")
                        break
            if broken == "claims" and claims._asked:
                claims.fail()
            world.wait(6)
            world.wait(6)
        world.chat.claims = world.claims
        seen = bob.writer.data.decode() + repr(world.chat.lobby.log.recent(100))
        shown = [seen, repr(person.connection), repr(world.chat.logins.online), *log.text]
        account = person.connection.user.account
        shown += [repr(account), str(account), *map(repr, strict.expected())]
        for secret in SECRETS:
            assert not [text for text in shown if secret in text], flow
    assert log.text


@pytest.mark.parametrize(
    "bad", ["kohl", "kohl rabi 77", "kohlrabi" * 20, "kohl\ufffdrabi", "kohlkohl"]
)
def test_what_an_exception_says_has_no_password_in_it(bad: str) -> None:
    with pytest.raises(passwords.PasswordRefused) as refusal:
        passwords.check(bad, "kohlkohl")
    assert "kohl" not in repr(refusal.value)


def test_what_waited_is_shown_after_the_greeting_of_the_room_one_was_in_last(world: World) -> None:
    alice, bob = owner(world), world.person("bob")
    alice.says("/join den", "hello den", "/quit")
    bob.says("/msg alice psst")
    alice = world.person()
    told = alice.asks(f"/login alice {WORD}")
    (psst,) = [index for index, line in enumerate(told) if line.endswith("bob to you: psst")]
    assert told.index("08:00 alice: hello den") < psst
