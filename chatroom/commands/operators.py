"""Commands about who keeps order.

The rule: somebody always does. They are in the group of moderation.
"""

from typing import TYPE_CHECKING

from chatroom.actions import moderate
from chatroom.actions.accounts import find
from chatroom.actions.steps import announce, run_step
from chatroom.commands import command
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Operator
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: What somebody does whose name is to be registered for something.
FIRST = "They have to /register first."


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
        account = await find(connection, rest, FIRST)
        moderation = connection.chat.moderation
        if moderation.operators.get(account.id):
            raise Refused(Code.ALREADY, f"{account.name} is an operator already. /ops lists them.")
        if moderation.banned(account.id):
            raise Refused(
                Code.BANNED, f"{account.name} is banned. /unban {account.name} comes first."
            )
        if account.id in connection.chat.logins.removed:
            raise Refused(
                Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more. {FIRST}"
            )
        moderation.operators.set(account.id, Operator(account.name))
        person = connection.chat.logins.online.get(account.id)
        if person is not None:
            for one in person.reading:
                moderation.came(one)
            person.notice(f"{connection.user.name} has made you an operator: /help moderation.")
        announce(connection, f"{account.name} is an operator.")
        moderation.record(connection, "made an operator of", account.name)

    run_step(connection, appoint())


@command("deop", usage="NAME", operator=True, group="moderation", in_full=True)
def deop(connection: "Connection", rest: str) -> None:
    """let somebody be an operator no more"""
    moderation = connection.chat.moderation
    key = names.fold(rest)
    operators = moderation.operators.items()
    ids = [(id, found.name) for id, found in operators if names.fold(found.name) == key]
    if not ids:
        raise Refused(
            Code.NOTHING_FOUND, f"{rest[: names.MAX_NAME]} is no operator. /ops lists them."
        )
    if len(operators) == 1:
        raise Refused(
            Code.PROTECTED,
            "Somebody has to keep order: /op NAME makes somebody else an operator first.",
        )
    id, name = ids[0]
    for one in connection.chat.connections_of(id):
        if one is not connection:
            one.notice(f"{connection.user.name} has ended that you are an operator.")
    moderation.operators.remove(id)
    moderation.record(connection, "made no operator of", name)
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
