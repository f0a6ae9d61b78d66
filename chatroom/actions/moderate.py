"""How a user becomes an operator, and how actions check that they are one."""

from typing import TYPE_CHECKING

from twisted.logger import Logger

from chatroom.chat.loginservice import log_fields
from chatroom.model.accounts import Account
from chatroom.model.refused import Code, Refused

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: How long the next line waits after a wrong claim code.
WRONG_CODE_PAUSE_SECONDS = 2.0


def claim(connection: "Connection", code: str) -> Account:
    """Make the connection's account an operator's, and use the *code* up. Raises Refused."""
    moderation = connection.chat.moderation
    if not moderation.code:
        raise Refused(Code.NOTHING_FOUND, "There is no code to claim. /ops lists who keeps order.")
    account = connection.user.account
    if account is None:
        raise Refused(
            Code.NOT_LOGGED_IN,
            "Only a registered name can be an operator's. /register first, then /claim.",
        )
    check_code(connection, code)
    moderation.code = ""
    moderation.make_operator(connection, account)
    moderation.record(connection, "became an operator")
    connection.chat.recheck_access(connection.user)
    return account


def check_code(connection: "Connection", code: str) -> None:
    """Raise Refused unless *code* is the claim code. Wrong ones are limited by source."""
    moderation = connection.chat.moderation
    if moderation.wrong_claims.spent(connection.limited_as):
        raise Refused(
            Code.RATE_LIMITED, "Too many wrong codes came from your address. Try again in an hour."
        )
    if not moderation.is_code(code):
        moderation.wrong_claims.take(connection.limited_as)
        log.info(
            "A wrong claim code from {address} (connection {connection})",
            event="claim_wrong",
            **log_fields(connection),
        )
        connection.pacer.pause(WRONG_CODE_PAUSE_SECONDS)
        raise Refused(
            Code.WRONG_PASSWORD,
            "That is not the code. It is in the log of the server's last start.",
        )


def check_operator(connection: "Connection") -> None:
    """Raise Refused unless the user is an operator."""
    if not connection.chat.moderation.is_operator(connection.user):
        raise Refused(Code.NOT_OPERATOR, "That is for operators. /ops lists them.")
