"""The text of a line that is edited: graphemes, and a cursor between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import regex

from chatroom.text.cells import graphemes

# A word of any script begins and ends at a word boundary of UAX 29; each ideograph is a word.
_WORD: Final = regex.compile(r"\b\w(?:.*?\w)??\b", regex.V1 | regex.WORD | regex.DOTALL)

#: How far from the cursor the beginning or end of a word is searched, in graphemes.
REACH_GRAPHEMES: Final = 100

#: In ASCII text only this many code points on either side are searched first. A word that begins
#: within the outermost ones may be wrong, since rules of UAX 29 look at up to so many neighbours.
NEAR_POINTS: Final = 16
CONTEXT_POINTS: Final = 3

#: How many graphemes after a change are segmented first. Few changes affect more than the next one.
NEAR_GRAPHEMES: Final = 4


class TextBuffer:
    """A text, segmented into graphemes (UAX 29), with a cursor between two of them."""

    __slots__ = ("cursor", "graphemes", "size")

    def __init__(self) -> None:
        self.graphemes: list[str] = []
        #: The number of graphemes before the cursor.
        self.cursor = 0
        #: The number of code points of the text.
        self.size = 0

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.graphemes)

    def set(self, text: str, cursor: int | None = None) -> None:
        """Replace the text.

        cursor: in code points, None for the end. Within a grapheme it moves to the grapheme's end.
        """
        self.graphemes = split = graphemes(text)
        self.size = len(text)
        self.cursor = len(split)
        if cursor is not None:
            self.cursor = _grapheme_at(split, cursor)

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace the graphemes from *start* to *end* with *text*, with the cursor after it.

        Only graphemes near the change are segmented anew: where one begins at a former boundary,
        all following ones do, too.
        """
        split = self.graphemes
        first = max(0, start - 1)
        before = "".join(split[first:start]) + text
        reach = NEAR_GRAPHEMES
        while True:
            near = split[end : end + reach]
            anew = graphemes(before + "".join(near))
            last = end + reach >= len(split)
            kept = (len(anew), len(near)) if last else _meeting(anew, near, len(before))
            if kept is not None:
                break
            reach *= 2
        self.size += len(text) - sum(map(len, split[start:end]))
        self.graphemes = [*split[:first], *anew[: kept[0]], *split[end + kept[1] :]]
        # At the end of the text the cursor is at the end of the new graphemes, without counting.
        self.cursor = first + (_grapheme_at(anew, len(before)) if near else len(anew))

    def halves(self) -> tuple[str, str]:
        """Return the text before the cursor and the text after it."""
        split = self.graphemes
        return "".join(split[: self.cursor]), "".join(split[self.cursor :])

    def _around(self, reach: int) -> tuple[list[str], list[str]]:
        """Return up to *reach* graphemes before the cursor and behind it."""
        first = max(0, self.cursor - reach)
        return self.graphemes[first : self.cursor], self.graphemes[self.cursor :][:reach]

    def word_before(self) -> int:
        """Return where the word before the cursor begins, in graphemes."""
        before, after = self._around(NEAR_POINTS)
        near = "".join([*before, *after])
        if len(before) == NEAR_POINTS and near.isascii():
            size = sum(map(len, before))
            start = _word_start(near, size)
            if start >= CONTEXT_POINTS:
                return self.cursor - len(before) + _grapheme_at(before, start)
        before, after = self._around(REACH_GRAPHEMES)
        start = _word_start("".join([*before, *after]), sum(map(len, before)))
        return self.cursor - len(before) + _grapheme_at(before, start)

    def word_after(self) -> int:
        """Return where the word after the cursor ends, in graphemes."""
        before, after = self._around(REACH_GRAPHEMES)
        size = sum(map(len, before))
        ends = [match.end() for match in _WORD.finditer("".join([*before, *after]))]
        end = min((at for at in ends if at > size), default=size + sum(map(len, after)))
        return self.cursor + _grapheme_at(after, end - size)


def _meeting(anew: Sequence[str], near: Sequence[str], least: int) -> tuple[int, int] | None:
    """Find the first boundary that two segmentations of the same text have in common.

    anew: graphemes of the text.
    near: graphemes of its end, which begins at the index *least* in code points.

    Returns how many of *anew* and of *near* stand before the boundary, or None. The end of the text
    does not count, since the last grapheme may continue in the text after it.
    """
    ends = {end: count for count, end in enumerate(accumulate(map(len, anew)), 1)}
    indexes = accumulate(map(len, near), initial=least)
    for count, index in enumerate(indexes):
        if index in ends and count < len(near):
            return ends[index], count
    return None


def _grapheme_at(graphemes: Sequence[str], index: int) -> int:
    """Return how many *graphemes* begin before the code point *index*."""
    end = 0
    for count, grapheme in enumerate(graphemes):
        if end >= index:
            return count
        end += len(grapheme)
    return len(graphemes)


def _word_start(text: str, end: int) -> int:
    """Return where the last word before *end* begins, or 0."""
    start = 0
    for match in _WORD.finditer(text):
        if match.start() >= end:
            break
        start = match.start()
    return start
