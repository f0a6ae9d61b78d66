"""Commands about the server, and help."""

from typing import TYPE_CHECKING

from chatroom.commands import command, look_up
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
    found_all = {found.name: found for found in session.commands.values()}.values()
    width = max(len(found.synopsis) for found in found_all)
    lines = [f"{one.synopsis:<{width}}  {one.help.splitlines()[0]}" for one in found_all]
    lines.append("What does not begin with / is said to the room. //text says /text.")
    session.notice("\n".join(lines))
