"""The greeting: what somebody who has come into a room is shown first.

The rule: it comes before anything that happens there. Nobody is asked anything.
"""

from itertools import islice
from typing import TYPE_CHECKING

from chatroom.events import SERVER
from chatroom.formats import enumerate_names, paragraph
from chatroom.history import LAST

if TYPE_CHECKING:
    from chatroom.room import Room
    from chatroom.session import Session

#: How many people a greeting names.
GREETED = 10


def greet(session: "Session", room: "Room", *, first: bool) -> None:
    """Say where they are and with whom, what the room is about, and what was said there last.

    first: they have just come, and are told who they are and what to do.
    """
    others = [
        other.name
        for other in islice(room.members.values(), GREETED + 1)
        if other.origin != session.origin
    ][:GREETED]
    place = f"in #{room.name}"
    if others:
        # Who is only passing is not among them.
        count = len(room.members) - (session.origin in room.members)
        place += f" with {enumerate_names(others, count)}"
    if first:
        lines = _welcome(session, room, place)
    elif room.maker == session.origin and not others:
        lines = [_made(session, room)]
    else:
        lines = [f"You are now {place}."]
    room.maker = SERVER
    if room.topic:
        lines.append(f"The topic is: {room.topic}")
    session.notice("\n".join(lines))
    _show_scrollback(session, room)


def _made(session: "Session", room: "Room") -> str:
    """That *room* is new, and which there are that somebody may have meant."""
    key = room.key
    near = [
        f"#{other.name}"
        for other in session.chat.rooms_of(session)
        if other is not room
        and (
            other.key.startswith(key)
            or key.startswith(other.key)
            or sorted(other.key) == sorted(key)
        )
    ]
    told = f"You made #{room.name}; nobody else is here."
    return f"{told} There is {enumerate_names(near[:3], len(near))}." if near else told


def _welcome(session: "Session", room: "Room", place: str) -> list[str]:
    chat = session.chat
    settings = chat.settings
    if room is chat.entrance:
        lines = [
            f"Welcome to {settings.name}. You are {session.name}.",
            "Only registered people enter and talk just now: /login NAME.",
        ]
    else:
        lines = [
            f"Welcome to {settings.name}. You are {session.name}, {place}.",
            "Just type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves.",
        ]
    if session.why:
        lines.insert(1, paragraph(session.why))
    if session.connection.hint:
        lines.append(session.connection.hint)
    if settings.motd:
        lines.append(settings.motd)
    return lines


def _show_scrollback(session: "Session", room: "Room") -> None:
    chat = session.chat
    count = chat.settings.scrollback
    since = chat.moderation.since(session, room.key)
    if since is None:
        # They were invited when they asked.
        since = LAST
    if since or session.ignored or session.preferences.ignores:
        said = room.before(LAST, count)
        session.post(session.lines([event for id, event in said if id >= since]))
    else:
        session.post(room.scrollback(session.format, count, chat.clock.time()))
