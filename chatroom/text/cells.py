"""Measure text in the cells of a terminal, and wrap it into rows.

No terminal may break a row at an unexpected place: text of a user would stand where the server's
own text begins. Terminals disagree about sequences of emoji, some show one picture, some all parts.
So `cells` returns the greatest width that any terminal uses, that of all code points together. Rows
end between graphemes (UAX 29). All functions are pure. They expect text that `names.clean` has
returned, except `visible`, which takes any text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from operator import sub
from typing import Final, NamedTuple

import regex
from wcwidth import wcswidth

from chatroom.text.characters import (
    CLOSING,
    IDEOGRAPH,
    JOINING,
    UNPLACED,
    has_virama,
    kinds,
    widths,
)
from chatroom.text.names import BLANKS, clean, fold

_REPLACEMENT = "\ufffd"
# Flags have a rule of their own: \X looks back from each half of a flag to the first of them all,
# which takes quadratic time for many flags.
_CLUSTER = regex.compile(
    r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+|\X"
)

_JOINING = regex.compile(JOINING, regex.V1)

#: So many code points are searched for joining characters before the whole text is: where a text
#: has some, one is often near its beginning.
_FIRST_POINTS: Final = 16

_LINK = regex.compile(r"(?:(?:https?|ftp|gopher|ircs?)://|www\.)[!-~]++")

# A piece that stays in one row, and the blanks after it. A link goes on as long as it is ASCII, and
# `code` in backticks may contain blanks. A row may also end between two ideographs, but neither
# before closing punctuation (UAX 14, rule LB13 and class NS) nor after opening punctuation (LB14).
_PIECE = regex.compile(
    rf"""
    (
        {_LINK.pattern}
      | `(?![{BLANKS}])[^`]++(?<![{BLANKS}])`[\p{{P}}--`]*+
      | \p{{lb=OP}}{{0,3}}+(?=[{IDEOGRAPH}])\X(?:{CLOSING}\p{{M}}*+)*+
      | (?:(?![{IDEOGRAPH}]|\p{{lb=OP}}{{1,3}}+[{IDEOGRAPH}])[^{BLANKS}]
        \p{{M}}*+(?:{CLOSING}\p{{M}}*+)*+)++
      | \X
    )
    ([{BLANKS}]*+)
    """,
    regex.V1 | regex.VERBOSE | regex.DOTALL,
)

# A line is wrapped once for each width of a terminal in the room. Results that take long and do not
# depend on the width are cached for this many texts, some MB at most.
_CACHED_TEXTS = 64

_SPECIAL = ("`", "://", "www.")
_CHUNK = regex.compile(rf"([^{BLANKS}]++)([{BLANKS}]*+)")

# In other texts only the kinds of the characters matter (see characters.py). The text of the kinds
# is ASCII, which `re` splits many times as quickly.
_WIDE_KINDS = frozenset("ike")
_JOINED_WIDE = re.compile("[ik][mj]|e")
# _PIECE without links and code.
_PIECE_OF_KINDS = re.compile(
    """(
        o{0,3}+[ik](?:[ck]m*+)*+
      | (?:(?![ik]|o{1,3}+[ik])[^ ]m*+(?:[ck]m*+)*+)++
    )([ ]*+)""",
    re.VERBOSE,
)
_CHUNK_OF_KINDS = re.compile("([^ ]++)( *+)")

# A row of as many ASCII words as fit; %d is the width less the first and the last character.
_ROW = r"(?s)[^ ](?:.{0,%d}[^ ])?(?= |\Z)"

#: A wider grapheme, which no writing system needs, may be cut: a row has to end somewhere.
_MAX_GRAPHEME_CELLS = 8
_UNIT = regex.compile(rf".{UNPLACED}*+", regex.DOTALL)


def graphemes(text: str) -> list[str]:
    """Split *text* into graphemes, which users perceive as characters."""
    if text.isascii() and "\r" not in text:
        return list(text)
    if _JOINING.search(text, 0, _FIRST_POINTS) or _JOINING.search("".join(set(text))):
        return _CLUSTER.findall(text)
    return list(text)


def cells(text: str) -> int:
    """Return how many cells *text* takes at most."""
    if text.isascii():
        return len(text)
    size = sum(widths(text))
    # Letters that are joined by a virama may be wider than the letters alone.
    return max(size, wcswidth(text)) if has_virama(text) else size


def fits(text: str, width: int) -> bool:
    """Return whether *text* takes at most *width* cells; quick for far longer text."""
    if text.isascii():
        return len(text) <= width
    beginning = sum(widths(text[: 2 * width]))
    return beginning <= width and cells(text) <= width


@lru_cache(maxsize=4096)
def visible(grapheme: str) -> tuple[str, int]:
    """Return what to show for a grapheme of any text, and its width in cells, at least 1.

    An ASCII control character is shown as ^X, anything else that is not printable as U+FFFD.
    """
    if grapheme.isascii():
        if grapheme.isprintable():
            return grapheme, 1
        return f"^{chr(ord(grapheme[0]) ^ 0x40)}", 2
    shown = clean(grapheme)
    width = wcswidth(shown)
    return (_REPLACEMENT, 1) if width < 1 or _REPLACEMENT in shown else (shown, width)


def doubtful(shown: str) -> bool:
    """Return whether terminals disagree about the width: of an emoji or a sequence."""
    if len(shown) == 1:
        return shown >= "\U0001f000"
    return not shown.isascii() and not all("\u0300" <= mark <= "\u036f" for mark in shown[1:])


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """Return *text* as rows of at most *width* cells, without the blanks where rows end.

    All rows but the first begin with *indent* blanks. Code between backticks stays whole where it
    fits. Links stay whole too, if need be without the indent. A link that is longer than a row is
    one long row, which the terminal itself continues, so that users can click on it and copy it.
    """
    if fits(text, width):
        return [text]
    room = width - indent
    if text.isascii() and room > 2 and not any(special in text for special in _SPECIAL):
        rows = _filled_ascii(text, width, indent)
        if rows:
            return rows
    parts = _split(text)
    if parts.largest <= room:
        return _filled(text, parts, width, indent)
    return _wrapped(text, parts, width, indent)


def _filled_ascii(text: str, width: int, indent: int) -> list[str]:
    """Return the rows of ASCII text; [] if a word is too long or a blank is first."""
    room = width - indent
    if text.startswith(" ") or re.search(rf"[^ ]{{{room + 1}}}", text):
        return []
    first = re.match(_ROW % (width - 2), text)
    if first is None:
        return []
    margin = " " * indent
    return [
        first[0],
        *[margin + row for row in re.compile(_ROW % (room - 2)).findall(text, first.end())],
    ]


class _Parts(NamedTuple):
    """Where the parts of a text are between which rows may end, with blanks after each part.

    begins, ends: the indexes of each part's first code point, and of the one after its last.
    lefts, rights: the same in cells.
    largest: the width of the widest part.
    """

    begins: Sequence[int]
    ends: Sequence[int]
    lefts: Sequence[int]
    rights: Sequence[int]
    largest: int


@lru_cache(maxsize=_CACHED_TEXTS)
def _split(text: str) -> _Parts:
    """Return the parts of *text* between which a row may end."""
    indexes = list(accumulate(map(len, chain.from_iterable(_pairs(text))), initial=0))
    columns = _columns(text, indexes)
    lefts, rights = columns[:-1:2], columns[1::2]
    largest = max(map(sub, rights, lefts), default=0)
    return _Parts(indexes[:-1:2], indexes[1::2], lefts, rights, largest)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Split *text*: return pairs as long as each part and the blanks after it."""
    if any(special in text for special in _SPECIAL):
        return _PIECE.findall(text)
    of_kinds = kinds(text)
    wide = not _WIDE_KINDS.isdisjoint(of_kinds)
    # The patterns of kinds have no part for a blank at the beginning.
    if of_kinds.startswith(" ") or (wide and _JOINED_WIDE.search(of_kinds)):
        return _PIECE.findall(text)
    return (_PIECE_OF_KINDS if wide else _CHUNK_OF_KINDS).findall(of_kinds)


def _columns(text: str, indexes: list[int]) -> list[int]:
    """Return the columns of these *indexes*, of which the first is 0."""
    if text.isascii():
        return indexes
    if has_virama(text):
        runs = [text[begin:end] for begin, end in pairwise(indexes)]
        return list(accumulate(map(cells, runs), initial=0))
    each = list(accumulate(widths(text), initial=0))
    return [each[index] for index in indexes]


def _filled(text: str, parts: _Parts, width: int, indent: int) -> list[str]:
    """Return rows, each as full as possible; no part is wider than a row."""
    margin, room = "", width
    rows = []
    first = 0
    while first < len(parts.begins):
        end = bisect_right(parts.rights, parts.lefts[first] + room, first)
        rows.append(margin + text[parts.begins[first] : parts.ends[end - 1]])
        first = end
        margin, room = " " * indent, width - indent
    return rows


def _wrapped(text: str, parts: _Parts, width: int, indent: int) -> list[str]:
    """Return the rows of a text that may have parts wider than a row."""
    margin = " " * indent
    rows: list[str] = []
    # The row so far, its width, the blanks before the next word, and whether there is a word in it.
    row, taken, blanks, begun = "", 0, "", False
    for word, following, size in _pieces(text, parts, width - indent):
        if begun and taken + cells(blanks) + size > width:
            rows.append(row)
            row, taken, blanks, begun = margin, indent, "", False
        if begun or not rows:
            # Blanks at the beginning of the text stay.
            row += blanks
            taken += cells(blanks)
        if taken + size <= width:
            row += word
            taken += size
        elif _LINK.fullmatch(word):
            # The row has no word yet, so the link is too long for any row. The terminal continues
            # it without a margin, so no other word may follow there.
            row, taken = word, max(size, width)
        else:
            *full, row = _broken(row, word, width, margin)
            rows += full
            taken = cells(row)
        begun = True
        blanks = following
    return [*rows, row]


def _pieces(text: str, parts: _Parts, room: int) -> Iterator[tuple[str, str, int]]:
    """Yield what stays whole in *room* cells, the blanks after it, and its width."""
    sizes = map(sub, parts.rights, parts.lefts)
    nexts = [*parts.begins[1:], len(text)]
    for begin, end, following, size in zip(parts.begins, parts.ends, nexts, sizes, strict=True):
        word, blanks = text[begin:end], text[end:following]
        if size > room and word.startswith("`"):
            # Code that fits into no row is broken at its blanks.
            *before, (last, _) = _CHUNK.findall(word)
            for chunk, gap in before:
                yield chunk, gap, cells(chunk)
            yield last, blanks, cells(last)
        else:
            yield word, blanks, size


@lru_cache(maxsize=_CACHED_TEXTS)
def _characters(word: str) -> tuple[list[int], list[int]]:
    """Return where *word* may be cut, as indexes of code points and as columns."""
    uncut = graphemes(word)
    if len(uncut) < len(word):
        uncut = [unit for grapheme in uncut for unit in _units(grapheme)]
    indexes = list(accumulate(map(len, uncut), initial=0))
    return indexes, _columns(word, indexes)


def _units(grapheme: str) -> list[str]:
    """Return the parts of a grapheme that may stand in two rows; nearly always it is one."""
    # No code point takes more than two cells.
    if 2 * len(grapheme) <= _MAX_GRAPHEME_CELLS or cells(grapheme) <= _MAX_GRAPHEME_CELLS:
        return [grapheme]
    return _UNIT.findall(grapheme)


def _broken(row: str, word: str, width: int, margin: str) -> Iterator[str]:
    """Yield the rows of a *word* wider than a row; the first one begins with *row*."""
    room = max(0, width - cells(row))
    if word.isascii():
        row, rest = row + word[:room], word[room:]
        room = width - len(margin)
        while rest:
            yield row
            row, rest = margin + rest[:room], rest[room:]
        yield row
        return
    indexes, columns = _characters(word)
    count = len(indexes) - 1
    first = 0
    end = min(count, bisect_right(columns, room) - 1)
    while True:
        row += word[indexes[first] : indexes[end]]
        if end == count:
            break
        yield row
        first, row = end, margin
        # At least one character, however narrow the row is.
        end = max(first + 1, bisect_right(columns, columns[first] + width - len(margin)) - 1)
        end = min(count, end)
    yield row


def common_prefix(texts: list[str]) -> str:
    """Return the common prefix of *texts* (by names.fold), as the first one spells it."""
    split = [graphemes(text) for text in texts]
    first = split[0] if split else []
    count = min(map(len, split), default=0)
    for one, other in pairwise(split):
        same = (a == b or fold(a) == fold(b) for a, b in zip(one, other, strict=False))
        count = min(count, next((index for index, equal in enumerate(same) if not equal), count))
    return "".join(first[:count])


def columns(texts: list[str], width: int) -> list[str]:
    """Return *texts* as rows of columns of equal width, ordered row by row."""
    widest = max(map(cells, texts), default=0) + 2
    count = max(1, (width + 2) // widest)
    padded = [text + " " * (widest - cells(text)) for text in texts]
    return [
        "".join(padded[start : start + count]).rstrip() for start in range(0, len(padded), count)
    ]
