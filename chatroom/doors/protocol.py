"""The protocol of one connection: how it begins, ends, and is written to.

How far it has come is one value, see `doors/state.py`. What comes in is for the protocols that
derive from this; they say what becomes of it when the connection ends.
"""

from abc import ABC, abstractmethod
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.actions import login
from chatroom.chat.connection import Connection
from chatroom.doors.sockets import is_encrypted, tune
from chatroom.doors.state import NOT_SERVED, State
from chatroom.doors.writer import Writer
from chatroom.formats.plain import PLAIN
from chatroom.model.events import SERVER, Noticed
from chatroom.model.identity import Identity

#: Bytes of one read, which is what one connection may do before the next has its turn.
READ_BYTES = 8192


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class DoorProtocol(Protocol, ABC):
    """The protocol of one connection: it owns what the chat has of it, and its writer.

    source, address: see factory.DoorFactory.
    state: how far the connection has come.
    closing: why the server closes the connection, see factory.Connected.
    """

    transport: Any
    factory: Any
    source: str
    address: str
    state = State.HANDSHAKE
    closing = ""
    # From `serve` until `release`.
    connection: Connection = NOT_SERVED
    writer: Writer = NOT_SERVED

    # -- the beginning

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def handshakeCompleted(self) -> None:
        """Twisted: TLS is agreed on."""
        self.factory.agreed(self)

    def serve(self) -> None:
        """Begin with a connection that can be used; for the factory."""
        self.transport.bufferSize = READ_BYTES
        tune(self.transport, self.factory.chat.limits)
        self.writer = self.make_writer()
        self.connection = self.make_connection()
        self.state = self.state.serve()
        self.came()

    @abstractmethod
    def make_writer(self) -> Writer:
        """Return the writing side."""

    @abstractmethod
    def make_connection(self) -> Connection:
        """Return the connection, which is not open yet."""

    def came(self) -> None:
        """Tell the factory that all is made, and begin."""
        self.factory.joined(self)
        self.begin()

    def begin(self, identity: Identity | None = None) -> None:
        """Open the connection, for the user with this *identity* or for a guest."""
        login.open_connection(self.connection, identity)
        self.state = self.state.begin()

    # -- the end

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close; for the connection, whose user has left."""
        if not self.closing:
            self.closing = "closed by the client" if self.state.left_by_client else "left"
        self.state = self.state.close()
        self.writer.close(self.end_output(farewell))
        self._release_if_over()

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more, but may still read."""
        self.state = self.state.end_input()
        if self.state.takes_lines:
            self.end_input()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        before = self.state
        properly = bool(reason.check(ConnectionDone))
        self.state = before.lose(properly=properly)
        if before is State.HANDSHAKE:
            self.went(reason)
            return
        self.end_output(b"")
        self.went(reason)
        self.writer.lost()
        if self.state is State.DRAINING:
            self.connection.disconnected()
            self.end_input()
        else:
            self.drop_input()
            if before is State.STOPPED and properly:
                # It is the server that has ended it: nobody is to see the user leave.
                self.connection.disconnected()
            elif self.in_chat:
                self.connection.lost()
        self._release_if_over()

    def went(self, reason: Failure) -> None:
        """Tell the factory that the connection is gone."""
        self.factory.removed(self, self.source, reason)

    @property
    def in_chat(self) -> bool:
        """Whether the connection is open and not over."""
        return self.connection.origin in self.factory.chat.connections

    def _release_if_over(self) -> None:
        """Release what the connection has once it and its connection are both over."""
        served = self.state is not State.CLOSED
        if self.state.lost and served and not (self.busy or self.in_chat):
            self.release()

    def release(self) -> None:
        """Drop what the connection has: it does nothing from here on.

        Reference cycles would wait for the garbage collector, which runs seldom and then delays
        everybody, the longer the more connections have gone meanwhile.
        """
        self.state = self.state.release()
        self.connection = self.writer = NOT_SERVED

    # -- what becomes of the input and the output when the connection ends

    @property
    def busy(self) -> bool:
        """Whether input is being interpreted, after which `_release_if_over` is called."""
        return False

    def end_input(self) -> None:
        """Interpret what has come in: there will be no more."""

    def drop_input(self) -> None:
        """Forget what has come in."""

    def end_output(self, farewell: bytes) -> bytes:
        """Return what is to be sent last, with *farewell* in it."""
        return farewell

    # -- what the connection asks and says

    @property
    def origin(self) -> int:
        """The id of the connection."""
        return self.connection.origin

    @property
    def opened(self) -> float:
        """When the connection came, by `Clock.seconds`."""
        return self.connection.opened

    @property
    def spoken(self) -> int:
        """How many lines were said over it."""
        return self.connection.spoken

    @property
    def place(self) -> str:
        """Where the other end is, in words."""
        return f"{self.address} ({'an encrypted' if self.encrypted else 'a plain'} line)"

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read along."""
        return is_encrypted(self.transport)

    def expelled(self, what: str) -> None:
        """Note why the connection ends: an operator has *what* its user, 'kicked'."""
        self.closing = what

    # -- what the writer says

    def drained(self) -> bool:
        """Write what there is; return whether nothing is left."""
        return self.connection.drained()

    def cut(self) -> None:
        """End the connection of a client that has read nothing for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"
        if self.in_chat:
            self.connection.lost("not reading")

    # -- what the factory says

    def expel(self, told: str, what: str, why: str) -> None:
        """End the connection for an operator, see Connection.expel."""
        if self.state is State.ARRIVING:
            self._dismiss(what, told)
        else:
            self.connection.expel(told, what, why)

    def dismiss(self) -> None:
        """Say that the server stops, and close."""
        self._dismiss("the server stops", "The server is shutting down.")

    def _dismiss(self, closing: str, told: str) -> None:
        """Close, and say why in the sentence *told*."""
        self.closing = closing
        self.close(PLAIN.encode(Noticed(self.factory.chat.clock.time(), SERVER, told)))

    def drop(self) -> None:
        """Close without sending anything more."""
        self.writer.abort()
