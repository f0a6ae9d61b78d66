"""Topics: what the rooms are about, as their members say."""

from typing import TYPE_CHECKING

from chatroom.chat.room import Room
from chatroom.model.events import TopicSet
from chatroom.model.refused import Code, Refused

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


def set_topic(connection: "Connection", room: Room, text: str) -> None:
    """Make the clean *text* the topic of *room*; empty clears it. Raises Refused."""
    chat, user = connection.chat, connection.user
    if (why := chat.moderation.why_muted(connection)) is not None:
        raise Refused(Code.MUTED, why)
    if (member := room.members.get(user.origin)) is not None:
        chat.announcer(room).spoke(member)
    event = TopicSet(chat.clock.time(), connection.origin, user.name, text, user=user.id)
    connection.submit(room, event)
