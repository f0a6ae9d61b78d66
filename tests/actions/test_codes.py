"""Codes that log another connection in: once, for a while, for who asked."""

from __future__ import annotations

import pytest

from chatroom.chat.loginservice import as_code
from tests.support.accounts import code_of, logged_in, owner
from tests.support.world import World, check


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("2ABC-DEFG", "2ABCDEFG"),
        ("2abcdefg", "2ABCDEFG"),
        ("ABCDEFGH", None),
        ("2ABCDEF", None),
        ("2ABCDEFGH", None),
        ("2ABCDEF!", None),
        ("2ABCDEF\u0661", None),
        ("-", None),
    ],
)
def test_what_looks_like_a_code(typed: str, code: str | None) -> None:
    assert as_code(typed) == code


def test_a_code_logs_in_once_and_both_are_told_of_each_other(world: World) -> None:
    alice = owner(world)
    code = code_of(alice)
    assert as_code(code)
    phone = world.person()
    told = phone.asks(f"/login {code.lower()}")
    assert told[0] == "-- Your code came from 192.0.2.7 (a plain line)."
    assert alice.sees == [
        "-- Your code was used at 192.0.2.7 (a plain line).",
        "-- If that was not you: /login alice, then /password.",
        "-- You are logged in at 192.0.2.7 (a plain line) now. This connection ends.",
    ]
    assert logged_in(world, phone, "alice")
    other = world.person()
    wrong = ["-- That code is wrong, or was used, or is too old. /pair makes another."]
    assert other.asks(f"/login {code}") == wrong
    check(world)


def test_a_code_is_good_for_two_minutes_and_the_last_one_counts(world: World) -> None:
    alice = owner(world)
    first, second = code_of(alice), code_of(alice)
    phone = world.person()
    wrong = ["-- That code is wrong, or was used, or is too old. /pair makes another."]
    assert phone.asks(f"/login {first}") == wrong
    world.wait(121)
    assert phone.asks(f"/login {second}") == wrong
    third = code_of(alice)
    world.wait(118)
    phone.says(f"/login {third}")
    assert logged_in(world, phone, "alice")


@pytest.mark.parametrize("way", ["/logout", "/quit"])
def test_the_code_of_who_is_gone_is_no_good(world: World, way: str) -> None:
    alice = owner(world)
    code = code_of(alice)
    alice.says(way)
    phone = world.person()
    phone.says(f"/login {code}")
    assert phone.connection.user.account is None


def test_a_source_tries_five_wrong_codes_in_an_hour(world: World) -> None:
    alice = owner(world)
    phone = world.person(source="192.0.2.99")
    for _ in range(5):
        phone.says("/login 2222-2222")
    refused = ["-- Too many wrong codes came from your address. Try again in an hour."]
    assert phone.asks(f"/login {code_of(alice)}") == refused
    elsewhere = world.person(source="192.0.2.98")
    elsewhere.says(f"/login {code_of(alice)}")
    assert logged_in(world, elsewhere, "alice")
    world.wait(3601)
    code = code_of(elsewhere)
    phone.says(f"/login {code}")
    assert logged_in(world, phone, "alice")
