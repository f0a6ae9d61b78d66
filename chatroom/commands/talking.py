"""Commands for saying something another way."""

from typing import TYPE_CHECKING

from chatroom.chat import Refused
from chatroom.commands import command

if TYPE_CHECKING:
    from chatroom.session import Session


@command("me", usage="TEXT")
def me(session: "Session", rest: str) -> None:
    """say what you do: /me waves"""
    session.say(rest, emote=True)


@command("msg", "m", "w", "tell", usage="NAME TEXT")
def msg(session: "Session", rest: str) -> None:
    """say something to one person alone

    The beginning of a name is enough where only one name begins so.
    """
    name, _, text = rest.partition(" ")
    text = text.strip()
    if not text:
        raise Refused("Usage: /msg NAME TEXT")
    person = session.chat.find(name)
    if person is session:
        raise Refused("You cannot send yourself a private line.")
    session.whisper(person, text)


@command("reply", "r", usage="TEXT")
def reply(session: "Session", rest: str) -> None:
    """answer the last private line you got"""
    if not session.whisperer:
        raise Refused("Nobody has sent you a private line yet.")
    person = session.chat.sessions.get(session.whisperer)
    if person is None:
        raise Refused("Whoever sent you the last private line has left.")
    session.whisper(person, rest)
