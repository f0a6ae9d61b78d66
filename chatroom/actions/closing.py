"""Closing: operators close a room, or the server to guests, and speak to all rooms.

The functions that do so raise Refused for all other users.
"""

from typing import TYPE_CHECKING

from chatroom.actions.moderate import check_operator
from chatroom.chat.room import Room
from chatroom.model.events import SERVER, Told
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Sanction
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection


def find_room_to_close(chat: "Chat", name: str) -> Room:
    """Return the room called *name*. Raises Refused if it cannot be closed."""
    room = chat.rooms.get(names.fold(name))
    if room is None or room.closing:
        raise Refused(
            Code.NO_SUCH_ROOM, f"There is no room #{name[: names.MAX_NAME]}. /rooms lists them."
        )
    if room is chat.lobby:
        raise Refused(
            Code.PROTECTED,
            f"#{room.name} is where everybody enters. /lockdown on keeps guests out.",
        )
    return room


def close_room(connection: "Connection", room: Room, why: str) -> None:
    """Delete *room* and all that was said in it; its members leave it."""
    check_operator(connection)
    chat = connection.chat
    chat.moderation.record(connection, "closed", f"#{room.name}", why)
    chat.close_room(room, f"{connection.user.name} has closed #{room.name}{why and f': {why}'}.")


def announce_to_all(connection: "Connection", text: str) -> None:
    """Say *text* to all rooms, in the name of the operator."""
    check_operator(connection)
    _tell_all(connection, f"{connection.user.name} announces: {text}")
    connection.chat.moderation.record(connection, "announced", "", text)


def lock_down(connection: "Connection") -> None:
    """Let only registered users enter and talk, and nobody register."""
    check_operator(connection)
    moderation = connection.chat.moderation
    now = connection.chat.clock.time()
    moderation.lockdown.set("", Sanction("", 0.0, "", connection.user.name, now))
    _tell_all(connection, "From now on only registered people enter and talk.")
    moderation.record(connection, "switched the lockdown on")


def end_lockdown(connection: "Connection") -> None:
    """Let everybody enter and talk again."""
    check_operator(connection)
    moderation = connection.chat.moderation
    moderation.lockdown.remove("")
    _tell_all(connection, "Everybody may enter and talk again.")
    moderation.record(connection, "switched the lockdown off")


def _tell_all(connection: "Connection", text: str) -> None:
    """Tell all rooms that are listed and have members."""
    chat = connection.chat
    for room in list(chat.rooms.values()):
        if room.listed and room.members:
            chat.submit(room, Told(chat.clock.time(), SERVER, text))
