"""Cells: how much room text takes on a terminal, and where its rows may end.

The rule: no terminal breaks a row at a place that was not counted on, so that nobody's text stands
where the server's would. Terminals disagree about sequences: some show one emoji, some all of which
it consists. So `cells` is the most that any of them takes: that of all code points together. Rows
end between graphemes (UAX 29). Pure functions of their arguments; what is measured has been
through `names.clean`, but for `visible`, which takes anything.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import Final, NamedTuple

import regex
from wcwidth import wcswidth, wcwidth

from chatroom.text.names import BLANKS, clean, fold

_REPLACEMENT = "\ufffd"
# Flags are taken apart here: at each half of one \X looks back to where they began, so that many
# of them take quadratic time.
_CLUSTER = regex.compile(
    r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+|\X"
)

# What may be one grapheme with what stands beside it (UAX 29, GB3 and GB6 to GB13); syllables of
# Hangul are so with its letters only. What says nothing of its neighbours is asked about once,
# however often a text has it.
_JOINING = regex.compile(
    r"[^\p{GCB=Other}\p{GCB=LV}\p{GCB=LVT}\p{GCB=Control}\p{GCB=LF}]", regex.V1
)

#: Many a text that has some has them among the first of so many code points.
_BEGINNING: Final = 16

_LINK = regex.compile(r"(?:(?:https?|ftp|gopher|ircs?)://|www\.)[!-~]++")

# Everything up to the next place where a row may end, and the blanks there, of whatever kind. A
# link goes on as long as it is ASCII, and a piece of `code` may hold blanks. Between wide
# characters there are no blanks: a row may end there, but not before what closes (UAX 14, rule LB13
# and class NS), nor after what opens (LB14).
_IDEOGRAPH = r"\p{lb=ID}\p{lb=EB}\p{lb=EM}\p{lb=CJ}\p{lb=H2}\p{lb=H3}"
_CLOSING = r"[\p{lb=CL}\p{lb=CP}\p{lb=EX}\p{lb=NS}\p{lb=CJ}]"
_PIECE = regex.compile(
    rf"""
    (
        {_LINK.pattern}
      | `(?![{BLANKS}])[^`]++(?<![{BLANKS}])`[\p{{P}}--`]*+
      | \p{{lb=OP}}{{0,3}}+(?=[{_IDEOGRAPH}])\X(?:{_CLOSING}\p{{M}}*+)*+
      | (?:(?![{_IDEOGRAPH}]|\p{{lb=OP}}{{1,3}}+[{_IDEOGRAPH}])[^{BLANKS}]
        \p{{M}}*+(?:{_CLOSING}\p{{M}}*+)*+)++
      | \X
    )
    ([{BLANKS}]*+)
    """,
    regex.V1 | regex.VERBOSE | regex.DOTALL,
)

# A line is wrapped for each width that somebody in the room has. What takes long, and does not
# depend on the width, is kept of the last long texts, for the next width; that is some MB at most.
_LONG = 40
_KEPT = 64

_SPECIAL = ("`", "://", "www.")
# A text without any of these ends its rows at blanks only.
_BROKEN_ELSEWHERE = regex.compile(rf"[{_IDEOGRAPH}]", regex.V1)
_CHUNK = regex.compile(rf"([^{BLANKS}]++)([{BLANKS}]*+)")

# As many words of ASCII as there is room for, by the room that the characters between the first and
# the last one have.
_ROW = r"(?s)[^ ](?:.{0,%d}[^ ])?(?= |\Z)"

#: A grapheme of more cells, which no writing needs, may be cut: a row ends somewhere.
_MAX_GRAPHEME = 8
#: So many sizes are kept: more than the characters that a room uses.
_MOST_KEPT = 8192
_VARIATION_16 = "\ufe0f"
# What has no place of its own. Python's tables may be years older than those of terminals, in which
# some of it has been given one (U+1171E).
_UNPLACED = regex.compile(r"[\p{Mn}\p{Me}\p{Cf}]")
# Which pictures are emoji changes from one Unicode to the next, and for some it is reserved. The
# circled numbers on black (U+3248) are ambiguous in Unicode, and wide to the C library and tmux.
_TWO_CELLS = regex.compile(
    r"[\p{EA=W}\p{EA=F}\p{EMod}\u3248-\u324f[\p{ExtPict}&&[\U0001f000-\U0001ffff]]]", regex.V1
)
_UNIT = regex.compile(rf".{_UNPLACED.pattern}*+", regex.DOTALL)


def graphemes(text: str) -> list[str]:
    """*text* taken apart into what a person takes for its characters."""
    if text.isascii() and "\r" not in text:
        return list(text)
    if _JOINING.search(text, 0, _BEGINNING) or _JOINING.search("".join(set(text))):
        return _CLUSTER.findall(text)
    return list(text)


def cells(text: str) -> int:
    """How many cells of a terminal's row *text* takes at most."""
    if text.isascii():
        return len(text)
    return _measured(text) if len(text) > _LONG else _SIZES[text]


def fits(text: str, width: int) -> bool:
    """Whether *text* takes at most *width* cells, which is quickly known of what is far longer."""
    if text.isascii():
        return len(text) <= width
    beginning = sum(map(_WIDTHS.__getitem__, text[: 2 * width]))
    return beginning <= width and cells(text) <= width


def _measure(text: str) -> int:
    # Letters that a sign joins may be shown wider than each of them alone.
    return max(sum(map(_WIDTHS.__getitem__, text)), wcswidth(text))


_measured = lru_cache(maxsize=_KEPT)(_measure)


class _Kept(dict[str, int]):
    """What *measure* returns, kept for as many texts as there is room for."""

    def __init__(self, measure: Callable[[str], int]) -> None:
        super().__init__()
        self._measure = measure

    def __missing__(self, text: str) -> int:
        if len(self) >= _MOST_KEPT:
            self.clear()
        size = self[text] = self._measure(text)
        return size


def _widest(character: str) -> int:
    if character == _VARIATION_16:
        # It may make the emoji of two cells that it asks for (UTS 51, section 2.7).
        return 1
    if _UNPLACED.match(character):
        return 0
    # 0 is for a mark with a place of its own and for a vowel of Hangul, which go with another
    # character.
    return 2 if _TWO_CELLS.match(character) else max(1, wcwidth(character))


#: How many cells one code point takes where nothing before it is known.
_WIDTHS: Final = _Kept(_widest)
#: How many cells a grapheme or another short text takes.
_SIZES: Final = _Kept(_measure)


@lru_cache(maxsize=4096)
def visible(grapheme: str) -> tuple[str, int]:
    """What to show for one grapheme of any text, and its width in cells, at least 1.

    A control of ASCII is shown as ^X, what would do anything else or nothing at all as U+FFFD.
    """
    if grapheme.isascii():
        if grapheme.isprintable():
            return grapheme, 1
        return f"^{chr(ord(grapheme[0]) ^ 0x40)}", 2
    shown = clean(grapheme)
    width = wcswidth(shown)
    return (_REPLACEMENT, 1) if width < 1 or _REPLACEMENT in shown else (shown, width)


def doubtful(shown: str) -> bool:
    """Whether terminals disagree about the width of a visible grapheme: emoji and sequences."""
    if len(shown) == 1:
        return shown >= "\U0001f000"
    return not shown.isascii() and not all("\u0300" <= mark <= "\u036f" for mark in shown[1:])


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """The rows of *text*, each of at most *width* cells, without the blanks where they end.

    All but the first begin with *indent* blanks, and code between backticks stays whole where it
    fits behind them. Links stay whole, too, if need be without the indent. A longer one is one
    long row, which the terminal continues in its next ones by itself, so that it can be clicked on
    and copied; nothing follows it there.
    """
    if fits(text, width):
        return [text]
    room = width - indent
    if text.isascii() and room > 2 and not any(special in text for special in _SPECIAL):
        rows = _filled_ascii(text, width, indent)
        if rows:
            return rows
    parts = _taken_apart(text)
    if parts.largest <= room:
        return _filled(text, parts, width, indent)
    return _wrapped(parts, width, indent)


def _filled_ascii(text: str, width: int, indent: int) -> list[str]:
    """What `_filled` returns, sooner; nothing if a word is too long, or a blank comes first."""
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
    """What of a *text* stays whole, and where each part is.

    words: the parts. blanks: what comes after each of them. sizes: their cells. begins, ends: the
    code points before each, and up to its end; lefts, rights: the cells. largest: of the sizes.
    """

    words: Sequence[str]
    blanks: Sequence[str]
    sizes: Sequence[int]
    begins: Sequence[int]
    ends: Sequence[int]
    lefts: Sequence[int]
    rights: Sequence[int]
    largest: int


def _parts(pairs: list[tuple[str, str]]) -> _Parts:
    """Find where these words, with the blanks after each, are."""
    runs = list(chain.from_iterable(pairs))
    sizes = [len(run) if run.isascii() else cells(run) for run in runs]
    places = list(accumulate(map(len, runs), initial=0))
    columns = list(accumulate(sizes, initial=0))
    return _Parts(
        runs[::2],
        runs[1::2],
        sizes[::2],
        places[:-1:2],
        places[1::2],
        columns[:-1:2],
        columns[1::2],
        max(sizes[::2], default=0),
    )


@lru_cache(maxsize=_KEPT)
def _taken_apart(text: str) -> _Parts:
    """The parts of *text* between which a row may end."""
    # A blank at the beginning is a part.
    plain = _CHUNK.match(text) and not any(special in text for special in _SPECIAL)
    if plain and not _BROKEN_ELSEWHERE.search("".join(set(text))):
        return _parts(_CHUNK.findall(text))
    return _parts(_PIECE.findall(text))


def _filled(text: str, parts: _Parts, width: int, indent: int) -> list[str]:
    """The rows of *text*, none of whose *parts* is wider than a row: each as full as can be."""
    margin, room = "", width
    rows = []
    first = 0
    while first < len(parts.begins):
        end = bisect_right(parts.rights, parts.lefts[first] + room, first)
        rows.append(margin + text[parts.begins[first] : parts.ends[end - 1]])
        first = end
        margin, room = " " * indent, width - indent
    return rows


def _wrapped(parts: _Parts, width: int, indent: int) -> list[str]:
    """The rows of any text."""
    margin = " " * indent
    rows: list[str] = []
    # The row so far, its width, the blanks to come before what follows, and whether it has more
    # than its margin.
    row, taken, blanks, begun = "", 0, "", False
    for word, following, size in _pieces(parts, width - indent):
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
            # A row that has only its margin is too narrow for it. Where the terminal continues it
            # there is no margin, so nothing else follows there.
            row, taken = word, max(size, width)
        else:
            *full, row = _broken(row, word, width, margin)
            rows += full
            taken = cells(row)
        begun = True
        blanks = following
    return [*rows, row]


def _pieces(parts: _Parts, room: int) -> Iterator[tuple[str, str, int]]:
    """What stays whole where a row has *room*, the blanks after each, and its cells."""
    for word, blanks, size in zip(parts.words, parts.blanks, parts.sizes, strict=True):
        if size > room and word.startswith("`"):
            # Code that fits into no row is broken at its blanks.
            *before, (last, _) = _CHUNK.findall(word)
            for chunk, following in before:
                yield chunk, following, cells(chunk)
            yield last, blanks, cells(last)
        else:
            yield word, blanks, size


@lru_cache(maxsize=_KEPT)
def _characters(word: str) -> tuple[list[int], list[int]]:
    """Where what of *word* is not cut ends: how many code points that is, and how many cells."""
    uncut: list[str] = []
    for grapheme in graphemes(word):
        if len(grapheme) > 1 and cells(grapheme) > _MAX_GRAPHEME:
            uncut += _UNIT.findall(grapheme)
        else:
            uncut.append(grapheme)
    sizes = [1 if part.isascii() and len(part) == 1 else _SIZES[part] for part in uncut]
    return list(accumulate(map(len, uncut), initial=0)), list(accumulate(sizes, initial=0))


def _broken(row: str, word: str, width: int, margin: str) -> Iterator[str]:
    """The rows of a *word* that fits into none, of which the first begins with *row*."""
    room = max(0, width - cells(row))
    if word.isascii():
        row, rest = row + word[:room], word[room:]
        room = width - len(margin)
        while rest:
            yield row
            row, rest = margin + rest[:room], rest[room:]
        yield row
        return
    places, columns = _characters(word)
    count = len(places) - 1
    first = 0
    end = min(count, bisect_right(columns, room) - 1)
    while True:
        row += word[places[first] : places[end]]
        if end == count:
            break
        yield row
        first, row = end, margin
        # At least one, however narrow the row is.
        end = max(first + 1, bisect_right(columns, columns[first] + width - len(margin)) - 1)
        end = min(count, end)
    yield row


def common_prefix(texts: list[str]) -> str:
    """What all *texts* begin with (names.fold), as the first of them spells it."""
    split = [graphemes(text) for text in texts]
    first = split[0] if split else []
    count = min(map(len, split), default=0)
    for one, other in pairwise(split):
        same = (a == b or fold(a) == fold(b) for a, b in zip(one, other, strict=False))
        count = min(count, next((index for index, equal in enumerate(same) if not equal), count))
    return "".join(first[:count])


def columns(texts: list[str], width: int) -> list[str]:
    """*texts* as rows of columns of equal width, read row by row."""
    broadest = max(map(cells, texts), default=0) + 2
    count = max(1, (width + 2) // broadest)
    padded = [text + " " * (broadest - cells(text)) for text in texts]
    return [
        "".join(padded[start : start + count]).rstrip() for start in range(0, len(padded), count)
    ]
