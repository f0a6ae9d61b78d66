"""Words: what a line is found by.

The rule: what is looked for is taken apart as what was said was, and both are compared word by
word. Pure functions of their arguments; a store's index is made with them, so whoever changes
what `words` returns has to have the index made anew (store/schema.py).
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

#: Scripts that are written without blanks between words: their words are pairs of characters
#: that stand side by side.
_SCRIPTS = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Yi")
_UNSPACED = "".join(rf"\p{{scx={script}}}" for script in _SCRIPTS)

# A run without blanks, a word, or a symbol such as an emoji, in this order.
_PIECE = regex.compile(
    rf"([[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]++)"
    rf"|([[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]++)|(\p{{So}})",
    regex.V1,
)
_UNSPACED_LETTER = regex.compile(rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]", regex.V1)

#: Diacritics of the scripts whose writers leave them out at times: café is found by cafe.
_DIACRITICS = regex.compile(r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}]\p{Mn}*)\p{Mn}")


def words(text: str) -> list[str]:
    """The words of *text* in their order, as they are compared: without case and diacritics.

    Of a run of Han characters and the like each pair of neighbours is a word, and the last
    character is one, so that every character begins some word.
    """
    return [word for piece in _pieces(text) for word in piece]


def _pieces(text: str) -> Iterator[list[str]]:
    """The words of each piece of *text*."""
    for match in _PIECE.finditer(_fold(text)):
        run = match[1]
        if run is None:
            yield [match[0]]
        else:
            yield [*map("".join, itertools.pairwise(run)), run[-1]]


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _DIACRITICS.sub("", unicodedata.normalize("NFD", folded))
    return unicodedata.normalize("NFC", plain)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow one another. *begins*: the last one may go on."""

    words: tuple[str, ...]
    begins: bool = False

    def found_in(self, said: Sequence[str]) -> bool:
        """Whether it is among the words of a line."""
        size = len(self.words)
        for start in range(len(said) - size + 1):
            if said[start + size - 1].startswith(self.words[-1]) and all(
                said[start + index] == word
                for index, word in enumerate(self.words)
                if not (self.begins and index == size - 1)
            ):
                return True
        return False


_TERM = regex.compile(r'"([^"]*)"|(\S+)')


def phrases(query: str) -> list[Phrase]:
    """What somebody looks for, all of which has to be in a line; empty if there is no word in it.

    Words in double quotes follow one another; `umbr*` is any word that begins so.
    """
    found = []
    for match in _TERM.finditer(query):
        text = match[1] or match[2] or ""
        pieces = list(_pieces(text))
        if pieces:
            *before, last = pieces
            # A run that ends the phrase may go on in the line: its last character is in a pair
            # there, and a single one begins a pair.
            wanted = [word for piece in before for word in piece] + (last[:-1] or last)
            single = len(last) == 1 and _UNSPACED_LETTER.fullmatch(last[0]) is not None
            found.append(Phrase(tuple(wanted), single or text.endswith("*")))
    return found
