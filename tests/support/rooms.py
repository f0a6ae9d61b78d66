"""Rooms without a chat around them."""

from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.formats.plain import PLAIN
from chatroom.model.events import Joined, Said, TopicSet
from tests.support.doubles import FakeWriter


def member(room: Room, origin: int) -> FakeWriter:
    """Somebody without a session in *room*."""
    writer = FakeWriter()
    room.expect(Member(origin, f"m{origin}", PLAIN, writer))
    room.append(origin, Joined(0.0, origin, f"m{origin}"))
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
