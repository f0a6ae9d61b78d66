"""Commands about what was said before."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredList

from chatroom.actions.pager import pager_of
from chatroom.actions.steps import outcome, required, run_step, tell_if_later
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

#: How many lines /history shows when nobody says how many, and at most.
HISTORY = 20
MAX_HISTORY = 1000

#: For how long, in seconds, people may take back what they said.
TAKE_BACK = 3600.0

#: How many lines /forget N takes back at most.
MAX_TAKEN = 100

#: How many phrases a search may have, so that none is dear to answer.
MAX_PHRASES = 8

#: How long what is looked for may be, in characters.
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
    chat = connection.chat
    everywhere = rooms = {room.key for room in chat.rooms_of(connection)}
    name, text = "", rest
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
            # What is no room is looked for.
            break
        else:
            rooms = {room.key}
        text = before
        left.remove(word)
    wanted = phrases(text)
    if not (wanted or name):
        raise Refused(
            Code.USAGE, "There is no word to look for. Usage: /search WORDS [in ROOM] [from NAME]"
        )
    if len(wanted) > MAX_PHRASES:
        raise Refused(Code.TOO_MANY, f"Please look for at most {MAX_PHRASES} words at once.")
    # Who said nothing like that may be no name, but a word, as in "a letter from home".
    words = phrases(rest)
    otherwise = Query(words, everywhere) if name and wanted and len(words) <= MAX_PHRASES else None
    pager_of(connection).search(Query(wanted, rooms, name), otherwise)


def _room_called(connection: "Connection", name: str) -> "Room | None":
    """The room called *name*, None if there is none and it may be a word. Raises Refused.

    With a # before it the beginning of a room's name is enough, and it is no word.
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
    if connection.one_shot and connection.user.account is not None:
        raise Refused(Code.WRONG_CONNECTION, "What you missed waits for when you come to read.")
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
        _forget_last(connection, rest)
    else:
        _forget_name(connection, rest)


def _forget_last(connection: "Connection", number: str) -> None:
    count = int(number[:6] or 1)
    if not 0 < count <= MAX_TAKEN:
        raise Refused(
            Code.USAGE,
            f"/forget N takes back from 1 to {MAX_TAKEN} lines, /forget hour what you said in the "
            "last hour.",
        )
    chat = connection.chat
    since = chat.clock.time() - TAKE_BACK
    taken = chat.take_back_last(connection, since, count)
    if not taken:
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))
    _confirm(connection, taken)


def _confirm(connection: "Connection", taken: "Sequence[tuple[Room, Event]]") -> None:
    """Have *connection* told what is *taken* back in other rooms; the one that it is in is told."""
    elsewhere = [(room, event) for room, event in taken if room is not connection.room]
    if elsewhere:
        run_step(connection, _say_removed(connection, elsewhere))


async def _say_removed(connection: "Connection", taken: "Sequence[tuple[Room, Event]]") -> None:
    """Say in which rooms lines are removed; where they are not `Chat.rejected` says it."""
    receipts = [connection.chat.receipt(event) for _, event in taken]
    answers = await outcome(DeferredList(receipts, consumeErrors=True))
    rooms = [f"#{room.name}" for (room, _), (done, _) in zip(taken, answers, strict=True) if done]
    if rooms:
        connection.answer(f"What you said in {enumerate_names(rooms, len(rooms))} is removed.")
        tell_if_later(connection)


def _forget_hour(connection: "Connection") -> None:
    chat = connection.chat
    since = chat.clock.time() - TAKE_BACK
    if not chat.has_said(connection, since):
        raise Refused(Code.NOTHING_FOUND, _nothing_said(connection))
    if not connection.sure("/forget hour"):
        connection.notice(
            "This takes back all that you said in the last hour, in all rooms. To do it, type "
            "/forget hour once more."
        )
        return
    _confirm(connection, chat.take_back(connection, since))


def _nothing_said(me: "Connection") -> str:
    if me.user.account is not None:
        return "You have said nothing in the last hour."
    return (
        "You have said nothing on this connection in the last hour. What you said as a guest on an "
        "earlier one only an operator can remove: /ops lists them."
    )


def _forget_name(connection: "Connection", rest: str) -> None:
    """Remove what was said as somebody else."""
    chat = connection.chat
    since = chat.clock.time() - TAKE_BACK
    if not chat.moderation.is_operator(connection.user):
        raise Refused(
            Code.NOT_OPERATOR, "Only an operator removes what others said. /report tells them."
        )
    name = chat.people[names.fold(rest)].name if names.fold(rest) in chat.people else rest
    run_step(connection, _remove(connection, name[: names.MAX_NAME], since))


async def _remove(connection: "Connection", name: str, since: float) -> None:
    chat = connection.chat
    rooms = await required(connection, chat.rooms_naming(name, since), "Please try again later.")
    asked = chat.remove(rooms, connection.user.name, name, since)
    if not asked:
        raise Refused(
            Code.NOTHING_FOUND,
            f"Nothing was said as {name} in the last hour. /search finds older lines.",
        )
    receipts: Deferred[list[tuple[bool, Any]]]
    receipts = DeferredList(map(chat.receipt, asked), consumeErrors=True)
    answers = await outcome(receipts)
    why = next((failure.value for done, failure in answers if not done), None)
    if why is not None:
        raise Refused(
            Code.UNAVAILABLE,
            f"What {name} said was not removed everywhere: {why}. Try again later.",
        )
    connection.answer(f"What {name} said in the last hour is removed.")
    tell_if_later(connection)
    chat.moderation.record(connection, "removed the lines of", name)
