"""The bare relay: every line to everybody else, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface.verify import verifyObject

from chatroom.doors.relay import RelayFactory
from chatroom.model.limits import Limits
from tests.support.doubles import DelayedLedger
from tests.support.fuzzing import examples
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World

BOUNDED = examples(100)


class Relay:
    """A relay in memory."""

    def __init__(self, limits: Limits = UNLIMITED, ledger: Any = None) -> None:
        self.world = World(ledger, limits=limits) if ledger else World(limits=limits)
        self.factory = RelayFactory(self.world.chat)

    def visitor(self) -> Visitor:
        return Visitor(self.world, self.factory)


@pytest.fixture(params=["immediate", "late"])
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    made = Relay(ledger=DelayedLedger if request.param == "late" else None)
    yield made
    made.world.end()


def test_its_classes_are_those_that_twisted_has(relay: Relay) -> None:
    visitor = relay.visitor()
    assert isinstance(visitor.protocol, LineOnlyReceiver)
    assert isinstance(relay.factory, ServerFactory)
    assert verifyObject(IHalfCloseableProtocol, visitor.protocol)
    assert verifyObject(IHandshakeListener, visitor.protocol)
    assert relay.factory.clients == {visitor.protocol}
    visitor.hangs_up()
    assert relay.factory.clients == set()


def test_nobody_is_greeted_or_shown_what_was_said_before(relay: Relay) -> None:
    relay.visitor().sends(b"before\n")
    late = relay.visitor()
    relay.world.wait(10)
    assert late.received == b""


def test_a_line_goes_to_everybody_but_its_sender(relay: Relay) -> None:
    one, two, three = relay.visitor(), relay.visitor(), relay.visitor()
    one.sends(b"hello\n")
    assert (one.received, two.received, three.received) == (b"", b"hello\n", b"hello\n")


def test_a_carriage_return_is_part_of_the_line(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    one.sends(b"hello\r\n/nick x\r\n\r\n\n")
    assert two.received == b"hello\r\n/nick x\r\n\r\n\n"


@BOUNDED
@given(st.lists(st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"\r"))), st.data())
def test_whatever_the_bytes_they_arrive_as_they_were(lines: list[bytes], data: Any) -> None:
    relay = Relay()
    one, two = relay.visitor(), relay.visitor()
    sent = b"".join(line + b"\n" for line in lines)
    place = data.draw(st.integers(0, len(sent)))
    one.sends(sent[:place], sent[place:])
    assert two.received == sent
    assert one.received == b""
    relay.world.end()


def test_the_relays_of_one_server_and_its_chat_do_not_hear_each_other(relay: Relay) -> None:
    bob = relay.world.person("bob")
    other = Visitor(relay.world, RelayFactory(relay.world.chat))
    one = relay.visitor()
    one.sends(b"hello\n")
    relay.world.wait(10)
    bob.says("hi")
    assert (one.received, other.received) == (b"", b"")
    assert bob.sees == []
    assert [room.name for room in relay.world.chat.rooms.values() if room.listed] == ["lobby"]


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\nHost: here\r\n\r\nbody\nmore",
        b"POST /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: here\r\n\r\nbody\n",
        b"\x16\x03\x01\x02\0\x01" + b"\0" * 500,
        b"\x16\x03\x01\x02\0\x01" + b"\0" * 50 + b"\nrest\n",
        b"PASS s3cretpw\r\nNICK zoe\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_what_is_no_program_of_its_own_is_closed_and_passed_on_to_nobody(
    relay: Relay, first: bytes, step: int
) -> None:
    one, stranger = relay.visitor(), relay.visitor()
    for start in range(0, len(first), step):
        # A form's text may come while the connection is being closed.
        stranger.protocol.dataReceived(first[start : start + step])
    assert stranger.wire.disconnecting
    stranger.hangs_up(ConnectionDone())
    assert one.received == b""


def test_a_later_line_may_look_like_a_request(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    two.sends(b"hello\nGET / HTTP/1.1\n\x16\x03")
    two.half_closes()
    assert one.received == b"hello\nGET / HTTP/1.1\n\x16\x03\n"


@pytest.mark.parametrize("sent", [b"x" * 2049 + b"\n", b"x" * 2049, b"x" * 100_000])
def test_a_line_that_is_too_long_ends_only_its_connection(relay: Relay, sent: bytes) -> None:
    one, two, three = relay.visitor(), relay.visitor(), relay.visitor()
    one.sends(b"before\n" + sent + b"\nafter\n", b"after\n")
    assert one.gone
    assert two.received == b"before\n"
    two.sends(b"hello\n")
    assert three.received == b"before\nhello\n"


def test_a_line_of_just_the_right_length_is_passed_on(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    one.sends(b"x" * 2048 + b"\n")
    assert two.received == b"x" * 2048 + b"\n"


def test_the_last_line_of_a_half_closed_connection_is_passed_on(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    one.sends(b"one\ntwo")
    one.half_closes()
    assert two.received == b"one\ntwo\n"
    assert one.gone
    assert not one.wire.aborted


def test_a_connection_that_is_half_closed_after_its_last_line_ends(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    one.sends(b"one\n")
    one.half_closes()
    one.protocol.writeConnectionLost()
    assert two.received == b"one\n"
    assert one.gone


@pytest.mark.parametrize(
    ("reason", "heard"), [(ConnectionDone(), b"one\ntwo\n"), (ConnectionLost(), b"one\n")]
)
def test_the_last_line_counts_when_the_close_was_orderly(
    relay: Relay, reason: Exception, heard: bytes
) -> None:
    one, two = relay.visitor(), relay.visitor()
    one.sends(b"one\ntwo")
    one.hangs_up(reason)
    assert two.received == heard
    assert len(relay.factory.room.readers) == 1


def test_whoever_does_not_read_is_not_read_from_and_served_later(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    two.protocol.writer.pauseProducing()
    one.sends(b"one\n", b"two\n")
    two.sends(b"three\n")
    assert two.received == b""
    assert two.unread == 1
    two.protocol.writer.resumeProducing()
    two.settle()
    assert two.received == b"one\ntwo\n"
    assert one.received == b"three\n"


def test_whoever_does_not_read_for_30_seconds_is_cut(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    two.protocol.writer.pauseProducing()
    relay.world.clock.advance(29)
    assert not two.wire.aborted
    relay.world.clock.advance(1)
    assert two.wire.aborted
    two.settle()
    one.sends(b"hello\n")
    assert len(relay.factory.room.readers) == 1


def test_whoever_half_closed_is_not_read_again_after_draining(relay: Relay) -> None:
    one = relay.visitor()
    one.protocol.writer.pauseProducing()
    one.protocol.readConnectionLost()
    one.protocol.writer.resumeProducing()
    assert one.wire.producerState == "paused"
    one.settle()
    assert one.gone


def test_stopping_closes_everybody_and_passes_nothing_on_any_more(relay: Relay) -> None:
    one, two = relay.visitor(), relay.visitor()
    gone: list[object] = []
    relay.factory.stop_reading()
    one.sends(b"too late\n")
    relay.factory.dismiss().addCallback(gone.append)
    one.settle()
    two.settle()
    assert gone == [None]
    assert two.received == b""


def test_stopping_drops_whoever_does_not_read_after_two_seconds(relay: Relay) -> None:
    one = relay.visitor()
    relay.factory.stop_reading()
    relay.factory.dismiss()
    relay.world.clock.advance(1.9)
    assert not one.wire.aborted
    relay.world.clock.advance(0.1)
    assert one.wire.aborted
    one.settle()
