"""The greeting: what a user is shown first in a room.

It comes before anything that happens there. Earlier lines are at the top, so that the last thing
read is where the user is and what went wrong, and all of it fits into a window of known height.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from chatroom.chat.log import said_by
from chatroom.formats.format import encode
from chatroom.model.events import SERVER, Event, Noticed, ScrollbackEnded
from chatroom.model.history import MAX_ID
from chatroom.text.prose import enumerate_names, paragraph
from chatroom.text.times import day

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
    from chatroom.chat.room import Room

#: How many people a greeting names.
GREETED = 10


#: How many people are looked at for those whom a greeting may name.
MAX_LOOKED_AT = 1000

#: What a newcomer may do next.
TALK = "Type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves."
LOG_IN = "Only registered people enter and talk just now: /login NAME."


def greet(connection: "Connection", room: "Room", *, first: bool) -> None:
    """Say where they are and with whom, what the room is about, and what was said there last.

    first: they have just come, and are told who they are and what to do.
    """
    me = connection.user.origin
    # Who has only just come is told of when they stay, and not twice.
    unknown = connection.chat.announcer(room).arriving | {me}
    looked_at = islice(room.members.values(), MAX_LOOKED_AT)
    others = list(
        islice((other.name for other in looked_at if other.origin not in unknown), GREETED)
    )
    place = f"in #{room.name}"
    if others:
        count = len(room.members) - len(unknown & room.members.keys())
        place += f" with {enumerate_names(others, count)}"
    if first:
        lines = _welcome(connection, f"You are {connection.user.name}, {place}.", TALK)
    elif room.maker == me and not others:
        lines = [_made(connection, room)]
    else:
        lines = [f"You are now {place}."]
    room.maker = SERVER
    if room.topic:
        lines.append(f"The topic is: {room.topic}")
    now = connection.chat.clock.time()
    told = encode(connection.format, Noticed(now, SERVER, "\n".join(lines)))
    height = connection.client.height
    # Below it stands what is typed.
    rows = max(0, height - told.count(b"\n") - 1) if height else None
    connection.post(_scrollback(connection, room, rows))
    connection.post(told)


def _made(connection: "Connection", room: "Room") -> str:
    """That *room* is new, and which there are that somebody may have meant."""
    key = room.key
    near = [
        f"#{other.name}"
        for other in connection.chat.rooms_of(connection)
        if other is not room
        and (
            other.key.startswith(key)
            or key.startswith(other.key)
            or sorted(other.key) == sorted(key)
        )
    ]
    told = f"You made #{room.name}; nobody else is here."
    return f"{told} There is {enumerate_names(near[:3], len(near))}." if near else told


def greet_nowhere(connection: "Connection", *, first: bool) -> None:
    """Say that the user is in no room, since only those enter who are logged in.

    first: they have just come.
    """
    if first:
        lines = _welcome(connection, f"You are {connection.user.name}.", LOG_IN)
    else:
        lines = ["You are in no room now.", LOG_IN]
    connection.notice("\n".join(lines))


def _welcome(connection: "Connection", who: str, then: str) -> list[str]:
    settings = connection.chat.settings
    lines = [f"Welcome to {settings.name}. {who}"]
    if connection.why:
        lines.append(paragraph(connection.why))
    lines.append(then)
    if connection.client.hint:
        lines.append(connection.client.hint)
    if settings.motd:
        lines.append(settings.motd)
    return lines


def _scrollback(connection: "Connection", room: "Room", rows: int | None) -> bytes:
    """What was said last in *room*, in so many *rows* of a terminal if that is not None.

    What is new to somebody who comes back is marked; what this connection was shown already is not
    shown again.
    """
    chat = connection.chat
    count = chat.settings.scrollback
    since = chat.moderation.visible_from(connection.user, room.key)
    if since is None:
        # They were invited when they asked.
        since = MAX_ID
    now = chat.clock.time()
    unread = connection.unread
    mark = unread.mark(room.key) if unread is not None else None
    if not since and rows is None and mark is None and connection.user.ignores is None:
        first = room.log.last_ids(lambda _: True, 0.0, count)[-1:]
        connection.first_shown = first[0] if first else room.log.last_id + 1
        return room.scrollback.encoded(connection.format, count, now)
    if unread is not None and mark is not None and unread.has_been_in(room.key):
        since = max(since, mark + 1)
    hides = connection.hider()
    said = [
        (id, event)
        for id, event in room.log.before(MAX_ID, count)
        if id >= since and not hides(event)
    ]
    if rows is not None:
        fitting = _fitting(connection, room, said, rows - (mark is not None))
        said = said[len(said) - fitting :]
    connection.first_shown = said[0][0] if said else room.log.last_id + 1
    if unread is not None and mark is not None:
        left_out = room.log.lines_between(max(mark, since - 1), connection.first_shown)
        unread.enter(room.key, connection.first_shown, complete=left_out == 0)
        if new := _new([event for id, event in said if id > mark], connection, left_out):
            place = sum(id <= mark for id, _ in said)
            time = said[place][1].time if place < len(said) else now
            said.insert(place, (0, Noticed(time, SERVER, new)))
    shown = connection.lines(said, room.name)
    ended = ScrollbackEnded(now, SERVER)
    return shown + encode(connection.format, ended, room.name, live=False) if shown else b""


def _new(events: Sequence[Event], connection: "Connection", left_out: int | None) -> str:
    """What marks *events*, which are new to *connection*; empty if nothing is.

    left_out: how many new lines came before them, None if that is not known.
    """
    account = connection.user.account
    own = account.key if account is not None else ""
    count = sum(not said_by(event, own) for event in events)
    if left_out and not count:
        return f"{left_out:,} new: /missed"
    if left_out:
        return f"{count:,} new, and /missed shows {left_out:,} more"
    more = "; /missed may have more" if left_out is None else ""
    return f"{count:,} new{more}" if count else ""


def _fitting(
    connection: "Connection", room: "Room", said: Sequence[tuple[int, Event]], rows: int
) -> int:
    """Return how many of the last lines of *said* fit into *rows*, with the markers among them."""
    format = connection.format
    taken, last = 1, None
    for count, (id, event) in enumerate(reversed(said)):
        number = day(event.time, format.zone)
        taken += encode(format, event, room.name, id, live=False).count(b"\n") + (number != last)
        last = number
        if taken > rows:
            return count
    return len(said)
