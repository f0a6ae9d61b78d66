"""Input that waits at the line door: how much of it, for what, and who is cut meanwhile."""

from __future__ import annotations

import pytest

from chatroom.doors.lines import closewatch
from chatroom.model.limits import Limits
from tests.support.lines import HIDES, SHOW, Door, made


def test_lines_wait_while_a_name_is_claimed_and_go_on_in_order(door: Door) -> None:
    door.visitor().sends(b"/nick ci\none\n/nick co\ntwo\n")
    assert door.bob.sees == [
        "-- ci joined.",
        "ci: one",
        "-- ci is now co.",
        "co: two",
    ]


def test_a_client_that_does_not_read_is_not_read_from(door: Door) -> None:
    alice = door.alice()
    alice.protocol.writer.pauseProducing()
    alice.sends(b"one\n", b"two\n")
    assert alice.unread == 2
    assert door.said == []
    alice.protocol.writer.resumeProducing()
    alice.settle()
    assert door.said == ["one", "two"]


def test_lines_of_one_read_wait_when_their_answers_are_not_read(door: Door) -> None:
    alice = door.alice()
    write = alice.wire.write

    def full(data: bytes) -> None:
        write(data)
        alice.protocol.writer.pauseProducing()

    alice.wire.write = full
    alice.sends(b"/nick anna\none\ntwo\n")
    assert door.said == []
    alice.wire.write = write
    alice.protocol.writer.resumeProducing()
    alice.settle()
    assert door.said == ["one", "two"]


def test_more_lines_than_may_wait_stop_the_reading_until_they_went_out() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(b"".join(b"%d\n" % number for number in range(300)), b"last\n")
    assert alice.unread == 1
    assert len(door.said) < 12
    for _ in range(4):
        door.world.wait(60)
        alice.settle()
    assert alice.unread == 0
    assert door.said[-1] == "last"
    door.world.end()


def test_whoever_pastes_is_told_once() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(*[b"line\n"] * 40)
    told = [line for line in alice.sees if "are waiting" in line or "is waiting" in line]
    assert len(told) == 1
    door.world.wait(60)
    assert len(door.said) == 40
    door.world.end()


@pytest.mark.parametrize("flood", [b"x" * 8192, b"\xff\xf1" * 4096, b"\n" * 8192, b"\xff" * 8192])
def test_bytes_come_in_at_their_rate_whatever_they_are(flood: bytes) -> None:
    door = made(Limits(rate=0, byte_rate=1024))
    alice = door.alice()
    alice.sends(*[flood] * 10)
    assert alice.unread >= 7
    door.world.wait(2000)
    for _ in range(40):
        door.world.wait(2000)
        alice.settle()
    assert alice.unread == 0
    alice.hangs_up()
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
def test_bytes_that_wait_for_their_rate_count_when_the_client_closes(way: str) -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    # As text in some other encoding, and no telnet.
    alice.sends(b"\xff\x01" * 1000 + b"\nhi\n")
    getattr(alice, way)()
    assert door.said[1:] == ["hi"]
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
@pytest.mark.parametrize("shown", [b"\xff\xf1", "né\r\n".encode()])
def test_what_waits_is_dropped_when_somebody_who_typed_it_closes(way: str, shown: bytes) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(shown, b"line\r\n" * 50 + b"not ended")
    assert alice.protocol.buffer.lines
    getattr(alice, way)()
    assert not alice.protocol.buffer.lines
    door.world.wait(60)
    assert len(door.said) <= 10
    assert not door.world.chat.connections.keys() - {door.bob.connection.origin}
    door.world.end()


@pytest.mark.parametrize("way", ["half_closes", "hangs_up"])
def test_all_that_a_script_wrote_is_said(way: str) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    script = door.alice()
    script.sends(b"line\r\n" * 20 + b"/help\n" + b"line\n" * 20 + b"/quit\n")
    getattr(script, way)()
    door.world.wait(60)
    assert len(door.said) == 40
    door.world.end()


IP = b"\xff\xf4\xff\xfd\x06"


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("key", [IP, b"\xff\xee"])
def test_the_interrupting_key_drops_what_waits_and_says_so(step: int, key: bytes) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    data = b"line\r\n" * 200 + b"half a line" + key
    alice.sends(*[data[start : start + step] for start in range(0, len(data), step)])
    told = f"-- {200 - len(door.said)} lines that waited were not said.\r\n"
    assert alice.received.endswith(told.encode())
    alice.sends(b"sorry\r\n")
    door.world.wait(60)
    assert door.said == ["sorry"]
    door.world.end()


def test_the_interrupting_key_cancels_a_question_for_a_password(door: Door) -> None:
    alice = door.alice()
    alice.sends(b"/register\r\n", HIDES + b"half" + IP, b"hello to all\r\n")
    received = alice.received
    assert b"Nothing was changed." in received
    assert received.rstrip(b"\xff\xfd\x06\xfb").count(SHOW) == 1
    assert door.said == ["hello to all"]


def test_a_character_that_telnet_takes_for_the_interrupting_key_drops_nothing() -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    # Katakana and Cyrillic have 0x83, see DAMAGED.
    alice.sends(b"line\r\n" * 12 + b"\xe3" + IP + b"\x83 \xd1" + IP + b"\r\n")
    assert b"were not said" not in alice.received
    door.world.wait(60)
    assert len(door.said) == 12
    alice.hangs_up()
    door.world.end()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"line\n" * 50, b"/quit\n"],
        [b"line\r\n" * 50, b"/quit so long\r\n"],
        [b"line\r\n" * 50, b"/exit\r\n"],
        [b"\xff\xf1", b"line\r\n" * 50 + b"/quit\r\n" + b"line\r\n"],
    ],
)
def test_who_leaves_does_not_wait_for_what_they_pasted(pieces: list[bytes]) -> None:
    door = made(Limits(rate=2, burst=10, byte_rate=0))
    alice = door.alice()
    alice.sends(*pieces)
    door.world.wait(1)
    alice.settle()
    assert alice.gone
    assert "lines that waited were not said." in alice.received.decode(errors="ignore")
    door.world.wait(60)
    assert len(door.said) <= 11
    door.world.end()


def test_bytes_that_wait_for_their_rate_are_dropped_when_the_server_stops() -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    alice.sends(b"\xff\xf1" * 1000 + b"hi\n")
    door.factory.stop_reading()
    door.world.wait(60)
    assert door.said == []
    assert alice.wire.producerState == "paused"
    alice.hangs_up()
    door.world.end()


def test_lines_of_a_client_that_has_closed_do_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = made(Limits(rate=0.1, burst=1, byte_rate=0))
    alice = door.visitor()
    ended = False
    monkeypatch.setattr(closewatch, "peer_ended", lambda _: ended)
    alice.sends(b"line\n" * 1000)
    for _ in range(6):
        door.world.wait(60)
    assert door.said
    assert alice.protocol in door.factory.clients
    ended = True
    for _ in range(7):
        door.world.wait(60)
    alice.settle()
    assert alice.gone
    _ = door.said
    door.world.wait(60)
    assert door.said == []
    door.world.end()
