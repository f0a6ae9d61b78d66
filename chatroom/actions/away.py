"""Being away: users who send a private line are told that its recipient is."""

from typing import TYPE_CHECKING

from chatroom.actions.reasons import check_reason
from chatroom.model.refused import Code, Refused

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


def go_away(connection: "Connection", text: str) -> None:
    """Make the user away, with a *text* that may be empty. Raises Refused."""
    if not connection.user.here:
        raise Refused(
            Code.WRONG_CONNECTION, "You would be away in no list: this connection is in none."
        )
    if text and (why := connection.chat.moderation.why_muted(connection)) is not None:
        raise Refused(Code.MUTED, f"{why} Alone, /away says that you are away.")
    check_reason(text)
    connection.user.away = text


def come_back(connection: "Connection") -> None:
    """Make the user away no more. Raises Refused."""
    if connection.user.away is None:
        raise Refused(Code.ALREADY, "You are not away. /away says that you are.")
    connection.user.away = None
