"""Commands that make operators and list them.

There is always one operator at least, once there is one. The commands are in the group of
moderation.
"""

from typing import TYPE_CHECKING

from chatroom.actions import appointing, moderate
from chatroom.actions.steps import announce, run_step
from chatroom.commands import command
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


@command("claim", usage="CODE", group="moderation", secret=True)
def claim(connection: "Connection", rest: str) -> None:
    """become an operator, with the code that is in the server's log"""
    account = moderate.claim(connection, rest)
    connection.prompt.guarded_until = 0.0
    announce(connection, f"{account.name} is an operator. /help moderation lists what you can do.")


@command("op", usage="NAME", operator=True, group="moderation", in_full=True)
def op(connection: "Connection", rest: str) -> None:
    """make somebody an operator, whose name is registered"""

    async def appoint() -> None:
        account = await appointing.appoint(connection, rest)
        announce(connection, f"{account.name} is an operator.")

    run_step(connection, appoint())


@command("deop", usage="NAME", operator=True, group="moderation", in_full=True)
def deop(connection: "Connection", rest: str) -> None:
    """let somebody be an operator no more"""
    name = appointing.dismiss(connection, rest)
    announce(connection, f"{name} is no operator any more.")


@command("ops", group="moderation")
def ops(connection: "Connection", rest: str) -> None:
    """who keeps order, and who of them is here"""
    chat = connection.chat
    listed = [
        f"{found.name} (here)" if id in chat.logins.online else found.name
        for id, found in chat.moderation.operators.items()
    ]
    listed.sort(key=names.fold)
    connection.notice(f"Operators: {', '.join(listed)}." if listed else "There is no operator.")
