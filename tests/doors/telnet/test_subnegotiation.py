"""What clients tell of their terminals: TTYPE with MTTS, NAWS and NEW-ENVIRON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.subnegotiation import (
    MAX_KIND_LENGTH,
    MAX_KINDS,
    NAWS,
    NEW_ENVIRON,
    QUESTIONS,
    TTYPE,
    Description,
)

IS, SEND, INFO = b"\x00", b"\x01", b"\x02"
VAR, VALUE, ESC, USERVAR = b"\x00", b"\x01", b"\x02", b"\x03"


def named(*kinds: bytes) -> tuple[Description, int]:
    """A client that tells these kinds as far as it is asked; and how often it was asked."""
    description = Description()
    question = description.agree(TTYPE)
    asked = 0
    for kind in kinds:
        if not question:
            break
        assert question == TTYPE + SEND
        asked += 1
        question = description.take(TTYPE + IS + kind)
    return description, asked


def sized(told: bytes) -> tuple[int, int] | None:
    description = Description()
    description.take(NAWS + told)
    return description.size


def coloured(*told: bytes) -> bool:
    description = Description()
    for one in told:
        description.take(NEW_ENVIRON + one)
    return not description.no_color


def only(option: bytes) -> Description:
    """A client that has refused to tell all but *option*."""
    description = Description()
    for other in (TTYPE, NAWS, NEW_ENVIRON):
        if other != option:
            description.refuse(other)
    return description


# TTYPE.


def test_a_client_with_one_name_is_asked_until_it_repeats_it() -> None:
    # inetutils telnet 2.4; PuTTY.
    description, asked = named(b"TMUX-256COLOR", b"TMUX-256COLOR", b"TMUX-256COLOR")
    assert (description.kinds, description.mtts, asked) == (["TMUX-256COLOR"], 0, 2)


def test_a_client_with_mtts_tells_itself_its_terminal_and_what_that_can_do() -> None:
    description, asked = named(b"TINTIN++", b"xterm-256color", b"MTTS 2349", b"MTTS 2349")
    assert description.kinds == ["TINTIN++", "XTERM-256COLOR"]
    assert (description.mtts, asked) == (2349, 3)


def test_of_a_list_of_aliases_the_first_are_taken() -> None:
    description, asked = named(b"A", b"B", b"C", b"D", b"E")
    assert description.kinds == ["A", "B", "C"]
    assert asked == MAX_KINDS == 3


@pytest.mark.parametrize(
    ("told", "kinds"),
    [
        (b"xterm", ["XTERM"]),
        (b"x" * 100, ["X" * MAX_KIND_LENGTH]),
        (b"a\x1b[31mb\x07\xc3\xa9\xff", ["A[31MB"]),
        (b" vt 100 ", ["VT 100"]),
        (b"", []),
        (b"\x00\x7f", []),
        (b"MTTS", ["MTTS"]),
        (b"MTTS -1", ["MTTS -1"]),
        (b"MTTS 1234567890", ["MTTS 1234567890"]),
    ],
)
def test_a_name_is_short_printable_ascii_in_upper_case(told: bytes, kinds: list[str]) -> None:
    description, _ = named(told)
    assert (description.kinds, description.mtts) == (kinds, 0)


@pytest.mark.parametrize("told", [b"", b"\x00", b"MTTS 5"])
def test_after_a_name_that_is_none_or_mtts_nothing_is_asked(told: bytes) -> None:
    description = only(TTYPE)
    description.agree(TTYPE)
    assert description.take(TTYPE + IS + told) == b""
    assert description.known


def test_a_name_nobody_asks_for_any_more_is_passed_over() -> None:
    description, _ = named(b"A", b"A")
    assert description.take(TTYPE + IS + b"B") == b""
    assert description.take(TTYPE + SEND) == b""
    assert description.kinds == ["A"]


# NAWS.


@pytest.mark.parametrize(
    ("told", "size"),
    [
        (b"\x00\x50\x00\x18", (80, 24)),
        (b"\x01\x00\xff\xff", (256, 65535)),
        (b"\x00\x00\x00\x00", (0, 0)),
        (b"", None),
        (b"\x00\x50\x00", None),
        (b"\x00\x50\x00\x18\x00", None),
    ],
)
def test_a_size_is_columns_and_rows_of_two_bytes_each(
    told: bytes, size: tuple[int, int] | None
) -> None:
    assert sized(told) == size


def test_a_malformed_size_leaves_the_one_before() -> None:
    description = Description()
    description.take(NAWS + b"\x00\x50\x00\x18")
    description.take(NAWS + b"\x00")
    assert description.size == (80, 24)


# NEW-ENVIRON.


def test_only_no_color_is_asked_for_as_either_type() -> None:
    assert Description().agree(NEW_ENVIRON) == (
        NEW_ENVIRON + SEND + VAR + b"NO_COLOR" + USERVAR + b"NO_COLOR"
    )


@pytest.mark.parametrize(
    "told",
    [
        IS + VAR + b"NO_COLOR" + VALUE + b"1",
        IS + USERVAR + b"NO_COLOR" + VALUE + b"0",
        IS + VAR + b"NO_COLOR" + USERVAR + b"NO_COLOR" + VALUE + b"yes",
        INFO + USERVAR + b"NO_COLOR" + VALUE + b"1",
        # PuTTY tells all that it is configured to.
        IS + VAR + b"LANG" + VALUE + b"C" + VAR + b"NO_COLOR" + VALUE + b"1" + VAR + b"USER",
        IS + VAR + b"NO_COLOR" + VALUE + ESC + VALUE,
        IS + VAR + b"NO" + ESC + b"_COLOR" + VALUE + b"1",
    ],
)
def test_no_color_is_on_if_it_is_told_as_not_empty(told: bytes) -> None:
    assert not coloured(told)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        IS,
        # inetutils, which has it and does not export it.
        IS + USERVAR + b"NO_COLOR" + USERVAR + b"NO_COLOR",
        IS + VAR + b"NO_COLOR" + VALUE,
        IS + VAR + b"NO_COLOR_AT_ALL" + VALUE + b"1",
        IS + VAR + b"X" + VALUE + b"NO_COLOR" + VALUE + b"1",
        IS + VAR + b"X" + ESC + VAR + b"NO_COLOR" + VALUE + b"1",
        IS + b"NO_COLOR" + VALUE + b"1",
        IS + VAR + b"no_color" + VALUE + b"1",
        SEND + VAR + b"NO_COLOR" + VALUE + b"1",
        VALUE + VAR + b"NO_COLOR" + VALUE + b"1",
    ],
)
def test_otherwise_it_is_off(told: bytes) -> None:
    assert coloured(told)


def test_a_change_that_is_told_later_counts() -> None:
    on, off = (INFO + VAR + b"NO_COLOR" + VALUE + value for value in (b"1", b""))
    assert coloured(on, off)
    assert not coloured(off, on)
    assert not coloured(on, INFO + VAR + b"LANG" + VALUE + b"C")


# What is known.


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        (NAWS, b"\x00\x50\x00\x18"),
        (NAWS, b"nonsense"),
        (NEW_ENVIRON, IS),
        (NEW_ENVIRON, IS + ESC),
    ],
)
def test_an_answer_is_awaited_however_malformed_it_is(option: bytes, answer: bytes) -> None:
    description = only(option)
    description.agree(option)
    assert not description.known
    description.take(option + answer)
    assert description.known


def test_the_last_name_is_awaited() -> None:
    description = only(TTYPE)
    known = []
    description.agree(TTYPE)
    for kind in (b"A", b"B", b"B"):
        known.append(description.known)
        description.take(TTYPE + IS + kind)
    assert known == [False, False, False]
    assert description.known


def test_what_is_refused_is_not_awaited() -> None:
    description = only(TTYPE)
    description.refuse(TTYPE)
    assert description.known


def test_what_is_offered_after_a_refusal_is_asked_for_once() -> None:
    description = only(TTYPE)
    description.refuse(TTYPE)
    assert description.agree(TTYPE) == QUESTIONS[TTYPE]
    assert not description.known
    description.refuse(TTYPE)
    assert description.agree(TTYPE) == b""
    assert description.known


@given(
    told=st.lists(
        st.tuples(
            st.sampled_from([TTYPE, NAWS, NEW_ENVIRON, b"", b"\x20"]),
            st.sampled_from([b"", IS, SEND, INFO]),
            st.binary(max_size=60)
            | st.lists(
                st.sampled_from([VAR, VALUE, ESC, USERVAR, b"NO_COLOR", b"MTTS 1", b"X"])
            ).map(b"".join),
        ).map(b"".join),
        max_size=8,
    )
)
def test_whatever_is_told_little_is_kept_and_little_is_asked(told: list[bytes]) -> None:
    description = Description()
    asked = sum(bool(description.take(one)) for one in told)
    assert asked < MAX_KINDS
    assert len(description.kinds) <= MAX_KINDS
    for kind in description.kinds:
        assert 1 <= len(kind) <= MAX_KIND_LENGTH
        assert kind.isascii()
        assert kind.isprintable()
        assert kind == kind.upper()
