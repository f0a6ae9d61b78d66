"""Commands about the server, and help."""

from typing import TYPE_CHECKING

from chatroom.commands import Command, command, look_up
from chatroom.formats import duration

if TYPE_CHECKING:
    from chatroom.session import Session


@command("motd")
def motd(session: "Session", rest: str) -> None:
    """the message of the day"""
    session.notice(session.chat.settings.motd or "There is no message of the day.")


@command("uptime")
def uptime(session: "Session", rest: str) -> None:
    """how long the server has been up"""
    chat = session.chat
    people = len(chat.sessions)
    here = "1 person is" if people == 1 else f"{people:,} people are"
    up = duration(chat.clock.seconds() - chat.started)
    session.notice(f"{chat.settings.name} has been up for {up}. {here} here.")


@command("help", "h", "?", usage="[COMMAND]")
def help(session: "Session", rest: str) -> None:
    """what there is, or more about one command"""
    if rest:
        found = look_up(session, rest.removeprefix("/"))
        aliases = "".join(f", /{alias}" for alias in found.aliases)
        session.notice(f"{found.synopsis}{aliases and f'   (also {aliases[2:]})'}\n{found.help}")
        return
    rows: dict[str, list[Command]] = {}
    for found in {found.name: found for found in session.commands.values()}.values():
        rows.setdefault(found.beside or found.name, []).append(found)
    listed = {
        ", ".join(one.synopsis for one in row): row[0].help.partition("\n")[0]
        for row in rows.values()
    }
    width = max(map(len, listed))
    lines = [f"{typed:<{width}}  {text}" for typed, text in listed.items()]
    lines.append("What does not begin with / is said to the room. //text says /text.")
    session.notice("\n".join(lines))
