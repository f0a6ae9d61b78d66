"""A /quit overtakes the lines that wait before it.

The lines of a paste wait for the pace and for what the lines before them lead to; a user who has
typed /quit is not to wait for that. A script may end with /quit what it sends in one go: there it
takes effect in its turn.
"""

from collections.abc import Sequence

from chatroom import commands
from chatroom.chat.connection import Connection
from chatroom.model.refused import Refused
from chatroom.terminal.editactions import Line


def quit_at(connection: Connection, lines: Sequence[bytes | Line], first: int = 0) -> int:
    """Return the index of the first /quit from *first* on, or 0 for none."""
    return next((at for at in range(first, len(lines)) if _quits(connection, lines[at])), 0)


def _quits(connection: Connection, line: bytes | Line) -> bool:
    """Return whether *line* is a /quit."""
    text = line.decode(errors="replace") if isinstance(line, bytes) else line.text
    if not text.startswith("/"):
        return False
    try:
        return commands.look_up(connection, text[1:].split(maxsplit=1)[0]).name == "quit"
    except (Refused, IndexError):
        return False
