"""Words: how lines are taken apart for the search.

A search and the lines are taken apart in the same way and compared word by word. All functions are
pure. The index of a store is made with `words`: after a change of what it returns, the index must
be made anew (see backends/sqlite/schema.py).
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex

#: Scripts that are written without blanks between words: their words are pairs of characters
#: that stand side by side.
_SCRIPTS = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Yi")
_UNSPACED = "".join(rf"\p{{scx={script}}}" for script in _SCRIPTS)

# A run without blanks, a word, or a symbol such as an emoji, in this order; not what stands for a
# character that could not be shown.
_PIECE = regex.compile(
    rf"([[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]++)"
    rf"|([[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]++)|([\p{{So}}--\ufffd])",
    regex.V1,
)
# What the same finds in ASCII, many times as quickly.
_ASCII_WORD = re.compile("[0-9a-z]+")
_UNSPACED_LETTER = regex.compile(rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]", regex.V1)

# What stands for a word or a whole sentence, as U+FDFA does, stays as it is: a line of nothing else
# would become that many times as long, and take that many times as long.
_WHOLE = re.compile(
    "([{}])".format(
        "".join(
            chr(code)
            for code in (*range(0x2000, 0x3400), *range(0xFB00, 0xFE00))
            if len(unicodedata.normalize("NFKC", chr(code))) > (3 if code < 0x3400 else 4)
        )
    )
)

# Signs that writers leave out at times: diacritics, the vowel signs and points of Arabic, Hebrew
# and their kin, accents of chant, variation selectors, and tatweel (U+0640), which only makes words
# longer; and the nukta of Devanagari (U+093C). In other scripts marks are parts of letters, and so
# are the two marks of Kana (U+3099, U+309A) and hamza and madda (U+0653 to U+0655) but where _PLAIN
# says otherwise.
_SIGN = regex.compile(
    r"[[\p{Mn}&&[\p{sc=Inherited}\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Coptic}"
    r"\p{sc=Arabic}\p{sc=Hebrew}\p{sc=Syriac}\p{sc=Samaritan}\p{sc=Mandaic}\p{sc=Ethiopic}]]"
    r"--[\u3099\u309a\u0653-\u0655]]|\u0640|\u093c",
    regex.V1,
)
# The same for `re`, which is many times as quick with a set of characters of the first plane.
_SIGNS = re.compile(f"[{''.join(_SIGN.findall(''.join(map(chr, range(0x300, 0xFF00)))))}]+")


def _plain_letters() -> dict[str, str]:
    """Letters that people write as others, by these, of those that no decomposition makes equal.

    They are those of Latin that Unicode calls another one with something (ł is L with stroke),
    those that stand for two, and in Arabic the forms of alef, yeh, kaf and heh.
    """
    letters = dict(zip("آأإٱىیکة", "ااااييكه", strict=True))
    letters.update({"ı": "i", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th"})
    for code in (*range(0x80, 0x300), *range(0x2C60, 0x2C80), *range(0xA720, 0xA800)):
        named = _WITH.fullmatch(unicodedata.name(chr(code), ""))
        if named is not None:
            letters[chr(code)] = named[1].lower()
    return letters


_WITH = regex.compile("LATIN SMALL LETTER ([A-Z]) WITH .*")
_LETTERS = _plain_letters()
_PLAIN = re.compile(f"[{''.join(_LETTERS)}]")


def words(text: str) -> list[str]:
    """The words of *text* in their order, as they are compared: without case and optional signs.

    Of a run of Han characters and the like each pair of neighbours is a word, and the last
    character is one, so that every character begins some word.
    """
    return words_of(searchable(text))


def words_of(folded: str) -> list[str]:
    """Return the same for a text that is `searchable` already; each is a part of it."""
    return [word for piece in _pieces_of(folded) for word in piece]


def _pieces(text: str) -> Iterator[list[str]]:
    """Yield the words of each piece of *text*."""
    return _pieces_of(searchable(text))


def _pieces_of(folded: str) -> Iterator[list[str]]:
    """Yield the words of each piece of a text that is folded already."""
    if folded.isascii():
        for word in _ASCII_WORD.findall(folded):
            yield [word]
        return
    for match in _PIECE.finditer(folded):
        run = match[1]
        if run is None:
            yield [match[0]]
        else:
            yield [*map("".join, itertools.pairwise(run)), run[-1]]


def searchable(text: str) -> str:
    """*text* as it is compared: what is equal after that is the same to people who search."""
    if text.isascii():
        return text.lower()
    kept = _WHOLE.split(text)
    kept[::2] = [unicodedata.normalize("NFKC", part) for part in kept[::2]]
    bare = _SIGNS.sub("", unicodedata.normalize("NFD", "".join(kept).casefold()))
    return _PLAIN.sub(lambda letter: _LETTERS[letter[0]], unicodedata.normalize("NFC", bare))


@dataclass(frozen=True, slots=True)
class Phrase:
    """Consecutive words. *begins*: the last word need only be the beginning of one."""

    words: tuple[str, ...]
    begins: bool = False

    def found_in(self, said: Sequence[str]) -> bool:
        """Return whether the phrase is among the words of a line."""
        size = len(self.words)
        for start in range(len(said) - size + 1):
            if said[start + size - 1].startswith(self.words[-1]) and all(
                said[start + index] == word
                for index, word in enumerate(self.words)
                if not (self.begins and index == size - 1)
            ):
                return True
        return False


def named(name: str) -> Phrase:
    """What is in a line that names *name*. Of nothing but signs that are left out it is *name*."""
    return next(iter(phrases(f'"{name}"')), Phrase((name,)))


def finder(phrases: Sequence[Phrase]) -> Callable[[str], bool]:
    """A function that says whether all *phrases* are in a text.

    It takes apart only texts in which the words are at all, since that is what costs.
    """
    wanted = {word for phrase in phrases for word in phrase.words}

    def found_in(text: str) -> bool:
        folded = searchable(text)
        if not all(word in folded for word in wanted):
            return False
        said = words_of(folded)
        return all(phrase.found_in(said) for phrase in phrases)

    return found_in


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
