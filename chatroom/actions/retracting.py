"""Retracting: users take back what they have said, and operators remove what others have.

Lines are removed from the history; users who have seen them have seen them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList

from chatroom.actions.steps import outcome, required
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
    from chatroom.chat.room import Room
    from chatroom.model.events import Event

#: How long after a line was said it can be taken back or removed.
RETRACTABLE_SECONDS = 3600.0

#: How many lines can be taken back at once.
MAX_TAKEN = 100


def take_back_last(connection: "Connection", count: int) -> "Sequence[tuple[Room, Event]]":
    """Take back the last *count* lines of the user, in all rooms. Raises Refused.

    Returns the events that ask for it, with their rooms.
    """
    if not 0 < count <= MAX_TAKEN:
        raise Refused(
            Code.USAGE,
            f"/forget N takes back from 1 to {MAX_TAKEN} lines, /forget hour what you said in the "
            "last hour.",
        )
    taken = connection.chat.take_back_last(connection, _since(connection), count)
    if not taken:
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))
    return taken


def take_back_hour(connection: "Connection") -> "Sequence[tuple[Room, Event]]":
    """Take back all that the user has said in the last hour.

    Returns the events that ask for it, with their rooms.
    """
    return connection.chat.take_back(connection, _since(connection))


def check_said(connection: "Connection") -> None:
    """Raise Refused if the user has said nothing in the last hour."""
    if not connection.chat.has_said(connection, _since(connection)):
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))


async def rooms_done(connection: "Connection", asked: "Sequence[tuple[Room, Event]]") -> list[str]:
    """Return the names of the rooms where the events happen, once that is decided.

    For the others `Chat.rejected` tells the user.
    """
    receipts = [connection.chat.receipt(event) for _, event in asked]
    answers = await outcome(DeferredList(receipts, consumeErrors=True))
    return [room.name for (room, _), (done, _) in zip(asked, answers, strict=True) if done]


async def remove(connection: "Connection", name: str) -> str:
    """Remove what was said as *name* in the last hour. Raises Refused.

    Returns the name as it is written.
    """
    chat = connection.chat
    since = _since(connection)
    if not chat.moderation.is_operator(connection.user):
        raise Refused(
            Code.NOT_OPERATOR, "Only an operator removes what others said. /report tells them."
        )
    user = chat.people.get(names.fold(name))
    name = (user.name if user is not None else name)[: names.MAX_NAME]
    rooms = await required(connection, chat.rooms_naming(name, since), "Please try again later.")
    asked = chat.remove(rooms, connection.user.name, name, since)
    if not asked:
        raise Refused(
            Code.NOTHING_FOUND,
            f"Nothing was said as {name} in the last hour. /search finds older lines.",
        )
    receipts: Deferred[list[tuple[bool, Any]]]
    receipts = DeferredList(map(chat.receipt, asked), consumeErrors=True)
    answers = await outcome(receipts)
    why = next((failure.value for done, failure in answers if not done), None)
    if why is not None:
        raise Refused(
            Code.UNAVAILABLE,
            f"What {name} said was not removed everywhere: {why}. Try again later.",
        )
    chat.moderation.record(connection, "removed the lines of", name)
    return name


def _since(connection: "Connection") -> float:
    return connection.chat.clock.time() - RETRACTABLE_SECONDS


def _nothing_said(connection: "Connection") -> str:
    if connection.user.account is not None:
        return "You have said nothing in the last hour."
    return (
        "You have said nothing on this connection in the last hour. What you said as a guest on an "
        "earlier one only an operator can remove: /ops lists them."
    )
