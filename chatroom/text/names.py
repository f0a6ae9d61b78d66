"""Check and compare names, and make text safe for the terminals of others.

All text from a user goes through `clean`, `check_name` or `check_room` before other users see it.
All functions are pure.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from typing import Final

import regex

from chatroom.text import lookalikes
from chatroom.text.lookalikes import STROKE

MAX_NAME: Final = 24  # characters (code points) of the display form
# The greatest number of code points of a folded name (with the # of a room): for each character, a
# letter and at most four marks.
_MAX_KEY: Final = 5 * MAX_NAME + 1
MAX_TOPIC: Final = 300  # characters
MAX_BLANKS: Final = 8  # in a row: too few to push text to the start of a terminal's next row

_REPLACEMENT = "\ufffd"
_BOM = "\ufeff"

# Scripts in use today: UAX 31, Table 5 (Recommended) and Table 7 (Limited Use). A name is of one
# script, or of one of the combinations with Han that UTS 39, section 5.1, allows.
_SCRIPTS = """
    Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Hebrew
    Kannada Khmer Lao Latin Malayalam Myanmar Oriya Sinhala Tamil Telugu Thaana Thai Tibetan
    Adlam Balinese Bamum Batak Canadian_Aboriginal Chakma Cham Cherokee Hanifi_Rohingya Javanese
    Kayah_Li Lepcha Limbu Lisu Mandaic Meetei_Mayek Miao New_Tai_Lue Newa Nko
    Nyiakeng_Puachue_Hmong Ol_Chiki Osage Saurashtra Sundanese Syloti_Nagri Syriac Tai_Le Tai_Tham
    Tai_Viet Tifinagh Vai Wancho Yi
    Han+Hiragana+Katakana Han+Hangul Han+Bopomofo
"""


def _script_class(scripts: Iterable[str]) -> str:
    """Return a pattern for characters of these scripts and common to all scripts."""
    members = "".join(rf"\p{{scx={script}}}" for script in scripts)
    return rf"[{members}\p{{scx=Common}}\p{{scx=Inherited}}]"


_COMBINATIONS = [entry.split("+") for entry in _SCRIPTS.split()]
_ANY_SCRIPT = _script_class(script for scripts in _COMBINATIONS for script in scripts)
_ONE_SCRIPT = "|".join(f"{_script_class(scripts)}++" for scripts in _COMBINATIONS)

# Patterns that a name must match, each with the end of the sentence for a name that does not. The
# first that does not match is shown.
_RULES = [
    (regex.compile(pattern, regex.V1 | regex.DOTALL), sentence)
    for pattern, sentence in (
        (r"\P{DI}++", "has no invisible characters."),
        (r"\p{L}.*+", "begins with a letter."),
        (r"[\p{L}\p{M}\p{Nd}_\-]++", "consists of letters, digits, _ and -."),
        (r"(?:\P{M}\p{M}{0,4}+)++", "has at most four combining marks in a row."),
        (rf"{_ANY_SCRIPT}++", "is in a script that is in use today."),
        (_ONE_SCRIPT, "is of one script; this one mixes several."),
    )
]

_RESERVED_WORDS = """
    admin administrator chatroom console daemon error everybody everyone here host me mod
    moderator nobody notice op operator root server service staff sysop system warning you
"""

_LOOKALIKES = lookalikes.table()
_STROKES = str.maketrans({STROKE: "l", "i": "l"})
_GUEST = regex.compile(r"guest[\p{Nd}lo]*+")

# ZWJ and ZWNJ are the two format characters that words and emoji are spelled with.
_UNSAFE = regex.compile(
    r"[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{NChar}]--[\u200c\u200d]]", regex.V1
)

# The defaults of ERASE, KILL and WERASE (termios(3)); on some terminals ERASE is BS.
_ERASING = frozenset("\x08\x7f\x15\x17")
# Characters that attach to the one before; the joiner makes one emoji of several.
_JOINER = "\u200d"
_ATTACHED = regex.compile(rf"[\p{{M}}\p{{EMod}}{_JOINER}]")

# Invisible characters between marks do not hide a fifth mark; they are cut together with it.
_EXTRA_MARKS = regex.compile(r"(?:\p{M}[\p{DI}--\p{M}]*+){4}\K\p{M}[\p{M}\p{DI}]*+", regex.V1)

# Characters without ink: blanks by category, blanks by design (Braille, a note head, two
# hieroglyphs), and the fillers, which are letters. Default-ignorable characters inside a run count
# as part of it. This is the inside of a character class for `regex`.
BLANKS: Final = r"\p{Zs}\u2800\U0001D159\U00013441\U00013442"
_BLANK = rf"{BLANKS}\p{{DI}}"
# Some marks on a blank show no ink either (U+16FE4, U+1107F), nor do some vowels of Hangul without
# a consonant.
_NO_CELLS = r"\p{M}\u1160-\u11ff\ud7b0-\ud7ff"
_WIDE_BLANKS = regex.compile(rf"[{_BLANK}][{_BLANK}{_NO_CELLS}]{{{MAX_BLANKS},}}+", regex.V1)
_WIDE_SPACES = " " * (MAX_BLANKS + 1)
_LEADING = regex.compile(rf"[{_BLANK}\p{{M}}]++", regex.V1)
_TRAILING = regex.compile(rf"[{BLANKS}[\p{{DI}}&&\p{{L}}]][{_BLANK}]*+$", regex.V1)

_CLUSTER = regex.compile(r"\X")

# The least similarity of a suggestion: with 0.7 a long word may have two slips, and `login` does
# not suggest `join`.
_MIN_SIMILARITY = 0.7

# Only this many of the most promising choices are compared by difflib, which is slow.
_MAX_COMPARED = 8


class NameRefused(ValueError):
    """A name is not allowed; the message is a sentence for the user who typed it."""


def check_name(name: str) -> str:
    """Return `name` in the form (NFC) in which it is shown to others.

    Raises NameRefused if it breaks a rule for names. Does not check whether it is reserved or
    taken.
    """
    return _check(name, "A name")


def check_room(name: str) -> str:
    """Return a room's name in the form in which it is shown, without a leading `#`.

    Raises NameRefused; the rules are those of `check_name`.
    """
    return _check(name.removeprefix("#"), "A room's name")


def is_reserved(name: str) -> bool:
    """Return whether `name` is reserved: `guestN`, or easily taken for the server."""
    shape = _joined(skeleton(name))
    return shape in _RESERVED_SKELETONS or _GUEST.fullmatch(shape) is not None


def fold(name: str) -> str:
    """Return the key by which a name or a room is unique.

    It has neither case nor compatibility forms. `fold(fold(name)) == fold(name)`. A leading `#`
    stays. Input that is too long for a name gets a key that is too long for a name, without taking
    longer.
    """
    name = name[:_MAX_KEY]
    if name.isascii():
        return name.lower()
    before, folded = name, _fold_once(unicodedata.normalize("NFD", name))
    while folded != before:
        before, folded = folded, _fold_once(folded)
    return folded[:_MAX_KEY]


def skeleton(name: str) -> str:
    """Return a key that is equal for names that may look alike (UTS 39, section 4).

    The skeletons of `i` and `l` are equal, since a stroke may be a capital `I` or an `l`. So two
    names with the same skeleton need not look alike; `alike` decides that.
    """
    return _look(_drawn(name)).translate(_STROKES)


def alike(name: str, other: str) -> bool:
    """Return whether `name` can be confused with `other`.

    `aIice` and `ALlCE` may be taken for `alice`, `lvan` for `ivan`; `mia` is not taken for `mla`.
    """
    if skeleton(name) != skeleton(other):
        return fold(name) == fold(other)
    drawn = _drawn(name)
    # An l can be read as an I where a capital may stand: among others, or at the beginning.
    capitals = len(drawn) if drawn[1:] != drawn[1:].lower() else 1
    drawn = drawn[:capitals].replace("l", STROKE) + drawn[capitals:]
    pairs = zip(_look(drawn), _look(_drawn(other)), strict=True)
    return all(one == another or STROKE in (one, another) for one, another in pairs)


def clean(text: str) -> str:
    """Return `text` without anything that could harm or mislead a terminal's user.

    Erasing characters, which clients without a line editor send, are applied and removed: BS and
    DEL for a character, ^W for a word, ^U for the line. A leading byte order mark is removed, and a
    TAB becomes a space. Other control characters, format characters (except ZWJ and ZWNJ),
    surrogates, private use, line and paragraph separators and noncharacters become U+FFFD. At most
    four combining marks and at most MAX_BLANKS blanks may follow one another. Idempotent.
    """
    printable = text.isprintable()
    if printable and text.isascii() and _WIDE_SPACES not in text:
        return text
    # Text that Python calls printable contains no character that is erased or replaced.
    if not printable:
        if not _ERASING.isdisjoint(text):
            text = _edited(text)
        text = _UNSAFE.sub(_REPLACEMENT, text.lstrip(_BOM).replace("\t", " "))
    text = _EXTRA_MARKS.sub("", text)
    text = _WIDE_BLANKS.sub(" " * MAX_BLANKS, text)
    return text


def clean_topic(text: str) -> str:
    """Return `text` cleaned, stripped of blanks, and cut to MAX_TOPIC characters."""
    text = clean(text)
    start = _LEADING.match(text)
    text = cut(text[start.end() :] if start else text, MAX_TOPIC)
    text = _TRAILING.sub("", text)
    return text


def cut(text: str, length: int) -> str:
    """Return `text` cut to `length` characters, at the end of a grapheme (UAX 29).

    Only a first grapheme that is longer than `length` is cut. Finding graphemes takes a third of a
    microsecond per character: use it for topics, not for lines.
    """
    if len(text) <= length:
        return text
    # One more character shows whether the last grapheme continues; the last end is dropped.
    *ends, _ = (cluster.end() for cluster in _CLUSTER.finditer(text, endpos=length + 1))
    return text[: ends[-1] if ends else length]


def match_prefix(prefix: str, names: Iterable[str]) -> list[str]:
    """Return the `names` that begin with `prefix` in any case, or else only the equal one."""
    key = fold(prefix)
    matches = [(folded, name) for name in names if (folded := fold(name)).startswith(key)]
    exact = [name for folded, name in matches if folded == key]
    return exact or [name for _, name in matches]


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """Return the one of `choices` that a user who typed `word` may have meant, or None."""
    # A word that is longer than any name, perhaps after folding, is no typing error, and comparing
    # it would be slow.
    if len(word) > MAX_NAME or len(word := fold(word)) > MAX_NAME:
        return None
    letters, pairs = sorted(word), _pairs(word)
    shared: list[tuple[float, str]] = []
    for choice in choices:
        length = len(choice)
        # For difflib, short words with two letters swapped are not similar.
        if length == len(word) and sorted(choice) == letters:
            return choice
        # The lengths alone give an upper bound of the similarity that difflib would find.
        if 2 * min(length, len(word)) >= _MIN_SIMILARITY * (length + len(word)):
            common = len(pairs & _pairs(choice))
            shared.append((-2 * common / (length + len(word)), choice))
    likely = [choice for _, choice in nsmallest(_MAX_COMPARED, shared)]
    near = difflib.get_close_matches(word, likely, n=1, cutoff=_MIN_SIMILARITY)
    return near[0] if near else None


@lru_cache(maxsize=4096)
def _pairs(word: str) -> frozenset[str]:
    """Return the pairs of neighbouring letters in *word*."""
    return frozenset(map("".join, pairwise(f" {word} ")))


def _edited(text: str) -> str:
    """Return *text* after its erasing control characters were applied and removed."""
    typed: list[str] = []
    for character in text:
        if character not in _ERASING:
            typed.append(character)
        elif character == "\x15":
            typed.clear()
        elif character == "\x17":
            while typed and typed[-1].isspace():
                typed.pop()
            while typed and not typed[-1].isspace():
                typed.pop()
        else:
            _erase(typed)
    return "".join(typed)


def _erase(typed: list[str]) -> None:
    """Remove the last character, with its marks and the characters it is joined to."""
    while typed:
        last = typed.pop()
        joined = typed and typed[-1] == _JOINER
        if last.isascii() or not (joined or _ATTACHED.match(last)):
            break


def _check(name: str, subject: str) -> str:
    if not name:
        raise NameRefused(f"{subject} has at least one character.")
    # NFC composes at most four characters into one, so longer input stays too long.
    display = unicodedata.normalize("NFC", name) if len(name) <= 4 * MAX_NAME else name
    if len(display) > MAX_NAME:
        raise NameRefused(f"{subject} has at most {MAX_NAME} characters.")
    for form in (display, unicodedata.normalize("NFKC", display)):
        if fault := _fault(form):
            raise NameRefused(f"{subject} {fault}")
    return display


def _fault(form: str) -> str | None:
    """Return what is wrong with a name, as the end of a sentence, or None."""
    faults = (sentence for rule, sentence in _RULES if not rule.fullmatch(form))
    # The tables of `regex` may be newer than Python's, which cannot fold characters unknown to it.
    return next(faults, None if form.isprintable() else "has no characters unknown here.")


def _fold_once(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _drawn(name: str) -> str:
    """Return what `name` looks like. Case is kept: `I` looks like `l`, `i` does not."""
    text = unicodedata.normalize("NFKC", name)
    return unicodedata.normalize("NFD", text).translate(_LOOKALIKES)


def _look(drawn: str) -> str:
    """Return *drawn* (see `_drawn`) without case."""
    look = fold(drawn)
    # The prototype of a letter may, in its other case, have a prototype in turn.
    for _ in range(3):
        look = fold(_drawn(look))
    return unicodedata.normalize("NFD", look)


def _joined(look: str) -> str:
    """Return `look` without signs that users overlook in an imitated name."""
    return look.replace("_", "").replace("-", "")


_RESERVED_SKELETONS = frozenset(map(skeleton, _RESERVED_WORDS.split()))
