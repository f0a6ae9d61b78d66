"""Retracting: users take back what they have said, and operators remove what others have.

Lines are removed from the history; users who have seen them have seen them.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList, succeed

from chatroom.actions.steps import outcome, required
from chatroom.chat.log import said_by
from chatroom.chat.room import Room
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Event, TookBack
from chatroom.model.history import Query
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

#: How long after a line was said it can be taken back or removed.
RETRACTABLE_SECONDS = 3600.0

#: How many lines can be taken back at once.
MAX_TAKEN = 100

#: How many lines are looked up to find in which rooms a user has spoken.
MAX_LOOKED_UP = 1000


def take_back_last(connection: "Connection", count: int) -> Sequence[tuple[Room, Event]]:
    """Take back the last *count* lines of the user, in all rooms. Raises Refused.

    Returns the events that ask for it, with their rooms.
    """
    if not 0 < count <= MAX_TAKEN:
        raise Refused(
            Code.USAGE,
            f"/forget N takes back from 1 to {MAX_TAKEN} lines, /forget hour what you said in the "
            "last hour.",
        )
    since = _since(connection)
    users, rooms = _own_lines(connection, since)

    def own(said: Event) -> bool:
        return said.user in users

    found = [(id, room) for room in rooms for id in room.log.last_ids(own, since, count)]
    if not found:
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))
    chosen: dict[Room, set[int]] = {}
    for id, room in sorted(found, key=itemgetter(0))[-count:]:
        chosen.setdefault(room, set()).add(id)
    return [
        (room, _ask(connection, room, users, since, frozenset(ids))) for room, ids in chosen.items()
    ]


def take_back_hour(connection: "Connection") -> Sequence[tuple[Room, Event]]:
    """Take back all that the user has said in the last hour.

    Returns the events that ask for it, with their rooms.
    """
    since = _since(connection)
    users, rooms = _own_lines(connection, since)
    connection.user.said = None
    return [(room, _ask(connection, room, users, since)) for room in rooms]


def check_said(connection: "Connection") -> None:
    """Raise Refused if the user has said nothing in the last hour."""
    if not _own_lines(connection, _since(connection))[1]:
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))


async def rooms_done(connection: "Connection", asked: Sequence[tuple[Room, Event]]) -> list[str]:
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
    rooms = await required(connection, _rooms_naming(chat, name, since), "Please try again later.")
    if not rooms:
        raise Refused(
            Code.NOTHING_FOUND,
            f"Nothing was said as {name} in the last hour. /search finds older lines.",
        )
    asked = []
    for room in rooms:
        now, operator = chat.clock.time(), connection.user.name
        event = TookBack(now, SERVER, operator, since=since, said_as=name)
        chat.submit(room, event)
        asked.append(chat.receipt(event))
    receipts: Deferred[list[tuple[bool, Any]]] = DeferredList(asked, consumeErrors=True)
    answers = await outcome(receipts)
    why = next((failure.value for done, failure in answers if not done), None)
    if why is not None:
        raise Refused(
            Code.UNAVAILABLE,
            f"What {name} said was not removed everywhere: {why}. Try again later.",
        )
    chat.moderation.record(connection, "removed the lines of", name)
    return name


def _own_lines(connection: "Connection", since: float) -> tuple[frozenset[int], list[Room]]:
    """Return the users who *connection* was, and the rooms where they may have spoken since then.

    These are its account, and the guests who its account's connections were before the login.
    """
    user, rooms = connection.user, connection.chat.rooms
    users = frozenset([user.id, -user.origin, *(-one.origin for one in user.connections)])
    keys = {key for key, time in (user.said or {}).items() if time >= since}
    if user.account is not None:
        keys.update(user.rooms)
    there = [rooms[key] for key in keys if key in rooms]
    own = [room for room in there if room.log.may_have(lambda said: said.user in users, since)]
    return users, own


def _ask(
    connection: "Connection",
    room: Room,
    users: frozenset[int],
    since: float,
    ids: frozenset[int] = frozenset(),
) -> Event:
    """Ask that lines of these *users* in *room*, said since then, be forgotten.

    ids: those of the lines; all lines if there are none.
    """
    name, me = connection.user.name, connection.user.id
    now = connection.chat.clock.time()
    event = TookBack(now, connection.origin, name, users, since, ids=ids, count=len(ids), user=me)
    connection.chat.submit(room, event)
    return event


def _rooms_naming(chat: "Chat", name: str, since: float) -> Deferred[list[Room]]:
    """Return the rooms in which something was said as *name* since then.

    Where the log of a room does not go back so far the store is asked.
    """
    key = names.fold(name)
    listed = [room for room in chat.rooms.values() if room.listed]
    sure = [room for room in listed if room.log.has(lambda said: said_by(said, key), since)]
    unsure = [room for room in listed if room not in sure and not room.log.goes_back_to(since)]
    if not unsure:
        return succeed(sure)

    def found(entries: Sequence[Entry]) -> list[Room]:
        late = {entry.room for entry in entries if entry.event.time >= since}
        if len(entries) == MAX_LOOKED_UP:
            late = {room.key for room in unsure}
        return [*sure, *(room for room in unsure if room.key in late)]

    query = Query((), [room.key for room in unsure], key)
    return chat.history.search(query, MAX_LOOKED_UP).addCallback(found)


def _since(connection: "Connection") -> float:
    return connection.chat.clock.time() - RETRACTABLE_SECONDS


def _nothing_said(connection: "Connection") -> str:
    if connection.user.account is not None:
        return "You have said nothing in the last hour."
    return (
        "You have said nothing on this connection in the last hour. What you said as a guest on an "
        "earlier one only an operator can remove: /ops lists them."
    )
