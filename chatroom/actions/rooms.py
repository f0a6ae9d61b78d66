"""Rooms: entering and leaving them, and what is unread in those that a connection does not show."""

from typing import TYPE_CHECKING, NamedTuple

from chatroom.chat.room import Room
from chatroom.model.history import MAX_ID
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import enumerate_names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


class UnreadRoom(NamedTuple):
    """A room of the user's that a connection does not show.

    lines: how many lines were said since it was shown; 0 if that is not known.
    more: whether there are more than these, which memory does not go back to.
    mentions: how many of them name the user.
    """

    room: Room
    lines: int
    more: bool
    mentions: int

    @property
    def new(self) -> str:
        """How much is new: '14 new, 2 for you'."""
        named = f", {self.mentions:,} for you" if self.mentions else ""
        return f"{self.lines:,}{'+' if self.more else ''} new{named}"

    @property
    def short(self) -> str:
        """The same for a prompt: '#tea 14, 2 for you'."""
        return f"#{self.room.name} {self.new.replace(' new', '')}"


def join(connection: "Connection", name: str) -> None:
    """Show the room of this *name*; the user enters it first if they are not in it.

    A room that does not exist is made. Raises Refused.
    """
    chat, user = connection.chat, connection.user
    if connection.one_shot:
        raise Refused(
            Code.WRONG_CONNECTION, "This connection is for one command, and shows no room."
        )
    key = names.fold(name[: names.MAX_NAME + 1].removeprefix("#"))
    known = chat.rooms.get(key)
    if known is None or user.origin not in known.members:
        most = chat.settings.rooms_per_person
        if most and len(user.rooms) >= most:
            raise Refused(Code.TOO_MANY, f"You are in {most} rooms already. /part ROOM leaves one.")
        room = chat.room_for(name, connection)
        if room is not known:
            room.maker = user.origin
        connection.join(room)
    elif known is connection.room:
        raise Refused(Code.ALREADY, f"You are in #{known.name} already. /rooms lists the others.")
    else:
        connection.show(known)


def part(connection: "Connection", name: str) -> None:
    """Have the user leave the room of this *name*, or the one that is shown if it is empty.

    A beginning of the name is enough. Raises Refused.
    """
    chat, user = connection.chat, connection.user
    rooms = {room.name: room for room in chat.rooms_with(user)}
    listed = enumerate_names([f"#{one}" for one in rooms], len(rooms)) or "no room"
    if name:
        found = names.match_prefix(name[: names.MAX_NAME + 1].removeprefix("#"), rooms)
        if len(found) > 1:
            raise Refused(Code.AMBIGUOUS, f"Several of your rooms begin like that: {listed}.")
        room = rooms[found[0]] if found else None
    else:
        room = connection.here()
    if room is None or room.name not in rooms:
        raise Refused(Code.NOT_IN_ROOM, f"You are not in that room. You are in {listed}.")
    if len(rooms) == 1:
        raise Refused(
            Code.PROTECTED,
            f"#{room.name} is your only room. /join ROOM goes to another, /quit ends it all.",
        )
    shown = room is connection.room
    receipt = chat.receipt(chat.leave(room, user))
    if not shown:
        receipt.addBoth(lambda _: connection.answer(f"You have left #{room.name}."))
    connection.gate.wait_for(receipt)


def unread(connection: "Connection") -> list[UnreadRoom]:
    """Return the user's rooms that *connection* does not show, with what is new in them."""
    found = []
    for room in connection.chat.rooms_with(connection.user):
        known = connection.unread
        mark = known.mark(room.key) if known is not None else None
        if room is connection.room or known is None or mark is None:
            continue
        lines = room.log.lines_between(mark, MAX_ID)
        more = lines is None
        if lines is None:
            lines = room.log.lines_between(room.log.first_id - 1, MAX_ID) or 0
        if lines or more:
            found.append(UnreadRoom(room, lines, more, known.mentions(room.key)))
    return found
