"""A /quit overtakes the lines that wait before it."""

from __future__ import annotations

import pytest

from chatroom.doors.lines.commands import COMMANDS
from chatroom.doors.lines.quitting import quit_at
from chatroom.terminal.editactions import Line
from tests.support.world import World


@pytest.mark.parametrize(
    ("lines", "first", "found"),
    [
        ([b"one", b"two"], 0, 0),
        ([b"one", b"/quit", b"two", b"/quit"], 0, 1),
        ([b"one", b"/quit", b"two", b"/quit"], 2, 3),
        ([b"one", b"/QUIT bye"], 0, 1),
        ([b"one", b"/exit"], 0, 1),
        ([b"one", b"//quit", b"say /quit", b"/", b"/quitter", b"/\xff"], 0, 0),
        ([Line("one"), Line("/quit")], 0, 1),
        ([], 0, 0),
    ],
)
def test_where_the_first_quit_is(lines: list[bytes | Line], first: int, found: int) -> None:
    connection = World().person("alice").connection
    connection.commands = COMMANDS
    assert quit_at(connection, lines, first) == found
