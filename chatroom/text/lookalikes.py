"""The table of characters that look alike.

It has Unicode's confusables, and small capitals.

`names.skeleton` uses it. The data are Unicode's `confusables.txt` (UTS 39), as the package
`confusable-homoglyphs` has it.
"""

import json
import unicodedata
from importlib.resources import files
from string import ascii_lowercase
from typing import Final

import regex

# The package puts a left-to-right mark around characters that are written from right to left.
_MARK = "\u200e"

#: Stands for an upright stroke, which may be an `l`, a capital `I` or a digit.
STROKE: Final = "1"

# This letter of Cyrillic has a dot in every case, so it is not a stroke.
_DOTTED = "\u0456"

# Digits of other scripts are like letters of these scripts only, and are digits first.
_IN_NAMES = regex.compile(r"[\p{L}\p{M}01]")

# Unicode has `m` and `rn`, but not this.
_MORE = {"w": "vv"}


def table() -> dict[int, str]:
    """Return, for `str.translate`, what each character of names looks like.

    One pass may not be enough: an `m` of another script looks like `m`, and that like `rn`. Case is
    distinguished: `I` is a STROKE, `i` is not.
    """
    raw = files("confusable_homoglyphs").joinpath("confusables.json").read_bytes()
    # Only the character of each entry is kept; the characters' names take several megabytes.
    found = json.loads(raw, object_hook=lambda part: part["c"] if len(part) == 2 else part)
    data = {glyph.strip(_MARK): [o.strip(_MARK) for o in others] for glyph, others in found.items()}
    small = _small_capitals()
    drawn = dict(small)
    for prototype, others in data.items():
        if _is_prototype(prototype, data):
            # For Unicode small capitals are prototypes; here they are Latin letters.
            letter = next((small[glyph] for glyph in (prototype, *others) if glyph in small), "")
            look = prototype if prototype.isascii() or not letter else letter
            drawn |= {glyph: look for glyph in (prototype, *others) if glyph != look}
    strokes = {glyph for glyph, look in drawn.items() if look in ("i", "l")} - {_DOTTED}
    drawn |= dict.fromkeys(strokes, STROKE) | _MORE
    return {ord(glyph): look for glyph, look in drawn.items() if _IN_NAMES.fullmatch(glyph)}


def _is_prototype(glyph: str, data: dict[str, list[str]]) -> bool:
    """Return whether *glyph* is the prototype of its class (UTS 39, section 4).

    In the data the entry of a prototype has all others of its class, and their entries have only
    the prototype. In a class of two it is the longer one, or else the later one.
    """
    first, *more = data[glyph]
    if more:
        return True
    return len(data[first]) == 1 and (len(first), first) < (len(glyph), glyph)


def _small_capitals() -> dict[str, str]:
    """Return the small capitals that Unicode has, each with its Latin letter."""
    capitals = {}
    for letter in ascii_lowercase:
        try:
            capitals[unicodedata.lookup(f"LATIN LETTER SMALL CAPITAL {letter}")] = letter
        except KeyError:
            continue
    return capitals
