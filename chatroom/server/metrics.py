"""The metrics for Prometheus.

They are described in docs/metrics.md. This module needs prometheus-client (the extra `metrics`), so
it is imported only if --metrics is given.
"""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import twisted
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from chatroom import __version__
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.chat.chat import Chat
from chatroom.model.clock import Call, Clock
from chatroom.model.counters import Histogram

#: How often the lag of the reactor is measured.
LAG_SAMPLE_SECONDS = 1.0


class Door(Protocol):
    """The factory of a door; see doors/factory.py."""

    chat: Chat
    door: str
    clients: set[Any]
    numPorts: int


class LoopLag:
    """Measures by how much the reactor is late with calls that are due."""

    def __init__(self, clock: Clock, timer: Callable[[], float]) -> None:
        self.histogram = Histogram()
        self._clock = clock
        self._timer = timer
        self._call: Call | None = None

    def start(self) -> None:
        """Start measuring."""
        due = self._timer() + LAG_SAMPLE_SECONDS

        def measure() -> None:
            self.histogram.observe(self._timer() - due)
            self.start()

        self._call = self._clock.callLater(LAG_SAMPLE_SECONDS, measure)

    def stop(self) -> None:
        """Stop measuring."""
        if self._call is not None and self._call.active():
            self._call.cancel()


#: The counters: the name of the metric, its help, and the attribute of `Counters`.
COUNTERS = (
    ("chatroom_accepted_connections", "Connections that were accepted.", "accepted"),
    (
        "chatroom_input_lines",
        "Lines that clients sent, including commands and lines that were not said.",
        "input",
    ),
    ("chatroom_lines", "Messages said in rooms.", "lines"),
    ("chatroom_deliveries", "How many times a message was sent to a connection.", "deliveries"),
    ("chatroom_sent_bytes", "Bytes sent to users, without those of telnet and TLS.", "bytes"),
    (
        "chatroom_cut_connections",
        "Connections that were closed because the client did not read.",
        "cut",
    ),
    ("chatroom_missed_lines", "Messages that slow readers were told they had missed.", "missed"),
    ("chatroom_logins", "Successful logins.", "logins"),
    ("chatroom_wrong_passwords", "Wrong passwords.", "wrong_passwords"),
    ("chatroom_wrong_codes", "Wrong codes.", "wrong_codes"),
    ("chatroom_registrations", "Accounts registered.", "registrations"),
)

#: Gauges and counters of the store, with the attribute of `StoredLedger`.
STORE_GAUGES = (
    (
        "chatroom_store_lagging",
        "1 while messages are delivered before they are stored, else 0.",
        "lagging",
    ),
    ("chatroom_store_unkept_lines", "Messages delivered and not stored yet.", "behind"),
)
STORE_COUNTERS = (
    ("chatroom_store_lost_lines", "Messages delivered that will never be stored.", "lost"),
    ("chatroom_store_failures", "Failed commits.", "failures"),
)


class ChatCollector(Collector):
    """Reads the numbers of a chat when prometheus-client asks for them.

    ledger: the ledger of the store, None without a store.
    """

    def __init__(
        self, chat: Chat, doors: Sequence[Door], lag: LoopLag, ledger: StoredLedger | None = None
    ) -> None:
        self._chat = chat
        self._doors = doors
        self._lag = lag
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics (called by prometheus-client)."""
        counters = self._chat.counters
        versions = {
            "version": __version__,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        }
        yield InfoMetricFamily("chatroom_build", "The versions that run.", value=versions)
        yield from self._gauges()
        yield from _metrics(CounterMetricFamily, COUNTERS, counters)
        yield from self._labelled()
        yield _histogram(
            "chatroom_flush_duration_seconds",
            "How long it took to send a batch to the members of its room.",
            counters.flushes,
        )
        yield _histogram(
            "chatroom_loop_lag_seconds",
            "How late the reactor was, measured once a second.",
            self._lag.histogram,
        )
        if self._ledger is not None:
            yield from _metrics(GaugeMetricFamily, STORE_GAUGES, self._ledger)
            yield from _metrics(CounterMetricFamily, STORE_COUNTERS, self._ledger)
            yield _histogram(
                "chatroom_store_commit_duration_seconds",
                "How long commits took, including failed ones.",
                self._ledger.commits,
            )

    def _gauges(self) -> Iterator[Metric]:
        """Yield the gauges without labels."""
        chat = self._chat
        rooms = list(chat.rooms.values())
        congested = sum(
            reader.writer.congested for room in rooms for reader in room.readers.values()
        )
        listed = sum(room.listed for room in rooms)
        for name, text, value in (
            ("accounts_online", "Accounts that are logged in.", len(chat.logins.online)),
            (
                "connections_limit",
                "The greatest number of connections; 0 for no limit.",
                chat.limits.max_connections,
            ),
            ("rooms", "Rooms that users can see.", listed),
            ("congested_connections", "Connections whose clients are behind.", congested),
        ):
            yield GaugeMetricFamily(f"chatroom_{name}", text, value=value)

    def _labelled(self) -> Iterator[Metric]:
        """Yield the metrics that have one value for each label."""
        chat = self._chat
        guests = sum(user.account is None and user.here for user in chat.people.values())
        people = {"guest": guests, "logged_in": len(chat.logins.online)}
        connections: Counter[str] = Counter()
        for door in self._doors:
            connections[door.door] += len(door.clients)
        refused, why = chat.counters.refused, "Connections that were refused."
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        for family, name, text, label, values in (
            (gauge, "people", "Users who are connected.", "state", people),
            (gauge, "connections", "Open connections.", "door", connections),
            (counter, "refused_connections", why, "reason", refused),
        ):
            metric = family(f"chatroom_{name}", text, labels=[label])
            for what, value in values.items():
                metric.add_metric([what], value)
            yield metric


def _metrics(
    family: Callable[..., Metric], rows: Iterable[tuple[str, str, str]], source: object
) -> Iterator[Metric]:
    """Yield a metric of the kind *family* for each row; the value is an attribute of *source*."""
    for name, text, attribute in rows:
        yield family(name, text, value=getattr(source, attribute))


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets: list[tuple[str, float]] = []
    total = 0
    bounds = [*map(str, map(float, histogram.bounds)), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)
