"""Characters of names that look alike: Unicode's confusables, and small capitals.

This is data for `names.skeleton`. It is made once, from the package `confusable-homoglyphs`, which
contains Unicode's `confusables.txt` (UTS 39).
"""

import json
import unicodedata
from importlib.resources import files
from string import ascii_lowercase
from typing import Final

import regex

# The package puts a left-to-right mark around what is written from right to left.
_MARK = "\u200e"

#: How an upright stroke is drawn that may be an `l` as well as a capital `I` or a digit.
STROKE: Final = "1"

# What has a dot in every case is no stroke: a letter of Cyrillic.
_DOTTED = "\u0456"

# Digits of other scripts are like letters of these scripts only, and are digits first.
_IN_NAMES = regex.compile(r"[\p{L}\p{M}01]")

# Unicode has `m` and `rn`, but not this.
_MORE = {"w": "vv"}


def table() -> dict[int, str]:
    """What each character of names is drawn like, for `str.translate`.

    One pass need not be enough: an `m` in another script is drawn like an `m`, which is drawn like
    `rn`. Case is distinguished: `I` is a STROKE, `i` is not.
    """
    raw = files("confusable_homoglyphs").joinpath("confusables.json").read_bytes()
    # Of each entry its character alone: their names take several megabytes.
    found = json.loads(raw, object_hook=lambda part: part["c"] if len(part) == 2 else part)
    data = {glyph.strip(_MARK): [o.strip(_MARK) for o in others] for glyph, others in found.items()}
    small = _small_capitals()
    drawn = dict(small)
    for prototype, others in data.items():
        if _is_prototype(prototype, data):
            # Unicode takes small capitals for letters of their own, other scripts are drawn like.
            letter = next((small[glyph] for glyph in (prototype, *others) if glyph in small), "")
            look = prototype if prototype.isascii() or not letter else letter
            drawn |= {glyph: look for glyph in (prototype, *others) if glyph != look}
    strokes = {glyph for glyph, look in drawn.items() if look in ("i", "l")} - {_DOTTED}
    drawn |= dict.fromkeys(strokes, STROKE) | _MORE
    return {ord(glyph): look for glyph, look in drawn.items() if _IN_NAMES.fullmatch(glyph)}


def _is_prototype(glyph: str, data: dict[str, list[str]]) -> bool:
    """Whether *glyph* is what others of its class are drawn like (UTS 39, section 4).

    A prototype has all others of its class in the data, and each of these has the prototype alone.
    Of two that have each other it is the longer one, or else the later one.
    """
    first, *more = data[glyph]
    if more:
        return True
    return len(data[first]) == 1 and (len(first), first) < (len(glyph), glyph)


def _small_capitals() -> dict[str, str]:
    """The small capitals of Latin that there are, each with its letter."""
    capitals = {}
    for letter in ascii_lowercase:
        try:
            capitals[unicodedata.lookup(f"LATIN LETTER SMALL CAPITAL {letter}")] = letter
        except KeyError:
            continue
    return capitals
