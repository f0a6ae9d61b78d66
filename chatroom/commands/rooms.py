"""Commands about rooms."""

from textwrap import wrap
from typing import TYPE_CHECKING

from chatroom import names
from chatroom.chat import Refused
from chatroom.commands import command
from chatroom.events import TopicSet
from chatroom.formats import WIDTH, duration

if TYPE_CHECKING:
    from chatroom.session import Session

#: How many people /who names and how many rooms /rooms lists.
MAX_NAMED = 200
MAX_LISTED = 50


@command("join", "j", usage="ROOM")
def join(session: "Session", rest: str) -> None:
    """go to another room, which is made if there is none"""
    room = session.chat.room_for(rest, session.source)
    if room is session.room:
        raise Refused(f"You are in #{room.name} already.")
    session.move(room)


@command("rooms", "list")
def rooms(session: "Session", rest: str) -> None:
    """which rooms there are, and when each had its last line"""
    now = session.chat.clock.seconds()
    listed = [room for room in session.chat.rooms.values() if room.listed]
    listed.sort(key=lambda room: (-len(room.members), room.name))
    shown = [
        f"#{room.name}  {_people(len(room.members))}, {_last_said(room.spoken, now)}"
        + (room.topic and f"  {room.topic}")
        for room in listed[:MAX_LISTED]
    ]
    if len(listed) > MAX_LISTED:
        shown.append(f"... and {len(listed) - MAX_LISTED:,} more.")
    session.notice("\n".join(shown))


@command("who", "names", usage="[ROOM]")
def who(session: "Session", rest: str) -> None:
    """who is in your room, or in another"""
    chat = session.chat
    room = chat.find_room(rest) if rest else session.room
    people = sorted(room.members.values(), key=lambda member: names.fold(member.name))
    shown = []
    for member in people[:MAX_NAMED]:
        person = chat.sessions.get(member.origin)
        away = " (away)" if person is not None and person.away is not None else ""
        shown.append(member.name + away)
    more = len(people) - len(shown)
    listed = ", ".join(shown) + (f" and {more:,} others" if more else "")
    answer = f"{_people(len(people))} in #{room.name}" + (f": {listed}" if shown else "")
    session.notice("\n".join(wrap(answer, WIDTH, break_on_hyphens=False)))


@command("topic", usage="[TEXT]")
def topic(session: "Session", rest: str) -> None:
    """what the room is about, or say it: /topic TEXT

    /topic - clears it.
    """
    room = session.room
    if not rest:
        about = f"is about: {room.topic}" if room.topic else "has no topic. /topic TEXT sets one."
        session.notice(f"#{room.name} {about}")
        return
    text = "" if rest == "-" else names.clean_topic(rest)
    session.chat.presence(room).spoke(session.member)
    event = TopicSet(session.chat.clock.seconds(), session.origin, session.name, text)
    session.chat.submit(room, event)


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _last_said(spoken: float, now: float) -> str:
    return f"last line {duration(now - spoken)} ago" if spoken else "silent so far"
