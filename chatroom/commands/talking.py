"""Commands for saying something another way."""

from typing import TYPE_CHECKING

from chatroom.actions.addressing import with_person
from chatroom.actions.messages import leave_message, whisper
from chatroom.chat.user import User
from chatroom.commands import command
from chatroom.model.accounts import Account
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

    def tell(person: User) -> None:
        if list(person.reading) == [connection]:
            raise Refused(
                Code.YOURSELF, "You cannot send yourself a private line. /say says it to the room."
            )
        whisper(connection, person, text)

    async def leave(account: Account) -> None:
        await leave_message(connection, account, text)

    with_person(connection, name, tell, absent=leave)


@command("reply", "r", usage="TEXT", group="talking")
def reply(connection: "Connection", rest: str) -> None:
    """answer the last private line you got"""
    whisperer = connection.user.reply_to
    if not whisperer:
        raise Refused(Code.NO_SUCH_USER, "Nobody has sent you a private line yet: /msg NAME TEXT.")
    person = connection.chat.user_of(whisperer)
    if person is None:
        raise Refused(Code.GONE, "Whoever sent you the last private line has left: /msg NAME TEXT.")
    whisper(connection, person, rest)
