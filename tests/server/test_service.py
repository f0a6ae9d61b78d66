"""What `twistd chatroom` is made of, how it starts and in which order it stops."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions

from chatroom.chat.chat import Chat
from chatroom.chat.rules import Moderation
from chatroom.doors.factory import DoorFactory
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Said
from chatroom.model.history import StoredRoom
from chatroom.model.sanctions import Operator
from chatroom.server import chatservice, datatool, descriptors
from chatroom.server.chatservice import EXPIRY_SECONDS, SETTLE_SECONDS, ChatService
from chatroom.server.descriptors import raise_descriptor_limit
from chatroom.server.reload import ReloadService
from tests.support.certificates import issued
from tests.support.doubles import Clock, FakeRecords
from tests.support.reactor import on_reactor, reactor, turns, until
from tests.support.services import made
from tests.support.sockets import Client, connect
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("collector")


def chat_service(top: MultiService) -> ChatService:
    (found,) = [part for part in top if isinstance(part, ChatService)]
    return found


async def connected(path: Path) -> Client:
    client = await connect(UNIXClientEndpoint(reactor, str(path)))
    return client


@on_reactor
async def test_people_talk_through_the_service_from_start_to_stop(
    tmp_path: Path, logged: list[str]
) -> None:
    top = made(tmp_path, "--relay", f"unix:{tmp_path / 'relay'}", "--name", "Our server")
    top.startService()
    assert any(line.startswith("chatroom ") for line in logged)
    assert sum("Listening" in line for line in logged) == 2
    alice, bob = await connected(tmp_path / "line"), await connected(tmp_path / "line")
    one, two = await connected(tmp_path / "relay"), await connected(tmp_path / "relay")
    for client in (alice, bob):
        assert b"Welcome to Our server." in await client.reads(b"leaves.\r\n")
    await until(lambda: sum(len(door.clients) for door in chat_service(top)._doors) == 4)
    alice.sends(b"hello\n")
    await bob.reads(b"hello\r\n")
    one.sends(b"word for word\n")
    await two.reads(b"word for word\n")
    stopped = maybeDeferred(top.stopService)
    for client in (alice, bob):
        assert (await client.reads_to_the_end()).endswith(b"-- The server is shutting down.\r\n")
    for client in (one, two):
        assert await client.reads_to_the_end() == b""
    await stopped
    assert "Stopped; 4 connections were told." in logged
    assert not (tmp_path / "line").exists()


@on_reactor
async def test_what_was_said_just_before_the_stop_is_heard(tmp_path: Path) -> None:
    top = made(tmp_path)
    top.startService()
    alice, bob = await connected(tmp_path / "line"), await connected(tmp_path / "line")
    for client in (alice, bob):
        await client.reads(b"leaves.\r\n")
    (door,) = chat_service(top)._doors
    for client in door.clients:
        if client.connection.user.name == "guest1":
            client.dataReceived(b"last words\n")
    await maybeDeferred(top.stopService)
    heard = await bob.reads_to_the_end() + await alice.reads_to_the_end()
    assert heard.index(b"last words") < heard.index(b"shutting down")


def test_the_endpoints_of_the_chat_share_a_factory_and_each_relay_has_its_own(
    tmp_path: Path,
) -> None:
    top = made(
        tmp_path,
        "--listen",
        f"unix:{tmp_path / 'line 2'}",
        "--relay",
        f"unix:{tmp_path / 'relay'}",
        "--relay",
        f"unix:{tmp_path / 'relay 2'}",
    )
    doors: list[Any] = chat_service(top)._doors
    assert [type(door) for door in doors] == [ChatFactory, RelayFactory, RelayFactory]
    assert len({door.room for door in doors[1:]}) == 2
    assert len({door.chat for door in doors}) == 1
    assert sum(isinstance(part, StreamServerEndpointService) for part in top) == 4


@on_reactor
async def test_tls_and_proxies_lead_to_the_same_room(tmp_path: Path, logged: list[str]) -> None:
    own, key = tmp_path / "own.pem", tmp_path / "key.pem"
    for path, data in zip((key, own), issued("localhost", -1), strict=True):
        path.write_bytes(data)
    top = made(
        tmp_path,
        *("--tls", f"unix:{tmp_path / 'tls'}", "--tls", f"proxy:unix:{tmp_path / 'both'}"),
        *("--certificate", str(own), "--key", str(key)),
        *("--listen", f"proxy:unix:{tmp_path / 'proxy'}"),
    )
    assert any("has expired" in line for line in logged)
    assert len(chat_service(top)._doors) == 1
    top.startService()
    for note in ("(TLS)", "(behind a proxy)", "(TLS, behind a proxy)"):
        assert sum(line.endswith(note) for line in logged) == 1
    plain = await connected(tmp_path / "line")
    proxied = await connected(tmp_path / "proxy")
    proxied.sends(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n")
    endpoint: Any = UNIXClientEndpoint(reactor, str(tmp_path / "tls"))
    wrapped: Any = wrapClientTLS(CertificateOptions(), endpoint)
    secret: Client = await wrapped.connect(Factory.forProtocol(Client))
    for client in (plain, proxied, secret):
        await client.reads(b"leaves.\r\n")
    # The header is in the clear, and TLS begins behind it.
    both = await connected(tmp_path / "both")
    both.sends(b"PROXY TCP4 192.0.2.8 192.0.2.1 1 2\r\n")
    both.transport.startTLS(CertificateOptions())
    await both.reads(b"leaves.\r\n")
    both.sends(b"hello\n")
    for client in (plain, proxied, secret):
        await client.reads(b"hello\r\n")
    (door,) = chat_service(top)._doors
    found = {(client.address, client.encrypted) for client in door.clients}
    assert found == {
        ("this machine", True),
        ("192.0.2.7", False),
        ("192.0.2.8", True),
    }
    await maybeDeferred(top.stopService)
    for client in (plain, proxied, secret, both):
        assert (await client.reads_to_the_end()).endswith(b"-- The server is shutting down.\r\n")
    await turns()


def test_it_begins_with_the_chat_and_then_listens(tmp_path: Path) -> None:
    assert isinstance(next(iter(made(tmp_path))), ChatService)


def test_options_reach_the_chat(tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_text("Be kind.\n")
    top = made(
        tmp_path,
        *("--name", "Ours", "--lobby", "hall", "--motd", str(motd), "--scrollback", "7"),
        *("--line-length", "100", "--stall-timeout", "5", "--rate", "3", "--burst", "4"),
    )
    doors: list[Any] = chat_service(top)._doors
    (door,) = doors
    settings, limits = door.chat.settings, door.chat.limits
    assert (settings.name, settings.lobby, settings.motd) == ("Ours", "hall", "Be kind.")
    assert settings.scrollback == 7
    assert (limits.line_length, limits.stall_timeout) == (100, 5)
    assert (limits.rate, limits.burst) == (3, 4)
    assert door.line_length == 100


@on_reactor
async def test_what_was_said_is_there_when_the_server_starts_again(
    tmp_path: Path, logged: list[str]
) -> None:
    arguments = ("--data", str(tmp_path / "data"), "--keep-lines", "1000")
    top = made(tmp_path, *arguments)
    top.startService()
    assert f"Messages are stored in {tmp_path / 'data'}." in logged
    alice, bob = await connected(tmp_path / "line"), await connected(tmp_path / "line")
    for client in (alice, bob):
        await client.reads(b"leaves.\r\n")
    alice.sends("/join den\nhello 你好\n/topic tea\n".encode())
    await alice.reads(b"set the topic: tea\r\n")
    alice.sends(b"/history\n")
    await alice.reads("guest1: hello 你好\r\n".encode())
    await maybeDeferred(top.stopService)
    assert await bob.reads_to_the_end()

    again = made(tmp_path, *arguments)
    again.startService()
    carol = await connected(tmp_path / "line")
    await carol.reads(b"leaves.\r\n")
    carol.sends(b"/join den\n")
    greeting = await carol.reads(b"topic is: tea\r\n")
    assert b"The topic is: tea" in greeting
    assert b"guest1: hello" in greeting
    (door,) = chat_service(again)._doors
    # The index is caught up soon after the start.
    history: Any = door.chat.history
    await until(lambda: not history.maintenance.indexing)
    carol.sends("/search 好 from guest1\n/history before 2020-01-01\n".encode())
    assert "#den guest1: hello 你好" in (await carol.reads(b"Nothing earlier")).decode()
    await maybeDeferred(again.stopService)
    assert not list((tmp_path / "data").glob("*-wal"))


async def logged_in(folder: Path, *typed: str) -> Client:
    """A client that has typed this after its greeting."""
    client = await connected(folder / "line")
    await client.reads(b"leaves.\r\n")
    for line in typed:
        client.sends(f"{line}\n".encode())
    return client


@on_reactor
async def test_what_operators_decide_is_there_when_the_server_starts_again(
    tmp_path: Path, logged: list[str]
) -> None:
    arguments = ("--data", str(tmp_path / "data"), "--scrollback", "1", "--rate", "0")
    top = made(tmp_path, *arguments)
    top.startService()
    claim = tmp_path / "data" / "claim-code"
    code = claim.read_text().strip()
    assert claim.stat().st_mode & 0o777 == 0o600
    assert (
        "There is no operator yet. To become one: connect, /register or /login, and type "
        f"/claim {code}" in logged
    )
    bob = await logged_in(tmp_path, "/nick bob", "/register kohlrabi77")
    await bob.reads(b"bob is yours")
    bob.sends(b"buy zanzibar\n")
    olga = await logged_in(tmp_path, "/nick olga", "/register kohlrabi77", f"/claim {code}")
    await olga.reads(b"olga is an operator.")
    chat_service(top)._keep()
    assert not claim.exists()
    olga.sends(b"after that\n/join den\n/room private\nsecret\n/mute bob 2d noise\n")
    await olga.reads(b"bob is muted until")
    olga.sends(b"/ban bob 7d spam\n")
    await olga.reads(b"bob is banned until")
    assert b"-- You are banned until" in await bob.reads_to_the_end()
    await maybeDeferred(top.stopService)
    await olga.reads_to_the_end()

    del logged[:]
    claim.write_text("left by a crash")
    again = made(tmp_path, *arguments)
    again.startService()
    assert not any("no operator yet" in line for line in logged)
    assert not claim.exists()
    bob = await logged_in(tmp_path, "/login bob kohlrabi77")
    await bob.reads(b"-- bob is banned until")
    bob.sends(b"/join den\n")
    await bob.reads(b"-- #den is private.")
    olga = await logged_in(tmp_path, "/login olga kohlrabi77")
    await olga.reads(b"You are now olga.")
    olga.sends(b"/bans\n/audit\n/history\n")
    await olga.reads(b"bob is muted until")
    await olga.reads(b"olga banned bob (until")
    await olga.reads(b"olga: secret")
    # What was said before what the room remembers goes from the file as well.
    chat: Any = chat_service(again)._chat
    assert not any("zanzibar" in str(event) for event in chat.lobby.log.recent(9))
    await until(lambda: not chat.history.maintenance.indexing)
    olga.sends(b"/search zanzibar\n")
    await olga.reads(b"#lobby bob: buy zanzibar")
    olga.sends(b"/forget bob\n")
    await olga.reads(b"What bob said in the last hour is removed.")
    olga.sends(b"/search zanzibar\n")
    await olga.reads(b"-- Nothing was found.")
    await maybeDeferred(again.stopService)


@pytest.mark.parametrize("how", ["looked for", "SIGHUP"])
@on_reactor
async def test_an_account_that_is_removed_from_the_shell_is_gone_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(chatservice, "CHECK_SECONDS", 0.05 if how == "looked for" else 3600.0)
    folder = str(tmp_path / "data")
    top = made(tmp_path, "--data", folder, "--rate", "0")
    top.startService()
    try:
        bob = await logged_in(tmp_path, "/nick bob", "/register kohlrabi77")
        await bob.reads(b"bob is yours")
        monkeypatch.setattr("sys.argv", ["chatroom-data", "accounts", folder, "--remove", "bob"])
        assert datatool.main() == 0
        if how == "SIGHUP":
            (reloading,) = [part for part in top if isinstance(part, ReloadService)]
            reloading.reload()
        await bob.reads(b"-- An administrator has removed the account bob.")
    finally:
        await maybeDeferred(top.stopService)
    await bob.reads_to_the_end()


def test_without_a_folder_the_code_is_in_a_file_of_its_own(
    tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    service = chat_service(made(tmp_path))
    service.startService()
    (claim,) = tmp_path.glob("chatroom-claim-*")
    assert claim.stat().st_mode & 0o777 == 0o600
    assert claim.read_text().strip() == service._chat.moderation.code
    assert f"The code is also in {claim}" in logged
    service.stopService()
    assert not claim.exists()


def test_a_code_that_cannot_be_written_to_a_file_is_in_the_log(
    tmp_path: Path, logged: list[str]
) -> None:
    clock = Clock()
    store: Any = StuckStore(tmp_path / "away")
    running = ChatService(clock, Chat(clock), [], [], store)
    running.startService()
    assert any(line.startswith("There is no operator yet") for line in logged)
    assert any(line.startswith("The code could not be written to a file: ") for line in logged)
    running.stopService()
    clock.advance(SETTLE_SECONDS)


def test_who_may_connect_is_what_the_file_says(tmp_path: Path, logged: list[str]) -> None:
    allow = tmp_path / "allow"
    for text, fault in (
        ("192.0.2.7 # home\n", ""),
        ("# nobody\n", "it is empty"),
        ("192.0.2.7\nhome\n", "line 2: 'home' is neither an address nor a network"),
    ):
        allow.write_text(text)
        service = chat_service(made(tmp_path, "--allow", str(allow), "--operator", "olga"))
        moderation = service._chat.moderation
        assert (moderation.refusal("192.0.2.7") is None) is not bool(fault)
        assert moderation.refusal("192.0.2.8") is not None
        assert moderation.is_reserved("Olga")
        service.startService()
        assert (f"{allow} allows no connections: {fault}" in logged) is bool(fault)
        service.stopService()


def test_without_a_folder_it_says_that_nothing_is_kept(tmp_path: Path, logged: list[str]) -> None:
    service = chat_service(made(tmp_path))
    service.startService()
    assert any("use --data to store them" in line for line in logged)
    service.stopService()


def test_rooms_forget_what_is_too_old_while_the_server_runs() -> None:
    clock = Clock()
    chat = Chat(clock, Settings(keep_days=1))
    running = ChatService(clock, chat, [], [])
    running.startService()
    chat.lobby.append(1, Said(clock.seconds(), 1, "alice", "hi"))
    clock.pump([EXPIRY_SECONDS] * 143)
    assert chat.lobby.log.recent(5) != []
    clock.pump([EXPIRY_SECONDS] * 3)
    assert chat.lobby.log.recent(5) == []
    running.stopService()
    assert not clock.getDelayedCalls()


class StuckStore:
    """A store on a disk that is away."""

    def __init__(self, folder: Path) -> None:
        self.claim = folder / "claim-code"
        self.maintenance = self

    def open(self, count: int, lobby: str) -> list[StoredRoom]:
        return []

    def rules(self) -> list[tuple[str, str, str]]:
        return []

    def configure(self, keep_days: float, keep_lines: int) -> None: ...

    def start(self) -> None: ...

    def changed_elsewhere(self) -> Deferred[bool]:
        return Deferred()

    def close(self) -> Deferred[None]:
        return Deferred()


def test_a_store_that_does_not_close_is_waited_for_a_second(
    logged: list[str], tmp_path: Path
) -> None:
    clock = Clock()
    store: Any = StuckStore(tmp_path)
    running = ChatService(clock, Chat(clock), [], [], store)
    running.startService()
    done: list[object] = []
    running.stopService().addBoth(done.append)
    clock.advance(SETTLE_SECONDS)
    assert done == [None]
    assert any("The store was not closed" in line for line in logged)


# The order of stopping, without sockets


def test_what_could_not_be_kept_has_one_more_chance_at_the_stop() -> None:
    clock, records = Clock(), FakeRecords()
    chat = Chat(clock, moderation=Moderation(clock, records))
    running = ChatService(clock, chat, [], [])
    running.startService()
    records.full = True
    chat.moderation.operators.set(1, Operator("olga"))
    records.full = False
    running.stopService()
    assert list(records.kept) == [("operator", "1")]


class SlowLedger:
    """A ledger that settles when the test says so."""

    lagging = False

    def __init__(self) -> None:
        self.closed: Deferred[None] = Deferred()

    def attach(self, receiver: object) -> None: ...

    def submit(self, room: str, event: object) -> None: ...

    def end_turn(self) -> None: ...

    def close(self) -> Deferred[None]:
        return self.closed


class Steps(DoorFactory[Any]):
    """A door that notes what it is told."""

    def __init__(self, chat: Chat, steps: list[str]) -> None:
        super().__init__(chat)
        self.steps = steps

    def stop_reading(self) -> None:
        self.steps.append("stop reading")

    def dismiss(self) -> Deferred[None]:
        self.steps.append("dismiss")
        return succeed(None)


class Stopping:
    """A service on its way down."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = SlowLedger()
        chat = Chat(self.clock, ledger=self.ledger)
        self.steps: list[str] = []
        self.done: list[object] = []
        doors: list[DoorFactory[Any]] = [Steps(chat, self.steps), Steps(chat, self.steps)]
        self.service = ChatService(self.clock, chat, doors, [])
        self.service.startService()
        self.service.stopService().addBoth(self.done.append)


def test_reading_stops_first_and_people_are_told_when_the_ledger_has_settled() -> None:
    stopping = Stopping()
    assert stopping.steps == ["stop reading", "stop reading"]
    stopping.ledger.closed.callback(None)
    assert stopping.steps == ["stop reading", "stop reading", "dismiss", "dismiss"]
    assert stopping.done == [None]
    assert not stopping.clock.getDelayedCalls()


def test_a_ledger_that_does_not_settle_is_waited_for_a_second(logged: list[str]) -> None:
    stopping = Stopping()
    stopping.clock.advance(SETTLE_SECONDS - 0.1)
    assert not stopping.done
    stopping.clock.advance(0.1)
    assert stopping.done == [None]
    assert any("not committed" in line for line in logged)


def test_a_ledger_that_fails_does_not_hinder_stopping(logged: list[str]) -> None:
    stopping = Stopping()
    stopping.ledger.closed.errback(OSError("the disk is full"))
    assert stopping.done == [None]
    assert any("the disk is full" in line for line in logged)


def test_stopping_ends_when_everybody_is_gone_or_two_seconds_are_over() -> None:
    world = World(limits=UNLIMITED)
    factory = ChatFactory(world.chat)
    reads, does_not = Visitor(world, factory), Visitor(world, factory)
    running = ChatService(world.clock, world.chat, [factory], [])
    running.startService()
    done: list[object] = []
    running.stopService().addCallback(done.append)
    reads.settle()
    assert reads.sees[-1] == "-- The server is shutting down."
    assert not done
    world.clock.advance(2)
    assert does_not.wire.aborted
    does_not.settle()
    assert done == [None]


# Descriptors


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[tuple[int, int]]]:
    """Makes this process one with other limits on descriptors; gives what they are set to."""

    def pretend(soft: int, hard: int) -> list[tuple[int, int]]:
        set_to: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
        return set_to

    return pretend


Limit = Callable[[int, int], list[tuple[int, int]]]


def test_the_soft_limit_on_descriptors_is_raised_to_fit(limit: Limit) -> None:
    set_to = limit(1024, 100_000)
    assert raise_descriptor_limit(10_000) == 10_000
    assert set_to == [(10_000 + descriptors.SPARE_DESCRIPTORS, 100_000)]


def test_a_soft_limit_that_is_enough_stays(limit: Limit) -> None:
    set_to = limit(20_000, 100_000)
    assert raise_descriptor_limit(10_000) == 10_000
    assert set_to == []


def test_a_hard_limit_that_is_too_low_is_told(limit: Limit, logged: list[str]) -> None:
    set_to = limit(1024, 4096)
    assert raise_descriptor_limit(10_000) == 4096 - descriptors.SPARE_DESCRIPTORS
    assert set_to == [(4096, 4096)]
    assert any("ulimit -Hn" in line for line in logged)


def test_without_a_maximum_there_are_as_many_as_can_be(limit: Limit, logged: list[str]) -> None:
    limit(1024, 4096)
    assert raise_descriptor_limit(0) == 4096 - descriptors.SPARE_DESCRIPTORS
    assert not logged
