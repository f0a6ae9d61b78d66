"""How much room text takes on a terminal, and where its rows end."""

import re
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from chatroom.text.cells import (
    _PIECE,
    _split,
    _wrapped,
    cells,
    columns,
    common_prefix,
    doubtful,
    graphemes,
    visible,
    wrap,
)
from chatroom.text.names import clean
from tests.support.fuzzing import examples

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
HEART = "\u2764\ufe0f"
FLAG = "\U0001f1e9\U0001f1ea"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        *(("", 0), ("abc", 3), ("小明", 4), ("e\u0301", 1), (HEART, 2), (FLAG, 4)),
        # Where the sequence is not known, each of its characters is shown.
        *((FAMILY, 6), ("©\u200d" * 71, 71), ("क्ष" * 40, 80), ("\u1100\u1161\u11a8", 4)),
        *(("\U0001f44d\U0001f3fd", 4), ("☎\ufe0e", 1), ("\U00011700\U0001171e", 2)),
        # Emoji elsewhere, or later.
        *(("\U0001f321", 2), ("\U0001faff", 2)),
        # Wide to the C library, and so to many terminals.
        *(("\u3248" * 10, 20), ("\u324f", 2), ("\U00016ff0", 2)),
        # A filler that is a letter of two cells, a mark of two, and a sign that joins.
        *(("\u3164", 2), ("가\u302e", 4), ("\u0ccd\u0da5", 2)),
    ],
)
def test_text_takes_at_most_so_many_cells(text: str, width: int) -> None:
    assert cells(text) == width
    assert len(graphemes(text)) <= max(1, width)


@pytest.mark.parametrize(
    ("grapheme", "shown"),
    [
        ("a", ("a", 1)),
        ("小", ("小", 2)),
        ("\x01", ("^A", 2)),
        ("\t", ("^I", 2)),
        ("\x7f", ("^?", 2)),
        ("\x1b", ("^[", 2)),
        ("\x9b", ("\ufffd", 1)),
        ("\u202e", ("\ufffd", 1)),
        ("\ud800", ("\ufffd", 1)),
        ("\u0301", ("\ufffd", 1)),
        ("\u200d", ("\ufffd", 1)),
        ("\u3164", ("\ufffd", 1)),
        ("e" + "\u0301" * 9, ("e" + "\u0301" * 4, 1)),
        (FAMILY, (FAMILY, 2)),
    ],
)
def test_whatever_is_typed_is_shown_as_something(grapheme: str, shown: tuple[str, int]) -> None:
    assert visible(grapheme) == shown


@given(st.text(alphabet=st.characters(), max_size=5))
@examples(500)
def test_what_is_shown_is_printable_and_takes_room(text: str) -> None:
    for grapheme in graphemes(text):
        shown, width = visible(grapheme)
        assert width >= 1
        assert cells(shown) >= width
        assert clean(shown) == shown
        assert shown.isprintable() or shown == "\u3000" or not shown.isascii()


def test_terminals_disagree_about_emoji_and_sequences() -> None:
    assert not any(map(doubtful, ["a", "é", "e\u0301", "小", "\ufffd"]))
    assert all(map(doubtful, [FAMILY, HEART, FLAG, "\U0001f600", "क्षे"]))


LINK = "https://example.org/a/b"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("exactly twenty cells", ["exactly twenty cells"]),
        ("exactly twenty cells,", ["exactly twenty", "   cells,"]),
        ("several words that go on", ["several words that", "   go on"]),
        ("  leading blanks and more", ["  leading blanks and", "   more"]),
        ("words   with    many    blanks", ["words   with    many", "   blanks"]),
        ("x" * 30, ["x" * 20, "   " + "x" * 10]),
        ("ab " + "x" * 30, ["ab", "   " + "x" * 17, "   " + "x" * 13]),
        ("你好我们今天去吃饭吧好的", ["你好我们今天去吃饭吧", "   好的"]),
        # What closes does not begin a row, and what opens does not end one.
        ("你好我们今天去吃饭吧。好的", ["你好我们今天去吃饭", "   吧。好的"]),
        ("你好我们今天去吃饭「好的」", ["你好我们今天去吃饭", "   「好的」"]),
        ("ab 漢字漢字 cd 漢字漢字漢字", ["ab 漢字漢字 cd 漢字", "   漢字漢字"]),
        ("see `one two three` there", ["see `one two three`", "   there"]),
        ("look: `one two three`", ["look:", "   `one two three`"]),
        ("it`s five o`clock there now", ["it`s five o`clock", "   there now"]),
        # As wide as a row without its indent.
        ("see https://example.org/ there", ["see", "https://example.org/", "   there"]),
        # The terminal continues it in its next row by itself, which has no margin.
        (f"see {LINK} there", ["see", LINK, "   there"]),
        (f"see {LINK} there and more of it", ["see", LINK, "   there and more of", "   it"]),
        (f"see {LINK}，好", ["see", LINK, "   ，好"]),
        (
            "`" + "some long code " * 2 + "there` ok",
            ["`some long code some", "   long code there`", "   ok"],
        ),
        ("see `one two three four` there", ["see `one two three", "   four` there"]),
        # No blank keeps words together for a whole row, and no link goes on for ever.
        ("well:\u00a0-- Your\u00a0session ended", ["well:\u00a0-- Your", "   session ended"]),
        (
            "x http://a.b/\u2800-- Your\u2800session\u2800has",
            ["x http://a.b/\u2800--", "   Your\u2800session\u2800has"],
        ),
        (
            "--\u3000--\u3000--\u3000--\u3000--\u3000--",
            ["--\u3000--\u3000--\u3000--\u3000--", "   --"],
        ),
        (FAMILY * 5, [FAMILY * 3, "   " + FAMILY * 2]),
        ("क्ष" * 12, ["क्ष" * 10, "   " + "क्ष" * 2]),
        ("e\u0301" * 22, ["e\u0301" * 20, "   " + "e\u0301" * 2]),
    ],
)
def test_a_line_is_wrapped_at_words(text: str, rows: list[str]) -> None:
    assert wrap(text, 20, 3) == rows


WORDS = st.sampled_from(
    [
        *("a", "the", "word", "wonderful", "x" * 45, " ", "  ", "`", "`a b`", "(", ")"),
        *("小明", "，", "「", "」", "각", "ー", FAMILY, HEART, "e\u0301", FLAG),
        *("https://a.org/", "https://" + "b" * 40, "-- not\u00a0the", "\u2800", "\u3000", "\u00a0"),
        *("क्ष" * 9, "©\u200d", "\u1100" * 5 + "\u1161" * 5),
    ]
)
LINES = st.lists(WORDS, max_size=30).map("".join).map(clean)


def without_blanks(text: str) -> str:
    return "".join(char for char in text if not char.isspace() and char != "\u2800")


def readings(row: str) -> set[int]:
    """How many cells terminals take for *row*: by sequences, or by code points."""
    return {wcswidth(row), sum(max(0, wcwidth(character)) for character in row)}


@given(LINES, st.integers(20, 60), st.integers(0, 8))
@examples(500)
def test_wrapped_rows_fit_and_lose_nothing_but_blanks(text: str, width: int, indent: int) -> None:
    rows = wrap(text, width, indent)
    assert without_blanks("".join(rows)) == without_blanks(text)
    for row in rows:
        assert max(readings(row)) <= cells(row)
        # What a terminal continues by itself is a link.
        assert cells(row) <= width or re.match(r"[!-~ ]*https://[!-~]{10}", row)
    for row in rows[1:]:
        assert row.startswith(" " * indent) or row.startswith("https://")


@pytest.mark.parametrize(
    ("texts", "prefix"),
    [
        ([], ""),
        (["alice"], "alice"),
        (["alice", "alan"], "al"),
        (["Alice", "alan"], "Al"),
        (["bob", "alan"], ""),
        (["e\u0301a", "e\u0301b"], "e\u0301"),
        (["ea", "e\u0301b"], ""),
        (["小明", "小红"], "小"),
        (["ａlina", "Alice"], "ａli"),
        (["Élo", "e\u0301la"], "Él"),
    ],
)
def test_a_common_prefix(texts: list[str], prefix: str) -> None:
    assert common_prefix(texts) == prefix


def test_choices_stand_in_columns() -> None:
    assert columns(["alice", "bob", "小明明", "x"], 20) == ["alice   bob", "小明明  x"]
    assert columns(["a" * 30, "b"], 20) == ["a" * 30, "b"]
    assert columns([], 20) == []


@given(st.text(alphabet="ab,  (-)é漢。「", min_size=20, max_size=150), st.integers(0, 8))
@examples(500)
def test_the_fast_ways_give_the_same_rows(text: str, indent: int) -> None:
    if len(text) > 20:
        assert wrap(text, 20, indent) == _wrapped(text, _split(text), 20, indent)


@given(st.text("ab  (-)é\u0301漢🏽😀\u200d。「っ한\u11abกี\ufe0f\u3000", min_size=1, max_size=20))
@examples(500)
def test_texts_are_split_by_kind_where_the_pattern_splits_them(text: str) -> None:
    begins = accumulate((len(word) + len(gap) for word, gap in _PIECE.findall(text)), initial=0)
    assert list(_split(text).begins) == list(begins)[:-1]
