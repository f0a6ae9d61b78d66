"""From bytes to keys: what terminals send, however it is cut over reads."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.terminal.keys import (
    KEY_SECONDS,
    MAX_PASTE_BYTES,
    PASTE_SECONDS,
    Event,
    Key,
    Keys,
    Paste,
    Text,
)
from tests.support.fuzzing import examples

#: What every key is sent as, by the terminals that there are.
SENT = {
    Key.LEFT: ["[D", "OD", "[1;2D", "[D", "[1D"],
    Key.RIGHT: ["[C", "OC", "[1;2C"],
    Key.UP: ["[A", "OA", "[1;5A"],
    Key.DOWN: ["[B", "OB", "[1;3B"],
    Key.START: ["[H", "[1~", "[7~", "OH", "[1;5H", "[1;2H"],
    Key.END: ["[F", "[4~", "[8~", "OF", "[1;5F"],
    Key.WORD_LEFT: ["[1;5D", "[1;3D", "b", "Od", "\x1b[D", "\x1bOD", "O5D", "[1;7D"],
    Key.WORD_RIGHT: ["[1;5C", "[1;3C", "f", "Oc", "\x1b[C", "\x1bOC", "O5C"],
    Key.DELETE: ["[3~", "[3;2~"],
    Key.KILL_WORD_RIGHT: ["d", "D", "[3;5~", "[3^", "[3;3~"],
    Key.KILL_WORD_LEFT: ["\x7f", "\x08"],
    Key.ENTER: ["OM", "\r"],
}

CONTROLS = {
    "A": Key.START,
    "B": Key.LEFT,
    "C": Key.INTERRUPT,
    "D": Key.END_OF_FILE,
    "E": Key.END,
    "F": Key.RIGHT,
    "H": Key.BACKSPACE,
    "I": Key.TAB,
    "J": Key.ENTER,
    "K": Key.KILL_TO_END,
    "L": Key.REDRAW,
    "M": Key.ENTER,
    "N": Key.DOWN,
    "P": Key.UP,
    "T": Key.TRANSPOSE,
    "U": Key.KILL_TO_START,
    "W": Key.KILL_WORD_LEFT,
    "Y": Key.YANK,
    "?": Key.BACKSPACE,
}


def taken(*chunks: bytes) -> list[Event]:
    """The keys in these reads, with what was typed in a row as one."""
    keys = Keys()
    events: list[Event] = []
    for chunk in chunks:
        for event in keys.receive(chunk):
            last = events[-1] if events else None
            if isinstance(event, Text) and isinstance(last, Text):
                events[-1] = Text(last.text + event.text)
            else:
                events.append(event)
    return events


@pytest.mark.parametrize(("key", "sent"), [(key, sent) for key in SENT for sent in SENT[key]])
def test_a_key_is_known_by_what_terminals_send(key: Key, sent: str) -> None:
    data = b"\x1b" + sent.encode()
    assert taken(b"a" + data + b"b") == [Text("a"), key, Text("b")]


@pytest.mark.parametrize(("letter", "key"), CONTROLS.items())
def test_a_control_is_a_key(letter: str, key: Key) -> None:
    assert taken(bytes([ord(letter) ^ 0x40])) == [key]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\0"])
def test_every_kind_of_enter_is_one(end: bytes) -> None:
    assert taken(b"a" + end + b"b" + end + end) == [
        Text("a"),
        Key.ENTER,
        Text("b"),
        Key.ENTER,
        Key.ENTER,
    ]


def test_enter_comes_at_once_and_its_second_byte_later_is_no_other() -> None:
    keys = Keys()
    assert keys.receive(b"\r") == [Key.ENTER]
    assert keys.receive(b"\n") == []
    assert keys.receive(b"\n\x1b\r") == [Key.ENTER, Key.ENTER]
    assert keys.receive(b"\0") == []


def test_text_is_utf_8_and_what_is_not_is_replaced() -> None:
    assert taken("naïve 小明 👩‍👧".encode()) == [Text("naïve 小明 👩‍👧")]
    assert taken(b"a\xffb\xc3") == [Text("a\ufffdb")]
    assert taken(b"a\xe5\xb0", b"\x8f") == [Text("a小")]
    assert taken(b"\xe5\xb0\r\x8f") == [Text("\ufffd"), Key.ENTER, Text("\ufffd")]
    assert taken(b"\xe5\x1b[A") == [Text("\ufffd"), Key.UP]


@pytest.mark.parametrize(
    "sequence",
    [
        b"\x00",
        b"\x1a",
        b"\x1b[5~",
        b"\x1b[15;2~",
        b"\x1b[I",
        b"\x1b[?1;2c",
        b"\x1b[24;80R",
        b"\x1b[<0;12;34M",
        b"\x1b[99D",
        b"\x1b[[A",
        b"\x1bOP",
        b"\x1b[201~",
        b"\x1b[27;5;13~",
        b"\x1b[1;999999999D" + b"\x1b[C\x1b[D",
        b"\x1b(B",
        b"\x1bz",
        "\x1bé".encode(),
        "\x1b小".encode(),
        b"\x1b]0;title\x07",
        b"\x1b]11;rgb:0/0/0\x1b\\",
        b"\x1bP1$r0m\x1b\\",
    ],
)
def test_what_is_no_known_key_is_left_out_whole(sequence: bytes) -> None:
    keys = [Key.LEFT, Key.RIGHT, Key.LEFT] if b"999999" in sequence else []
    assert taken(b"a" + sequence + b"b") in ([Text("ab")], [Text("a"), *keys, Text("b")])
    # Cut anywhere it is nothing, too.
    assert taken(*(bytes([byte]) for byte in b"a" + sequence + b"b")) == taken(
        b"a" + sequence + b"b"
    )


def test_a_control_ends_a_sequence_and_counts() -> None:
    assert taken(b"\x1b[1;\x03a") == [Key.INTERRUPT, Text("a")]
    assert taken(b"\x1b\x03") == [Key.INTERRUPT]
    assert taken(b"\x1b]0;never ends\rhello") == [Key.ENTER, Text("hello")]
    assert taken(b"\x1b]0;a\x1b[A") == [Key.UP]


def test_an_escape_waits_until_it_is_known_to_be_the_key() -> None:
    keys = Keys()
    assert keys.expire() == []
    assert keys.receive(b"\x1b") == []
    assert keys.patience == KEY_SECONDS
    assert keys.expire() == [Key.ESCAPE]
    assert keys.expire() == []
    assert keys.receive(b"[A") == [Text("[A")]
    assert keys.receive(b"\x1b\x1b\x1b") == [Key.ESCAPE]
    assert keys.expire() == [Key.ESCAPE]


@pytest.mark.parametrize("beginning", [b"\x1b[1;", b"\x1bO", b"\x1b]0;t", b"\x1b\xc3", b"\x1b("])
def test_the_beginning_of_a_sequence_that_ends_there_is_nothing(beginning: bytes) -> None:
    keys = Keys()
    assert keys.receive(beginning) == []
    assert keys.patience == KEY_SECONDS
    assert keys.expire() == []
    assert keys.receive(b"a") == [Text("a")]


def test_a_paste_is_one_event_with_its_lines() -> None:
    data = b"\x1b[200~one\rtwo\r\nthree\n\x1b[A\tfour\x1b[201~x"
    assert taken(data) == [Paste("one\ntwo\nthree\n\x1b[A\tfour"), Text("x")]
    assert taken(*(bytes([byte]) for byte in data)) == taken(data)


def test_a_paste_waits_for_its_end() -> None:
    keys = Keys()
    assert keys.receive(b"\x1b[200~a\x1b[20") == []
    assert keys.patience == PASTE_SECONDS
    assert keys.receive(b"1~") == [Paste("a")]
    assert keys.patience == 0


def test_a_paste_whose_end_is_missing_is_dropped() -> None:
    keys = Keys()
    keys.receive(b"\x1b[200~a\x1b[20")
    assert keys.expire() == [Paste("", ended=False)]
    assert keys.receive(b"b\r") == [Text("b"), Key.ENTER]


def test_a_paste_is_given_up_soon_for_an_interrupt_after_which_nothing_comes() -> None:
    keys = Keys()
    assert keys.receive(b"\x1b[200~a\x03") == []
    assert keys.patience == KEY_SECONDS
    # It was a part of what was pasted.
    assert keys.receive(b"b") == []
    assert keys.patience == PASTE_SECONDS
    assert keys.receive(b"\x1b[201~") == [Paste("a\x03b")]


def test_a_paste_whose_end_is_missing_is_no_part_of_the_next_one() -> None:
    data = b"\x1b[200~abc\rhello?\r\x1b[200~one\rtwo\x1b[201~x"
    assert taken(data) == [Paste("", ended=False), Paste("one\ntwo"), Text("x")]
    assert taken(*(bytes([byte]) for byte in data)) == taken(data)


def test_of_a_paste_that_is_too_large_the_beginning_is_kept() -> None:
    keys = Keys()
    keys.receive(b"\x1b[200~")
    for _ in range(100):
        assert keys.receive(b"x" * 4096) == []
    assert keys.receive(b"\x1b[201~y") == [Paste("x" * MAX_PASTE_BYTES, whole=False), Text("y")]
    assert keys.receive(b"\x1b[200~" + b"z" * MAX_PASTE_BYTES + b"\x1b[201~") == [
        Paste("z" * MAX_PASTE_BYTES)
    ]


@pytest.mark.parametrize(
    "endless", [b"\x1b[", b"\x1bO", b"\x1b]", b"\x1b(", b"\x1b", b"\x1b[200~", b""]
)
@pytest.mark.parametrize("filler", [b"1", b" ", b"\xc3", b"\x1b", b"\xf0\x9f"])
def test_nothing_grows_for_ever(endless: bytes, filler: bytes) -> None:
    keys = Keys()
    keys.receive(endless)
    for _ in range(1000):
        keys.receive(filler * 100)
        assert len(keys._rest) <= 64
        assert len(keys._pasted or b"") <= MAX_PASTE_BYTES


PIECES = st.lists(
    st.sampled_from(
        [
            *(b"a", b" ", b"\r", b"\n", b"\0", b"\x03", b"\x1b", b"[", b"O", b"]", b"\\", b"\x07"),
            *(b"1", b";5", b"~", b"D", b"d", b"(", b"\x7f", b"P", b"\x1b\x1b", b"\x1b[1;5C"),
            *(b"\xc3", b"\xa9", "小".encode(), b"\xe5\xb0", b"\xff", b"\xf0\x9f\x91"),
            *(b"\x1b[200~", b"\x1b[201~"),
        ]
    )
    | st.binary(max_size=3)
    | st.sampled_from([b"1" * 47, b"1" * 70, b"    "]),
    max_size=30,
).map(b"".join)


@given(PIECES, st.lists(st.integers(0, 400), max_size=8))
@example(b"\x1b\x80\x80x", [2])
@examples(1000)
def test_any_cutting_of_the_bytes_gives_the_same_keys(data: bytes, places: list[int]) -> None:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    assert taken(*(data[begin:end] for begin, end in pairwise(edges))) == taken(data)


@given(PIECES)
@examples(300)
def test_text_has_no_control_of_ascii(data: bytes) -> None:
    for event in taken(data):
        if isinstance(event, Text):
            assert event.text
            assert not any(character < " " or character == "\x7f" for character in event.text)
