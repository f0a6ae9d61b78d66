"""Events as lines for a terminal of a certain width, with colours.

Users with equal preferences, width and colours share one format, and are sent the same bytes. Only
the few lines that mention a user differ for that user: see `TerminalFormat.highlighted`.

The attributes are SGR sequences (ECMA-48, 8.3.117) and xterm's indexed colours (ctlseqs, "Character
Attributes"). Only names have a colour, and no background is set, so that the colours of the user's
terminal stay in effect.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final
from weakref import WeakValueDictionary
from zlib import crc32

import regex

from chatroom.formats.plain import PLAIN, StyledPlainFormat
from chatroom.model.events import (
    Announced,
    CrowdMoved,
    Emoted,
    Event,
    Found,
    Left,
    Renamed,
    Said,
    Whispered,
)
from chatroom.model.preferences import Preferences
from chatroom.text.cells import cells, fits, wrap
from chatroom.text.names import fold
from chatroom.text.times import zone

MIN_WIDTH: Final = 20
MAX_WIDTH: Final = 500


class Colours(Enum):
    """The colours that a terminal can show and its user wants to see."""

    NONE = 0
    #: The eight colours of ECMA-48 and bright ones, which terminals show differently.
    FEW = 16
    #: xterm's 256 colours, which look the same on all terminals.
    MANY = 256


#: Colours for names among xterm's 256: those of its cube with a contrast of at least 4 to black and
#: to white (WCAG 2, "contrast ratio"), except blues, which are hard to read on black.
_MANY: Final = (28, 29, 30, 31, 62, 64, 97, 98, 130, 131, 132, 133, 161, 162, 163, 164)

#: Red, green, magenta and cyan. Yellow is hard to read on white, and blue on black.
_FEW: Final = (31, 32, 35, 36)

_BEGINNINGS: Final[dict[Colours, tuple[str, ...]]] = {
    Colours.NONE: (),
    Colours.FEW: tuple(f"\x1b[{number}m" for number in _FEW),
    Colours.MANY: tuple(f"\x1b[38;5;{number}m" for number in _MANY),
}
_OWN: Final = "\x1b[39m"
_FAINT: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_NORMAL: Final = "\x1b[22m"
_REVERSE: Final = "\x1b[7m"
_POSITIVE: Final = "\x1b[27m"

#: Joins, leaves and renames, which are shown faintly because they matter less than messages.
_MOVES: Final = (Announced, Left, CrowdMoved, Renamed)

#: Rows after the first are indented to where the text began, or by this if that is far to the
#: right.
_INDENT: Final = 4

#: The time and the room at the beginning of a line; no name begins with a digit or `#`.
_TIME: Final = regex.compile(r"(?:\d\d:\d\d(?::\d\d)? |\d{4}-\d\d-\d\d \d\d:\d\d )?(?:#\S+ )?")

#: Scripts without blanks between words, in which a name may stand next to other characters.
_UNSPACED: Final = regex.compile(
    r"[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}\p{scx=Thai}\p{scx=Lao}"
    r"\p{scx=Khmer}\p{scx=Myanmar}\p{scx=Yi}]"
)


def terminal(
    width: int, colours: Colours, preferences: Preferences | None = None
) -> TerminalFormat:
    """Return the format for a terminal of *width* cells: one object for equal arguments."""
    preferences = preferences or Preferences()
    where = zone(preferences.timezone) or PLAIN.zone
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    style = (preferences.timestamps, str(where), preferences.quiet, preferences.bell)
    made = _FORMATS.get((style, width, colours))
    if made is None:
        made = TerminalFormat(width, colours, preferences)
        _FORMATS[style, width, colours] = made
    return made


class TerminalFormat(StyledPlainFormat):
    """Lines for a terminal of a certain width, wrapped at words; see `terminal`."""

    def __init__(self, width: int, colours: Colours, preferences: Preferences) -> None:
        super().__init__(zone(preferences.timezone) or PLAIN.zone, preferences)
        # The plain format does not wrap: `_shown` does.
        self.columns = 0
        self.width = width
        self.colours = colours
        self._beginnings = _BEGINNINGS[colours]
        self.highlights = colours is not Colours.NONE

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        plain = super().encode(event, room, id, live)
        if not plain:
            return plain
        said = event.event if isinstance(event, Found) else event
        lines = plain.decode().removesuffix("\r\n").split("\r\n")
        return "".join([self._shown(said, line) for line in lines]).encode()

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        """Return *encoded* with *name* in reverse video.

        A name in another spelling, which is a mention all the same, or broken over two rows is not
        highlighted.
        """
        if not self.highlights:
            return encoded
        return _mention(name).sub(rf"{_REVERSE}\g<0>{_POSITIVE}", encoded.decode()).encode()

    def _shown(self, said: Event, line: str) -> str:
        """Return *line* as rows, each ended by CR LF."""
        rung = "\a" if line.endswith("\a") else ""
        line = line.removesuffix("\a")
        time, start, end, text = _columns(said, line)
        rows = [line]
        if not fits(line, self.width):
            indent = cells(line[:text])
            rows = wrap(line, self.width, indent if indent <= self.width * 0.4 else _INDENT)
        if self._beginnings:
            if isinstance(said, _MOVES):
                rows[0] = _FAINT + rows[0]
                rows[-1] += _NORMAL
            elif len(rows[0]) >= end:
                # A name that continues in the second row stays without colour.
                rows[0] = self._coloured(said, rows[0], time, start, end)
        return "\r\n".join(rows) + f"{rung}\r\n"

    def _coloured(self, said: Event, row: str, time: int, start: int, end: int) -> str:
        """Return the first row of a line with its time and its author's name in colour."""
        shown = row[end:]
        if isinstance(said, Whispered):
            shown = _BOLD + row[start:end] + _NORMAL + shown
        elif start < end:
            name = row[start:end]
            shown = self._beginnings[_number(name) % len(self._beginnings)] + name + _OWN + shown
        shown = row[time:start] + shown
        return _FAINT + row[:time] + _NORMAL + shown if time else shown


_FORMATS: WeakValueDictionary[tuple[tuple[str, str, bool, str], int, Colours], TerminalFormat] = (
    WeakValueDictionary()
)


def _columns(said: Event, line: str) -> tuple[int, int, int, int]:
    """Return where the time ends, the name begins, the name ends, and the text begins."""
    match = _TIME.match(line)
    time = match.end() if match is not None else 0
    match said:
        case Said():
            end = time + len(said.name)
            return time, time, end, end + 2
        case Emoted():
            end = time + 2 + len(said.name)
            return time, time + 2, end, end + 1
        case Whispered():
            end = len(line) - len(said.text) - 1
            return time, time, end, end + 1
    return time, time, time, time + 3


@lru_cache(maxsize=1024)
def _number(name: str) -> int:
    """Return a number for the name, equal in all its spellings and in all runs."""
    return crc32(fold(name).encode())


@lru_cache(maxsize=1024)
def _mention(name: str) -> regex.Pattern[str]:
    """Return a pattern that finds *name* as a word.

    The author's name at the beginning of a line follows an SGR sequence, which ends with a letter.
    So it is not found there.
    """
    pattern = regex.escape(name)
    if not _UNSPACED.match(name):
        pattern = rf"(?<!\w){pattern}"
    if not _UNSPACED.match(name[-1]):
        pattern = rf"{pattern}(?!\w)"
    return regex.compile(pattern, regex.IGNORECASE | regex.FULLCASE | regex.V1)
