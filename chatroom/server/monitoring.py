"""For who watches the server: its numbers for Prometheus, and whether it is well, over HTTP.

The rule: this is no door. It reads, changes nothing, and what it asks of the reactor is bounded:
short requests, few connections, and numbers that take no time to read. It needs prometheus-client
(the extra `metrics`) and is imported only where somebody asked for it.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Protocol

import twisted
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.protocols.policies import WrappingFactory
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from chatroom import __version__
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.chat.chat import Chat
from chatroom.model.clock import Call, Clock
from chatroom.model.counters import Histogram
from chatroom.model.limits import address_of, source_of

#: How long, in seconds, a connection may say nothing, and how many there may be at a time.
IDLE_SECONDS = 10
MAX_CONNECTIONS = 32

#: What is answered to who asks for another machine (RFC 9110, section 15.5.20).
MISDIRECTED = 421

#: How often, in seconds, it is measured how late the reactor is.
LAG_SAMPLE_SECONDS = 1.0

#: How long, in seconds, it is still answered, when the server stops, that it does.
STOP_SECONDS = 5.0


class Door(Protocol):
    """A factory of connections, see doors/factory.py."""

    chat: Chat
    door: str
    clients: set[Any]
    numPorts: int


class Watched(Protocol):
    """The service that is watched, see service.ChatService; `stopped` fires when it has."""

    running: Any
    stopped: "Deferred[None]"


class LoopLag:
    """How late the reactor is with what was to be done: the time it spends on something else."""

    def __init__(self, clock: Clock, timer: Callable[[], float]) -> None:
        self.histogram = Histogram()
        self._clock = clock
        self._timer = timer
        self._call: Call | None = None

    def start(self) -> None:
        """Measure from now on."""
        due = self._timer() + LAG_SAMPLE_SECONDS

        def measure() -> None:
            self.histogram.observe(self._timer() - due)
            self.start()

        self._call = self._clock.callLater(LAG_SAMPLE_SECONDS, measure)

    def stop(self) -> None:
        """Measure no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()


class ChatCollector(Collector):
    """The numbers of a chat as prometheus-client wants them, read when it asks.

    ledger: that of the store, None without one.
    """

    def __init__(
        self, chat: Chat, doors: Sequence[Door], lag: LoopLag, ledger: StoredLedger | None = None
    ) -> None:
        self._chat = chat
        self._doors = doors
        self._lag = lag
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """prometheus-client: all there is."""
        chat, counters = self._chat, self._chat.counters
        versions = {
            "version": __version__,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        }
        yield InfoMetricFamily("chatroom_build", "Which versions run.", value=versions)
        online = len(chat.logins.online)
        sessions = chat.sessions.values()
        guests = sum(one.account is None and not one.passing for one in sessions)
        people = {"guest": guests, "logged_in": online}
        yield _gauges("chatroom_people", "People who are here.", "state", people)
        yield _gauge("chatroom_accounts_online", "Accounts somebody is logged in to.", online)
        connections: dict[str, int] = {}
        for door in self._doors:
            connections[door.door] = connections.get(door.door, 0) + len(door.clients)
        yield _gauges("chatroom_connections", "Open connections.", "door", connections)
        yield _gauge(
            "chatroom_connections_limit",
            "How many connections there may be at the same time; 0 for no limit.",
            chat.limits.max_connections,
        )
        yield _counter(
            "chatroom_accepted_connections",
            "Connections that could stay when they came.",
            counters.accepted,
        )
        yield _counters(
            "chatroom_refused_connections",
            "Connections that could not stay.",
            "reason",
            counters.refused,
        )
        rooms = list(chat.rooms.values())
        listed = sum(room.listed for room in rooms)
        yield _gauge("chatroom_rooms", "Rooms that people can see.", listed)
        yield _counter(
            "chatroom_input_lines",
            "Lines that came in, commands and lines that were not said among them.",
            counters.input,
        )
        yield _counter("chatroom_lines", "Lines that were said.", counters.lines)
        yield _counter(
            "chatroom_deliveries",
            "How many times a line was handed to a connection.",
            counters.deliveries,
        )
        yield _counter(
            "chatroom_sent_bytes",
            "What people were sent, without what telnet and TLS add.",
            counters.bytes,
        )
        yield _gauge(
            "chatroom_congested_connections",
            "Connections that take no more for now.",
            sum(member.outlet.congested for room in rooms for member in room.members.values()),
        )
        yield _counter(
            "chatroom_cut_connections",
            "Connections that were cut because nothing was read for too long.",
            counters.cut,
        )
        yield _counter(
            "chatroom_missed_lines",
            "Lines that slow readers were told they had missed.",
            counters.missed,
        )
        yield _histogram(
            "chatroom_flush_duration_seconds",
            "How long it took to hand a batch to the people of its room.",
            counters.flushes,
        )
        yield _histogram(
            "chatroom_loop_lag_seconds",
            "How late the reactor was, looked at once a second.",
            self._lag.histogram,
        )
        yield _counter("chatroom_logins", "Logins that succeeded.", counters.logins)
        yield _counter(
            "chatroom_wrong_passwords", "Passwords that were wrong.", counters.wrong_passwords
        )
        yield _counter("chatroom_wrong_codes", "Codes that were wrong.", counters.wrong_codes)
        yield _counter("chatroom_registrations", "Accounts made.", counters.registrations)
        if self._ledger is not None:
            yield from self._of_store(self._ledger)

    def _of_store(self, ledger: StoredLedger) -> Iterator[Metric]:
        yield _gauge(
            "chatroom_store_lagging",
            "1 while lines are delivered that are not kept yet.",
            ledger.lagging,
        )
        yield _gauge(
            "chatroom_store_unkept_lines", "Lines delivered and not kept yet.", ledger.behind
        )
        yield _counter(
            "chatroom_store_lost_lines", "Lines delivered that never will be kept.", ledger.lost
        )
        yield _counter("chatroom_store_failures", "Commits that failed.", ledger.failures)
        yield _histogram(
            "chatroom_store_commit_duration_seconds",
            "How long commits took, those that failed among them.",
            ledger.commits,
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for what, value in values.items():
        family.add_metric([what], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for what, value in values.items():
        family.add_metric([what], value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets: list[tuple[str, float]] = []
    total = 0
    bounds = [*map(str, map(float, histogram.bounds)), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)


class Pages(Resource):
    """`/metrics`, `/healthz` and `/readyz`, and nothing else.

    unready: why the server should not be sent anybody, in one line; empty if it should.
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
            body = b"On this machine it is asked for by an address, or as localhost.\n"
        elif page is None:
            request.setResponseCode(http.NOT_FOUND)
            body = b"There is /metrics, /healthz and /readyz.\n"
        elif request.method not in (b"GET", b"HEAD"):
            request.setResponseCode(http.NOT_ALLOWED)
            request.setHeader(b"Allow", b"GET, HEAD")
            body = b"Only GET and HEAD.\n"
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
    """Whether *request* comes to this machine itself by the name of another one.

    So it comes from a browser whose page has a name that was made to mean this machine (DNS
    rebinding), to read what only this machine may.
    """
    here = address_of(getattr(request.getHost(), "host", None))
    if here is None or not here.is_loopback:
        return False
    name = request.getRequestHostname().decode(errors="replace").lower()
    return name != "localhost" and address_of(name.strip("[]")) is None


class BodilessRequest(Request):
    """A request that has no body, or is refused: nothing here takes one, and they can be long.

    It is answered in the next turn of the reactor, as only then the next one of its connection is
    read: many of them come in one packet, and each takes a millisecond or two.
    """

    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Twisted: the headers are there. length: of the body in bytes, None for unknown."""
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
        # Without a channel nobody is there any more.
        if self.channel is not None:
            super().process()


class QuietSite(Site):
    """A site that keeps no access log, and speaks HTTP/1.1 only."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """Twisted: *request* was answered."""

    def acceptableProtocols(self) -> list[bytes]:
        """Twisted: what may be agreed on in TLS."""
        return [b"http/1.1"]


class MonitoringFactory(WrappingFactory[Any]):
    """Makes the connections of who watches, and no more than a few at a time.

    Whoever watches asks at once and is answered at once, so that nobody's connection is in use.
    """

    noisy = False

    def __init__(self, clock: Any, pages: Pages) -> None:
        site = QuietSite(pages, requestFactory=BodilessRequest, timeout=IDLE_SECONDS, reactor=clock)
        super().__init__(site)

    def buildProtocol(self, addr: Any) -> Any:
        """Twisted: somebody connects from *addr*."""
        if len(self.protocols) >= MAX_CONNECTIONS:
            self._drop_one()
        return super().buildProtocol(addr)

    def unregisterProtocol(self, p: Any) -> None:
        """Twisted: *p* is gone, as it may have been before."""
        self.protocols.pop(p, None)

    def _drop_one(self) -> None:
        """Close the oldest connection of the source that has most of them."""
        sources = [source_of(getattr(one.getPeer(), "host", None)) for one in self.protocols]
        (most, _), *_ = Counter(sources).most_common(1)
        oldest = next(
            one for one, source in zip(self.protocols, sources, strict=True) if source == most
        )
        self.unregisterProtocol(oldest)
        oldest.transport.abortConnection()

    def drop_all(self) -> None:
        """Close what is open."""
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()


class MonitoringService(Service):
    """Answers who watches, from before the chat begins until it has ended.

    ports: on how many endpoints the doors are to listen. open: makes the service that listens with
    a factory.
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
        """Why the server should not be sent anybody, in one line; empty if it should."""
        if not self._watched.running:
            return "the server is stopping"
        if sum(door.numPorts for door in self._doors) < self._ports:
            return "not listening"
        if self._ledger is not None and self._ledger.lagging:
            return "the store is lagging: what is said is not being kept"
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
        """Twisted: the server stops. Fires when the chat has, and nobody is answered any more."""
        super().stopService()
        self._lag.stop()
        # If that takes too long nobody is told so any more, and that is all.
        yield self._watched.stopped.addTimeout(STOP_SECONDS, self._clock).addErrback(lambda _: None)
        yield self._port.stopService()
        self.factory.drop_all()
