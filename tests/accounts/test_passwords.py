"""Passwords: what may be one, and what is kept in its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.accounts import passwords


@pytest.mark.parametrize(
    "password",
    ["kohlrabi", "correct-horse-battery-staple", "пароль77", "我的密碼很長很長", "p" + "äö" * 60],
)
def test_what_may_be_a_password(password: str) -> None:
    passwords.check(password, "alice")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "at least 8"),
        ("short77", "at least 8"),
        ("x" * 100 + "yz" * 15, "at most 128"),
        ("with a blank", "no blanks"),
        ("with\u3000wide", "no blanks"),
        ("dam\ufffdaged77", "damaged"),
        ("password", "first that anybody"),
        ("PassW0rd", "first that anybody"),
        ("aaaaaaaaa", "first that anybody"),
        ("abababab", "first that anybody"),
        ("Alexandra", "first that anybody"),
        ("ardnaxela", "first that anybody"),
    ],
)
def test_what_may_not(password: str, why: str) -> None:
    with pytest.raises(passwords.PasswordRefused, match=why):
        passwords.check(password, "alexandra")


def test_a_password_matches_what_was_made_of_it_and_no_other() -> None:
    stored = passwords.make("kohlrabi77")
    assert passwords.matches("kohlrabi77", stored)
    assert not passwords.matches("kohlrabi78", stored)
    assert not passwords.matches("Kohlrabi77", stored)
    assert not passwords.matches("", stored)
    assert "kohlrabi" not in stored


def test_each_has_a_salt_of_its_own() -> None:
    assert passwords.make("kohlrabi77") != passwords.make("kohlrabi77")


def test_it_does_not_matter_how_an_accent_was_typed() -> None:
    assert passwords.matches("cafe\u0301-noir", passwords.make("caf\u00e9-noir"))


def test_what_was_made_at_another_cost_still_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = passwords.make("kohlrabi77")
    monkeypatch.setattr(passwords, "LOG_N", 5)
    assert passwords.matches("kohlrabi77", stored)


def test_the_cost_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LOG_N", 15)
    stored = passwords.make("kohlrabi77")
    assert stored.startswith("$scrypt$ln=15,r=8,p=3$")
    assert passwords.matches("kohlrabi77", stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "kohlrabi77",
        "$scrypt$ln=4,r=8,p=3$$",
        "$scrypt$ln=0,r=8,p=3$c2FsdA$c2FsdA",
        "$scrypt$ln=60,r=8,p=3$c2FsdA$c2FsdA",
        "$scrypt$ln=30,r=99,p=99$c2FsdA$c2FsdA",
        "$scrypt$ln=4,r=0,p=0$c2FsdA$c2FsdA",
        "$scrypt$ln=4,r=8,p=3$a$a",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$c2FsdA",
    ],
)
def test_nothing_matches_what_nobody_can_have_made(stored: str) -> None:
    assert not passwords.matches("kohlrabi77", stored)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_tried(password: str, stored: str) -> None:
    assert not passwords.matches(password, stored)
    assert passwords.matches(password, passwords.make(password))


def test_a_surrogate_is_in_no_message() -> None:
    assert not passwords.matches("secret\udc80", passwords.make("kohlrabi77"))
