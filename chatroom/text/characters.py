"""Tables of characters: the greatest width of each, and what it means to the end of a row.

The tables are complete, so a character that nobody has used before takes no longer than others.
Otherwise users could make the server slow with ever different characters.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable
from typing import Final

import regex
from wcwidth import wcswidth, wcwidth

from chatroom.text.names import BLANKS

#: Wide characters between which a row may end, and what may not begin a row: closing punctuation
#: (UAX 14, rule LB13) and class NS. Classes for `regex`.
IDEOGRAPH: Final = r"\p{lb=ID}\p{lb=EB}\p{lb=EM}\p{lb=CJ}\p{lb=H2}\p{lb=H3}"
CLOSING: Final = r"[\p{lb=CL}\p{lb=CP}\p{lb=EX}\p{lb=NS}\p{lb=CJ}]"

#: Characters that may form one grapheme with a neighbour (UAX 29, GB3 and GB6 to GB13). Syllables
#: of Hangul do so only with letters of Hangul, which are here.
JOINING: Final = r"[^\p{GCB=Other}\p{GCB=LV}\p{GCB=LVT}\p{GCB=Control}\p{GCB=LF}]"

#: Characters without a cell of their own. Python's tables may be years older than those of
#: terminals, in which some of these characters do have one (U+1171E).
UNPLACED: Final = r"[\p{Mn}\p{Me}\p{Cf}]"

# An ideograph (i) is one grapheme unless a joining character
# follows it.
_KINDS: Final = {
    "j": JOINING,
    "m": r"\p{M}",
    "c": CLOSING,
    "o": r"\p{lb=OP}",
    "i": rf"[[{IDEOGRAPH}]&&[\p{{GCB=Other}}\p{{GCB=LV}}\p{{GCB=LVT}}]]",
    "e": r"\p{lb=EM}",
    "k": r"\p{lb=CJ}",
    " ": rf"[{BLANKS}]",
}

# The set of emoji grows with each Unicode version, within ranges that are reserved for it. The
# circled numbers on black (U+3248) are ambiguous in Unicode, but wide to the C library and tmux.
_TWO_CELLS: Final = r"[\p{EA=W}\p{EA=F}\p{EMod}\u3248-\u324f[\p{ExtPict}&&[\U0001f000-\U0001ffff]]]"
# It may turn the character before it into an emoji of two cells (UTS 51, section 2.7).
_VARIATION_16: Final = "\ufe0f"

# The planes after the tables contain only marks without a cell, code points that are not assigned,
# whose width nobody knows, and characters that `names.clean` removes.
_TABLED: Final = 0x40000
_FAR_MARKS: Final = re.compile("[\U000e0100-\U000e01ef]")
_FAR: Final = re.compile("[\U00040000-\U0010ffff]")


class Table:
    """A value, which is an ASCII character, for each code point.

    default: the value of code points that are in no class.
    classes: pairs of a value and a class, as `regex` has it. A later one replaces earlier ones.
    mark, far: the values in the planes after the tables, of marks and of all else.
    """

    __slots__ = ("_far", "_mark", "_values")

    def __init__(
        self, default: str, classes: Iterable[tuple[str, str]], mark: str, far: str
    ) -> None:
        values = bytearray(default, "ascii") * _TABLED
        every = every_character()
        for value, members in classes:
            for match in regex.finditer(rf"{members}++", every, regex.V1):
                values[match.start() : match.end()] = value.encode() * len(match[0])
        self._values = values.decode()
        self._mark = mark
        self._far = far

    def of(self, text: str) -> str:
        """Return the values of the code points of *text*."""
        found = text.translate(self._values)
        return found if found.isascii() else _FAR.sub(self._far, _FAR_MARKS.sub(self._mark, found))


def every_character() -> str:
    """Return the code points that are in tables, in order."""
    points = array("I", range(_TABLED)).tobytes()
    return points.decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


def kinds(text: str) -> str:
    """Return the kind of each code point of *text* as an ASCII character.

    A blank for blanks, i for ideographs, e for emoji modifiers, k for small kana, o for opening and
    c for closing punctuation, m for marks, j for other joining characters, x for all else.
    """
    return _KIND_TABLE.of(text)


def widths(text: str) -> bytes:
    """Return the greatest width of each code point of *text*, in cells."""
    return _WIDTH_TABLE.of(text).encode("ascii")


def has_virama(text: str) -> bool:
    """Return whether letters may be joined that are wider together than alone."""
    return _VIRAMA.search(text) is not None


def _width_table() -> Table:
    # wcwidth's Unicode may be newer than regex's. U+1100 is wide in both: no class may be empty.
    others = regex.findall(rf"[^{_TWO_CELLS}\p{{Cs}}]", every_character(), regex.V1)
    newer = f"[\u1100{''.join(other for other in others if wcwidth(other) == 2)}]"
    # wcwidth returns 0 for spacing marks and vowels of Hangul, which some terminals show alone.
    sizes = [("\2", _TWO_CELLS), ("\2", newer), ("\0", UNPLACED), ("\1", _VARIATION_16)]
    return Table("\1", sizes, "\0", "\2")


def _virama() -> re.Pattern[str]:
    # A virama is known by what wcwidth makes of it: newer ones are in no property of regex.
    signs = regex.findall(r"[\p{M}\p{Cn}]", every_character()[:0x17000])
    viramas = "".join(sign for sign in signs if wcswidth(f"{sign}\u0915") > 1 + wcwidth(sign) >= 1)
    return re.compile(f"[{re.escape(viramas)}]" if viramas else "(?!)")


_KIND_TABLE: Final = Table("x", _KINDS.items(), "m", "x")
_WIDTH_TABLE: Final = _width_table()
_VIRAMA: Final = _virama()
