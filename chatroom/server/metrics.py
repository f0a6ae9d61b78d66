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
    """A factory of connections, see doors/factory.py."""

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


#: What only grows: the metric, its help text, and which attribute of `Counters` it is.
COUNTERS = (
    ("chatroom_accepted_connections", "Connections that could stay when they came.", "accepted"),
    (
        "chatroom_input_lines",
        "Lines that came in, commands and lines that were not said among them.",
        "input",
    ),
    ("chatroom_lines", "Lines that were said.", "lines"),
    ("chatroom_deliveries", "How many times a line was handed to a connection.", "deliveries"),
    ("chatroom_sent_bytes", "What people were sent, without what telnet and TLS add.", "bytes"),
    (
        "chatroom_cut_connections",
        "Connections that were cut because nothing was read for too long.",
        "cut",
    ),
    ("chatroom_missed_lines", "Lines that slow readers were told they had missed.", "missed"),
    ("chatroom_logins", "Logins that succeeded.", "logins"),
    ("chatroom_wrong_passwords", "Passwords that were wrong.", "wrong_passwords"),
    ("chatroom_wrong_codes", "Codes that were wrong.", "wrong_codes"),
    ("chatroom_registrations", "Accounts made.", "registrations"),
)

#: The same for the store: attributes of `StoredLedger`.
STORE_GAUGES = (
    (
        "chatroom_store_lagging",
        "1 while lines are delivered that are not kept yet.",
        "lagging",
    ),
    ("chatroom_store_unkept_lines", "Lines delivered and not kept yet.", "behind"),
)
STORE_COUNTERS = (
    ("chatroom_store_lost_lines", "Lines delivered that never will be kept.", "lost"),
    ("chatroom_store_failures", "Commits that failed.", "failures"),
)


class ChatCollector(Collector):
    """Reads the numbers of a chat when prometheus-client asks for them.

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
        """Yield all metrics (called by prometheus-client)."""
        counters = self._chat.counters
        versions = {
            "version": __version__,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        }
        yield InfoMetricFamily("chatroom_build", "Which versions run.", value=versions)
        yield from self._gauges()
        yield from _metrics(CounterMetricFamily, COUNTERS, counters)
        yield from self._labelled()
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
        if self._ledger is not None:
            yield from _metrics(GaugeMetricFamily, STORE_GAUGES, self._ledger)
            yield from _metrics(CounterMetricFamily, STORE_COUNTERS, self._ledger)
            yield _histogram(
                "chatroom_store_commit_duration_seconds",
                "How long commits took, those that failed among them.",
                self._ledger.commits,
            )

    def _gauges(self) -> Iterator[Metric]:
        """Yield what goes up and down, for which the chat is counted."""
        chat = self._chat
        rooms = list(chat.rooms.values())
        congested = sum(
            member.writer.congested for room in rooms for member in room.members.values()
        )
        listed = sum(room.listed for room in rooms)
        for name, text, value in (
            ("accounts_online", "Accounts somebody is logged in to.", len(chat.logins.online)),
            (
                "connections_limit",
                "How many connections there may be at the same time; 0 for no limit.",
                chat.limits.max_connections,
            ),
            ("rooms", "Rooms that people can see.", listed),
            ("congested_connections", "Connections that take no more for now.", congested),
        ):
            yield GaugeMetricFamily(f"chatroom_{name}", text, value=value)

    def _labelled(self) -> Iterator[Metric]:
        """Yield the metrics that have one value for each label."""
        chat = self._chat
        guests = sum(one.user.account is None and not one.passing for one in chat.sessions.values())
        people = {"guest": guests, "logged_in": len(chat.logins.online)}
        connections: Counter[str] = Counter()
        for door in self._doors:
            connections[door.door] += len(door.clients)
        refused, why = chat.counters.refused, "Connections that could not stay."
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        for family, name, text, label, values in (
            (gauge, "people", "People who are here.", "state", people),
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
