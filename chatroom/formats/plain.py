"""Formats: an event becomes the bytes of one kind of wire.

The rule: a format is one object with `encode`, it holds no state, and the same event always
gives the same bytes, so that all who use it can be sent the same object.
"""

from collections.abc import Iterable
from datetime import UTC, tzinfo
from typing import Protocol
from weakref import WeakValueDictionary

from chatroom.model.events import (
    SERVER,
    Announced,
    Closed,
    CrowdMoved,
    Emoted,
    Event,
    Found,
    Joined,
    Left,
    Noticed,
    Opened,
    Relayed,
    Removed,
    Renamed,
    Said,
    Told,
    TookBack,
    TopicSet,
    Whispered,
)
from chatroom.model.preferences import Preferences
from chatroom.text.cells import wrap
from chatroom.text.prose import COLUMNS, INDENT, OWN, enumerate_names
from chatroom.text.times import day, local, zone

#: Rings the bell of a terminal.
BELL = b"\a"


class Format(Protocol):
    """How one kind of wire shows events."""

    @property
    def zone(self) -> tzinfo:
        """Where the times that it shows are."""

    @property
    def highlights(self) -> bool:
        """Whether a line looks different for those whom it names."""

    def encode(self, event: Event, live: bool) -> bytes:
        """The bytes for *event*, empty for what this format does not show.

        *live* is false for what happened before its reader came, which is shown with its time.
        """

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        """What `encode` made of a line that names *name*, for the person who has that name."""


class PlainFormat:
    """Lines for a terminal without colour: UTF-8, each ended by CR LF.

    Lines of the server's own are at most `columns` wide; where they go on they are indented, so
    that what people chose of their text cannot look like another one. 0 is for a format that has
    rows of its own. What people say is one line, which their terminals wrap.
    """

    zone: tzinfo = UTC
    highlights = False
    columns = COLUMNS

    def encode(self, event: Event, live: bool) -> bytes:
        match event:
            case Said():
                shown = f"{event.name}: {event.text}"
            case Emoted():
                shown = f"* {event.name} {event.text}"
            case Whispered():
                shown = f"-> {'you' if event.outgoing else event.sender} to "
                shown += f"{event.recipient if event.outgoing else 'you'}: {event.text}"
            case Found():
                when = f"{local(event.time, self.zone):%Y-%m-%d %H:%M}"
                # What was found is no live line: it has its time already and rings no bell.
                return f"{when} #{event.room} ".encode() + PLAIN.encode(event.event, True)
            case _:
                text = _told(event)
                if text is None:
                    return b""
                return self._own(self._time(event, live), text)
        return f"{self._time(event, live)}{shown}\r\n".encode()

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        return encoded

    def _time(self, event: Event, live: bool) -> str:
        """What stands before a line, with a blank behind it; empty for nothing."""
        return "" if live else f"{local(event.time, self.zone):%H:%M} "

    def _own(self, time: str, text: str) -> bytes:
        """Lines of the server's own."""
        rows: list[str] = []
        room = self.columns - len(time) - len(OWN)
        for line in text.split("\n"):
            if not self.columns or (line.isascii() and len(line) <= room):
                rows.append(f"{time}{OWN}{line}".rstrip())
            else:
                first, *others = wrap(line, room, INDENT)
                rows += [f"{time}{OWN}{first}", *(f"{OWN}{other}" for other in others)]
            time = ""
        return "".join([f"{row}\r\n" for row in rows]).encode()


def _told(event: Event) -> str | None:
    """What the server says of *event*, in one line or several; None for nothing."""
    match event:
        case Noticed() | Told():
            return event.text
        case Announced():
            return f"{event.name} joined."
        case Left(shown=True):
            return f"{event.name} left{f' ({event.reason})' if event.reason else ''}."
        case CrowdMoved():
            moved = "joined" if event.joined else "left"
            return f"{enumerate_names(event.names, event.count)} {moved}."
        case Renamed(shown=True):
            return f"{event.name} is now {event.new}."
        case TopicSet(topic=""):
            return f"{event.name} cleared the topic."
        case TopicSet():
            return f"{event.name} set the topic: {event.topic}"
        case TookBack() if event.count:
            lines = "a line" if event.count == 1 else f"{event.count:,} lines"
            return f"{event.name} took back {lines}."
        case TookBack() if event.said_as and event.author == SERVER:
            return f"{event.name} removed what {event.said_as} said in the last hour."
        case TookBack():
            return f"{event.name} took back what they said in the last hour."
        case Joined() | Left() | Renamed() | Relayed() | Opened() | Closed() | Removed():
            return None
    raise TypeError(f"no plain form for {type(event).__name__}")


class StyledPlainFormat(PlainFormat):
    """Lines for a terminal as somebody prefers them."""

    def __init__(self, zone: tzinfo, preferences: Preferences) -> None:
        self.zone = zone
        self._clock = _CLOCKS[preferences.timestamps]
        self._quiet = preferences.quiet
        self._rings = _RINGING[preferences.bell]

    def encode(self, event: Event, live: bool) -> bytes:
        if self._quiet and isinstance(event, Announced | Left | CrowdMoved | Renamed):
            return b""
        shown = super().encode(event, live)
        if not live or not isinstance(event, self._rings):
            return shown
        # Nobody is sent what they said themselves, but for private lines.
        if isinstance(event, Whispered) and event.outgoing:
            return shown
        return shown.removesuffix(b"\r\n") + BELL + b"\r\n"

    def _time(self, event: Event, live: bool) -> str:
        # What the server tells one person is an answer to what they have just done.
        if live and self._clock and not isinstance(event, Noticed | Found):
            return f"{local(event.time, self.zone):{self._clock}} "
        return super()._time(event, live)


#: How each of TIMESTAMPS shows the time of a live line.
_CLOCKS = {"off": "", "on": "%H:%M", "seconds": "%H:%M:%S"}

#: For which events each of BELLS has the bell rung. Lines that name somebody differ from one
#: person to the next, so their rooms see to them.
_RINGING: dict[str, tuple[type[Event], ...]] = {
    "off": (),
    "mentions": (Whispered,),
    "on": (Whispered, Said, Emoted),
}


class RawFormat:
    """What came over the bare relay, byte for byte, each line ended by LF."""

    zone: tzinfo = UTC
    highlights = False

    def encode(self, event: Event, live: bool) -> bytes:
        return event.data + b"\n" if isinstance(event, Relayed) else b""

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        return encoded


PLAIN = PlainFormat()
RAW = RawFormat()

# The formats that are in use, by what makes a difference.
_STYLED: WeakValueDictionary[tuple[str, str, bool, str], PlainFormat] = WeakValueDictionary(
    {("off", "UTC", False, "off"): PLAIN}
)


def plain(preferences: Preferences) -> Format:
    """Lines for a terminal without colour as somebody prefers them: for equal preferences the same.

    Whom they ignore and the room they return to do not count.
    """
    where = zone(preferences.timezone) or UTC
    style = (preferences.timestamps, str(where), preferences.quiet, preferences.bell)
    made = _STYLED.get(style)
    if made is None:
        made = _STYLED[style] = StyledPlainFormat(where, preferences)
    return made


def transcript(events: Iterable[Event], now: float, zone: tzinfo = UTC) -> list[Event]:
    """*events* with a dated notice before the first and wherever a new day begins in *zone*."""
    shown: list[Event] = []
    today = day(now, zone)
    last = None
    for event in events:
        number = day(event.time, zone)
        if number != last:
            label = {today: "Today", today - 1: "Yesterday"}.get(number)
            label = label or f"{local(event.time, zone):%A %d %B %Y}"
            if last is None:
                label += f" (times are {zone})"
            shown.append(Noticed(event.time, 0, label))
            last = number
        shown.append(event)
    return shown
