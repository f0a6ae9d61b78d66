"""The bare relay: every line to everybody else on its endpoint, word for word.

There is no user here. Nothing is cleaned, so this is no door for terminals; only the length of
lines and the time that a client may take to read them are limited.
"""

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.chat.chat import Chat
from chatroom.chat.reader import Reader
from chatroom.chat.room import Room
from chatroom.doors import openings
from chatroom.doors.factory import DoorFactory
from chatroom.doors.sockets import tune
from chatroom.doors.state import NOT_SERVED, State
from chatroom.doors.writer import Writer
from chatroom.formats.plain import RAW
from chatroom.model.events import Left, Relayed

log = Logger()


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class RelayProtocol(LineOnlyReceiver):
    """One connection to the relay; a line that is too long ends it.

    source, address: see factory.DoorFactory.
    state: how far the connection has come.
    spoken: how many lines it has sent.
    closing: why the server closes it, see factory.Connected.
    """

    delimiter = b"\n"
    transport: Any
    factory: "RelayFactory"
    source: str
    address: str
    state = State.HANDSHAKE
    spoken = 0
    closing = ""
    # From `serve` until connection and reader are both gone.
    writer: Writer = NOT_SERVED
    reader: Reader = NOT_SERVED
    # Whether what was passed on until now is waited for.
    _leaving = False
    # Whether the room is read no longer.
    _out = False

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def handshakeCompleted(self) -> None:
        """Twisted: TLS is agreed on."""
        self.factory.agreed(self)

    def serve(self) -> None:
        """Enter the room; for the factory."""
        factory, transport = self.factory, self.transport
        chat = factory.chat
        tune(transport, chat.limits)
        self.MAX_LENGTH = chat.limits.line_length
        self.writer = Writer(transport, self, chat.call_later, chat.limits.stall_timeout)
        self.origin = chat.next_origin()
        self.opened = chat.clock.seconds()
        self.reader = Reader(self.origin, RAW, self.writer)
        self.state = self.state.serve()
        factory.joined(self)
        factory.room.attach(self.reader)
        self.state = self.state.begin()

    # -- what comes in

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self.state.reads:
            super().dataReceived(data)
        if self.state.reads and not self.spoken:
            self._turn_away(openings.recognised_early(self._buffer))

    def lineReceived(self, line: bytes) -> None:
        """Send one line, without its LF, to all others."""
        if not self.spoken and self._turn_away(openings.recognised(line)):
            return
        self.spoken += 1
        chat = self.factory.chat
        chat.counters.input += 1
        chat.submit(
            self.factory.room,
            Relayed(chat.clock.time(), self.origin, line, user=-self.origin),
        )
        chat.flush_if_large()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Close: a line was too long."""
        self._close("a line too long")

    def _turn_away(self, opening: openings.Opening | None) -> bool:
        """Close if there is an *opening* of some other protocol; return whether there is."""
        if opening is None:
            return False
        log.info(
            "Connection {connection} from {address} {what}",
            event="stranger_refused",
            connection=self.origin,
            address=self.address,
            source=self.source,
            what=opening.what,
        )
        self._close("not a person", opening.answer)
        return True

    # -- the end

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more; what it sent is passed on first."""
        self.state = self.state.end_input()
        if self.state is State.ENDED:
            self._end_input()

    def _end_input(self) -> None:
        """Send the last line even without an end, and leave."""
        last, self._buffer = self._buffer, b""
        if last:
            self.lineReceived(last)
        if self.state.lost or not self.writer.congested:
            self._leave()

    def _leave(self) -> None:
        """Leave the room, once."""
        if not self._leaving:
            self._leaving = True
            chat = self.factory.chat
            # What comes before it is passed on first.
            left = Left(chat.clock.time(), self.origin, "", "", shown=False, user=-self.origin)
            chat.submit(self.factory.room, left)
            chat.receipt(left).addBoth(self._left)

    def _close(self, why: str, answer: bytes = b"") -> None:
        """Take no more input, and close after *answer*."""
        self.closing = why
        self._buffer = b""
        self.state = self.state.close()
        self.writer.close(answer)

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        before = self.state
        self.state = before.lose(properly=bool(reason.check(ConnectionDone)))
        self.factory.removed(self, self.source, reason)
        if before is State.HANDSHAKE:
            return
        self.writer.lost()
        if self.state is State.DRAINING:
            # Over TLS there is no half-close before.
            self._end_input()
        elif before is not State.STOPPED:
            self._leave()
        self._release_if_over()

    def _release_if_over(self) -> None:
        """Drop what refers back, once the connection and its reader are gone."""
        if self.state.lost and self._out and self.state is not State.CLOSED:
            self.state = self.state.release()
            self.writer = self.reader = NOT_SERVED

    def _left(self, _: object) -> None:
        """Close: all that came before has been committed."""
        self.factory.room.detach(self.reader)
        self._out = True
        self.state = self.state.close()
        self.writer.close(b"")
        self._release_if_over()

    # -- what the writer says

    def stalled(self) -> None:
        """Read no further: the writer is congested."""
        self.transport.pauseProducing()

    def drained(self) -> bool:
        """Write what there is; return whether nothing is left."""
        return self.factory.room.delivery.catch_up(self.reader)

    def flowing(self) -> None:
        """Read on, or leave: the writer is not congested any more."""
        if self.state is State.ENDED:
            self._leave()
        elif self.state.reads:
            self.transport.resumeProducing()

    def cut(self) -> None:
        """Count a client that has read nothing for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"

    # -- what the factory says

    def expel(self, told: str, what: str, why: str) -> None:
        """Close for an operator. Nobody is told anything here."""
        self.closing = what
        self.writer.abort()

    def stop_reading(self) -> None:
        """Take no more input: the server stops."""
        self.state = self.state.stop()
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """Close when all is sent."""
        self._close("the server stops")

    def drop(self) -> None:
        """Close without sending anything more."""
        self.writer.abort()


class RelayFactory(DoorFactory[RelayProtocol]):
    """Makes the connections of one relay.

    room: that of the relay alone.
    """

    protocol: Any = RelayProtocol
    door = "relay"

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.room: Room = chat.open_room(f"relay {id(self)}", listed=False)

    def configure(self) -> None:
        """Hold the connections to the limits of the chat, which have changed."""
        for client in self.clients:
            client.MAX_LENGTH = self.chat.limits.line_length
