"""A terminal over SSH: what is typed, what is shown, and what the client says of it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.conch.ssh.common import NS

from chatroom.doors.ssh.factory import SshFactory
from chatroom.formats.ansi import Colours
from tests.support.sshclient import Guest
from tests.support.terminal import Terminal as Shown
from tests.support.world import World

HINT = "-- Tab completes, the arrow keys edit. For screen readers: /reader on."


class Person(Guest):
    """Somebody with a terminal, which shows what came."""

    def __init__(
        self,
        world: World,
        factory: SshFactory,
        user: str,
        term: str = "xterm-256color",
        **able: Any,
    ) -> None:
        self.shown = Shown(80, 24)
        self.environment: dict[str, str] = able.pop("environment", {})
        super().__init__(world, factory, user, term=term, **able)

    def opened(self, channel: Any) -> None:
        for name, value in self.environment.items():
            request = NS(name.encode()) + NS(value.encode())
            channel.conn.sendRequest(channel, b"env", request)
        super().opened(channel)

    def resizes(self, width: int, height: int) -> None:
        self.shown.resize(lines=height, columns=width)
        self.tells_size(width, height)
        self.settle()

    def tells_size(self, width: int, height: int) -> None:
        size = struct.pack(">4L", width, height, 0, 0)
        self.connection.sendRequest(self.channel, b"window-change", size)

    @property
    def screen(self) -> list[str]:
        """All rows up to that of the cursor."""
        self.settle()
        data, self.data = self.data, b""
        self.shown.feed(data)
        return self.shown.rows[: self.shown.above + 1]

    @property
    def served(self) -> Any:
        return self.server._talker.connection


def test_who_has_a_terminal_is_greeted_at_one(world: World, factory: SshFactory) -> None:
    person = Person(world, factory, "alice")
    assert person.screen == [
        "-- Welcome to chatroom. You are alice, in #lobby.",
        "-- Type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves.",
        HINT,
        "[alice #lobby]",
    ]
    assert person.served.format.colours is Colours.MANY
    person.hangs_up()


def test_what_is_typed_stays_below_what_arrives(world: World, factory: SshFactory) -> None:
    bob = world.person("bob")
    alice = Person(world, factory, "alice")
    alice.sends("hällo 小".encode())
    bob.says("one")
    assert alice.screen[-2:] == ["bob: one", "[alice #lobby] hällo 小"]
    alice.sends(b"\x7f\x01X\r")
    assert bob.sees[-1] == "alice: Xhällo "
    assert alice.screen[-2:] == ["alice: Xhällo", "[alice #lobby]"]
    alice.sends(b"typed\x03\x04")
    assert alice.session_closed
    assert alice.status == 0
    assert alice.screen[-1] == ""


def test_a_terminal_has_the_size_that_the_client_says(world: World, factory: SshFactory) -> None:
    person = Person(world, factory, "alice")
    _ = person.screen
    person.sends(b"a line of more than twenty cells")
    person.resizes(30, 6)
    assert person.screen[-2:] == ["[alice #lobby] a line of more", "than twenty cells"]
    assert person.served.format.width == 30
    person.resizes(0, 0)
    assert person.served.format.width == 80
    person.hangs_up()


@pytest.mark.parametrize(
    ("term", "environment", "colours"),
    [
        ("xterm-256color", {}, Colours.MANY),
        ("linux", {}, Colours.FEW),
        ("vt100", {}, Colours.NONE),
        ("xterm-256color", {"NO_COLOR": "1"}, Colours.NONE),
        ("xterm-256color", {"NO_COLOR": ""}, Colours.MANY),
    ],
)
def test_colours_are_those_that_the_terminal_has(
    world: World, factory: SshFactory, term: str, environment: dict[str, str], colours: Colours
) -> None:
    person = Person(world, factory, "alice", term=term, environment=environment)
    assert person.served.format.colours is colours
    person.hangs_up()


def test_a_dumb_terminal_is_echoed_and_nothing_else_is_drawn(
    world: World, factory: SshFactory
) -> None:
    bob, _ = world.people("bob", "carol")
    person = Person(world, factory, "alice", term="dumb")
    _ = person.screen
    person.sends(b"half")
    bob.says("hello")
    person.settle()
    assert person.data == b"half\r\nbob: hello\r\n"
    person.sends(b" a line\r")
    assert person.data.endswith(b"half a line\r\n")
    assert bob.sees[-1] == "alice: half a line"
    person.hangs_up()


def test_a_password_is_not_shown(world: World, factory: SshFactory) -> None:
    person = Person(world, factory, "alice")
    person.sends(b"/register\r")
    assert person.screen[-1] == "[not shown]"
    person.sends(b"correct-horse\rcorrect-horse\r")
    world.wait(1)
    rows = person.screen
    assert "-- alice is yours, wherever you come from: /login alice" in rows
    assert not any("horse" in row for row in person.shown.rows)
    person.hangs_up()


def test_lines_and_keys_are_for_the_client_to_choose(world: World, factory: SshFactory) -> None:
    person = Person(world, factory, "alice")
    person.sends(b"/terminal off\r")
    assert person.screen[-2] == "-- Your ssh sends keys, not lines. ssh -T sends lines."
    person.sends(b"/terminal\r")
    assert person.screen[-2] == "-- It is a terminal already. /terminal off ends that."
    person.hangs_up()
    guest = Guest(world, factory, "bob")
    _ = guest.sees
    guest.sends(b"/terminal\n")
    assert guest.sees == ["-- Your ssh has not asked for a terminal. ssh -t does."]
    guest.hangs_up()


def test_a_code_from_here_logs_a_plain_connection_in(world: World, factory: SshFactory) -> None:
    person = Person(world, factory, "alice")
    person.sends(b"/register correct-horse\r")
    world.wait(1)
    person.sends(b"/pair\r")
    (line,) = [row for row in person.screen if "/login " in row and "alice" not in row]
    code = line.partition("/login ")[2].split()[0].rstrip(".")
    plain = world.person("carol")
    plain.says(f"/login {code}")
    world.wait(1)
    assert plain.name == "alice"
    person.settle()
    assert person.session_closed


def test_resizing_without_reading_piles_nothing_up(world: World, factory: SshFactory) -> None:
    bob = world.person("bob")
    person = Person(world, factory, "alice", window=2000, reads=False)
    for number in range(60):
        bob.says(f"line {number} that fills the window")
    server = person.server._talker
    assert server.writer.congested
    waiting = len(server.transport._unsent)
    for number in range(2000):
        person.tells_size(30 + number % 100, 24)
    person.settle()
    assert person.served.format.width == 30 + 1999 % 100
    assert len(server.transport._unsent) == waiting
    person.hangs_up()
