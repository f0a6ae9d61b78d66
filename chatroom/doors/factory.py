"""What every door's factory does: it takes connections in and lets them go.

The rule: who may come is decided before there is a session, and stopping takes a bounded time,
whoever does not read.
"""

import select
import socket
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, INegotiated, ISSLTransport, ISystemHandle
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from chatroom.chat.chat import Chat
from chatroom.formats.plain import PLAIN
from chatroom.model.clock import Timer
from chatroom.model.counters import BARRED, CROWDED, STOPPING
from chatroom.model.events import SERVER, Noticed
from chatroom.model.limits import Limits, address_of, source_of

log = Logger()

#: An attribute that a connection has only between `serve` and its end: None, whatever its type.
NOT_SERVED: Final[Any] = None

#: How long, in seconds, connections may take to read what they are sent last.
GOING = 2.0

#: How long, in seconds, a connection may take to agree on TLS.
HANDSHAKE_SECONDS = 10.0

#: How much, in bytes, the kernel holds for a client that does not read; it doubles what it is told
#: (socket(7)). The less it is, the sooner it shows that nobody reads.
SEND_BUFFER = 32 * 1024

#: How many keepalive probes an unresponsive peer is sent.
PROBES = 4


def _bottom_of(transport: Any) -> Any:
    """The transport of the socket under *transport*."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def _socket_of(transport: Any) -> Any:
    """The socket under *transport*, None where there is none, or none any more."""
    # The handle of a TLS transport is not a socket.
    transport = _bottom_of(transport)
    there = getattr(transport, "connected", False) and ISystemHandle.providedBy(transport)
    return transport.getHandle() if there else None


def tune(transport: Any, limits: Limits) -> None:
    """Set what a new connection needs of the kernel.

    Lines go out at once: Nagle's algorithm would hold them back for 40 ms. Urgent data stays in
    its place, telnet sends the IAC of a Synch so (RFC 854, "The TELNET Synch signal"). A peer that
    is gone without a word is noticed by keepalive and by TCP_USER_TIMEOUT (RFC 5482).
    """
    handle = _socket_of(transport)
    if handle is None:
        return
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if limits.dead_after:
        interval = max(1, limits.dead_after // (2 * PROBES))
        idle = max(1, limits.dead_after - interval * (PROBES + 1))
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        unanswered = 1000 * (idle + PROBES * interval)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unanswered)


def is_encrypted(transport: Any) -> bool:
    """Whether nobody on the way can read along: TLS, or a socket of this machine's (unix(7)).

    A socket that leads to a proxy says nothing of the way that leads there.
    """
    handle = _socket_of(transport)
    local = handle is not None and handle.family == socket.AF_UNIX
    local = local and not getattr(_bottom_of(transport), "proxied", False)
    return local or ISSLTransport.providedBy(transport) or bool(getattr(transport, "TLS", False))


def peer_ended(transport: Any) -> bool:
    """Whether the peer has closed its side, even behind data that was not read yet."""
    handle = _socket_of(transport)
    if handle is None:
        return False
    poll = select.poll()
    poll.register(handle.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


class Connected(Protocol):
    """A connection as its factory sees it.

    origin: its number, see Chat.next_origin. source, address: see DoorFactory. opened: when it
    came, by `Clock.seconds`. spoken: how many lines were said over it. closing: why the
    server closes it, in words that stay what they are; empty for no such reason.
    """

    transport: Any

    @property
    def origin(self) -> int: ...

    @property
    def source(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def opened(self) -> float: ...

    @property
    def spoken(self) -> int: ...

    @property
    def closing(self) -> str: ...

    def serve(self) -> None:
        """The connection can be used: begin, and tell the factory with `joined`."""

    def expel(self, told: str, what: str, why: str) -> None:
        """An operator ends it: see Session.expel, though there may be no session."""

    def stop_reading(self) -> None:
        """No more input is wanted."""

    def dismiss(self) -> None:
        """Say that the server stops, and close when that is sent."""

    def drop(self) -> None:
        """Close without sending anything more."""


class TurnedAway(TwistedProtocol):
    """A connection that may not stay: it is told why and closed."""

    def __init__(self, chat: Chat, why: str) -> None:
        self._chat = chat
        self._why = why
        self._overdue = Timer(chat.call_later)

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        transport: Any = self.transport
        transport.write(self.words(self._why))
        self._overdue.start(GOING, transport.abortConnection)
        self.leave(transport)

    def words(self, why: str) -> bytes:
        """What says *why* to a client of this door."""
        return PLAIN.encode(Noticed(0.0, SERVER, why))

    def leave(self, transport: Any) -> None:
        """Close when that is sent."""
        transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Twisted: the connection is gone."""
        self._overdue.stop()


C = TypeVar("C", bound=Connected)


class DoorFactory(ServerFactory, Generic[C]):
    """Makes the connections of one door and knows them all in `clients`.

    Its protocols call `connected`, `agreed`, `joined` and `removed`, and know the `source` they
    count for and the `address` they come from. Where TLS has to be agreed on first, a connection
    counts for the limits until then, but it is nobody's.
    """

    noisy = False
    #: What the log calls the door.
    door = ""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.clients: set[C] = set()
        self.stopping = False
        # Those that have still to agree on TLS, and what ends them if they do not.
        self._agreeing: dict[C, Timer] = {}
        self._gone: Deferred[None] | None = None
        self._overdue = Timer(chat.call_later)
        chat.doors.append(self)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted: somebody connects from *addr*."""
        host = getattr(addr, "host", None)
        source = source_of(host)
        address = str(address_of(host) or "this machine")
        limiter = self.chat.limiter
        why = limiter.why_refused(source) if not self.stopping else self._stopping()
        if why is None and (why := self.chat.moderation.refusal(host)) is not None:
            self.chat.counters.refused[BARRED] += 1
        if why is None and (why := self.why_full(source)) is not None:
            self.chat.counters.refused[CROWDED] += 1
        if why is not None:
            log.info(
                "Connection {connection} from {address} was refused: {why}",
                event="connection_refused",
                connection=self.chat.next_origin(),
                address=address,
                source=source,
                door=self.door,
                why=why,
            )
            return self.turned_away(why)
        limiter.entered(source)
        protocol: Any = super().buildProtocol(addr)
        protocol.source = source
        protocol.address = address
        return protocol

    def why_full(self, source: str) -> str | None:
        """Why this door takes no more connections from *source* just now; None if it does."""
        return None

    def turned_away(self, why: str) -> TwistedProtocol:
        """What tells somebody, in the protocol of the door, that they may not stay."""
        return TurnedAway(self.chat, why)

    def _stopping(self) -> str:
        self.chat.counters.refused[STOPPING] += 1
        return "The server is shutting down."

    def connected(self, client: C) -> None:
        """There is a connection for *client*: serve it, when TLS is agreed on if there is any."""
        if INegotiated.providedBy(client.transport):
            late = self._agreeing[client] = Timer(self.chat.call_later)
            late.start(HANDSHAKE_SECONDS, partial(self._late, client))
        else:
            self._serve(client)

    def agreed(self, client: C) -> None:
        """TLS is agreed on with *client*."""
        # Twisted says it again when the peer asks for other keys.
        late = self._agreeing.pop(client, None)
        if late is None:
            return
        late.stop()
        if self.chat.moderation.refusal(client.address) is None:
            self._serve(client)
        else:
            # It was banned meanwhile.
            client.transport.abortConnection()

    def _serve(self, client: C) -> None:
        """Serve *client*; a connection that cannot be served is dropped, and the others go on.

        Twisted would leave it open and served, half made.
        """
        try:
            client.serve()
        except Exception:
            log.failure("A connection could not be served", event="connection_failed")
            client.transport.abortConnection()

    def _late(self, client: C) -> None:
        self.chat.counters.cut += 1
        client.transport.abortConnection()

    def joined(self, client: C) -> None:
        """*client* is served."""
        self.clients.add(client)
        log.info(
            "Connection {connection} from {address}, at the {door} door",
            event="connection_accepted",
            connection=client.origin,
            address=client.address,
            source=client.source,
            door=self.door,
        )

    def removed(self, client: C, source: str, reason: Failure) -> None:
        """*client*, which came from *source*, is not connected any more."""
        late = self._agreeing.pop(client, None)
        if late is not None:
            late.stop()
            log.info(
                "A connection from {address} ended before TLS was agreed on, at the {door} door",
                event="tls_not_agreed",
                address=client.address,
                source=source,
                door=self.door,
                error=reason.getErrorMessage(),
            )
        if client in self.clients:
            self.clients.discard(client)
            self._log_end(client, reason)
        self.chat.limiter.left(source)
        if self._gone is not None and not self.clients:
            gone, self._gone = self._gone, None
            self._overdue.stop()
            gone.callback(None)

    def _log_end(self, client: C, reason: Failure) -> None:
        why, error = client.closing, ""
        if not why and reason.check(ConnectionDone):
            why = "closed by the client"
        elif not why and reason.check(ConnectionAborted):
            why = "aborted"
        elif not why:
            why, error = "lost", reason.getErrorMessage()
        log.info(
            "Connection {connection} ended: {why}; after {seconds} s, lines said: {lines}",
            event="connection_closed",
            connection=client.origin,
            address=client.address,
            source=client.source,
            why=why,
            error=error,
            seconds=round(self.chat.clock.seconds() - client.opened, 1),
            lines=client.spoken,
        )

    def expel_banned(self, why: str) -> None:
        """See chat.Door: it holds for every connection, however far it has come."""
        banned = self.chat.moderation.banned_from
        for client in list(self._agreeing):
            if banned(client.address) is not None:
                client.transport.abortConnection()
        for client in list(self.clients):
            if (told := banned(client.address)) is not None:
                client.expel(told, "banned", why)

    def configure(self) -> None:
        """The limits of the chat are other ones: those who are here are held to them."""

    def stop_reading(self) -> None:
        """The server stops: no more input is wanted."""
        self.stopping = True
        for client in list(self._agreeing):
            client.transport.abortConnection()
        for client in list(self.clients):
            client.stop_reading()

    def dismiss(self) -> Deferred[None]:
        """Say good-bye to everybody; fires when all are gone, at most GOING seconds later."""
        if not self.clients:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone = gone
        self._overdue.start(GOING, self._drop_all)
        for client in list(self.clients):
            client.dismiss()
        return gone

    def _drop_all(self) -> None:
        for client in list(self.clients):
            client.drop()
