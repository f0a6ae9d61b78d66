"""Telnet commands and plain bytes, told apart."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.codes import DO, ECHO, IAC, NOP, SB, SE
from chatroom.doors.telnet.framing import (
    MAX_SUBNEGOTIATION_BYTES,
    Code,
    Framer,
    Overlong,
    Request,
    Subnegotiation,
    Token,
)
from tests.support.fuzzing import examples


def tokens(*chunks: bytes, keeps: bool = True) -> list[Token]:
    """The tokens of these reads, runs of plain bytes in one piece."""
    framer = Framer()
    framer.keeps = keeps
    found: list[Token] = []
    for chunk in chunks:
        for token in framer.receive(chunk):
            last = found[-1] if found else None
            if isinstance(token, bytes) and isinstance(last, bytes):
                found[-1] = last + token
            else:
                found.append(token)
    return found


def test_each_kind_of_token() -> None:
    sent = b"a" + IAC + NOP + IAC + DO + ECHO + IAC + IAC + IAC + SB + b"x" + IAC + IAC + IAC + SE
    assert tokens(sent) == [
        b"a",
        Code(NOP),
        Request(DO, ECHO),
        IAC,
        Code(SB),
        Subnegotiation(b"x" + IAC),
    ]


def test_the_content_of_a_subnegotiation_is_kept_only_where_it_is_wanted() -> None:
    sent = IAC + SB + b"x" + IAC + SE
    assert tokens(sent, keeps=False) == [Code(SB), Subnegotiation(None)]


def test_a_subnegotiation_without_an_end_is_given_up() -> None:
    sent = IAC + SB + b"x" * MAX_SUBNEGOTIATION_BYTES + b"text"
    assert tokens(sent) == [Code(SB), Overlong(), b"text"]


@examples(200)
@given(
    st.lists(st.sampled_from([b"\xff", b"\xfa", b"\xf0", b"\xfd", b"\xf1", b"\x01", b"text"])),
    st.lists(st.integers(0, 40)),
)
def test_however_the_bytes_are_cut_the_same_tokens_come_out(
    parts: list[bytes], places: list[int]
) -> None:
    sent = b"".join(parts)
    ends = sorted({0, len(sent), *(place for place in places if place < len(sent))})
    cut = [sent[start:end] for start, end in pairwise(ends)]
    assert tokens(*cut) == tokens(sent)
