"""Faults at the line door: they end the connection that they happen in, and nothing else."""

from __future__ import annotations

import pytest

from chatroom.chat.connection import Connection
from chatroom.commands.interpreter import Interpreter
from chatroom.doors import protocol
from chatroom.model.limits import Limits
from tests.conftest import Strictness
from tests.support.lines import Door, made
from tests.support.wire import Visitor


def test_a_connection_that_cannot_be_begun_is_dropped(
    door: Door, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(protocol, "tune", broken)
    visitor = Visitor(door.world, door.factory)
    assert visitor.wire.aborted
    assert visitor.gone
    assert door.factory.clients == set()
    assert door.world.chat.limiter.connected == 0
    assert len(strict.expected()) == 1


def test_a_session_that_cannot_be_opened_is_dropped(
    door: Door, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Connection, "open", broken)
    visitor = Visitor(door.world, door.factory)
    assert visitor.wire.aborted
    assert visitor.gone
    assert door.factory.clients == set()
    assert len(strict.expected()) == 1


@pytest.fixture
def bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saying "bomb" is too much for the server."""
    received = Interpreter.received

    def fragile(interpreter: Interpreter, text: str) -> None:
        if text == "bomb":
            raise ZeroDivisionError
        received(interpreter, text)

    monkeypatch.setattr(Interpreter, "received", fragile)


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_one_line_ends_the_connection_it_came_from(door: Door) -> None:
    alice = door.alice()
    # Twisted ends a connection whose dataReceived raises.
    with pytest.raises(ZeroDivisionError):
        alice.protocol.dataReceived(b"one\nbomb\ntwo\n")
    alice.hangs_up(ZeroDivisionError())
    assert door.bob.sees == ["alice: one", "-- alice left."]


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_a_line_that_waited_ends_the_connection_it_came_from(
    door: Door, strict: Strictness
) -> None:
    alice = door.alice()
    alice.sends(b"/nick anna\nbomb\ntwo\n")
    assert alice.gone
    assert door.bob.sees == ["-- alice is now anna.", "-- anna left."]
    assert len(strict.expected()) == 1


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_a_line_that_waited_for_its_bytes_ends_the_connection(
    strict: Strictness,
) -> None:
    door = made(Limits(rate=0, byte_rate=512))
    alice = door.alice()
    alice.sends(b"\xff\xf1" * 1000 + b"bomb\n")
    door.world.wait(600)
    alice.settle()
    assert alice.gone
    assert len(strict.expected()) == 1
    door.world.end()


@pytest.mark.usefixtures("bomb")
def test_a_fault_in_the_last_line_leaves_no_ghost(door: Door, strict: Strictness) -> None:
    alice = door.alice()
    alice.protocol.dataReceived(b"bomb")
    # Twisted logs what connectionLost raises.
    with pytest.raises(ZeroDivisionError):
        alice.hangs_up()
    door.world.settle()
    assert door.bob.sees == ["-- alice left."]
