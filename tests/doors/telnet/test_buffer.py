"""From bytes to lines, without a connection; tests/doors/lines/ is about the rest."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.buffer import TelnetLineBuffer
from chatroom.text.names import clean
from tests.support.fuzzing import examples

LIMIT = 20


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(edges)]


def taken(chunks: list[bytes]) -> list[bytes]:
    intake = TelnetLineBuffer(LIMIT)
    for chunk in chunks:
        intake.take(chunk)
    intake.end()
    return [line for line in intake.lines if isinstance(line, bytes)]


@pytest.mark.parametrize("end", [b"\n", b"\r\0"])
def test_a_line_ends_with_lf_or_cr_nul(end: bytes) -> None:
    intake = TelnetLineBuffer(LIMIT)
    intake.take(b"one" + end + b"two")
    assert intake.lines == [b"one"]
    assert intake.tail == b"two"


def short(lines: list[bytes]) -> list[bytes]:
    """Those that a door takes."""
    return [line for line in lines if len(line.removesuffix(b"\r")) <= LIMIT]


PIECES = st.lists(
    st.sampled_from([b"a", b"\xc3\xa9", b"\n", b"\r\n", b"\r\0", b"\r", b"\0", b"x" * 15])
    | st.sampled_from([b"\xff\xf7", b"\xff\xf8", b"\xff\xfd\x06", b"\xff\xfa\x18\0\xff\xf0"]),
    max_size=40,
)


@given(PIECES, st.lists(st.integers(0, 400), max_size=8))
@examples(200)
def test_any_cutting_of_the_bytes_gives_the_same_lines(
    pieces: list[bytes], places: list[int]
) -> None:
    data = b"".join(pieces)
    assert short(taken(cut(data, places))) == short(taken([data]))


def test_nothing_is_kept_of_a_line_that_grows_too_long() -> None:
    intake = TelnetLineBuffer(LIMIT)
    for _ in range(100):
        intake.take(b"y" * 10)
        assert len(intake.tail) <= LIMIT
    assert intake.overlong.startswith(b"y")
    intake.take(b"\nnext\n")
    assert intake.lines == [b"next"]


def test_a_client_may_erase_what_it_has_not_ended() -> None:
    intake = TelnetLineBuffer(LIMIT)
    intake.take("abé".encode() + b"\xff\xf7" + b"c\n" + b"gone\xff\xf8" + b"kept\n")
    lines = [clean(line.decode()) for line in intake.lines if isinstance(line, bytes)]
    assert lines == ["abc", "kept"]


def test_who_asks_if_somebody_is_there_is_noted() -> None:
    intake = TelnetLineBuffer(LIMIT)
    intake.take(b"\xff\xf6")
    assert intake.asked


def test_lines_that_began_before_binary_was_on_are_counted() -> None:
    intake = TelnetLineBuffer(LIMIT)
    intake.take(b"one\ntwo\nthr\xff\xfb\x00ee\nfour\n")
    assert intake.begun_before == 3
    assert intake.lines == [b"one", b"two", b"three", b"four"]


def test_what_is_forgotten_does_not_come_back() -> None:
    intake = TelnetLineBuffer(LIMIT)
    intake.take(b"one\ntwo")
    intake.clear()
    intake.end()
    assert intake.lines == []
