"""Writing to one connection: at once, later, in portions, or not at all any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp, unix
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface.verify import verifyObject

from chatroom.doors.writer import CLOSING_SECONDS, Writer
from tests.support.doubles import Clock
from tests.support.fuzzing import examples
from tests.support.wire import Wire
from tests.support.writers import Log, Plain

BOUNDED = examples(60)


class Upgraded(tcp.Server):
    """A TCP connection on which TLS was started later."""

    TLS = True
    written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def writeSomeData(self, data: object) -> int:
        raise AssertionError("that would be plaintext")

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert streaming

    def unregisterProducer(self) -> None: ...


@pytest.fixture(params=[tcp.Server, unix.Server])
def plain(request: pytest.FixtureRequest) -> Iterator[Plain]:
    made = Plain(kind=request.param)
    yield made
    made.ends()


def lines(count: int, size: int = 1000) -> list[bytes]:
    return [b"%08d%s\r\n" % (number, b"x" * size) for number in range(count)]


def test_it_is_a_producer_of_both_kinds(plain: Plain) -> None:
    assert verifyObject(IPullProducer, plain.writer)
    assert verifyObject(IPushProducer, plain.writer)


# At once


def test_a_line_is_in_the_socket_before_write_returns(plain: Plain) -> None:
    assert plain.writer.write(b"hello\r\n") == 7
    assert plain.peer.recv(100) == b"hello\r\n"
    assert not plain.turns.writers
    assert plain.log.heard == []


def test_what_the_kernel_does_not_take_congests(plain: Plain) -> None:
    data = b"x" * 1_000_000
    taken = plain.writer.write(data)
    assert 0 < taken < len(data)
    assert plain.writer.congested
    assert plain.log.heard == ["stalled"]


def test_a_line_cut_in_the_middle_comes_whole_and_before_all_later_ones(plain: Plain) -> None:
    plain.log.says(*lines(500))
    assert plain.writer.congested
    plain.log.says(b"later\r\n")
    plain.reads_all()
    assert plain.received == b"".join(plain.log.lines)
    assert not plain.writer.congested
    assert plain.log.heard[-2:] == ["drained", "flowing"]


def test_only_the_rest_of_one_line_waits_in_the_transport(plain: Plain) -> None:
    plain.log.says(*lines(500))
    waiting = len(plain.transport.dataBuffer) + plain.transport._tempDataLen
    assert waiting <= 1010


def test_a_write_that_ends_with_a_line_needs_no_rest(plain: Plain) -> None:
    taken = plain.writer.write(b"x" * 1_000_000)
    plain.log.lines.append(b"later\r\n")
    plain.writer.finish(b"")
    plain.reads_all()
    assert plain.received == b"x" * taken + b"later\r\n"


def test_it_drains_in_portions_and_every_portion_waits_for_the_socket() -> None:
    plain = Plain(portion=2)
    plain.log.says(*lines(40))
    plain.reads_all()
    assert plain.received == b"".join(plain.log.lines)
    assert plain.log.heard.count("drained") > 10
    assert plain.log.heard[0] == "stalled"
    assert plain.log.heard[-1] == "flowing"
    assert plain.log.heard.count("flowing") == 1
    plain.ends()


def test_it_can_be_congested_again_after_it_flowed(plain: Plain) -> None:
    for _ in range(3):
        plain.log.says(*lines(300))
        assert plain.writer.congested
        plain.reads_all()
        assert not plain.writer.congested
    assert plain.received == b"".join(plain.log.lines)
    assert plain.log.heard.count("stalled") == 3


@BOUNDED
@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(0, 9000), min_size=1, max_size=8),
            st.integers(1, 20_000),
        ),
        max_size=30,
    ),
    st.integers(1, 20),
)
def test_whatever_is_said_and_however_it_is_read_the_stream_is_the_log(
    steps: list[list[int] | int], portion: int
) -> None:
    plain = Plain(portion)
    number = 0
    for step in steps:
        if isinstance(step, int):
            plain.reads(step)
        else:
            said = [b"%d:%s\n" % (number + index, b"y" * size) for index, size in enumerate(step)]
            number += len(step)
            plain.log.says(*said)
    plain.reads_all()
    assert plain.received == b"".join(plain.log.lines)
    assert not plain.writer.congested
    plain.ends()


def test_answers_of_the_protocol_go_out_at_once_while_nothing_waits(plain: Plain) -> None:
    plain.writer.insert(b"\xff\xfb\x06")
    assert plain.peer.recv(100) == b"\xff\xfb\x06"


def test_answers_of_the_protocol_wait_behind_the_line_that_was_cut(plain: Plain) -> None:
    plain.log.says(*lines(500))
    standing = plain.log.cursor
    # The kernel would take it now, out of its turn.
    plain.received += plain.peer.recv(1 << 20)
    plain.writer.insert(b"ANSWER")
    plain.reads_all()
    said = plain.log.lines
    assert plain.received == b"".join([*said[:standing], b"ANSWER", *said[standing:]])


def test_an_answer_that_the_kernel_does_not_take_congests_and_comes_whole(plain: Plain) -> None:
    plain.writer.insert(b"a" * 1_000_000)
    assert plain.writer.congested
    plain.reads_all()
    assert plain.received == b"a" * 1_000_000
    assert not plain.writer.congested


def test_what_is_inserted_when_it_stalls_comes_after_what_has_stalled_it(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = plain.log.stalled

    def answers() -> None:
        stalled()
        plain.writer.insert(b"ANSWER")

    monkeypatch.setattr(plain.log, "stalled", answers)
    plain.writer.insert(b"a" * 1_000_000)
    plain.reads_all()
    assert plain.log.heard.count("stalled") == 1
    assert plain.received == b"a" * 1_000_000 + b"ANSWER"


def test_a_connection_found_lost_while_writing_is_dropped(plain: Plain) -> None:
    plain.peer.close()
    # What was not taken counts as neither read nor delivered.
    assert plain.writer.write(b"hello\r\n") == 0
    plain.writer.finish(b"hello\r\n")
    assert plain.writer.congested
    assert plain.was_dropped()


def test_a_tls_transport_is_not_written_to_behind_its_back() -> None:
    plain = Plain(kind=Upgraded)
    assert plain.writer.write(b"secret\r\n") == 8
    plain.writer.insert(b"more")
    assert plain.transport.written == b"secret\r\nmore"
    plain.ends()


# Stalling


def test_whoever_takes_nothing_for_the_stall_timeout_is_cut(plain: Plain) -> None:
    plain.log.says(*lines(500))
    plain.clock.advance(29.9)
    assert "cut" not in plain.log.heard
    plain.clock.advance(0.2)
    assert plain.log.heard == ["stalled", "cut"]
    assert plain.was_dropped()


def test_taking_a_portion_starts_the_timeout_anew() -> None:
    plain = Plain(portion=1)
    plain.log.says(*lines(100))
    for _ in range(3):
        plain.clock.advance(20)
        drained = plain.log.heard.count("drained")
        while plain.log.heard.count("drained") == drained:
            plain.reads(2000)
    assert plain.writer.congested
    assert "cut" not in plain.log.heard
    plain.clock.advance(31)
    assert plain.log.heard[-1] == "cut"
    plain.ends()


def test_no_timeout_is_left_when_it_flows_again(plain: Plain) -> None:
    plain.log.says(*lines(500))
    plain.reads_all()
    assert not plain.clock.getDelayedCalls()


def test_a_timeout_of_0_is_none() -> None:
    plain = Plain(stall_timeout=0)
    plain.log.says(*lines(500))
    assert plain.writer.congested
    assert not plain.clock.getDelayedCalls()
    plain.ends()


# Closing


def test_a_farewell_is_sent_before_the_connection_closes(plain: Plain) -> None:
    plain.writer.close(b"bye\r\n")
    plain.reads_all()
    assert plain.received == b"bye\r\n"
    assert plain.result is not None


def test_closing_while_congested_sends_the_cut_line_then_the_farewell(plain: Plain) -> None:
    plain.log.says(*lines(500))
    standing = plain.log.cursor
    plain.writer.close(b"bye\r\n")
    plain.reads_all()
    assert plain.received == b"".join([*plain.log.lines[:standing], b"bye\r\n"])
    assert plain.result is not None
    assert "drained" not in plain.log.heard


def test_a_farewell_that_the_kernel_does_not_take_is_sent_whole(plain: Plain) -> None:
    plain.writer.close(b"b" * 1_000_000)
    plain.reads_all()
    assert plain.received == b"b" * 1_000_000
    assert plain.result is not None


def test_whoever_does_not_read_the_farewell_is_dropped(plain: Plain) -> None:
    plain.log.says(*lines(500))
    plain.writer.close(b"bye\r\n")
    plain.clock.advance(CLOSING_SECONDS - 0.1)
    assert not plain.was_dropped()
    plain.clock.advance(0.1)
    assert plain.was_dropped()
    assert "cut" not in plain.log.heard


def test_closing_twice_is_closing_once(plain: Plain) -> None:
    plain.writer.close(b"bye\r\n")
    plain.writer.close(b"bye again\r\n")
    plain.reads_all()
    assert plain.received == b"bye\r\n"
    assert len(plain.clock.getDelayedCalls()) == 1


def test_half_closing_sends_all_that_was_taken_and_nothing_more(plain: Plain) -> None:
    plain.log.says(*lines(500))
    standing = plain.log.cursor
    plain.writer.insert(b"bye\r\n")
    plain.writer.half_close()
    plain.writer.half_close()
    plain.writer.close(b"bye again\r\n")
    plain.reads_all()
    assert plain.received == b"".join([*plain.log.lines[:standing], b"bye\r\n"])
    assert plain.peer.recv(100) == b""
    assert plain.result is None, "it is to be read on"
    assert "drained" not in plain.log.heard
    assert not plain.clock.getDelayedCalls()
    plain.writer.abort()
    assert plain.was_dropped()


def test_what_is_dropped_is_not_closed_afterwards(plain: Plain) -> None:
    plain.writer.abort()
    plain.writer.abort()
    plain.writer.close(b"bye\r\n")
    assert plain.was_dropped()
    assert plain.peer.recv(100) == b""


def test_nothing_is_asked_for_once_it_closes_or_is_dropped(plain: Plain) -> None:
    plain.writer.close(b"")
    plain.writer.resumeProducing()
    assert plain.log.heard == []


def test_losing_the_connection_leaves_no_timer(plain: Plain) -> None:
    plain.log.says(*lines(500))
    plain.writer.lost()
    assert not plain.clock.getDelayedCalls()
    assert plain.writer.congested
    plain.writer.stopProducing()


# Where the transport has a buffer of its own


class Buffered:
    """A writer over a transport that pushes back."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wire: Any = Wire()
        self.log = Log(portion=2)
        self.writer: Any = Writer(self.wire, self.log, self.clock.callLater)
        self.log.writer = self.writer


def test_elsewhere_the_transport_takes_all_and_says_when_it_is_enough() -> None:
    buffered = Buffered()
    assert buffered.wire.streaming
    buffered.log.says(b"one\n")
    buffered.writer.pauseProducing()
    buffered.log.says(b"two\n", b"three\n", b"four\n")
    assert buffered.wire.value() == b"one\n"
    buffered.writer.resumeProducing()
    assert buffered.wire.value() == b"one\ntwo\nthree\nfour\n"
    assert buffered.log.heard == ["stalled", "drained", "drained", "flowing"]
    assert not buffered.clock.getDelayedCalls()


def test_it_stops_in_the_middle_of_draining_when_the_transport_has_enough() -> None:
    buffered = Buffered()
    buffered.writer.pauseProducing()
    buffered.log.says(*[b"line\n"] * 6)
    write = buffered.wire.write

    def full(data: bytes) -> None:
        write(data)
        buffered.writer.pauseProducing()

    buffered.wire.write = full
    buffered.writer.resumeProducing()
    assert buffered.wire.value() == b"line\n" * 2
    assert buffered.writer.congested
    assert "flowing" not in buffered.log.heard
    assert buffered.clock.getDelayedCalls()
    buffered.wire.write = write
    buffered.writer.resumeProducing()
    assert buffered.wire.value() == b"line\n" * 6
    assert not buffered.writer.congested


def test_a_transport_that_stays_full_is_cut() -> None:
    buffered = Buffered()
    buffered.writer.pauseProducing()
    buffered.clock.advance(31)
    assert buffered.log.heard == ["stalled", "cut"]
    assert buffered.wire.aborted


def test_its_producer_is_taken_away_before_it_closes() -> None:
    buffered = Buffered()
    buffered.writer.close(b"bye\n")
    assert buffered.wire.producer is None
    assert buffered.wire.disconnecting
    assert buffered.wire.value() == b"bye\n"
    buffered.writer.resumeProducing()
    buffered.writer.lost()
    assert not buffered.clock.getDelayedCalls()
