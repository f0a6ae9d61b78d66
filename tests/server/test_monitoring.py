"""What is served to who watches: numbers, health, and nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as families
from twisted.application.service import MultiService, Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString, serverFromString
from twisted.internet.protocol import Factory

import chatroom
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.identity import Identity
from chatroom.server.chatservice import ChatService
from chatroom.server.metrics import LAG_SAMPLE_SECONDS, LoopLag
from chatroom.server.monitoring import (
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    STOP_SECONDS,
    MonitoringFactory,
    MonitoringService,
)
from tests.support.doubles import Clock
from tests.support.reactor import on_reactor, reactor, turns, until
from tests.support.services import made
from tests.support.sockets import Client, connect
from tests.support.stores import stored
from tests.support.wire import UNLIMITED, Visitor, Wire
from tests.support.world import Person, World

ROOT = Path(chatroom.__file__).parent.parent
DASHBOARD = ROOT / "contrib" / "grafana" / "chatroom.json"
MANUAL = ROOT / "docs" / "metrics.md"

pytestmark = pytest.mark.usefixtures("collector")


class Running(Service):
    """A service that runs until the test says otherwise."""

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()
        self.startService()


class Watcher:
    """A monitored chat made of nothing but objects, and who asks it."""

    def __init__(self, world: World) -> None:
        self.world = world
        #: To which address who watches connects.
        self.local = "127.0.0.1"
        self.watched = Running()
        self.line, self.relay = ChatFactory(world.chat), RelayFactory(world.chat)
        ledger = world.ledger if isinstance(world.ledger, StoredLedger) else None
        self.service = MonitoringService(
            world.clock,
            world.chat,
            [self.line, self.relay],
            0,
            self.watched,
            lambda factory: Service(),
            ledger,
        )
        self.service.startService()

    def connects(self, address: str = "127.0.0.1") -> tuple[Any, Any]:
        """A connection from *address*, and the server's end of it."""
        wire = Wire()
        wire.peerAddr = IPv4Address("TCP", address, 1024)
        wire.hostAddr = IPv4Address("TCP", self.local, 9108)
        protocol: Any = self.service.factory.buildProtocol(wire.getPeer())
        protocol.makeConnection(wire)
        return wire, protocol

    def asks(self, request: str) -> tuple[str, str]:
        """The head and the body of the answer to *request*, whose lines end in LF here."""
        wire, protocol = self.connects()
        protocol.dataReceived(request.replace("\n", "\r\n").encode())
        for _ in range(5):
            self.world.clock.advance(0)
        head, _, body = wire.value().decode().partition("\r\n\r\n")
        wire.disconnected = True
        protocol.connectionLost(None)
        return head, body

    def gets(self, path: str, *headers: str) -> tuple[str, str]:
        return self.asks("\n".join([f"GET {path} HTTP/1.0", *headers, "", ""]))

    @property
    def numbers(self) -> dict[str, float]:
        """All samples, as `name{label="value"}`."""
        return samples(self.gets("/metrics")[1])

    def end(self) -> None:
        self.watched.stopped.callback(None)
        self.service.stopService()
        self.world.end()


def samples(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[sample.name + (labels and f"{{{labels}}}")] = sample.value
    return found


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """Who watches a chat with a store."""
    watcher = Watcher(World(stored, limits=UNLIMITED))
    yield watcher
    watcher.end()


# -- the numbers


def test_the_numbers_are_those_of_the_chat(watcher: Watcher) -> None:
    world = watcher.world
    empty = watcher.numbers
    assert empty['chatroom_people{state="guest"}'] == 0
    assert empty['chatroom_connections{door="line"}'] == 0
    assert empty['chatroom_refused_connections_total{reason="server_full"}'] == 0
    alice, bob = Visitor(world, watcher.line), Visitor(world, watcher.line)
    relayed = Visitor(world, watcher.relay)
    alice.sends(b"/nick alice\n", b"/register correct-horse-battery\n", b"hi\n")
    bob.sends(b"/join den\n")
    # Whoever only passes is not here.
    Person(world, identity=Identity("ci"), one_shot=True)
    world.settle()
    numbers = watcher.numbers
    assert numbers['chatroom_people{state="guest"}'] == 1
    assert numbers['chatroom_people{state="logged_in"}'] == 1
    assert numbers["chatroom_accounts_online"] == 1
    assert numbers["chatroom_registrations_total"] == 1
    assert numbers['chatroom_connections{door="line"}'] == 2
    assert numbers['chatroom_connections{door="relay"}'] == 1
    assert numbers["chatroom_connections_limit"] == 10_000
    assert numbers["chatroom_accepted_connections_total"] == 3
    assert numbers["chatroom_rooms"] == 2
    assert numbers["chatroom_input_lines_total"] == 4
    assert numbers["chatroom_lines_total"] == 1
    assert numbers["chatroom_deliveries_total"] == 1
    assert numbers["chatroom_sent_bytes_total"] > 100
    assert numbers["chatroom_congested_connections"] == 0
    assert numbers["chatroom_store_lagging"] == 0
    assert numbers["chatroom_store_commit_duration_seconds_count"] > 3
    assert numbers["chatroom_flush_duration_seconds_count"] > 3
    bob.protocol.writer.congested = True
    assert watcher.numbers["chatroom_congested_connections"] == 1
    bob.protocol.writer.congested = False
    for visitor in (alice, bob, relayed):
        visitor.hangs_up()
    assert watcher.numbers['chatroom_connections{door="line"}'] == 0


def test_every_counter_is_a_number_of_its_own(watcher: Watcher) -> None:
    counters = watcher.world.chat.counters
    given = {
        "accepted": "accepted_connections",
        "bytes": "sent_bytes",
        "cut": "cut_connections",
        "deliveries": "deliveries",
        "input": "input_lines",
        "lines": "lines",
        "logins": "logins",
        "missed": "missed_lines",
        "registrations": "registrations",
        "wrong_codes": "wrong_codes",
        "wrong_passwords": "wrong_passwords",
    }
    for number, name in enumerate(given, 1000):
        setattr(counters, name, number)
    for number, name in enumerate(counters.refused, 2000):
        counters.refused[name] = number
    numbers = watcher.numbers
    for number, name in enumerate(given.values(), 1000):
        assert numbers[f"chatroom_{name}_total"] == number
    for number, name in enumerate(counters.refused, 2000):
        assert numbers[f'chatroom_refused_connections_total{{reason="{name}"}}'] == number


def test_a_store_that_lags_is_shown(watcher: Watcher) -> None:
    ledger: Any = watcher.world.ledger
    written: list[Deferred[None]] = []
    keep, ledger._commit = ledger._commit, lambda entries: _noted(written)
    visitor = Visitor(watcher.world, watcher.line)
    watcher.world.wait(3)
    visitor.sends(b"one\n", b"two\n")
    ledger.failures, ledger.lost = 7, 5
    numbers = watcher.numbers
    assert numbers["chatroom_store_lagging"] == 1
    assert numbers["chatroom_store_unkept_lines"] == 2
    assert numbers["chatroom_store_failures_total"] == 7
    assert numbers["chatroom_store_lost_lines_total"] == 5
    head, body = watcher.gets("/readyz")
    assert " 503 " in head
    assert body == "the disk does not answer: messages are not being stored\n"
    assert " 200 " in watcher.gets("/healthz")[0]
    ledger._commit = keep
    written.pop().callback(None)
    watcher.world.wait(1)
    assert watcher.gets("/readyz")[1] == "ready\n"
    visitor.hangs_up()


def _noted(written: list[Deferred[None]]) -> Deferred[None]:
    written.append(Deferred())
    return written[-1]


def test_without_a_store_there_are_no_numbers_of_it() -> None:
    watcher = Watcher(World())
    assert not [name for name in watcher.numbers if "store" in name]
    watcher.end()


def test_histograms_count_up_to_each_bound(watcher: Watcher) -> None:
    flushes = watcher.world.chat.counters.flushes
    for seconds in (0.0002, 0.0002, 0.3, 20.0):
        flushes.observe(seconds)
    numbers = watcher.numbers
    name = "chatroom_flush_duration_seconds"
    assert numbers[f'{name}_bucket{{le="0.0001"}}'] == 0
    assert numbers[f'{name}_bucket{{le="0.00025"}}'] == 2
    assert numbers[f'{name}_bucket{{le="0.25"}}'] == 2
    assert numbers[f'{name}_bucket{{le="0.5"}}'] == 3
    assert numbers[f'{name}_bucket{{le="10.0"}}'] == 3
    assert numbers[f'{name}_bucket{{le="+Inf"}}'] == numbers[f"{name}_count"] == 4
    assert numbers[f"{name}_sum"] == pytest.approx(20.3004)


def test_the_process_and_the_versions_are_shown(watcher: Watcher) -> None:
    numbers = watcher.numbers
    assert numbers["process_resident_memory_bytes"] > 1e6
    assert numbers["process_open_fds"] > 2
    (build,) = [name for name in numbers if name.startswith("chatroom_build_info{")]
    assert f'version="{chatroom.__version__}"' in build


def test_openmetrics_is_served_to_who_asks_for_it(watcher: Watcher) -> None:
    head, body = watcher.gets("/metrics", "Accept: application/openmetrics-text;version=1.0.0")
    assert "Content-Type: application/openmetrics-text; version=1.0.0" in head
    assert body.endswith("# EOF\n")
    names = {family.name for family in openmetrics_families(body)}
    assert names >= {"chatroom_lines", "chatroom_build", "chatroom_loop_lag_seconds"}
    head, body = watcher.gets("/metrics")
    assert "Content-Type: text/plain; version=0.0.4" in head
    assert {f.name for f in families(body)} >= {"chatroom_lines", "chatroom_people"}


def test_the_lag_is_how_late_the_reactor_is() -> None:
    clock = Clock()
    lag = LoopLag(clock, clock.seconds)
    lag.start()
    clock.advance(LAG_SAMPLE_SECONDS)
    clock.advance(LAG_SAMPLE_SECONDS + 0.3)
    clock.advance(LAG_SAMPLE_SECONDS + 4)
    assert lag.histogram.sum == pytest.approx(4.3)
    assert sum(lag.histogram.counts) == 3
    lag.stop()
    assert not clock.getDelayedCalls()


# -- HTTP


def test_there_are_three_pages_and_no_more(watcher: Watcher) -> None:
    assert watcher.gets("/healthz")[1] == "ok\n"
    assert watcher.gets("/readyz")[1] == "ready\n"
    for path in ("/", "/metrics/", "/metrics/x", "/healthz/../metrics", "//metrics"):
        assert " 404 " in watcher.gets(path)[0], path
    assert " 200 " in watcher.gets("/metrics?x=1")[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_only_get_and_head_are_answered(watcher: Watcher, method: str) -> None:
    head, _ = watcher.asks(f"{method} /metrics HTTP/1.0\n\n")
    assert " 405 " in head
    assert "Allow: GET, HEAD" in head


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nothing"])
def test_head_is_get_without_the_body(watcher: Watcher, path: str) -> None:
    head, body = watcher.asks(f"HEAD {path} HTTP/1.0\n\n")
    assert body == ""
    length = re.search(r"Content-Length: (\d+)", head)
    assert length
    assert int(length[1]) > 2


@pytest.mark.parametrize("how", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_refused_before_it_has_come(watcher: Watcher, how: str) -> None:
    wire, protocol = watcher.connects()
    protocol.dataReceived(f"POST /metrics HTTP/1.1\r\nHost: x\r\n{how}\r\n\r\n".encode())
    assert wire.value().startswith(b"HTTP/1.1 413 ")
    assert wire.disconnecting
    answer = wire.value()
    protocol.dataReceived(b"5\r\nhello\r\n0\r\n\r\n" if "chunked" in how else b"hello")
    watcher.world.clock.advance(0)
    assert wire.value() == answer
    protocol.connectionLost(None)


def test_requests_that_come_together_are_answered_one_a_turn(watcher: Watcher) -> None:
    wire, protocol = watcher.connects()
    protocol.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    answered: list[int] = []

    def others() -> None:
        answered.append(wire.value().count(b" 200 "))
        if len(answered) < 3:
            watcher.world.clock.callLater(0, others)
        else:
            protocol.connectionLost(None)

    others()
    watcher.world.clock.advance(0)
    assert answered == [0, 1, 2]
    assert wire.value().count(b" 200 ") == 2


def test_endless_headers_end_the_connection(watcher: Watcher) -> None:
    wire, protocol = watcher.connects()
    protocol.dataReceived(b"GET /metrics HTTP/1.1\r\n")
    for number in range(1000):
        if wire.disconnecting or wire.aborted:
            break
        protocol.dataReceived(b"X-%d: %s\r\n" % (number, b"x" * 100))
    assert wire.disconnecting or wire.aborted
    assert number < 200
    protocol.connectionLost(None)


def test_who_says_nothing_is_not_waited_for(watcher: Watcher) -> None:
    wire, protocol = watcher.connects()
    watcher.world.clock.advance(IDLE_SECONDS - 0.1)
    assert not wire.disconnecting
    watcher.world.clock.advance(0.2)
    assert wire.disconnecting or wire.aborted
    protocol.connectionLost(None)
    watcher.world.clock.advance(60)


def test_silent_connections_keep_nobody_from_an_answer(watcher: Watcher) -> None:
    other = watcher.connects("192.0.2.7")
    open = [watcher.connects() for _ in range(MAX_CONNECTIONS + 10)]
    assert watcher.gets("/healthz")[1] == "ok\n"
    # The oldest of whom has the most: one for each that came, and the last for who asks.
    assert [wire.aborted for wire, _ in open] == [True] * 12 + [False] * (MAX_CONNECTIONS - 2)
    assert not other[0].aborted
    for _, protocol in [other, *open]:
        protocol.connectionLost(None)
    assert not watcher.service.factory.protocols


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9108", 200),
        ("[::1]:9108", 200),
        ("localhost", 200),
        ("LocalHost:9108", 200),
        ("evil.example.org:9108", 421),
        ("localhost.example.org", 421),
        ("", 421),
    ],
)
def test_a_page_that_a_name_was_made_for_reads_nothing(
    watcher: Watcher, host: str, status: int
) -> None:
    watcher.local = "127.0.0.1"
    assert f" {status} " in watcher.gets("/metrics", f"Host: {host}")[0]
    assert " 200 " in watcher.gets("/healthz")[0]
    watcher.local = "192.0.2.1"
    assert " 200 " in watcher.gets("/metrics", f"Host: {host}")[0]


def test_connections_are_counted_by_the_names_of_the_doors(tmp_path: Path) -> None:
    options = ("--metrics", f"unix:{tmp_path / 'watch'}", "--telnet", f"unix:{tmp_path / 'telnet'}")
    top = made(tmp_path, *options, "--relay", f"unix:{tmp_path / 'relay'}")
    labels = {
        sample.labels["door"]
        for family in monitoring(top).collector.collect()
        for sample in family.samples
        if sample.name == "chatroom_connections"
    }
    assert labels == {"line", "telnet", "relay"}


def test_requests_are_not_logged(watcher: Watcher, logged: list[str]) -> None:
    factory = watcher.service.factory
    factory.doStart()
    assert " 200 " in watcher.gets("/metrics")[0]
    assert " 404 " in watcher.gets("/nothing")[0]
    factory.doStop()
    assert logged == []


# -- as part of the server


async def asked(path: Path, page: str) -> str:
    """What the server whose monitoring listens at *path* answers."""
    client = await connect(UNIXClientEndpoint(reactor, str(path)))
    client.sends(f"GET {page} HTTP/1.0\r\n\r\n".encode())
    return (await client.reads_to_the_end()).decode()


def monitoring(top: MultiService) -> MonitoringService:
    (found,) = [part for part in top if isinstance(part, MonitoringService)]
    return found


@on_reactor
async def test_the_server_is_watched_from_start_to_stop(tmp_path: Path) -> None:
    watch = tmp_path / "watch"
    top = made(
        tmp_path,
        *("--metrics", f"unix:{watch}", "--data", str(tmp_path / "data")),
        *("--relay", f"unix:{tmp_path / 'relay'}"),
    )
    begun = time.perf_counter()
    top.startService()
    assert (await asked(watch, "/readyz")).endswith("\r\n\r\nready\n")
    people: list[Client] = []
    for _ in range(2):
        endpoint: Any = UNIXClientEndpoint(reactor, str(tmp_path / "line"))
        people.append(await endpoint.connect(Factory.forProtocol(Client)))
        await people[-1].reads(b"leaves.\r\n")
    people[0].sends(b"hello\n")
    await people[1].reads(b"hello\r\n")
    numbers = samples((await asked(watch, "/metrics")).partition("\r\n\r\n")[2])
    assert numbers["chatroom_lines_total"] == numbers["chatroom_deliveries_total"] == 1
    assert numbers['chatroom_connections{door="line"}'] == 2
    spent = time.perf_counter() - begun
    assert 0 < numbers["chatroom_flush_duration_seconds_sum"] < spent
    (line, _) = monitoring(top)._doors
    # The reactor's own clock can be set.
    timer: Any = line.chat.counters.timer
    assert timer is time.perf_counter
    idle: Any = await UNIXClientEndpoint(reactor, str(watch)).connect(Factory.forProtocol(Client))
    # One who does not go: the chat takes its two seconds.
    held = next(iter(next(door for door in monitoring(top)._doors if door.clients).clients))
    held.dismiss = lambda: None
    stopped = maybeDeferred(top.stopService)
    answer = await asked(watch, "/readyz")
    assert answer.startswith("HTTP/1.0 503 ")
    assert answer.endswith("\r\n\r\nthe server is stopping\n")
    assert (await asked(watch, "/healthz")).endswith("ok\n")
    await stopped
    await turns()
    assert idle.closed
    await until(lambda: all(person.closed for person in people))
    assert not watch.exists()


@on_reactor
async def test_it_is_not_ready_before_all_doors_listen(tmp_path: Path) -> None:
    top = made(tmp_path, "--metrics", f"unix:{tmp_path / 'watch'}")
    service = monitoring(top)
    (chat,) = [part for part in top if isinstance(part, ChatService)]
    assert service.unready() == "the server is stopping"
    top.startService()
    assert service.unready() == ""
    (door,) = service._doors
    door.numPorts -= 1
    assert service.unready() == "not listening"
    door.numPorts += 1
    await maybeDeferred(top.stopService)
    assert chat.stopped.called
    assert service.unready() == "the server is stopping"


@on_reactor
async def test_it_is_served_over_tcp_and_connections_that_stay_are_answered_again() -> None:
    watcher = Watcher(World())
    listening: Any = serverFromString(reactor, "tcp:0:interface=127.0.0.1")
    port = await listening.listen(MonitoringFactory(reactor, page_of(watcher)))
    client = await connect(clientFromString(reactor, f"tcp:127.0.0.1:{port.getHost().port}"))
    for _ in range(2):
        client.sends(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await client.reads(b"\r\n\r\nok\n")
    await client.leaves()
    await port.stopListening()
    watcher.end()


def page_of(watcher: Watcher) -> Any:
    site: Any = watcher.service.factory.wrappedFactory
    return site.resource


def test_a_chat_that_does_not_stop_is_waited_for_some_seconds() -> None:
    watcher = Watcher(World())
    done: list[object] = []
    watcher.service.stopService().addBoth(done.append)
    watcher.world.clock.advance(STOP_SECONDS - 0.1)
    assert not done
    watcher.world.clock.advance(0.2)
    assert done == [None]
    watcher.world.end()


def test_without_the_option_nothing_is_watched(tmp_path: Path) -> None:
    assert not [part for part in made(tmp_path) if isinstance(part, MonitoringService)]


# -- what is written about it


def exported() -> set[str]:
    """The names of all metrics, as they are written in queries."""
    watcher = Watcher(World(stored))
    text = watcher.gets("/metrics")[1]
    watcher.end()
    found = set()
    for family in families(text):
        if family.type == "histogram":
            found |= {family.name, *(f"{family.name}_{end}" for end in ("bucket", "count", "sum"))}
        else:
            found |= {sample.name for sample in family.samples}
    return found


NAME = re.compile(r"\b(?:chatroom|process)_[a-z_]+\b")


def test_every_metric_in_the_dashboard_is_exported() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in NAME.findall(target["expr"])
    }
    assert len(asked) > 20
    assert asked <= exported()


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert dashboard["id"] is None
    assert dashboard["uid"] == "chatroom"
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])


def test_every_metric_is_documented_and_nothing_else_is() -> None:
    manual = MANUAL.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([a-z_]+)", manual, re.MULTILINE))
    parts = {name for name in exported() if re.search(r"_(bucket|count|sum)$", name)}
    assert rows == exported() - parts
    # Examples, too, name only what there is.
    assert set(NAME.findall(manual)) <= exported()
