"""Split lines and searches into words.

A search and the lines are split in the same way and compared word by word. All functions are pure.
The search index of a store is made with `words`: after a change of what it returns, a migration
must make the index anew (see backends/sqlite/schema.py).
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex

from chatroom.text.characters import Table

#: Scripts that are written without blanks between words: each pair of neighbouring characters
#: counts as a word.
_SCRIPTS = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Yi")
_UNSPACED = "".join(rf"\p{{scx={script}}}" for script in _SCRIPTS)

# Words are found in a text of the kinds of the characters, which is ASCII: u for letters, numbers
# and marks of an unspaced script, w for others, s for symbols such as emoji. U+FFFD, which stands
# for characters that were removed, is no symbol.
_KINDS = Table(
    "-",
    [
        ("s", r"[\p{So}--\ufffd]"),
        ("w", r"[\p{L}\p{N}\p{M}]"),
        ("u", rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]"),
    ],
    "w",
    "-",
)
_PIECE = re.compile("w+|u+|s")
# Finds the same words in ASCII text, many times faster.
_ASCII_WORD = re.compile("[0-9a-z]+")
_UNSPACED_LETTER = regex.compile(rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}\p{{M}}]]", regex.V1)

# Characters for a word or a sentence, such as U+FDFA, are not decomposed: a line of nothing else
# would become many times as long.
_UNDECOMPOSED = re.compile(
    "([{}])".format(
        "".join(
            chr(code)
            for code in (*range(0x2000, 0x3400), *range(0xFB00, 0xFE00))
            if len(unicodedata.normalize("NFKC", chr(code))) > (3 if code < 0x3400 else 4)
        )
    )
)

# Signs that writers may leave out, and that do not count: diacritics, the vowel signs and points of
# Arabic, Hebrew and related scripts, accents of chant, variation selectors, tatweel (U+0640), which
# only makes words longer, and the nukta of Devanagari (U+093C). In other scripts marks are parts of
# letters. So are the two marks of Kana (U+3099, U+309A), and hamza and madda (U+0653 to U+0655)
# except for the letters in _LETTERS.
_SIGN = regex.compile(
    r"[[\p{Mn}&&[\p{sc=Inherited}\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Coptic}"
    r"\p{sc=Arabic}\p{sc=Hebrew}\p{sc=Syriac}\p{sc=Samaritan}\p{sc=Mandaic}\p{sc=Ethiopic}]]"
    r"--[\u3099\u309a\u0653-\u0655]]|\u0640|\u093c",
    regex.V1,
)
# The same set for `re`, which is many times faster with characters of the first plane.
_SIGNS = re.compile(f"[{''.join(_SIGN.findall(''.join(map(chr, range(0x300, 0xFF00)))))}]+")


def _plain_letters() -> dict[str, str]:
    """Return letters that writers may replace and NFD does not decompose, and by which.

    These are the Latin letters that Unicode names after another one (ł is L WITH STROKE), ligatures
    of two letters, and in Arabic the forms of alef, yeh, kaf and heh.
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
_PLAIN_LETTERS = str.maketrans(_LETTERS)


def words(text: str) -> list[str]:
    """Return the words of *text* in their order, without case and optional signs.

    In a run of an unspaced script each pair of neighbours is a word, and so is the last character.
    So a word begins at every character.
    """
    return words_of(searchable(text))


def words_of(folded: str) -> list[str]:
    """Return the words of a text that `searchable` returned; each is a part of it."""
    return [word for piece in _pieces_of(folded) for word in piece]


def _pieces(text: str) -> Iterator[list[str]]:
    """Yield the words of each piece of *text*."""
    return _pieces_of(searchable(text))


def _pieces_of(folded: str) -> Iterator[list[str]]:
    """Yield the words of each piece of a text that `searchable` has returned."""
    if folded.isascii():
        for word in _ASCII_WORD.findall(folded):
            yield [word]
        return
    kinds = _KINDS.of(folded)
    for match in _PIECE.finditer(kinds):
        begin, end = match.span()
        run = folded[begin:end]
        if kinds[begin] == "u":
            yield [*map("".join, itertools.pairwise(run)), run[-1]]
        else:
            yield [run]


def searchable(text: str) -> str:
    """Return *text* in the form that is compared, without case and optional signs."""
    if text.isascii():
        return text.lower()
    kept = _UNDECOMPOSED.split(text)
    kept[::2] = [unicodedata.normalize("NFKC", part) for part in kept[::2]]
    bare = _SIGNS.sub("", unicodedata.normalize("NFD", "".join(kept).casefold()))
    composed = unicodedata.normalize("NFC", bare)
    return composed.translate(_PLAIN_LETTERS) if _PLAIN.search(composed) else composed


@dataclass(frozen=True, slots=True)
class Phrase:
    """Consecutive words.

    begins: whether the last one may be the beginning of a longer word.
    """

    words: tuple[str, ...]
    begins: bool = False

    def found_in(self, said: Sequence[str]) -> bool:
        """Return whether the words of a line, *said*, contain the phrase."""
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
    """Return the phrase that is in a line that mentions *name*."""
    # A name of nothing but optional signs has no words.
    return next(iter(phrases(f'"{name}"')), Phrase((name,)))


def finder(phrases: Sequence[Phrase]) -> Callable[[str], bool]:
    """Return a function that returns whether a text contains all *phrases*."""
    wanted = {word for phrase in phrases for word in phrase.words}

    def found_in(text: str) -> bool:
        folded = searchable(text)
        # Splitting is slow, and few texts contain all words.
        if not all(word in folded for word in wanted):
            return False
        said = words_of(folded)
        return all(phrase.found_in(said) for phrase in phrases)

    return found_in


_TERM = regex.compile(r'"([^"]*)"|(\S+)')


def phrases(query: str) -> list[Phrase]:
    """Parse a search into phrases, all of which a line must contain; [] without words.

    Words in double quotes are one phrase; `umbr*` stands for any word that begins so. For example,
    `"red umbrella" rain*` is two phrases.
    """
    found = []
    for match in _TERM.finditer(query):
        text = match[1] or match[2] or ""
        pieces = list(_pieces(text))
        if pieces:
            *before, last = pieces
            # A run of an unspaced script may continue in the line. Then its last character is part
            # of a pair there, and a single character is the beginning of a pair.
            wanted = [word for piece in before for word in piece] + (last[:-1] or last)
            single = len(last) == 1 and _UNSPACED_LETTER.fullmatch(last[0]) is not None
            found.append(Phrase(tuple(wanted), single or text.endswith("*")))
    return found
