"""The bare relay: every line to everybody else on its endpoint, word for word.

The rule: there is no session here. Nothing is cleaned, so this is no door for terminals; only the
length of lines and the time a client may take to read them are limited.
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
from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.doors import openings
from chatroom.doors.factory import NOT_SERVED, DoorFactory, tune
from chatroom.doors.writer import Writer
from chatroom.formats.plain import RAW
from chatroom.model.events import Left, Relayed, Renamed

log = Logger()


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class RelayProtocol(LineOnlyReceiver):
    """One connection to the relay; a line that is too long ends it."""

    delimiter = b"\n"
    transport: Any
    factory: "RelayFactory"
    source: str
    address: str
    # From `serve` until connection and member are both gone.
    writer: Writer = NOT_SERVED
    member: Member = NOT_SERVED
    # Nothing is read of it, and nothing is said of it.
    _over = True
    # The client sends nothing more; it leaves when it has been told what there is.
    _ended = False
    # There are a writer and a member.
    _served = False
    # The connection is gone; the room has let it go.
    _lost = False
    _out = False
    #: See factory.Connected.
    spoken = 0
    closing = ""

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def serve(self) -> None:
        """The factory: the connection can be used."""
        factory, transport = self.factory, self.transport
        chat = factory.chat
        tune(transport, chat.limits)
        self.MAX_LENGTH = chat.limits.line_length
        self.writer = Writer(transport, self, chat.call_later, chat.limits.stall_timeout)
        self.origin = chat.next_origin()
        self.user_id = -self.origin
        self.opened = chat.clock.seconds()
        self.member = Member(self.origin, "", RAW, self.writer, self)
        self._served = True
        factory.joined(self)
        chat.enter(factory.room, self.member)
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        # What comes in while the connection is being closed would wait here to be the last line.
        if not self.transport.disconnecting:
            super().dataReceived(data)
        if not self.spoken and not self.transport.disconnecting:
            self._turn_away(openings.recognised_early(self._buffer))

    def lineReceived(self, line: bytes) -> None:
        """One line, without its LF."""
        if not self.spoken and self._turn_away(openings.recognised(line)):
            return
        self.spoken += 1
        chat = self.factory.chat
        chat.counters.input += 1
        chat.submit(
            self.factory.room,
            Relayed(chat.clock.time(), self.member.origin, line, user=self.user_id),
        )
        chat.flush_if_large()

    def _turn_away(self, opening: openings.Opening | None) -> bool:
        """Close, if what came first is no program of the relay's; returns whether it is none."""
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
        self.closing = "not a person"
        self._buffer = b""
        self.writer.close(opening.answer)
        return True

    def handshakeCompleted(self) -> None:
        """Twisted: TLS is agreed on."""
        self.factory.agreed(self)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line was too long: that ends the connection."""
        self.closing = "a line too long"
        self._buffer = b""
        self.writer.close(b"")

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more; what it sent is passed on first."""
        last, self._buffer = self._buffer, b""
        if last:
            self.lineReceived(last)
        self._ended = True
        if not self.writer.congested:
            self._leave()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        self.factory.removed(self, self.source, reason)
        if self._served:
            self.writer.lost()
        if reason.check(ConnectionDone) and not self._over:
            # Over TLS there is no half-close before.
            self.readConnectionLost()
        self._leave()
        self._lost = True
        self._release_if_over()

    def _release_if_over(self) -> None:
        """Once it is lost and out of the room, drop what would be a reference cycle."""
        if self._served and self._lost and self._out:
            self._served = False
            self.member.owner = None
            self.writer = self.member = NOT_SERVED

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            chat = self.factory.chat
            left = Left(
                chat.clock.time(), self.member.origin, "", "", shown=False, user=self.user_id
            )
            chat.submit(self.factory.room, left)

    # -- what the room says

    def entered(self, member: Member) -> None:
        """There is nothing to greet with."""

    def left(self, member: Member, event: Left) -> None:
        """What was to be passed on to it is on its way."""
        self.writer.close(b"")
        self._out = True
        self._release_if_over()

    def renamed(self, event: Renamed) -> None:
        """Nobody has a name here."""

    # -- what the writer and the factory say

    def stalled(self) -> None:
        """The writer: read no further."""
        self.transport.pauseProducing()

    def drained(self) -> bool:
        """The writer: it can take more."""
        return self.factory.room.delivery.catch_up(self.member)

    def flowing(self) -> None:
        """The writer: it is not congested any more."""
        if self._ended:
            self._leave()
        elif not self._over:
            self.transport.resumeProducing()

    def cut(self) -> None:
        """The writer: nothing was read for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"

    def expel(self, told: str, what: str, why: str) -> None:
        """The factory: an operator ends it. Nobody is told anything here."""
        self.closing = what
        self.writer.abort()

    def stop_reading(self) -> None:
        """The factory: the server stops."""
        self._over = True
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """The factory: the server is gone in a moment."""
        self.closing = "the server stops"
        self.writer.close(b"")

    def drop(self) -> None:
        """The factory: time is up."""
        self.writer.abort()


class RelayFactory(DoorFactory[RelayProtocol]):
    """Makes the connections of one relay, which has a room of its own."""

    protocol: Any = RelayProtocol
    door = "relay"

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.room: Room = chat.open_room(f"relay {id(self)}", listed=False)

    def configure(self) -> None:
        """The limits of the chat are other ones."""
        for client in self.clients:
            client.MAX_LENGTH = self.chat.limits.line_length
