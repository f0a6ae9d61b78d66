"""What every door's factory does: it knows its connections and lets them go.

The rule: stopping takes a bounded time, whoever does not read.
"""

import socket
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ISystemHandle, ITCPTransport
from twisted.internet.protocol import ServerFactory

from chatroom.chat import Chat
from chatroom.doors.outlet import Timers

#: How long, in seconds, connections may take to read what they are sent last.
GOING = 2.0


def tune(transport: Any) -> None:
    """Set what a new connection needs of the kernel.

    Lines go out at once, Nagle's algorithm would hold them back for 40 ms. Urgent data stays in
    its place: telnet sends the IAC of a Synch so (RFC 854, "The TELNET Synch signal").
    """
    if ITCPTransport.providedBy(transport) and ISystemHandle.providedBy(transport):
        handle: Any = transport.getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


class Connected(Protocol):
    """A connection as its factory sees it."""

    def stop_reading(self) -> None:
        """No more input is wanted."""

    def dismiss(self) -> None:
        """Say that the server stops, and close when that is sent."""

    def drop(self) -> None:
        """Close without sending anything more."""


C = TypeVar("C", bound=Connected)


class DoorFactory(ServerFactory, Generic[C]):
    """Makes the connections of one door and knows them all in `clients`.

    later: calls something in some seconds. stall_timeout: see Outlet.
    """

    noisy = False

    def __init__(self, chat: Chat, later: Timers, stall_timeout: float = 30.0) -> None:
        self.chat = chat
        self.later = later
        self.stall_timeout = stall_timeout
        self.clients: set[C] = set()
        self.stopping = False
        self._gone: Deferred[None] | None = None

    def joined(self, client: C) -> bool:
        """*client* is connected. Returns whether it may stay."""
        self.clients.add(client)
        return not self.stopping

    def parted(self, client: C) -> None:
        """*client* is not connected any more."""
        self.clients.discard(client)
        if self._gone is not None and not self.clients:
            gone, self._gone = self._gone, None
            gone.callback(None)

    def stop_reading(self) -> None:
        """The server stops: no more input is wanted."""
        self.stopping = True
        for client in list(self.clients):
            client.stop_reading()

    def dismiss(self) -> Deferred[None]:
        """Say good-bye to everybody; fires when all are gone, at most GOING seconds later."""
        if not self.clients:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone = gone
        overdue = self.later(GOING, self._drop_all)
        gone.addCallback(lambda _: overdue.cancel() if overdue.active() else None)
        for client in list(self.clients):
            client.dismiss()
        return gone

    def _drop_all(self) -> None:
        for client in list(self.clients):
            client.drop()
