"""Commands about the server, and help."""

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING

from chatroom.commands import Command, command, look_up
from chatroom.text.prose import WIDTH, duration

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How wide the left column of a table may be, in characters.
MAX_LEFT = 28


@command("motd", group="server")
def motd(connection: "Connection", rest: str) -> None:
    """the message of the day"""
    connection.notice(connection.chat.settings.motd or "There is no message of the day.")


@command("uptime", group="server")
def uptime(connection: "Connection", rest: str) -> None:
    """how long the server has been up"""
    chat = connection.chat
    people = sum(user.here for user in chat.people.values())
    here = "1 person is" if people == 1 else f"{people:,} people are"
    up = duration(chat.clock.seconds() - chat.started)
    connection.notice(f"{chat.settings.name} has been up for {up}. {here} here.")


@command("help", "h", "?", usage="[GROUP|COMMAND]", group="server")
def help(connection: "Connection", rest: str) -> None:
    """what there is, or more about a group or a command

    /help rooms is about the group of that name, /help /rooms about the command.
    """
    groups: dict[str, list[Command]] = {}
    is_operator = connection.chat.moderation.is_operator(connection.user)
    for found in {found.name: found for found in connection.commands.values()}.values():
        if found.operator and not is_operator:
            continue
        groups.setdefault(found.group, []).append(found)
    if not rest:
        lines = _table(
            {
                group.capitalize(): " ".join(f"/{found.name}" for found in commands)
                for group, commands in groups.items()
            }
        )
        lines.append("/help GROUP, such as /help people, or /help COMMAND says more.")
        lines.append("What does not begin with / is said to the room. //text says /text.")
    elif rest.lower() in groups:
        commands = groups[rest.lower()]
        lines = _table({found.synopsis: found.help.partition("\n")[0] for found in commands})
    else:
        found = look_up(connection, rest.removeprefix("/"))
        aliases = "".join(f", /{alias}" for alias in found.aliases)
        lines = [f"{found.synopsis}{aliases and f'   (also {aliases[2:]})'}", found.help]
    connection.notice("\n".join(lines))


def _table(rows: Mapping[str, str]) -> list[str]:
    """Return *rows* as lines in two columns, of which the right one is wrapped.

    A head that is too long for the left column has a line for itself.
    """
    left = max((len(head) for head in rows if len(head) <= MAX_LEFT), default=MAX_LEFT) + 2
    lines = []
    for head, text in rows.items():
        # "/me" is not to be parted from its slash, nor "-name" from what it is in.
        right = wrap(text, WIDTH - left, break_on_hyphens=False, break_long_words=False) or [""]
        if len(head) > MAX_LEFT:
            lines.append(head)
            head = ""
        lines += [f"{head:<{left}}{right[0]}".rstrip()]
        lines += [f"{'':<{left}}{more}" for more in right[1:]]
    return lines
