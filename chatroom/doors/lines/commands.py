"""The slash commands of the doors for lines: those of the chat, and /terminal."""

from typing import Protocol, runtime_checkable

from chatroom import commands
from chatroom.chat.connection import Connection
from chatroom.commands import command
from chatroom.model.refused import Code, Refused

COMMANDS = dict(commands.COMMANDS)


@runtime_checkable
class TerminalDoor(Protocol):
    """A client that can have a terminal."""

    def ask_for_terminal(self) -> None:
        """Ask the client to send keys. Raises Refused."""

    def take_lines(self) -> None:
        """Ask the client to send lines. Raises Refused."""


@command("terminal", usage="[on|off]", into=COMMANDS, group="preferences")
def terminal(connection: Connection, rest: str) -> None:
    """edit lines here, apart from what arrives

    For telnet clients: Tab completes, the arrow keys edit and bring lines back,
    and what arrives is shown above what you type. /terminal off goes back to
    plain lines.
    """
    client = connection.client
    assert isinstance(client, TerminalDoor)
    if rest.lower() in ("", "on"):
        client.ask_for_terminal()
    elif rest.lower() == "off":
        client.take_lines()
        connection.notice("Back to plain lines.")
    else:
        raise Refused(Code.USAGE, "It can be on or off: /terminal on, /terminal off.")
