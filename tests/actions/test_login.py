"""Accounts as people have them: what is typed, what is seen, and who has which name after it."""

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
from chatroom.backends.sqlite.database import Reader, Writer
from chatroom.chat.session import Session
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Said
from chatroom.model.preferences import Preferences
from chatroom.model.refused import TooMany
from chatroom.text import names
from chatroom.text.prose import paragraph
from chatroom.text.times import DAY
from tests.conftest import MakeWorld, Strictness
from tests.support.accounts import (
    WORD,
    FakeBook,
    at_once,
    book_of,
    hangs_up_while_answered,
    logged_in,
    owner,
)
from tests.support.doubles import LateClaims
from tests.support.world import Person, World, check

OTHER = "sellerie-88"
WARNED = "-- Use it nowhere else."
NOT_SAID = "-- Not said: it may be a password. If it is none, /say says it."
SORRY = "-- Accounts cannot be used just now. Please try again later."
CANCELS = "It is not shown; an empty line cancels."
PLAIN = "This connection is not encrypted: take one that you use nowhere else."


def notice(*sentences: str) -> list[str]:
    """How *sentences* of the server are shown."""
    return [f"-- {line}" for line in paragraph(*sentences).split("\n")]


def telnet(person: Person) -> Person:
    """*person* has a telnet that does as it is asked."""
    person.telnet = True
    return person


def hides(person: Person) -> bool:
    """Whether its client does not show what is typed."""
    return person.hidden


def wary(person: Person) -> bool:
    """Whether what they type may be a password that nobody asked for."""
    session = person.session
    return session.chat.clock.seconds() < session.prompt.guarded_until


# -- registering


def test_elsewhere_than_on_telnet_the_password_is_typed_behind_the_command(world: World) -> None:
    alice = world.person("alice")
    assert alice.asks("/register") == ["-- Usage: /register PASSWORD"]
    assert alice.asks(f"/register {WORD}") == [
        "-- alice is yours, wherever you come from: /login alice",
        "-- This server keeps names only as long as it runs.",
        "-- This connection is not encrypted: your password could be read on the way.",
        WARNED,
    ]
    assert logged_in(world, alice, "alice")


def test_over_an_encrypted_line_nobody_is_warned(world: World) -> None:
    alice = world.person("alice")
    alice.encrypted = True
    assert WARNED not in alice.asks(f"/register {WORD}")
    alice.says("/logout")
    assert WARNED not in alice.asks(f"/login alice {WORD}")


def test_on_telnet_a_new_password_is_asked_for_twice_and_not_shown(world: World) -> None:
    alice = telnet(world.person("alice"))
    bob = world.person("bob")
    assert alice.asks("/register") == notice("Choose a password for alice.", PLAIN, CANCELS)
    assert hides(alice)
    assert alice.asks(f"  {WORD} ") == notice("Once more, to be sure.", CANCELS)
    assert hides(alice)
    told = alice.asks(WORD)
    assert not hides(alice)
    assert told[0] == "-- alice is yours, wherever you come from: /login alice"
    assert WARNED not in told
    assert logged_in(world, alice, "alice")
    alice.says("back in the open")
    assert not [line for line in bob.sees if WORD in line]


def test_the_next_line_is_the_password_whatever_it_looks_like(world: World) -> None:
    alice = telnet(world.person("alice"))
    bob = world.person("bob")
    alice.says("/register", "/nick-zoe", "/nick-zoe")
    assert logged_in(world, alice, "alice")
    alice.says("/logout", "/login alice", "/nick-zoe")
    assert logged_in(world, alice, "alice")
    assert not [line for line in bob.sees if "zoe" in line]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([""], "-- Nothing was changed."),
        ([WORD, ""], "-- Nothing was changed."),
        ([WORD, OTHER, ""], "-- Nothing was changed."),
        (["short", ""], "-- Nothing was changed."),
    ],
)
def test_registering_on_telnet_can_be_given_up(world: World, typed: list[str], told: str) -> None:
    alice = telnet(world.person("alice"))
    assert alice.asks("/register", *typed)[-1] == told
    assert not hides(alice)
    assert alice.session.user.account is None
    assert alice.asks(f"/login alice {WORD}") == [
        "-- alice is not registered. /register makes the name that you have your own."
    ]


def test_a_password_that_is_too_weak_is_asked_for_again_on_telnet(world: World) -> None:
    alice = telnet(world.person("alice"))
    told = alice.asks("/register", "short")
    assert told[-2:] == notice(
        "A password has at least 8 characters.", "Choose another one.", CANCELS
    )
    alice.says(WORD, WORD)
    assert logged_in(world, alice, "alice")


def test_elsewhere_it_is_refused(world: World) -> None:
    alice = world.person("alice")
    assert alice.asks("/register short") == [
        "-- A password has at least 8 characters. Nothing was changed."
    ]
    assert alice.session.user.account is None


def test_a_guest_has_no_name_to_register(world: World) -> None:
    assert world.person().asks(f"/register {WORD}") == ["-- Pick a name first: /nick NAME."]


def test_who_has_a_name_cannot_register_it_again(world: World) -> None:
    alice = owner(world)
    assert alice.asks(f"/register {OTHER}") == [
        "-- You are alice already. /password changes your password."
    ]
    assert alice.asks("/nick zoe") == [
        "-- You are logged in as alice. /logout makes you a guest again."
    ]


def test_a_source_registers_three_names_in_a_day(make_world: MakeWorld) -> None:
    world = make_world(Settings(names_per_day=3))
    for name in ("a1", "a2", "a3"):
        owner(world, name, "192.0.2.1")
    late = world.person("a4", source="192.0.2.1")
    refusal = "-- Too many names were registered from your address. Try again tomorrow."
    assert late.asks(f"/register {WORD}") == [refusal]
    owner(world, "b1", "192.0.2.2")
    world.wait(DAY + 1)
    late.says(f"/register {WORD}")
    assert logged_in(world, late, "a4")


def test_names_that_are_registered_at_the_same_time_count_as_well() -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=3), accounts=book_of(fake))
    people = [world.person(f"a{number}", source="192.0.2.1") for number in range(5)]
    fake.late = True
    for person in people:
        person.types(f"/register {WORD}")
    for _ in range(30):
        fake.answer()
        world.settle()
    assert sum(person.session.user.account is not None for person in people) == 3
    world.end()


def test_a_name_that_could_not_be_registered_does_not_count() -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=1), accounts=book_of(fake))
    alice = world.person("alice")
    fake.failing = {"add"}
    for _ in range(3):
        assert alice.asks(f"/register {WORD}") == [
            "-- It is not sure that alice is yours now. Please see later: /login alice"
        ]
    fake.failing = set()
    alice.says(f"/register {WORD}")
    assert logged_in(world, alice, "alice")
    world.end()


@pytest.mark.parametrize("moment", range(8))
def test_a_name_that_was_registered_counts_though_its_owner_hung_up_at_once(moment: int) -> None:
    fake = FakeBook()
    world = World(settings=Settings(names_per_day=1), accounts=book_of(fake))
    alice = world.person("alice", source="192.0.2.1")
    fake.late = True
    alice.types(f"/register {WORD}")
    hangs_up_while_answered(alice, fake, 8, moment)
    world.settle()
    made = fake.book._accounts
    assert world.chat.logins.created.spent("192.0.2.1") is bool(made)
    world.end()


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
    assert alice.session.user.account is None
    assert alice.session.user.preferences.bell == "off"
    assert world.chat.logins.online == {}
    check(world)
    alice.says(f"/login alice {WORD}")
    assert logged_in(world, alice, "alice")
    assert alice.session.user.preferences.bell == "on"
    assert alice.session.user.preferences.quiet


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
    assert alice.session.user.account is None
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


# -- what looks like a password


@pytest.mark.parametrize(
    "line",
    [
        "login alice secret",
        "login secret",
        "LOGIN alice secret",
        "./login alice secret",
        "\\login alice secret",
        "]/login alice secret",
        "a/login alice secret",
        "//login alice secret",
        ": login alice secret",
        "login: secret",
        "password=secret",
        "register secret",
        "unregister secret",
        "identify secret",
        "nickserv identify secret",
        "msg NickServ identify secret",
        "PRIVMSG NickServ :IDENTIFY alice secret",
        "ns identify secret",
        "PASS secret",
        "OPER alice secret",
        "AUTHENTICATE PLAIN",
        "CAP LS 302",
        "NICK alice",
        "USER alice 0 * :Alice",
        "PRIVMSG bob :secret",
        "pass: secret",
        "pw=secret",
        "claim 1234-ABCD-56EF",
        "claim 1234ABCD56EF",
        "passwd old-one new-one",
        " /login alice secret",
        "\u200b/msg bob secret",
        "\u2060\ufeff/msg bob secret",
        "\u3164/msg bob secret",
        "\u2800\u00a0/msg bob secret",
        "\u202e/msg bob secret",
        "\U0001d159/msg bob secret",
        "\U00013441/msg bob secret",
        "\u0301/msg bob secret",
        "\x1b[A/msg bob secret",
        "\x1b[A/join secret",
        "\x1bOA\x1b[1;5B\x00/join secret",
        "\uff0fmsg bob secret",
        "\u3000\uff0fmsg bob secret",
        "/\u200bmsg bob secret",
        "/ login alice secret",
        "/lgoin alice secret",
    ],
)
def test_a_login_gone_wrong_is_never_said(line: str) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    (told,) = alice.asks(line)
    assert told.startswith("-- ")
    assert bob.sees == []
    world.end()


@pytest.mark.parametrize(
    "command",
    [
        "/login",
        "/log alice",
        "/pasword old-one new-one",
        "/passw old-one new-one",
        "/regsiter secret",
        "/claim",
        "/claim 1234-ABCD-56EF",
        "/clai 1234-ABCD-56EF",
        "/calim 1234-ABCD-56EF",
    ],
)
def test_a_word_after_a_refused_command_for_a_secret_is_not_said(command: str) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.says(command)
    _ = alice.sees
    # The next line waits after a wrong code.
    alice.says("1234-ABCD-56EF")
    world.wait(5)
    assert alice.sees == [NOT_SAID]
    assert bob.sees == []
    world.end()


@pytest.mark.parametrize("command", ["/help", "/me", "/nick", "/nosuch", "/hel", "/t", "/who"])
def test_a_word_after_any_other_command_is_said(command: str) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.says(command, "hello")
    assert bob.sees == ["alice: hello"]
    world.end()


def test_who_has_become_an_operator_is_not_kept_from_talking() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.says("/register kohlrabi77", f"/claim {world.chat.moderation.open_claim()}", "hello")
    assert bob.sees[-1] == "alice: hello"
    world.end()


@pytest.mark.parametrize(
    "line",
    [
        "login",
        "the login fails",
        "login is broken since this morning",
        "logins fail today",
        "logic is hard",
        "my password is too short",
        "registers are fast",
        "what is a login?",
        "log in please",
        "see src/login.py for that",
        "and/or both",
        "pass me the salt",
        "pass this on",
        "the user alice",
        "user alice said so",
        "Nick says hello",
        "claim denied",
        "./configure && make",
        "-/msg",
        "\u00bd/a",
        "quit it",
        "help me",
        "what?",
    ],
)
def test_an_ordinary_sentence_is_said(line: str) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    assert alice.asks(line) == []
    assert bob.sees == [f"alice: {line}"]
    world.end()


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("help", "-- Not said: /help lists the commands. To say it, send it again."),
        (" ? ", "-- Not said: /help lists the commands. To say it, send it again."),
        ("Quit", "-- Not said: /quit leaves. To say it, send it again."),
        ("exit", "-- Not said: /quit leaves. To say it, send it again."),
        ("bye", "-- Not said: /quit leaves. To say it, send it again."),
        (":q!", "-- Not said: /quit leaves. To say it, send it again."),
    ],
)
def test_a_lone_word_for_the_server_is_held_back_once(line: str, hint: str) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    assert alice.asks(line) == [hint]
    assert bob.sees == []
    alice.says(line, line)
    assert bob.sees == [f"alice: {line}", f"alice: {line}"]
    world.end()


def test_a_byte_order_mark_before_a_line_is_dropped(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("\ufeff/msg bob the secret", "\ufeffhello")
    assert sorted(bob.sees) == ["-> alice to you: the secret", "alice: hello"]


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
            assert person.session.user.preferences == Preferences()
            told = person.asks(f"/login alice {WORD}")
            assert logged_in(world, person, "alice")
            assert person.session.room.name == "den"
            chosen = person.session.user.preferences
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
                patch.setattr(Session, "use_preferences", fails)
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
        shown = [seen, repr(person.session), repr(world.chat.logins.online), *log.text]
        account = person.session.user.account
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
