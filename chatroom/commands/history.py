"""Commands about the history: to read, to search, and to take lines back."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatroom.actions import retracting
from chatroom.actions.pager import pager_of
from chatroom.actions.steps import run_step, tell_if_later
from chatroom.commands import command
from chatroom.model.history import Query
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import enumerate_names
from chatroom.text.times import moment
from chatroom.text.words import phrases

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
    from chatroom.chat.room import Room
    from chatroom.model.events import Event

#: How many lines /history shows without a number, and at most.
HISTORY = 20
MAX_HISTORY = 1000

#: How many phrases a search may have, which bounds its cost.
MAX_PHRASES = 8

#: How long the argument of /search may be, in characters.
MAX_QUERY = 300


@command("history", usage="[N] [before TIME]", group="past")
def history(connection: "Connection", rest: str) -> None:
    """the last N lines of the room, or those before a time

    /history 50, /history before 12:03; without a number 20. /more shows earlier
    ones. A time (see /timezone) is 12:03, yesterday 12:03, 2026-11-24,
    2026-11-24 12:03, or how long ago: 30m, 2h, 3d.
    """
    usage = "Usage: /history [N] or /history [N] before TIME, such as 12:03 or yesterday."
    count, before = HISTORY, None
    number, separator, time = f" {rest}".partition(" before ")
    number = number.strip()
    if number:
        if not (number.isascii() and number.isdigit() and int(number[:9])):
            raise Refused(Code.USAGE, usage)
        count = min(int(number[:9]), MAX_HISTORY)
    if separator:
        before = moment(time, connection.chat.clock.time(), connection.format.zone)
        if before is None:
            raise Refused(Code.USAGE, usage)
    pager_of(connection).history(connection.here(), count, time=before)


@command("search", "find", usage="WORDS [in ROOM] [from NAME]", group="past")
def search(connection: "Connection", rest: str) -> None:
    """find what was said

    All words have to be in a line; "in quotes" they follow one another, and
    umbr* is any word that begins so. The newest lines come first, ten at a
    time; /more shows older ones. /search from NAME finds all that NAME said.
    """
    if len(rest) > MAX_QUERY:
        raise Refused(Code.TOO_MANY, f"Please look for at most {MAX_QUERY} characters at once.")
    everywhere = {room.key for room in connection.chat.rooms_of(connection)}
    text, room, name = _parse_search(connection, rest)
    wanted = phrases(text)
    if not (wanted or name):
        raise Refused(
            Code.USAGE, "There is no word to look for. Usage: /search WORDS [in ROOM] [from NAME]"
        )
    if len(wanted) > MAX_PHRASES:
        raise Refused(Code.TOO_MANY, f"Please look for at most {MAX_PHRASES} words at once.")
    # If nobody of that name said so, it may be a word instead, as in "a letter from home".
    words = phrases(rest)
    otherwise = Query(words, everywhere) if name and wanted and len(words) <= MAX_PHRASES else None
    rooms = everywhere if room is None else {room.key}
    pager_of(connection).search(Query(wanted, rooms, name), otherwise)


def _parse_search(connection: "Connection", text: str) -> "tuple[str, Room | None, str]":
    """Split *text* into the words, the room and the key of the name. Raises Refused."""
    name, room = "", None
    # From the end and each once, so that the words themselves may be "in" and "from".
    left = ["in", "from"]
    while left:
        match = re.fullmatch(rf'(?:(\S.*)\s)?({"|".join(left)})\s+([^\s"]+)', text, re.IGNORECASE)
        if match is None:
            break
        before, word, argument = match.groups(default="")
        word = word.lower()
        if word == "from":
            name = names.fold(argument)
        elif not (before or name) or not (room := _room_called(connection, argument)):
            # "in" and a word that is no room are words to look for.
            break
        text = before
        left.remove(word)
    return text, room, name


def _room_called(connection: "Connection", name: str) -> "Room | None":
    """Return the room called *name*, or None if it is a word instead. Raises Refused.

    With a # before it the beginning of a room's name is enough, and it is never a word.
    """
    chat = connection.chat
    if name.startswith("#"):
        return chat.find_room(name, connection)
    room = chat.rooms.get(names.fold(name))
    return room if room is not None and room in chat.rooms_of(connection) else None


@command("more", group="past")
def more(connection: "Connection", rest: str) -> None:
    """go on with what /history, /search or /missed showed"""
    if not pager_of(connection).more():
        raise Refused(Code.NOTHING_FOUND, "There is no more: /history, /search, /missed.")


@command("missed", group="past")
def missed(connection: "Connection", rest: str) -> None:
    """what was said while you were not here"""
    pager_of(connection).missed()


@command("forget", usage="[N|hour|NAME]", in_full=True, group="past")
def forget(connection: "Connection", rest: str) -> None:
    """take back the last line that you said, or the last N

    /forget hour takes back all that you said in the last hour, in all rooms,
    and asks first. Lines are removed from the history; who has seen them has
    seen them. An operator removes what was said as NAME.
    """
    if rest.lower() == "hour":
        _forget_hour(connection)
    elif not rest or rest.isdecimal():
        _confirm(connection, retracting.take_back_last(connection, int(rest[:6] or 1)))
    else:
        run_step(connection, _forget_name(connection, rest))


def _forget_hour(connection: "Connection") -> None:
    retracting.check_said(connection)
    if connection.sure("/forget hour"):
        _confirm(connection, retracting.take_back_hour(connection))
        return
    connection.notice(
        "This takes back all that you said in the last hour, in all rooms. To do it, type "
        "/forget hour once more."
    )


def _confirm(connection: "Connection", taken: "Sequence[tuple[Room, Event]]") -> None:
    """Tell the user in which other rooms lines are taken back.

    In the room that is shown the user sees it.
    """

    async def confirm() -> None:
        rooms = await retracting.rooms_done(connection, elsewhere)
        if rooms:
            listed = enumerate_names([f"#{name}" for name in rooms], len(rooms))
            connection.answer(f"What you said in {listed} is removed.")
            tell_if_later(connection)

    elsewhere = [(room, event) for room, event in taken if room is not connection.room]
    if elsewhere:
        run_step(connection, confirm())


async def _forget_name(connection: "Connection", name: str) -> None:
    removed = await retracting.remove(connection, name)
    connection.answer(f"What {removed} said in the last hour is removed.")
    tell_if_later(connection)
