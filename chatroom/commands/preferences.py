"""Commands about preferences: how the user is shown what happens."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from chatroom.actions.steps import announce
from chatroom.commands import command
from chatroom.model.preferences import BELLS, COLORS, TIMESTAMPS
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import enumerate_names
from chatroom.text.times import cities, local, places, places_called, zone

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: The choices of a preference that is on or off.
SWITCH = ("off", "on")

#: How many places are listed of which the user may mean one.
MAX_PLACES = 5

#: How much of an unknown time zone is repeated, in characters.
MAX_SHOWN = 40


@command("timestamps", usage="[on|off|seconds]", group="preferences")
def timestamps(connection: "Connection", rest: str) -> None:
    """show each line with its time as it comes

    With seconds as 12:03:59, with on as 12:03. /timezone says where that is.
    """
    kept = _choose(connection, "timestamps", "Timestamps", rest, TIMESTAMPS)
    style = connection.user.preferences.timestamps
    if style == "off":
        announce(connection, "Lines are shown without their time.", kept)
        return
    now = local(connection.chat.clock.time(), connection.format.zone)
    clock = "%H:%M:%S" if style == "seconds" else "%H:%M"
    shown = f"Lines are shown with their time: {now:{clock}} ({connection.format.zone})."
    announce(connection, shown, kept)


@command("timezone", "tz", usage="[ZONE]", group="preferences")
def timezone(connection: "Connection", rest: str) -> None:
    """where the times are that you are shown

    /timezone Europe/Berlin, /timezone UTC, /timezone +5:30; alone it says what
    time it is there. It holds for what /history, /search and /missed show, too,
    and for /history before TIME.
    """
    kept = succeed(True)
    if rest:
        where = zone(rest) or _only_place(rest)
        kept = connection.set_preferences(lambda kept: replace(kept, timezone=str(where)))
    where = connection.format.zone
    now = local(connection.chat.clock.time(), where)
    shown = f"Times are {where}. It is {now:%H:%M} there, {now:%A %d %B %Y}."
    announce(connection, shown, kept)


@command("quiet", usage="[on|off]", group="preferences")
def quiet(connection: "Connection", rest: str) -> None:
    """do not show who joins, leaves or is renamed"""
    kept = _choose(connection, "quiet", "Quiet", rest, SWITCH)
    shown = "not shown" if connection.user.preferences.quiet else "shown"
    announce(connection, f"Who joins, leaves or is renamed is {shown}.", kept)


@command("bell", usage="[on|off|mentions]", group="preferences")
def bell(connection: "Connection", rest: str) -> None:
    """ring the bell of your terminal

    With on for all that others say, with mentions for lines with your name in
    them and for private lines.
    """
    kept = _choose(connection, "bell", "The bell", rest, BELLS)
    announce(connection, _BELLS[connection.user.preferences.bell], kept)


_BELLS = {
    "off": "The bell does not ring.",
    "mentions": "The bell rings for lines that name you and for private lines.",
    "on": "The bell rings for all that others say.",
}


@command("color", "colour", usage="[on|off|auto]", group="preferences")
def color(connection: "Connection", rest: str) -> None:
    """names in colour, where there is a terminal

    With auto as your terminal can, unless it says NO_COLOR. Plain lines have no
    colours.
    """
    kept = _choose(connection, "color", "Colours", rest, COLORS)
    announce(connection, _COLORS[connection.user.preferences.color], kept)


_COLORS = {
    "auto": "Names have colours if your terminal can show them.",
    "on": "Names have colours in a terminal.",
    "off": "Nothing has colours.",
}


@command("reader", usage="[on|off]", group="preferences")
def reader(connection: "Connection", rest: str) -> None:
    """for screen readers: nothing is drawn twice

    What arrives is one line each, without colours, and what you type is not
    drawn again. Plain lines are like that anyway.
    """
    kept = _choose(connection, "reader", "It", rest, SWITCH)
    if connection.user.preferences.reader:
        announce(connection, "What arrives is one line each, and nothing is drawn twice.", kept)
    else:
        announce(connection, "A terminal is drawn on. /reader on is for screen readers.", kept)


def _choose(
    connection: "Connection", preference: str, what: str, rest: str, choices: Sequence[str]
) -> "Deferred[bool]":
    """Set *preference* to what the user typed, if anything. Raises Refused.

    The Deferred fires with whether that is written, if it is to be kept.
    """
    if not rest:
        return succeed(True)
    chosen = rest.lower()
    if chosen not in choices:
        raise Refused(Code.BAD_VALUE, f"{what} can be {', '.join(choices[:-1])} or {choices[-1]}.")
    value: Any = chosen == "on" if choices is SWITCH else chosen
    return connection.set_preferences(lambda kept: replace(kept, **{preference: value}))


def _only_place(text: str) -> tzinfo:
    """Return the zone of the only place called or beginning *text*. Raises Refused."""
    found = places_called(text[:MAX_SHOWN])
    only = zone(found[0]) if len(found) == 1 else None
    if only is not None:
        return only
    meant = _meant(text)
    if 1 < len(found) <= MAX_PLACES:
        meant = f"There are {enumerate_names(found, len(found))}."
    raise Refused(Code.BAD_VALUE, f"No time zone {text[:MAX_SHOWN]}. {meant}")


def _meant(text: str) -> str:
    """Return a hint: the place that the user may have meant, or how places look."""
    text = text[:MAX_SHOWN].replace(" ", "_").lower()
    near = names.suggest(text, places()) or names.suggest(text, cities())
    if near is None:
        return "It is a place such as Europe/Berlin, or UTC, or how far from it, such as +5:30."
    return f"Did you mean {places().get(near) or cities()[near]}?"
