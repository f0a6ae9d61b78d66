"""Rooms without a chat around them."""

from chatroom.chat.reader import Reader
from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.formats.plain import PLAIN
from chatroom.model.events import Joined, Said, TopicSet
from tests.support.doubles import FakeWriter


def reader(room: Room, origin: int) -> FakeWriter:
    """A connection that shows *room* to its user, who is a member."""
    user = User(origin, f"m{origin}")
    writer = FakeWriter()
    room.expect(user, None)
    room.append(origin, Joined(0.0, origin, user.name))
    room.attach(Reader(origin, PLAIN, writer, user))
    room.flush()
    return writer


def filled() -> Room:
    """A room in which five lines were said, a second and ten ids apart."""
    room = Room("den", "den")
    for number in range(5):
        room.append(number * 10, Said(float(number), 0, "alice", str(number), user=number % 2 + 1))
        room.append(number * 10 + 1, TopicSet(float(number), 1, "alice", "tea"))
    return room


def shorten(room: Room, events: int) -> None:
    """Have the log of *room* keep so many events, however small they are."""
    room.log.max_events, room.log.max_bytes = events, 0
