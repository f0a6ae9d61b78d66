"""Appointing: operators make other users operators, and dismiss them."""

from typing import TYPE_CHECKING

from chatroom.actions.accounts import find
from chatroom.actions.moderate import check_operator
from chatroom.model.accounts import Account
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Operator
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

REGISTER_FIRST = "They have to /register first."


async def appoint(connection: "Connection", name: str) -> Account:
    """Make the owner of the account called *name* an operator. Raises Refused."""
    check_operator(connection)
    chat = connection.chat
    moderation = chat.moderation
    account = await find(connection, name, REGISTER_FIRST)
    if moderation.operators.get(account.id):
        raise Refused(Code.ALREADY, f"{account.name} is an operator already. /ops lists them.")
    if moderation.banned(account.id):
        raise Refused(Code.BANNED, f"{account.name} is banned. /unban {account.name} comes first.")
    if account.id in chat.logins.removed:
        raise Refused(
            Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more. {REGISTER_FIRST}"
        )
    moderation.operators.set(account.id, Operator(account.name))
    user = chat.logins.online.get(account.id)
    if user is not None:
        for one in connection.chat.reading_by(user):
            moderation.came(one)
        user.notice(f"{connection.user.name} has made you an operator: /help moderation.")
    moderation.record(connection, "made an operator of", account.name)
    return account


def dismiss(connection: "Connection", name: str) -> str:
    """Make the operator called *name* an operator no more, and return their name.

    Raises Refused, for the last operator as well.
    """
    check_operator(connection)
    moderation = connection.chat.moderation
    key = names.fold(name)
    operators = moderation.operators.items()
    found = next((one for one in operators if names.fold(one[1].name) == key), None)
    if found is None:
        raise Refused(
            Code.NOTHING_FOUND, f"{name[: names.MAX_NAME]} is no operator. /ops lists them."
        )
    if len(operators) == 1:
        raise Refused(
            Code.PROTECTED,
            "Somebody has to keep order: /op NAME makes somebody else an operator first.",
        )
    id, operator = found
    for one in connection.chat.connections_of(id):
        if one is not connection:
            one.notice(f"{connection.user.name} has ended that you are an operator.")
    moderation.operators.remove(id)
    moderation.record(connection, "made no operator of", operator.name)
    return operator.name
