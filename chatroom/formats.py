"""Formats: an event becomes the bytes of one kind of wire.

The rule: a format is one object with `encode`, it holds no state, and the same event always
gives the same bytes, so that all who use it can be sent the same object.
"""

from collections.abc import Iterable, Sequence
from time import gmtime, strftime
from typing import Protocol

from chatroom.events import (
    Announced,
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
from chatroom.times import DAY


class Format(Protocol):
    """How one kind of wire shows events."""

    def encode(self, event: Event, live: bool) -> bytes:
        """The bytes for *event*, empty for what this format does not show.

        *live* is false for what happened before its reader came, which is shown with its time.
        """


class PlainFormat:
    """Lines for a terminal without colour: UTF-8, each ended by CR LF."""

    def encode(self, event: Event, live: bool) -> bytes:
        match event:
            case Said():
                shown = f"{event.name}: {event.text}"
            case Emoted():
                shown = f"* {event.name} {event.text}"
            case Noticed():
                shown = "\r\n".join([f"-- {line}".rstrip() for line in event.text.split("\n")])
            case Whispered():
                shown = f"-> {'you' if event.outgoing else event.sender} to "
                shown += f"{event.recipient if event.outgoing else 'you'}: {event.text}"
            case Announced():
                shown = f"-- {event.name} joined."
            case Left(shown=True):
                shown = f"-- {event.name} left{f' ({event.reason})' if event.reason else ''}."
            case CrowdMoved():
                moved = "joined" if event.joined else "left"
                shown = f"-- {enumerate_names(event.names, event.count)} {moved}."
            case Renamed(shown=True):
                shown = f"-- {event.name} is now {event.new}."
            case TopicSet(topic=""):
                shown = f"-- {event.name} cleared the topic."
            case TopicSet():
                shown = f"-- {event.name} set the topic: {event.topic}"
            case Told():
                shown = f"-- {event.text}"
            case TookBack():
                shown = f"-- {event.name} took back what they said in the last hour."
            case Found():
                when = strftime("%Y-%m-%d %H:%M", gmtime(event.time))
                return f"{when} #{event.room} ".encode() + self.encode(event.event, True)
            case Joined() | Left() | Renamed() | Relayed() | Opened() | Removed():
                return b""
            case _:
                raise TypeError(f"no plain form for {type(event).__name__}")
        if not live:
            shown = f"{strftime('%H:%M', gmtime(event.time))} {shown}"
        return f"{shown}\r\n".encode()


class RawFormat:
    """What came over the bare relay, byte for byte, each line ended by LF."""

    def encode(self, event: Event, live: bool) -> bytes:
        return event.data + b"\n" if isinstance(event, Relayed) else b""


PLAIN = PlainFormat()
RAW = RawFormat()


def enumerate_names(names: Sequence[str], count: int) -> str:
    """Some people as a phrase: 'alice', 'alice and bob', 'alice, bob and 12 others'.

    *count* is how many there are in all, *names* at least one of them.
    """
    shown = list(names)
    if count > len(shown):
        others = count - len(shown)
        shown.append(f"{others} other{'s' if others > 1 else ''}")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def duration(seconds: float) -> str:
    """A span of time as people say it, in its largest unit: '5 minutes', '1 day'."""
    units = {"day": DAY, "hour": 3600, "minute": 60, "second": 1}
    unit = next((unit for unit, length in units.items() if seconds >= length), "second")
    count = max(0, int(seconds // units[unit]))
    return f"{count} {unit}{'' if count == 1 else 's'}"


def transcript(events: Iterable[Event], now: float) -> list[Event]:
    """*events* with a dated notice before the first and wherever a new day begins (UTC)."""
    shown: list[Event] = []
    today = int(now // DAY)
    last = None
    for event in events:
        day = int(event.time // DAY)
        if day != last:
            label = {today: "Today", today - 1: "Yesterday"}.get(day) or strftime(
                "%A %d %B %Y", gmtime(event.time)
            )
            if last is None:
                label += " (times are UTC)"
            shown.append(Noticed(event.time, 0, label))
            last = day
        shown.append(event)
    return shown
