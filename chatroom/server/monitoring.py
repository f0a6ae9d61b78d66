"""Monitoring over HTTP: metrics for Prometheus, and the health of the server.

It changes nothing. Its cost is bounded: requests may have no body, connections are few, and the
numbers are read quickly. It needs prometheus-client (the extra `metrics`), so it is imported only
if --metrics is given.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.protocols.policies import WrappingFactory
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.chat.chat import Chat
from chatroom.model.limits import address_of, source_of
from chatroom.server.metrics import ChatCollector, Door, LoopLag

#: How long a connection may be idle, and how many there may be at the same time.
IDLE_SECONDS = 10
MAX_CONNECTIONS = 32

#: The status of a request that is for another machine (RFC 9110, section 15.5.20).
MISDIRECTED = 421

#: How long requests are still answered while the server stops.
STOP_SECONDS = 5.0


class Watched(Protocol):
    """The service that is monitored; see chatservice.ChatService."""

    running: Any
    stopped: "Deferred[None]"


class Pages(Resource):
    """`/metrics`, `/healthz` and `/readyz`, and nothing else.

    unready: returns in one line why the server should get no new connections, or "".
    """

    isLeaf = True

    def __init__(self, collectors: Iterable[Collector], unready: Callable[[], str]) -> None:
        super().__init__()
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        self._unready = unready
        self._pages = {
            b"/metrics": self._metrics,
            b"/healthz": lambda request: b"ok\n",
            b"/readyz": self._readiness,
        }

    def render(self, request: Any) -> bytes:
        """Twisted: the answer to *request*."""
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        page = self._pages.get(request.path)
        if _misled(request):
            request.setResponseCode(MISDIRECTED, b"Misdirected Request")
            body = b"Wrong host name. Use an IP address or localhost.\n"
        elif page is None:
            request.setResponseCode(http.NOT_FOUND)
            body = b"No such page. There are /metrics, /healthz and /readyz.\n"
        elif request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(http.NOT_ALLOWED)
            request.setHeader(b"Allow", b"GET, HEAD")
            body = b"Use GET or HEAD.\n"
        else:
            body = page(request)
        if request.method != b"HEAD":
            return body
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b""

    def _metrics(self, request: Any) -> bytes:
        encode, content_type = choose_encoder(request.getHeader("Accept") or "")
        request.setHeader(b"Content-Type", content_type.encode())
        body: bytes = encode(self._registry)
        return body

    def _readiness(self, request: Any) -> bytes:
        why = self._unready()
        if why:
            request.setResponseCode(http.SERVICE_UNAVAILABLE)
        return f"{why or 'ready'}\n".encode()


def _misled(request: Any) -> bool:
    """Return whether *request* reached the loopback address under another machine's name.

    A browser sends such a request for a page whose host name was made to resolve to this machine
    (DNS rebinding). The page must not read what only programs on this machine may read.
    """
    here = address_of(getattr(request.getHost(), "host", None))
    if here is None or not here.is_loopback:
        return False
    name = request.getRequestHostname().decode(errors="replace").lower()
    return name != "localhost" and address_of(name.strip("[]")) is None


class BodilessRequest(Request):
    """A request without a body; one with a body is refused, since bodies can be long.

    It is answered in the next turn of the reactor, since one packet can contain many requests, each
    of which takes a millisecond or two.
    """

    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Twisted: the headers are there.

        length: that of the body, in bytes, None for unknown.
        """
        self.content = BytesIO()
        if length != 0:
            self._refused = True
            transport: Any = self.channel.transport
            transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n")
            transport.loseConnection()

    def handleContentChunk(self, data: bytes) -> None:
        """Twisted: a part of the body; it is not kept."""

    def process(self) -> None:
        """Twisted: the request is complete."""
        if not self._refused:
            self.channel.callLater(0, self._answer)

    def _answer(self) -> None:
        # Without a channel the client has gone.
        if self.channel is not None:
            super().process()


class QuietSite(Site):
    """A web server that keeps no access log and speaks HTTP/1.1 only."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """Twisted: *request* was answered."""

    def acceptableProtocols(self) -> list[bytes]:
        """Twisted: what may be agreed on in TLS."""
        return [b"http/1.1"]


class MonitoringFactory(WrappingFactory[Any]):
    """Makes the monitoring connections, at most MAX_CONNECTIONS at the same time.

    Requests are answered at once, so closing the oldest connection interrupts none.
    """

    noisy = False

    def __init__(self, clock: Any, pages: Pages) -> None:
        site = QuietSite(pages, requestFactory=BodilessRequest, timeout=IDLE_SECONDS, reactor=clock)
        super().__init__(site)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted: a client connects from *addr*."""
        if len(self.protocols) >= MAX_CONNECTIONS:
            self._drop_one()
        return super().buildProtocol(addr)

    def unregisterProtocol(self, p: Any) -> None:
        """Twisted: *p* is closed; it may have been dropped before."""
        self.protocols.pop(p, None)

    def _drop_one(self) -> None:
        """Close the oldest connection of the source with the most connections."""
        sources = [source_of(getattr(one.getPeer(), "host", None)) for one in self.protocols]
        (most, _), *_ = Counter(sources).most_common(1)
        oldest = next(
            one for one, source in zip(self.protocols, sources, strict=True) if source == most
        )
        self.unregisterProtocol(oldest)
        oldest.transport.abortConnection()

    def drop_all(self) -> None:
        """Close all connections."""
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()


class MonitoringService(Service):
    """Answers monitoring requests, from before the chat starts until it has stopped.

    ports: the number of endpoints on which the doors should listen.
    watched: the service of the chat.
    open: makes the service that listens with the given factory.
    ledger: the ledger of the store, None without a store.
    """

    def __init__(
        self,
        clock: Any,
        chat: Chat,
        doors: Sequence[Door],
        ports: int,
        watched: Watched,
        open: Callable[[MonitoringFactory], Any],
        ledger: StoredLedger | None = None,
    ) -> None:
        self._clock = clock
        self._doors = doors
        self._ports = ports
        self._watched = watched
        self._ledger = ledger
        self._lag = LoopLag(clock, chat.counters.timer)
        self.collector = ChatCollector(chat, doors, self._lag, ledger)
        collectors = [self.collector, ProcessCollector(registry=None)]
        self.factory = MonitoringFactory(clock, Pages(collectors, self.unready))
        self._port = open(self.factory)

    def unready(self) -> str:
        """Return in one line why the server should get no new connections, or ""."""
        if not self._watched.running:
            return "the server is stopping"
        if sum(door.numPorts for door in self._doors) < self._ports:
            return "not listening"
        if self._ledger is not None and self._ledger.lagging:
            return "the disk does not answer: messages are not being stored"
        return ""

    def privilegedStartService(self) -> None:
        """Twisted: listen, while that is still allowed on the lowest ports."""
        super().privilegedStartService()
        self._port.privilegedStartService()

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        self._port.startService()
        self._lag.start()

    @inlineCallbacks
    def stopService(self) -> Any:
        """Twisted: the server stops. Fires when the chat and the monitoring have stopped."""
        super().stopService()
        self._lag.stop()
        # If the chat takes too long, only monitoring requests are refused.
        yield self._watched.stopped.addTimeout(STOP_SECONDS, self._clock).addErrback(lambda _: None)
        yield self._port.stopService()
        self.factory.drop_all()
