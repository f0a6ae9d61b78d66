"""What looks like a password is held back where one may have been meant."""

from __future__ import annotations

import pytest

from tests.support.logins import NOT_SAID
from tests.support.world import World


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
