"""Commands for saying something another way."""

from typing import TYPE_CHECKING

from chatroom.actions import messages
from chatroom.commands import command
from chatroom.model.refused import Code, Refused

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


@command("say", usage="TEXT", group="talking")
def say(connection: "Connection", rest: str) -> None:
    """say it, whatever it looks like"""
    connection.say(rest)


@command("me", usage="TEXT", group="talking")
def me(connection: "Connection", rest: str) -> None:
    """say what you do: /me waves"""
    connection.say(rest, emote=True)


@command("msg", "m", "w", "tell", "dm", "pm", "query", usage="NAME TEXT", group="talking")
def msg(connection: "Connection", rest: str) -> None:
    """say something to one person alone

    The beginning of a name is enough where only one name begins so, and nobody
    of just that name was here in the last hour. Who has a registered name and
    is not here is shown it when they log in.
    """
    name, _, text = rest.partition(" ")
    text = text.strip()
    if not text:
        raise Refused(Code.USAGE, "Usage: /msg NAME TEXT")
    messages.message(connection, name, text)


@command("reply", "r", usage="TEXT", group="talking")
def reply(connection: "Connection", rest: str) -> None:
    """answer the last private line you got"""
    messages.reply(connection, rest)
