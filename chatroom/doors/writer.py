"""The writer: writing to one connection at once, later, or not at all any more.

While a writer is congested nothing is written. The rest of a line of which the kernel took a part
waits in the transport, everything after it waits in the log of the room, and a connection that
takes nothing for too long is cut.
"""

from collections.abc import Callable
from errno import ENOBUFS
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.interfaces import INegotiated, IPullProducer, IPushProducer
from zope.interface import implementer

from chatroom.model.clock import Timer, Timers


class WriterListener(Protocol):
    """The connection of a writer."""

    def stalled(self) -> None:
        """Read no further: the writer is congested.

        The rest of what was written is still to be finished; nothing but `insert` may be called.
        """

    def drained(self) -> bool:
        """Write more, which the writer can take; return whether nothing is left to write."""

    def flowing(self) -> None:
        """Read on: the writer is not congested any more."""

    def cut(self) -> None:
        """End: the writer was congested for too long, and drops the connection."""


#: How long a closing connection may take to read what it was sent last.
CLOSING_SECONDS = 30.0


def close_writing(transport: Any) -> None:
    """Close the writing side of *transport*, see Writer.half_close."""
    if INegotiated.providedBy(transport):
        transport.loseConnection()
    else:
        transport.loseWriteConnection()


@implementer(IPushProducer, IPullProducer)
class Writer:
    """The writing side of one connection.

    transport: a connected transport.
    client: the connection.
    later: delays calls.
    stall_timeout: seconds without taking any output after which it is cut; 0 for never.
    congested: whether nothing may be written now.

    Writing at once is for plain TCP and UNIX server transports: the socket of others may have
    encryption on top. It sends to the socket itself: the transport's ``writeSomeData`` does no
    more, and takes longer for it.
    """

    __slots__ = (
        "_aborting",
        "_at_once",
        "_client",
        "_closing",
        "_later",
        "_producing",
        "_socket",
        "_stall_timeout",
        "_timer",
        "_transport",
        "_unfinished",
        "congested",
    )

    def __init__(
        self, transport: Any, client: WriterListener, later: Timers, stall_timeout: float = 30.0
    ) -> None:
        self._transport = transport
        self._client = client
        self._stall_timeout = stall_timeout
        self._later = later
        # None until there is something to wait for.
        self._timer: Timer | None = None
        self._closing = False
        self._aborting = False
        self._producing = False
        self._unfinished = False
        self.congested = False
        self._at_once = isinstance(transport, tcp.Server | unix.Server) and not transport.TLS
        if self._at_once:
            self._socket = transport.getHandle()
        else:
            transport.registerProducer(self, True)

    # -- for the room and the connection

    def write(self, data: bytes) -> int:
        """Send *data*, unless congested, and return how many bytes were taken.

        If that is not all, the writer is congested from then on, and `finish` must be called with
        the rest of the line in which it stopped. Of a connection that turns out to be lost nothing
        was taken.
        """
        if not self._at_once:
            self._transport.write(data)
            return len(data)
        try:
            taken: int = self._socket.send(data)
        except OSError as error:
            taken = self._refused(error)
        if taken != len(data):
            self._stall()
        return taken

    def finish(self, rest: bytes) -> None:
        """Take *rest* too, and call `drained` when the connection has taken it."""
        if self._aborting:
            return
        transport = self._transport
        self._unfinished = True
        if rest:
            transport.write(rest)
        if self._at_once:
            if not self._producing:
                transport.registerProducer(self, False)
                self._producing = True
            # With nothing of ours in the transport it tells when the socket takes more.
            transport.startWriting()

    def insert(self, data: bytes) -> None:
        """Send *data*, such as answers of the protocol, even while congested."""
        if self.congested:
            self._transport.write(data)
            return
        if not self._at_once:
            self.write(data)
            return
        # As in `write`, which is called for each member and turn: a call more would show there.
        try:
            taken: int = self._socket.send(data)
        except OSError as error:
            taken = self._refused(error)
        if taken != len(data) and not self._aborting:
            self.congested = True
            # First: what the client inserts when it is told of congestion comes after it.
            self.finish(data[taken:])
            self._restart_timer()
            self._client.stalled()

    def _refused(self, error: OSError) -> int:
        """Return 0, for a socket that has no room now, and drop a connection that is lost."""
        # A kernel without memory will have some again: Twisted's transports wait for it, too.
        if not isinstance(error, BlockingIOError) and error.errno != ENOBUFS:
            self.abort()
        return 0

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all that was taken, then close within CLOSING_SECONDS."""
        if self._closing or self._aborting:
            return
        self._closing = True
        if farewell:
            self.insert(farewell)
        self._start_timer(CLOSING_SECONDS, self.abort)
        self._write_no_more()
        self._transport.loseConnection()
        if not self._at_once:
            # TLS is not closed before the peer's answer was read.
            self._transport.resumeProducing()

    def half_close(self) -> None:
        """Close the writing side after all that was taken, without a time limit.

        TLS is closed as a whole, and read on until the peer has answered: closing the socket below
        it would cut off what TLS still has to send, all of it if it was not agreed on yet.
        """
        if not self._closing and not self._aborting:
            self._closing = True
            self._stop_timer()
            self._write_no_more()
            close_writing(self._transport)

    def _write_no_more(self) -> None:
        """Have the transport close without waiting for more."""
        self.congested = True
        # While there is a producer, the transport waits for it before it closes.
        if self._producing or not self._at_once:
            self._transport.unregisterProducer()
            self._producing = False

    def abort(self) -> None:
        """Drop the connection and whatever was to be sent on it."""
        if not self._aborting:
            self._aborting = True
            self.congested = True
            self._stop_timer()
            self._transport.abortConnection()

    # -- for the door

    def lost(self) -> None:
        """Stop: the connection is gone."""
        if not (self._at_once or self._closing):
            # TLS would keep it, and it keeps TLS.
            self._transport.unregisterProducer()
        self._aborting = self._closing = True
        self.congested = True
        self._stop_timer()

    # -- for the transport

    def pauseProducing(self) -> None:
        """Twisted: write no more for now."""
        self._stall()

    def resumeProducing(self) -> None:
        """Twisted: the transport has nothing left to send."""
        if self._closing or self._aborting:
            return
        if self._at_once:
            if not self._producing:
                # registerProducer asks at once, when nothing has drained yet.
                return
            self._restart_timer()
            self._unfinished = False
            done = self._client.drained()
            if self._unfinished:
                return
            if not done:
                # Nothing of ours waits in the transport: it tells when the socket takes more.
                self._transport.startWriting()
                return
            self._transport.unregisterProducer()
            self._producing = False
        else:
            self._restart_timer()
            self.congested = False
            # Writing may congest it again; then there is another call.
            while not self._client.drained() and not self.congested:
                pass
            if self.congested:
                return
        self.congested = False
        self._stop_timer()
        self._client.flowing()

    def stopProducing(self) -> None:
        """Twisted: the connection is lost; the door calls `lost`."""

    # -- stalling

    def _stall(self) -> None:
        if not self.congested:
            self.congested = True
            self._restart_timer()
            self._client.stalled()

    def _start_timer(self, seconds: float, function: Callable[[], object]) -> None:
        if self._timer is None:
            self._timer = Timer(self._later)
        self._timer.start(seconds, function)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()

    def _restart_timer(self) -> None:
        if self._stall_timeout:
            self._start_timer(self._stall_timeout, self._cut)

    def _cut(self) -> None:
        self._client.cut()
        self.abort()
