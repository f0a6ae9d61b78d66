"""Plain lines for terminals without colour, and the raw lines of the relay."""

from collections.abc import Iterable
from datetime import UTC, tzinfo
from weakref import WeakValueDictionary

from chatroom.formats.format import Format
from chatroom.model.events import (
    SERVER,
    Announced,
    Closed,
    CrowdMoved,
    DayBegan,
    Emoted,
    Event,
    Found,
    Joined,
    Left,
    Mentioned,
    Noticed,
    Opened,
    Relayed,
    Removed,
    Renamed,
    Said,
    ScrollbackEnded,
    Skipped,
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


class PlainFormat:
    """Lines for a terminal without colour: UTF-8, each ended by CR LF.

    The server's own lines are wrapped to `columns` cells, with an indent, so that text of users in
    them cannot look like another line; with 0 columns they are not wrapped. A message of a user is
    one line, which the terminal wraps.
    """

    zone: tzinfo = UTC
    highlights = False
    columns = COLUMNS

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
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
                # PLAIN, because the line has its time already and rings no bell.
                return f"{when} #{room} ".encode() + PLAIN.encode(event.event)
            case Mentioned():
                return f"{self._time(event, live)}#{room} ".encode() + PLAIN.encode(event.event)
            case _:
                text = _told(event, self.zone)
                if text is None:
                    return b""
                return self._own(self._time(event, live), text)
        return f"{self._time(event, live)}{shown}\r\n".encode()

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        return encoded

    def _time(self, event: Event, live: bool) -> str:
        """Return the time to show before a line, with a blank after it, or ""."""
        return "" if live or not event.timed else f"{local(event.time, self.zone):%H:%M} "

    def _own(self, time: str, text: str) -> bytes:
        """Return *text* as lines of the server's own."""
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


def _told(event: Event, zone: tzinfo) -> str | None:
    """Return what the server says of *event*, in one or several lines; None for nothing."""
    match event:
        case Noticed() | Told():
            return event.text
        case Skipped():
            return f"You missed {event.count} {'line' if event.count == 1 else 'lines'}."
        case DayBegan():
            label = _DAYS.get(event.days_ago) or f"{local(event.time, zone):%A %d %B %Y}"
            return f"{label} (times are {zone})" if event.first else label
        case ScrollbackEnded():
            return "Now"
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
        case TookBack() if event.said_as:
            return f"{event.name} removed what {event.said_as} said in the last hour."
        case TookBack():
            return f"{event.name} took back what they said in the last hour."
        case Joined() | Left() | Renamed() | Relayed() | Opened() | Closed() | Removed():
            return None
    raise TypeError(f"no plain form for {type(event).__name__}")


#: The names of days by how many days ago they were.
_DAYS = {0: "Today", 1: "Yesterday"}


class StyledPlainFormat(PlainFormat):
    """Plain lines according to a user's preferences."""

    def __init__(self, zone: tzinfo, preferences: Preferences) -> None:
        self.zone = zone
        self._clock = _CLOCKS[preferences.timestamps]
        self._quiet = preferences.quiet
        self._rings = _RINGING[preferences.bell]

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        if self._quiet and isinstance(event, Announced | Left | CrowdMoved | Renamed):
            return b""
        shown = super().encode(event, room, id, live)
        if not live or not isinstance(event, self._rings):
            return shown
        # Of their own messages users are sent private ones only, and these ring no bell.
        if isinstance(event, Whispered) and event.outgoing:
            return shown
        return shown.removesuffix(b"\r\n") + BELL + b"\r\n"

    def _time(self, event: Event, live: bool) -> str:
        if live and self._clock and event.timed:
            return f"{local(event.time, self.zone):{self._clock}} "
        return super()._time(event, live)


#: The format of the time of a live line, for each of TIMESTAMPS.
_CLOCKS = {"off": "", "on": "%H:%M", "seconds": "%H:%M:%S"}

#: The events that ring the bell, for each of BELLS. For a mention chat/mentions.py adds the bell,
#: since that line differs from one user to the next.
_RINGING: dict[str, tuple[type[Event], ...]] = {
    "off": (),
    "mentions": (Whispered, Mentioned),
    "on": (Whispered, Mentioned, Said, Emoted),
}


class RawFormat:
    """The lines of the bare relay, unchanged, each ended by LF."""

    zone: tzinfo = UTC
    highlights = False

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        return event.data + b"\n" if isinstance(event, Relayed) else b""

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        return encoded


PLAIN = PlainFormat()
RAW = RawFormat()

# The formats in use, by the preferences that make a difference.
_STYLED: WeakValueDictionary[tuple[str, str, bool, str], PlainFormat] = WeakValueDictionary(
    {("off", "UTC", False, "off"): PLAIN}
)


def plain(preferences: Preferences) -> Format:
    """Return the plain format for *preferences*: one object for preferences that look equal."""
    where = zone(preferences.timezone) or UTC
    style = (preferences.timestamps, str(where), preferences.quiet, preferences.bell)
    made = _STYLED.get(style)
    if made is None:
        made = _STYLED[style] = StyledPlainFormat(where, preferences)
    return made


def transcript(
    lines: Iterable[tuple[int, Event]], now: float, zone: tzinfo = UTC
) -> list[tuple[int, Event]]:
    """Return *lines* with a `DayBegan` before the first and wherever a new day begins in *zone*.

    lines: events, oldest first, each after its id.
    """
    shown: list[tuple[int, Event]] = []
    today = day(now, zone)
    last = None
    for id, event in lines:
        number = day(event.time, zone)
        if number != last:
            shown.append((0, DayBegan(event.time, SERVER, today - number, last is None)))
            last = number
        shown.append((id, event))
    return shown
