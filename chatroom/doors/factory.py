"""What the factories of all doors do: let connections in, and close them.

Whether a client may stay is decided before it has a connection. Stopping takes a bounded time,
however slowly the clients read.
"""

from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IAddress, INegotiated
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.chat.chat import Chat
from chatroom.formats.plain import PLAIN
from chatroom.model.clock import Timer
from chatroom.model.counters import BARRED, CROWDED, STOPPING
from chatroom.model.events import SERVER, Noticed
from chatroom.model.limits import address_of, source_of

log = Logger()

#: How long connections may take to read what they are sent last.
FAREWELL_SECONDS: Final = 2.0

#: How long a connection may take to agree on TLS.
HANDSHAKE_SECONDS: Final = 10.0


class Connected(Protocol):
    """A connection as its factory sees it.

    origin: its id, see Chat.next_origin.
    source, address: see DoorFactory.
    opened: when it came, by `Clock.seconds`.
    spoken: how many lines were said over it.
    closing: why the server closes it, a fixed phrase for the log; empty if it does not.
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
        """Begin, and tell the factory with `joined`: the connection can be used."""

    def expel(self, told: str, what: str, why: str) -> None:
        """End the connection for an operator: see Connection.expel."""

    def stop_reading(self) -> None:
        """Take no more input."""

    def dismiss(self) -> None:
        """Say that the server stops, and close when that is sent."""

    def drop(self) -> None:
        """Close without sending anything more."""


class TurnedAway(TwistedProtocol):
    """A connection that is refused: it is told why and closed."""

    def __init__(self, chat: Chat, why: str) -> None:
        self._chat = chat
        self._why = why
        self._overdue = Timer(chat.call_later)

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        transport: Any = self.transport
        transport.write(self.words(self._why))
        self._overdue.start(FAREWELL_SECONDS, transport.abortConnection)
        self.leave(transport)

    def words(self, why: str) -> bytes:
        """Return what says *why* to a client of this door."""
        return PLAIN.encode(Noticed(0.0, SERVER, why))

    def leave(self, transport: Any) -> None:
        """Close *transport* when that is sent."""
        transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Twisted: the connection is gone."""
        self._overdue.stop()


C = TypeVar("C", bound=Connected)


class DoorFactory(ServerFactory, Generic[C]):
    """Makes the connections of one door.

    Its protocols call `connected`, `agreed`, `joined` and `removed`, and have two attributes: the
    `source` that they count for (see limits.source_of) and the IP `address` that they come from.
    While TLS is still to be agreed on, a connection counts for the limits, and is not served.

    door: what the log calls the door.
    clients: the connections that are served.
    stopping: whether the server stops.
    """

    noisy = False
    door = ""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.clients: set[C] = set()
        self.stopping = False
        # The connections that have still to agree on TLS, and what ends them if they do not.
        self._agreeing: dict[C, Timer] = {}
        self._gone: Deferred[None] | None = None
        self._overdue = Timer(chat.call_later)
        chat.doors.append(self)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted: a client connects from *addr*."""
        host = getattr(addr, "host", None)
        source = source_of(host)
        address = str(address_of(host) or "this machine")
        why = self._why_refused(source, host)
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
        self.chat.limiter.entered(source)
        protocol: Any = super().buildProtocol(addr)
        protocol.source = source
        protocol.address = address
        return protocol

    def _why_refused(self, source: str, host: str | None) -> str | None:
        """Return the reason to refuse a connection from *host*, or None to accept it."""
        refused = self.chat.counters.refused
        if self.stopping:
            refused[STOPPING] += 1
            return "The server is shutting down."
        why = self.chat.limiter.why_refused(source)
        if why is not None:
            return why
        why = self.chat.moderation.refusal(host)
        if why is not None:
            refused[BARRED] += 1
            return why
        why = self.why_full(source)
        if why is not None:
            refused[CROWDED] += 1
        return why

    def why_full(self, source: str) -> str | None:
        """Return why this door takes no more of *source* just now, or None."""
        return None

    def turned_away(self, why: str) -> TwistedProtocol:
        """Return what refuses a connection in the protocol of the door."""
        return TurnedAway(self.chat, why)

    def connected(self, client: C) -> None:
        """Serve *client*, once TLS is agreed on if there is any."""
        if INegotiated.providedBy(client.transport):
            late = self._agreeing[client] = Timer(self.chat.call_later)
            late.start(HANDSHAKE_SECONDS, partial(self._late, client))
        else:
            self._serve(client)

    def agreed(self, client: C) -> None:
        """Serve *client*, with which TLS is agreed on now."""
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
        """Serve *client*, or drop it if that fails: Twisted would leave it half made."""
        try:
            client.serve()
        except Exception:
            log.failure("A connection could not be served", event="connection_failed")
            client.transport.abortConnection()

    def _late(self, client: C) -> None:
        """Drop *client*, which has not agreed on TLS in time."""
        self.chat.counters.cut += 1
        client.transport.abortConnection()

    def joined(self, client: C) -> None:
        """Add *client*, which is served."""
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
        """Remove *client*, which came from *source* and is not connected any more."""
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
        """Log why the connection of *client* has ended."""
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
        """Close the connections from banned networks, also those that agree on TLS."""
        banned = self.chat.moderation.banned_from
        for client in list(self._agreeing):
            if banned(client.address) is not None:
                client.transport.abortConnection()
        for client in list(self.clients):
            if (told := banned(client.address)) is not None:
                client.expel(told, "banned", why)

    def configure(self) -> None:
        """Hold the connections to the limits of the chat, which have changed."""

    def stop_reading(self) -> None:
        """Take no more input, and no more connections: the server stops."""
        self.stopping = True
        for client in list(self._agreeing):
            client.transport.abortConnection()
        for client in list(self.clients):
            client.stop_reading()

    def dismiss(self) -> Deferred[None]:
        """Say that the server stops, and close all connections.

        The Deferred fires when all are closed, at most FAREWELL_SECONDS later.
        """
        if not self.clients:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._gone = gone
        self._overdue.start(FAREWELL_SECONDS, self._drop_all)
        for client in list(self.clients):
            client.dismiss()
        return gone

    def _drop_all(self) -> None:
        """Close the connections that have not read their farewell in time."""
        for client in list(self.clients):
            client.drop()
