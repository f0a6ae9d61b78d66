"""Telnet and UTF-8 at the line door: damaged lines are held back, once, and cured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.limits import Limits
from tests.support.fuzzing import examples
from tests.support.lines import ASK, OVERLONG, REPLACED, WITHHELD, Door, cut, made
from tests.support.telnet import DAMAGED
from tests.support.wire import Visitor

BOUNDED = examples(100)


def test_utf_8_may_be_cut_anywhere(door: Door) -> None:
    alice = door.alice()
    for place in range(1, 12):
        data = "你好, né\n".encode()
        alice.sends(data[:place], data[place:])
    assert door.said == ["你好, né"] * 11
    assert alice.received == b""


@BOUNDED
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).map(
                lambda text: text.encode() + b"\n"
            ),
            st.text(st.characters(max_codepoint=0x7F)).map(lambda text: text.encode() + b"\r\n"),
            st.binary().map(lambda data: data.translate(None, b"\xff\r") + b"\n"),
        )
    ).map(b"".join),
    st.lists(st.integers(0, 4096), max_size=10),
)
def test_no_telnet_is_sent_to_a_client_that_has_shown_none(data: bytes, places: list[int]) -> None:
    door = made()
    visitor = Visitor(door.world, door.factory)
    visitor.sends(*cut(data, places))
    assert b"\xff" not in visitor.wire.value()
    visitor.wire.value().decode()
    door.world.end()


def test_a_line_that_is_not_ascii_and_ends_in_cr_lf_comes_from_telnet(door: Door) -> None:
    alice = door.alice()
    alice.sends("hé\r\n".encode())
    assert alice.received == ASK
    assert door.said == ["hé"]
    alice.sends("hé\r\n".encode())
    assert alice.received == b""
    assert door.said == ["hé"]


@pytest.mark.parametrize(("typed", "sent"), DAMAGED.values(), ids=list(DAMAGED))
def test_a_damaged_line_is_withheld_once_and_said_when_it_is_sent_again(
    door: Door, typed: str, sent: str
) -> None:
    alice = door.alice()
    alice.sends(bytes.fromhex(sent))
    answer = alice.received
    assert answer.startswith((ASK, b"\xff\xfb\x06" + ASK))
    assert answer.count(ASK) == 1
    assert answer.replace(ASK, b"").replace(b"\xff\xfb\x06", b"").decode() == WITHHELD + "\r\n"
    assert door.said == []
    alice.sends(b"\xff\xfb\x00" + typed.encode() + b"\n")
    assert door.said == [typed]
    assert alice.received == b""


def test_a_line_damaged_in_the_middle_of_which_binary_came_on_is_withheld(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"ab\xd0\xff\xf4\xff\xfd\x06\xff\xfb\x00cd\r\n")
    assert door.said == []
    alice.sends(b"\xd0\n")
    assert door.said == ["\ufffd"]


def test_only_one_damaged_line_is_withheld(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xd0\r\n\xd0\r\n\xd0\r\n")
    assert door.said == ["\ufffd", "\ufffd"]
    assert alice.received == ASK + f"{WITHHELD}\r\n{REPLACED}\r\n".encode()


def test_latin_1_from_netcat_is_replaced_and_its_author_told_once(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"n\xe9e\n", b"n\xe9e\n")
    assert door.said == ["n\ufffde", "n\ufffde"]
    assert alice.sees == [REPLACED]


def test_invalid_utf_8_is_replaced_once_binary_is_on(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xfb\x00", b"n\xe9e\n")
    assert alice.received == ASK + f"{REPLACED}\r\n".encode()
    assert door.said == ["n\ufffde"]


def test_erase_character_takes_back_one_character(door: Door) -> None:
    door.alice().sends("née你".encode() + b"\xff\xf7\xff\xf7\xff\xf7" + b"o\n")
    assert door.said == ["no"]


def test_erase_character_on_an_empty_line_takes_nothing_back(door: Door) -> None:
    door.alice().sends(b"one\n\xff\xf7two\n")
    assert door.said == ["one", "two"]


def test_erase_line_takes_back_the_line(door: Door) -> None:
    door.alice().sends(b"one\ntwo\xff\xf8three\n")
    assert door.said == ["one", "three"]


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_keys_that_erase_do_so_in_a_line_without_an_editor(door: Door, step: int) -> None:
    data = "helo\blo\r\nse\u0301\x7f\x7fhi né\be\n/nick wrong\x15kept\nto be nt\x17not\r\0".encode()
    door.alice().sends(*[data[start : start + step] for start in range(0, len(data), step)])
    assert door.said == ["hello", "hi ne", "kept", "to be not"]


def test_whoever_asks_whether_we_are_there_is_answered_once_a_read(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xf6\xff\xf6\xff\xf6")
    assert alice.received == ASK + b"-- Yes, chatroom is here.\r\n"


def test_a_subnegotiation_without_end_is_no_text_up_to_the_next_line_end(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"\xff\xfa\x18" + b"x" * 9000 + b"\nhi\n")
    assert door.said == ["hi"]
    assert alice.received == ASK + f"{OVERLONG}\r\n".encode()


def test_a_command_may_be_cut_anywhere(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"one\xff", b"\xf1", b"\xff", b"\xfd", b"\x06two\n")
    assert door.said == ["onetwo"]
    assert alice.received == ASK + b"\xff\xfb\x06"


def test_answers_of_telnet_come_out_while_the_line_is_congested(door: Door) -> None:
    alice = door.alice()
    alice.protocol.writer.pauseProducing()
    alice.protocol.dataReceived(b"\xff\xfd\x06")
    assert alice.received == b"\xff\xfb\x06" + ASK


def test_what_comes_in_after_it_was_closed_is_not_looked_at(door: Door) -> None:
    alice = door.alice()
    alice.protocol.dataReceived(b"/quit\n")
    door.world.settle()
    assert alice.wire.disconnecting
    # Over TLS more can come until the peer has agreed to close.
    alice.protocol.dataReceived(b"too late\n" * 1000)
    assert not alice.protocol.buffer.lines
    alice.settle()
    assert door.bob.sees == ["-- alice left."]


def test_bytes_that_come_while_others_wait_for_their_rate_come_after_them() -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    # Over TLS one read can be several pieces.
    alice.protocol.dataReceived(b"\xff\xf1" * 500 + b"one\ntw")
    alice.protocol.dataReceived(b"o\nthree\n")
    door.world.wait(600)
    assert door.said == ["one", "two", "three"]
    alice.hangs_up()
    door.world.end()


def test_the_end_of_file_key_is_not_text(door: Door) -> None:
    door.alice().sends(b"\x04\x04hi\r\n\x04\r\n")
    assert door.said == ["hi"]
