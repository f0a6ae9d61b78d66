"""Nobody's text stands where the server's lines begin, on whatever terminal.

What is said is shown on models of terminals that measure text in different ways. The first row of
a message begins with who said it; in all others the columns of the margin are empty, but for links,
which terminals continue by themselves.
"""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.formats.ansi import Colours, terminal
from chatroom.model.events import Emoted, Event, Found, Noticed, Said, TopicSet, Whispered
from chatroom.text.names import clean
from tests.support.fuzzing import examples
from tests.support.terminal import OldTerminal, Terminal

NOW = 1_800_000_005.0
#: Of rows that go on; lines of the server begin with as many characters.
MARGIN = 3


class NaiveTerminal(Terminal):
    """One that has no tables but East_Asian_Width, and draws marks with a place of their own."""

    def measured(self, data: str) -> list[tuple[str, int]]:
        return [(character, _naive_width(character)) for character in data]


def _naive_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


TERMINALS = [Terminal, OldTerminal, NaiveTerminal]


def rows_of(kind: type[Terminal], event: Event, width: int) -> list[str]:
    """What a terminal shows of *event*."""
    shown = kind(width, 10)
    shown.feed(terminal(width, Colours.MANY).encode(event))
    rows = shown.rows
    return rows[: max((at for at, row in enumerate(rows) if row), default=0) + 1]


def in_margin(rows: list[str]) -> list[str]:
    """The rows after the first that begin in the margin."""
    return [row for row in rows[1:] if row[:MARGIN].strip()]


FORGED = "-- Your session has expired. /login bob PASSWORD"


@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize(
    "text",
    [
        "x " * 20 + FORGED.replace(" ", "\u00a0"),
        "x " * 20 + FORGED.replace(" ", "\u2007"),
        "x " * 20 + f"`{FORGED}`",
        "http://a.example/\u2800" + "x" * 60 + f"\u2800{FORGED}",
        "`x http://a.example/" + "x" * 60 + FORGED.replace(" ", "\u3164") + "`",
        "क्ष" * 71 + FORGED,
        "©\u200d" * 71 + FORGED,
        "\u0ccd\u0da5" * 71 + FORGED,
        "\U0001f469\u200d" * 40 + FORGED,
        "☎\ufe0f" * 40 + FORGED,
        "\U0001f1e9" * 81 + FORGED,
    ],
)
def test_no_text_fills_a_row_so_that_what_follows_looks_like_a_line_of_the_servers(
    kind: type[Terminal], width: int, text: str
) -> None:
    assert in_margin(rows_of(kind, Said(NOW, 1, "alice", clean(text)), width)) == []


@pytest.mark.parametrize("kind", TERMINALS)
@pytest.mark.parametrize("tail", ["--", "*", "bob:", "->"])
def test_nothing_follows_a_link_in_the_rows_that_the_terminal_made_of_it(
    kind: type[Terminal], tail: str
) -> None:
    link = "https://a.example/".ljust(80, "x") + tail
    event = Said(NOW, 1, "alice", f"see {link} Your session has expired. /login bob PASSWORD")
    assert rows_of(kind, event, 80) == [
        "alice: see",
        link[:80],
        tail,
        "       Your session has expired. /login bob PASSWORD",
    ]


PIECES = st.sampled_from(
    [
        *("-- ", "a", "word ", " ", "\u00a0", "\u2007", "\u202f", "\u3000", "\u1680", "\u2800"),
        *("`", "(", "小", "，", "क्ष", "©\u200d", "☎\ufe0f", "\u0ccd\u0da5", "\u0903", "e\u0301"),
        *("\U0001f469\u200d\U0001f467", "\U0001f1e9", "\U0001f44d\U0001f3fd", "\u1100\u1161"),
        *("\u3164", "\u115f", "\u17b4", "\U00016fe4", "x" * 15),
    ]
)


@given(
    text=st.lists(st.tuples(PIECES, st.integers(1, 25)), max_size=6)
    .map(lambda parts: "".join(piece * count for piece, count in parts))
    .map(clean),
    width=st.sampled_from([20, 33, 80]),
    kind=st.sampled_from(TERMINALS),
)
@example(text="\u0ccd\u0da5" * 40, width=20, kind=Terminal)
@examples(100)
def test_whatever_is_said_keeps_out_of_the_margin(
    text: str, width: int, kind: type[Terminal]
) -> None:
    for event in (
        Said(NOW, 1, "al", text),
        Emoted(NOW, 1, "al", text),
        Whispered(NOW, 1, "al", "bob", text, outgoing=False),
        Found(NOW, 1, Said(NOW, 1, "al", text)),
        TopicSet(NOW, 1, "al", text),
        Noticed(NOW, 0, text),
    ):
        assert in_margin(rows_of(kind, event, width)) == []
