"""The life of a connection at the line door: every event in every state, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.python.failure import Failure

from chatroom.doors.state import State
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from tests.support.doubles import DelayedLedger
from tests.support.telnet import Telnet
from tests.support.wire import UNLIMITED, Visitor, Wire
from tests.support.world import World


def visitor(world: World) -> Visitor:
    visitor = Visitor(world, ChatFactory(world.chat))
    visitor.sends(b"hello\n")
    return visitor


# -- how a connection comes into each state


def arriving(world: World) -> Visitor:
    return Telnet(world, ConsoleFactory(world.chat), answers=False)


def leaving(world: World) -> Visitor:
    """Ctrl-D was typed; there are lines before it that wait for the ledger."""
    telnet = Telnet(world, ConsoleFactory(world.chat))
    telnet.protocol.dataReceived(b"/nick ann\rone\r\x04")
    return telnet


def ended(world: World) -> Visitor:
    one = visitor(world)
    one.protocol.dataReceived(b"/nick ann\none\n")
    one.protocol.readConnectionLost()
    return one


def stopped(world: World) -> Visitor:
    one = visitor(world)
    one.protocol.stop_reading()
    return one


def closing(world: World) -> Visitor:
    one = visitor(world)
    one.protocol.dismiss()
    return one


def draining(world: World) -> Visitor:
    one = visitor(world)
    one.protocol.dataReceived(b"/nick ann\none\n")
    one.protocol.connectionLost(Failure(ConnectionDone()))
    return one


def gone(world: World) -> Visitor:
    one = visitor(world)
    one.protocol.connectionLost(Failure(ConnectionAborted()))
    return one


def closed(world: World) -> Visitor:
    one = visitor(world)
    one.hangs_up()
    return one


INTO: dict[State, Callable[[World], Visitor]] = {
    State.ARRIVING: arriving,
    State.OPEN: visitor,
    State.LEAVING: leaving,
    State.ENDED: ended,
    State.STOPPED: stopped,
    State.CLOSING: closing,
    State.DRAINING: draining,
    State.GONE: gone,
    State.CLOSED: closed,
}

#: What can happen; the last two only to a connection that is there.
EVENTS: dict[str, Callable[[Visitor], object]] = {
    "bytes": lambda one: one.protocol.dataReceived(b"two\n/nick bea\nthree\n"),
    "the end of the input": lambda one: one.protocol.readConnectionLost(),
    "the server stops": lambda one: one.protocol.stop_reading(),
    "another limit": lambda one: one.protocol.limit(100),
    "congestion": lambda one: one.protocol.stalled(),
    "no congestion": lambda one: one.protocol.flowing(),
    "a farewell": lambda one: one.protocol.dismiss(),
    "time is up": lambda one: one.protocol.drop(),
    "kicked": lambda one: one.protocol.expel("You were kicked.", "kicked", ""),
    "a close": lambda one: one.protocol.connectionLost(Failure(ConnectionDone())),
    "a reset": lambda one: one.protocol.connectionLost(Failure(ConnectionAborted())),
}

#: Twisted tells a loss once, and the factory does nothing more to a connection that it has lost.
ONCE = {"a close", "a reset", "a farewell", "time is up", "kicked", "congestion", "no congestion"}


def cases() -> list[tuple[State, str]]:
    return [
        (state, event) for state in INTO for event in EVENTS if not (state.lost and event in ONCE)
    ]


@pytest.mark.parametrize(("state", "event"), cases())
def test_each_event_in_each_state(state: State, event: str) -> None:
    world = World(DelayedLedger, limits=UNLIMITED)
    bob = world.person("bob")
    one = INTO[state](world)
    protocol = one.protocol
    assert protocol.state is state
    EVENTS[event](one)
    assert bob.gone is False
    world.settle()
    if not protocol.state.lost:
        protocol.connectionLost(Failure(ConnectionDone()))
    one.gone = True
    world.wait(10)
    if protocol.state is State.GONE:
        # Nobody sees a user leave whom the server has cut off: the connection goes with the server.
        assert state is State.STOPPED or event == "the server stops"
        protocol.connection.end()
        world.wait(10)
    assert protocol.state is State.CLOSED
    assert protocol.connection is None
    assert world.chat.connections.keys() == {bob.connection.origin}
    world.end()


def test_before_the_handshake_nothing_is_read_and_nothing_is_left() -> None:
    world = World(limits=UNLIMITED)
    protocol: Any = ChatFactory(world.chat).buildProtocol(None)
    states = [protocol.state]
    protocol.transport = Wire()
    protocol.dataReceived(b"early\n")
    protocol.connectionLost(Failure(ConnectionDone()))
    states.append(protocol.state)
    assert states == [State.HANDSHAKE, State.CLOSED]
    assert not world.chat.connections


def test_a_ban_ends_connections_that_have_not_said_yet_whether_they_send_keys() -> None:
    world = World(limits=UNLIMITED)
    factory = ConsoleFactory(world.chat)
    silent = [Telnet(world, factory, answers=False) for _ in range(2)]
    for one in silent:
        one.protocol.expel("You were banned.", "banned", "")
        one.settle()
        assert one.gone
        assert "-- You were banned." in "\n".join(one.shown.rows)
    assert not factory.clients
    world.end()
