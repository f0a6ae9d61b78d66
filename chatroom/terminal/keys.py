"""The parser of a terminal's input: turns bytes into keys.

It does no input or output, its size is limited, and it never raises. However the bytes are split
over reads, it returns the same keys. An unknown sequence is skipped as a whole, so that no part of
it is taken for text.

The sequences are those of ECMA-48, 5.4 (control sequences), and of xterm's ctlseqs, "PC-Style
Function Keys", "VT220-Style Function Keys" and "Bracketed Paste Mode".
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

import regex

#: The greatest length of a paste.
MAX_PASTE_BYTES: Final = 64 * 1024

#: How long to wait for the rest of a key's sequence; after that it was the Escape key.
KEY_SECONDS: Final = 0.3

#: How long to wait for the rest of a paste. Bytes after that are taken for keys, so it is longer
#: than a network is likely to stall.
PASTE_SECONDS: Final = 10.0

_INTERRUPT: Final = b"\x03"


class Key(Enum):
    """A key, named after its effect."""

    LEFT = auto()
    RIGHT = auto()
    UP = auto()
    DOWN = auto()
    START = auto()
    END = auto()
    WORD_LEFT = auto()
    WORD_RIGHT = auto()
    BACKSPACE = auto()
    DELETE = auto()
    KILL_TO_START = auto()
    KILL_TO_END = auto()
    KILL_WORD_LEFT = auto()
    KILL_WORD_RIGHT = auto()
    YANK = auto()
    TRANSPOSE = auto()
    TAB = auto()
    ENTER = auto()
    REDRAW = auto()
    INTERRUPT = auto()
    #: ^D: ends the input on an empty line, deletes on other lines.
    END_OF_FILE = auto()
    ESCAPE = auto()


@dataclass(frozen=True, slots=True)
class Text:
    """Typed characters: at least one, and no ASCII control characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Paste:
    """Pasted text.

    text: the text, with LF as line ends. It may contain other control characters.
    whole: false if it was longer than MAX_PASTE_BYTES, and *text* is its beginning.
    ended: false if the end of the paste never came, and *text* is empty.
    """

    text: str
    whole: bool = True
    ended: bool = True


Event = Key | Text | Paste

_CONTROLS: Final = {
    0x01: Key.START,
    0x02: Key.LEFT,
    0x03: Key.INTERRUPT,
    0x04: Key.END_OF_FILE,
    0x05: Key.END,
    0x06: Key.RIGHT,
    0x08: Key.BACKSPACE,
    0x09: Key.TAB,
    0x0A: Key.ENTER,
    0x0B: Key.KILL_TO_END,
    0x0C: Key.REDRAW,
    0x0D: Key.ENTER,
    0x0E: Key.DOWN,
    0x10: Key.UP,
    0x14: Key.TRANSPOSE,
    0x15: Key.KILL_TO_START,
    0x17: Key.KILL_WORD_LEFT,
    0x19: Key.YANK,
    0x7F: Key.BACKSPACE,
}

#: Keys with Alt, by the byte after ESC (ctlseqs, "Alt and Meta Keys", metaSendsEscape).
_WITH_ALT: Final = {
    b"b": Key.WORD_LEFT,
    b"f": Key.WORD_RIGHT,
    b"d": Key.KILL_WORD_RIGHT,
    b"B": Key.WORD_LEFT,
    b"F": Key.WORD_RIGHT,
    b"D": Key.KILL_WORD_RIGHT,
    b"\x7f": Key.KILL_WORD_LEFT,
    b"\x08": Key.KILL_WORD_LEFT,
}

#: Keys by the final byte after CSI or SS3.
_FINALS: Final = {
    b"A": Key.UP,
    b"B": Key.DOWN,
    b"C": Key.RIGHT,
    b"D": Key.LEFT,
    b"H": Key.START,
    b"F": Key.END,
}
#: SS3 M is Enter on the keypad in application mode.
_SS3_FINALS: Final = {**_FINALS, b"M": Key.ENTER}

#: rxvt's final bytes for arrows with Ctrl (after SS3) and with Shift (after CSI).
_RXVT_FINALS: Final = {b"c": Key.WORD_RIGHT, b"d": Key.WORD_LEFT}

#: Keys by the number in CSI number ~.
_NUMBERED: Final = {
    b"1": Key.START,
    b"3": Key.DELETE,
    b"4": Key.END,
    b"7": Key.START,
    b"8": Key.END,
}

#: Keys with Alt or Ctrl. The modifier in a sequence is 1 plus bits, 2 for Alt and 4 for Ctrl.
_BY_WORD: Final = {
    Key.LEFT: Key.WORD_LEFT,
    Key.RIGHT: Key.WORD_RIGHT,
    Key.DELETE: Key.KILL_WORD_RIGHT,
}
_ALT_OR_CTRL: Final = 2 | 4

_PASTE_BEGINS: Final = b"\x1b[200~"
_PASTE_ENDS: Final = b"\x1b[201~"
_PASTE_MARK: Final = regex.compile(rb"\x1b\[20[01]~")

_PLAIN: Final = re.compile(rb"[^\x00-\x1f\x7f]+")

# A complete sequence: SS3, perhaps a modifier, and one byte; CSI with parameter and intermediate
# bytes and a final byte; the Linux console's function keys (CSI [ letter); ESC with intermediate
# bytes and a final byte. A control character or a byte beyond ASCII ends a sequence, and is read by
# itself; so is the rest of a sequence that is longer than any that terminals send. Control strings
# (DCS, SOS, OSC, PM, APC; ECMA-48, 5.6) are read by `Keys._skip`.
_SEQUENCE: Final = re.compile(
    rb"""\x1b(?:
        O(?P<ss3>[0-9]{0,4}+[\x40-\x7e])
      | \[(?:\[[\x21-\x7e] | (?P<csi>(?!\[)[\x30-\x3f]{0,48}+[\x20-\x2f]{0,4}+[\x40-\x7e]))
      | (?P<alt>[\x00-\x1a\x1c-\x1f\x30-\x4e\x51-\x57\x59\x5a\x5c\x60-\x7f])
      | [\x20-\x2f]{1,4}+[\x30-\x7e]
    )""",
    re.VERBOSE,
)
_BEGINNING: Final = (
    rb"\x1b(?:O[0-9]{0,4}+|\[\[|\[[\x30-\x3f]{0,48}+[\x20-\x2f]{0,4}+|[\x20-\x2f]{1,4}+)"
)
_BROKEN: Final = re.compile(_BEGINNING)
_UNFINISHED: Final = re.compile(
    _BEGINNING + rb"?+|\x1b(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})"
)
#: No unfinished sequence is longer, in bytes.
_MAX_UNFINISHED: Final = len("\x1b[") + 48 + 4
_STRING: Final = b"PX]^_"
_STRING_ENDS: Final = re.compile(rb"\x07|\x1b\\?|[\x0d\x0a\x03]")


class Keys:
    """The parser of one connection's input.

    If `patience` is not 0 after `receive`, the caller calls `expire` after that many seconds
    without input.
    """

    __slots__ = ("_after_cr", "_decoder", "_halfway", "_pasted", "_rest", "_skipping", "_whole")

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        # Whether the decoder has an incomplete character.
        self._halfway = False
        # An incomplete sequence; in a paste, what may be the beginning of the mark at its end.
        self._rest = b""
        self._after_cr = False
        # The paste so far, None outside of a paste.
        self._pasted: bytearray | None = None
        self._whole = True
        # Whether the input is within a control string, which is skipped.
        self._skipping = False

    @property
    def patience(self) -> float:
        """How many seconds to wait for the rest of a key or a paste; 0 if nothing is open.

        A paste whose last byte so far is ^C is given up soon, since the user has probably typed it.
        """
        if self._pasted is not None:
            interrupted = not self._rest and self._pasted.endswith(_INTERRUPT)
            return KEY_SECONDS if interrupted else PASTE_SECONDS
        return KEY_SECONDS if self._rest or self._skipping else 0.0

    def receive(self, data: bytes) -> list[Event]:
        """Return the keys that these bytes complete, in order."""
        data, self._rest = self._rest + data, b""
        events: list[Event] = []
        place, size = 0, len(data)
        while place < size:
            if self._pasted is not None:
                place = self._take_paste(data, place, events)
            elif self._skipping:
                place = self._skip(data, place)
            elif data[place] == 0x1B:
                self._end_text(events)
                self._after_cr = False
                place = self._take_sequence(data, place, events)
            else:
                place = self._take_plain(data, place, events)
        return events

    def expire(self) -> list[Event]:
        """Return the keys that are open, after a while without input.

        A lone ESC is the Escape key. Other incomplete sequences and pastes are dropped.
        """
        rest, self._rest, self._skipping = self._rest, b"", False
        if self._pasted is not None:
            self._pasted = None
            return [Paste("", ended=False)]
        return [Key.ESCAPE] if rest in (b"\x1b", b"\x1b\x1b") else []

    def _take_plain(self, data: bytes, place: int, events: list[Event]) -> int:
        match = _PLAIN.match(data, place)
        if match is not None:
            self._after_cr = False
            _add_text(events, self._decoder.decode(match[0]))
            self._halfway = bool(self._decoder.getstate()[0])
            return match.end()
        byte = data[place]
        self._end_text(events)
        # Enter is CR from a terminal, and CR LF or CR NUL by telnet (RFC 854, "The NVT Printer and
        # Keyboard").
        if not (self._after_cr and byte in (0x0A, 0x00)):
            key = _CONTROLS.get(byte)
            if key is not None:
                events.append(key)
        self._after_cr = byte == 0x0D
        return place + 1

    def _end_text(self, events: list[Event]) -> None:
        """Emit an incomplete character, which will not be completed, as U+FFFD."""
        if self._halfway:
            self._halfway = False
            _add_text(events, self._decoder.decode(b"", True))
            self._decoder.reset()

    def _take_sequence(self, data: bytes, place: int, events: list[Event]) -> int:
        match = _SEQUENCE.match(data, place)
        if match is not None:
            if match[0] == _PASTE_BEGINS:
                self._pasted, self._whole = bytearray(), True
            else:
                key = _key_of(match[0])
                if key is not None:
                    events.append(key)
                self._after_cr = match[0] == b"\x1b\r"
            return match.end()
        if data[place + 1 : place + 2] and data[place + 1] in _STRING:
            self._skipping = True
            return place + 2
        if data.startswith(b"\x1b\x1b", place):
            # The Escape key, or rxvt's Alt with a key that has a sequence.
            return self._take_double(data, place, events)
        if len(data) - place <= _MAX_UNFINISHED and _UNFINISHED.fullmatch(data, place):
            self._rest = data[place:]
            return len(data)
        broken = _BROKEN.match(data, place)
        # Alt with a character beyond ASCII, which is no key here; the character is skipped, too.
        return broken.end() if broken is not None else _character_end(data, place + 1)

    def _take_double(self, data: bytes, place: int, events: list[Event]) -> int:
        if len(data) - place <= 1 + _MAX_UNFINISHED and _UNFINISHED.fullmatch(data, place + 1):
            self._rest = data[place:]
            return len(data)
        match = _SEQUENCE.match(data, place + 1)
        if match is None or not (match["csi"] or match["ss3"]) or match[0] == _PASTE_BEGINS:
            events.append(Key.ESCAPE)
            return place + 1
        key = _key_of(match[0])
        if key is not None:
            events.append(_BY_WORD.get(key, key))
        return match.end()

    def _skip(self, data: bytes, place: int) -> int:
        # Enter and ^C are never part of a control string, so they end one whose end was lost.
        match = _STRING_ENDS.search(data, place)
        if match is None:
            return len(data)
        if match[0] == b"\x1b" and match.end() == len(data):
            self._rest = b"\x1b"
            return len(data)
        self._skipping = False
        return match.end() if match[0] in (b"\x07", b"\x1b\\") else match.start()

    def _take_paste(self, data: bytes, place: int, events: list[Event]) -> int:
        assert self._pasted is not None
        # A possible beginning of a mark at the end of *data* waits for its rest.
        mark = _PASTE_MARK.search(data, place, partial=True)
        end = mark.start() if mark is not None else len(data)
        room = MAX_PASTE_BYTES - len(self._pasted)
        self._pasted += data[place : min(end, place + room)]
        self._whole = self._whole and end - place <= room
        if mark is None or mark.partial:
            self._rest = data[end:]
            return len(data)
        if mark[0] == _PASTE_BEGINS:
            # The end of the former paste was lost, so it is not known what of it was typed.
            events.append(Paste("", ended=False))
            self._pasted, self._whole = bytearray(), True
            return mark.end()
        text = self._pasted.decode(errors="replace")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self._pasted = None
        events.append(Paste(text, self._whole))
        return mark.end()


def _add_text(events: list[Event], text: str) -> None:
    """Append *text* to *events*, as one event with text right before it."""
    if text:
        last = events[-1] if events else None
        if isinstance(last, Text):
            events[-1] = Text(last.text + text)
        else:
            events.append(Text(text))


@lru_cache(maxsize=256)
def _key_of(sequence: bytes) -> Key | None:
    """Return the key that a complete *sequence* stands for, or None if it is unknown."""
    match = _SEQUENCE.fullmatch(sequence)
    assert match is not None
    ss3, csi, alt = match.group("ss3", "csi", "alt")
    if alt is not None:
        return _WITH_ALT.get(alt) or _CONTROLS.get(alt[0] if alt < b" " else 0)
    if ss3 is not None:
        final = ss3[-1:]
        key = _SS3_FINALS.get(final) or _RXVT_FINALS.get(final)
        parameters = [b"1", ss3[:-1]]
    elif csi is None:
        return None
    else:
        final = csi[-1:]
        parameters = csi[:-1].split(b";")
        if final in (b"~", b"^"):
            # rxvt: ^ is ~ with Ctrl.
            key = _NUMBERED.get(parameters[0])
        elif parameters[0] in (b"", b"1"):
            key = _FINALS.get(final)
        else:
            key = None
    modifier = parameters[1] if len(parameters) > 1 else b"6" if final == b"^" else b""
    if key is not None and modifier.isdigit() and len(modifier) < 4:
        bits = int(modifier) - 1
        if bits & _ALT_OR_CTRL:
            key = _BY_WORD.get(key, key)
    return key


def _character_end(data: bytes, place: int) -> int:
    """Return the end of the UTF-8 character at *place*; invalid bytes count one by one."""
    lead = data[place]
    size = 1 if not 0xC2 <= lead <= 0xF4 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    end = place + 1
    while end < len(data) and end < place + size and data[end] & 0xC0 == 0x80:
        end += 1
    return end
