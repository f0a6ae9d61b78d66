"""How events look on a terminal of a certain width, with colours and without."""

import gc
import re
import weakref
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.formats.ansi import _FEW, _MANY, Colours, terminal
from chatroom.formats.plain import plain
from chatroom.model.events import (
    SERVER,
    Announced,
    CrowdMoved,
    Emoted,
    Event,
    Found,
    Joined,
    Left,
    Noticed,
    Renamed,
    Said,
    Told,
    TopicSet,
    Whispered,
)
from chatroom.model.preferences import Preferences
from chatroom.text.cells import cells
from chatroom.text.names import clean
from tests.support.fuzzing import examples

#: Friday 15 January 2027, 08:00:05 UTC.
NOW = 1_800_000_005.0
SAID = Said(NOW, 1, "alice", "hi")
SGR = re.compile(r"\x1b\[[0-9;]*m")

EVENTS: list[Event] = [
    SAID,
    Emoted(NOW, 1, "alice", "waves"),
    Noticed(NOW, SERVER, "one\n\nthree -- 3"),
    Whispered(NOW, 1, "alice", "bob", "psst -> you", outgoing=True),
    Whispered(NOW, 1, "alice", "bob", "psst", outgoing=False),
    Announced(NOW, 1, "alice"),
    Left(NOW, 1, "alice", "not reading", shown=True),
    CrowdMoved(NOW, 0, ("alice", "bob"), 37, joined=True),
    Renamed(NOW, 1, "guest1", "alice", shown=True),
    TopicSet(NOW, 1, "alice", "tea"),
    Told(NOW, SERVER, "It is late."),
    Found(NOW, 1, Emoted(NOW, 1, "alice", "waves")),
    Joined(NOW, 1, "alice"),
]
STYLES = [
    Preferences(timestamps=timestamps, timezone=where, quiet=quiet, bell=bell)
    for timestamps, where, quiet, bell in product(
        ("off", "on", "seconds"), ("UTC", "Europe/Berlin"), (False, True), ("off", "on")
    )
]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("colours", Colours)
def test_but_for_colours_a_short_line_is_as_it_is_on_a_plain_terminal(
    event: Event, live: bool, colours: Colours
) -> None:
    for preferences in STYLES:
        shown = terminal(100, colours, preferences).encode(event, "den", live=live)
        unstyled = plain(preferences).encode(event, "den", live=live)
        assert SGR.sub("", shown.decode()).encode() == unstyled
        if colours is Colours.NONE:
            assert shown == unstyled


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (SAID, "<2>08:00 <22><38;5;98>alice<39>: hi"),
        (EVENTS[1], "<2>08:00 <22>* <38;5;98>alice<39> waves"),
        (EVENTS[4], "<2>08:00 <22><1>-> alice to you:<22> psst"),
        (EVENTS[5], "<2>08:00 -- alice joined.<22>"),
        (EVENTS[9], "<2>08:00 <22>-- alice set the topic: tea"),
        (EVENTS[11], "<2>2027-01-15 08:00 #den <22>* <38;5;98>alice<39> waves"),
    ],
)
def test_names_have_colours_and_times_are_faint(event: Event, shown: str) -> None:
    expected = re.sub("<([0-9;]*)>", "\x1b[\\1m", shown)
    assert terminal(80, Colours.MANY).encode(event, "den", live=False) == f"{expected}\r\n".encode()


def test_few_colours_are_those_that_every_terminal_has() -> None:
    shown = terminal(80, Colours.FEW).encode(SAID)
    assert re.fullmatch(rb"\x1b\[3[1256]malice\x1b\[39m: hi\r\n", shown)


def test_a_name_has_the_same_colour_in_every_spelling_and_names_differ() -> None:
    format = terminal(80, Colours.MANY)

    def colour(name: str) -> str:
        (first, _) = SGR.findall(format.encode(Said(NOW, 1, name, "hi")).decode())
        return str(first)

    assert colour("alice") == colour("ALICE") == "\x1b[38;5;98m"
    assert len({colour(f"name{number}") for number in range(200)}) == len(_MANY)


def luminance(number: int) -> float:
    """WCAG 2, relative luminance, of a colour of xterm's cube."""
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    parts = [levels[part] / 255 for part in (number // 36, number // 6 % 6, number % 6)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("number", _MANY)
def test_a_colour_can_be_read_on_black_and_on_white(number: int) -> None:
    assert (luminance(number) + 0.05) / 0.05 >= 4
    assert 1.05 / (luminance(number) + 0.05) >= 4


def test_neither_yellow_nor_blue_is_among_the_few() -> None:
    assert not {33, 34} & set(_FEW)


@pytest.mark.parametrize(
    ("event", "rows"),
    [
        (Said(NOW, 1, "al", "several words that go on"), ["al: several words", "    that go on"]),
        (
            Said(NOW, 1, "somebody", "several words go on"),
            ["somebody: several", "    words go on"],
        ),
        (Emoted(NOW, 1, "al", "waves at every one"), ["* al waves at every", "     one"]),
        (Told(NOW, 1, "it is very late by now"), ["-- it is very late", "   by now"]),
        (
            Noticed(NOW, 0, "it is very late by now\nand two"),
            ["-- it is very late", "   by now", "-- and two"],
        ),
        (Said(NOW, 1, "小明", "你好我们今天去吃饭"), ["小明: 你好我们今天去", "      吃饭"]),
        (
            Said(NOW, 1, "al", "see https://example.org/ there"),
            ["al: see", "https://example.org/", "    there"],
        ),
    ],
)
def test_lines_hang_below_where_their_text_begins(event: Event, rows: list[str]) -> None:
    for colours in Colours:
        shown = terminal(20, colours).encode(event).decode()
        assert SGR.sub("", shown) == "".join(f"{row}\r\n" for row in rows)


def test_who_comes_and_goes_is_faint_in_all_rows() -> None:
    event = CrowdMoved(NOW, 0, ("alice", "bob", "carol"), 37, joined=True)
    shown = terminal(20, Colours.MANY).encode(event)
    assert shown == b"\x1b[2m-- alice, bob, carol\r\n   and 34 others\r\n   joined.\x1b[22m\r\n"


def test_the_bell_comes_once_and_behind_everything() -> None:
    shown = terminal(20, Colours.NONE, Preferences(bell="on")).encode(
        Said(NOW, 1, "al", "several words that go on")
    )
    assert shown == b"al: several words\r\n    that go on\a\r\n"


def test_a_name_that_is_wider_than_a_row_is_broken_and_has_no_colour() -> None:
    shown = terminal(20, Colours.MANY).encode(Said(NOW, 1, "明" * 24, "hi")).decode()
    assert "\x1b" not in shown
    assert all(cells(row) <= 20 for row in shown.split("\r\n"))


TEXTS = st.text(alphabet="ab  `/:小，\u0301\U0001f469\u200d-é", max_size=120).map(clean)


@given(TEXTS, st.integers(20, 50), st.sampled_from(list(Colours)), st.booleans())
@examples(300)
def test_every_row_fits_and_ends_without_attributes(
    text: str, width: int, colours: Colours, live: bool
) -> None:
    for event in (
        Said(NOW, 1, "al小", text),
        Emoted(NOW, 1, "alice", text),
        Whispered(NOW, 1, "al", "bob", text, outgoing=True),
        Found(NOW, 1, Said(NOW, 1, "alice", text)),
    ):
        shown = terminal(width, colours, STYLES[-1]).encode(event, "den", live=live).decode()
        assert shown.endswith("\r\n")
        rows = SGR.sub("", shown).removesuffix("\r\n").split("\r\n")
        assert all(cells(row.rstrip("\a")) <= width for row in rows)
        line = plain(STYLES[-1]).encode(event, "den", live=live).decode().removesuffix("\r\n")
        assert "".join(rows).replace(" ", "") == line.replace(" ", "")
        on = [code for code in SGR.findall(shown) if code not in ("\x1b[39m", "\x1b[22m")]
        assert len(on) * 2 == len(SGR.findall(shown))


# -- shared


def test_equal_arguments_give_the_same_object() -> None:
    made = {
        (width, colours, index): terminal(width, colours, style)
        for width in (20, 80)
        for colours in Colours
        for index, style in enumerate(STYLES)
    }
    assert len(set(made.values())) == len(made)
    for (width, colours, index), format in made.items():
        style = STYLES[index]
        assert terminal(width, colours, replace(style, ignores={7: "eve"}, room="den")) is format
    assert terminal(80, Colours.NONE, Preferences()) is terminal(80, Colours.NONE)


@pytest.mark.parametrize(("width", "taken"), [(-1, 20), (0, 20), (80, 80), (9999, 500)])
def test_a_width_is_bounded(width: int, taken: int) -> None:
    assert terminal(width, Colours.NONE) is terminal(taken, Colours.NONE)


def test_a_format_that_nobody_uses_is_forgotten() -> None:
    kept = weakref.ref(terminal(77, Colours.NONE, Preferences(timezone="UTC-07:13")))
    gc.collect()
    assert kept() is None


# -- mentions


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("bob", "hi BOB, bobby and kebob!", "hi [BOB], bobby and kebob!"),
        ("bob", "bob", "[bob]"),
        ("小明", "我是小明吗", "我是[小明]吗"),
        ("Straße", "strasse", "[strasse]"),
        ("anna", "anna-lena anna", "[anna]-lena [anna]"),
        ("m", "m 2m", "[m] 2m"),
        ("alice", "no", "no"),
        ("carol", "no", "no"),
    ],
)
def test_who_is_named_sees_it(name: str, text: str, shown: str) -> None:
    format = terminal(80, Colours.MANY)
    encoded = format.encode(Said(NOW, 1, "alice", text))
    marked = format.highlighted(encoded, name).decode()
    assert marked.replace("\x1b[7m", "[").replace("\x1b[27m", "]").endswith(f": {shown}\r\n")
    assert SGR.sub("", marked) == SGR.sub("", encoded.decode())
    plain = terminal(80, Colours.NONE)
    encoded = plain.encode(SAID)
    assert plain.highlighted(encoded, name) is encoded
