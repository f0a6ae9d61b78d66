"""What every test gets.

An error that is logged fails the test, and so does what the test leaves behind: work for the
reactor, a thread, a process. What can be ended is ended, so that the next test finds nothing of
it, and no test takes longer than `support.reactor.LIMIT`: what hangs fails, by itself.
"""

import faulthandler
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings
from pytest_twisted import blockon
from twisted.internet.defer import TimeoutError, maybeDeferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.accounts import passwords
from chatroom.backends.interfaces import NameClaims
from chatroom.model.chatsettings import Settings
from chatroom.model.limits import Limits
from tests.support.accounts import FakeBook, book_of
from tests.support.doubles import FailingLedger, FakeRecords
from tests.support.operators import MakeServer
from tests.support.reactor import LIMIT, reactor, services
from tests.support.stores import LEDGERS
from tests.support.world import World

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Tests make sockets in their folders, and the path of a socket has at most 107 bytes."""
    if config.option.basetemp is None and len(os.fsencode(tempfile.gettempdir())) > 30:
        folder = tempfile.mkdtemp(prefix="chatroom-", dir="/tmp")
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


class Overdue(BaseException):
    """A test has taken too long. No `except Exception` on its way may take it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """End a test that blocks the process; `support.reactor.on_reactor` ends those that wait.

    What neither of them can end is ended by pytest itself, with the process:
    `faulthandler_timeout` in pyproject.toml.
    """

    def overdue(*_: object) -> None:
        raise Overdue(f"the test took longer than {LIMIT:g} seconds")

    former = signal.signal(signal.SIGALRM, overdue)
    # Those that wait have ended by then.
    signal.setitimer(signal.ITIMER_REAL, LIMIT + 10)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.hookimpl(wrapper=True)
def pytest_unconfigure(config: pytest.Config) -> Iterator[None]:
    """A thread that never ends does not keep the process for ever; workers are ended anyhow."""
    if not hasattr(config, "workerinput"):
        assert sys.__stderr__ is not None
        faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
    return (yield)


@implementer(ILogObserver)
class Strictness:
    """Errors that were logged while a test ran; a test that expects some takes them out."""

    def __init__(self) -> None:
        self.errors: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("isError"):
            self.errors.append(event)

    def expected(self) -> list[LogEvent]:
        """The errors so far, which are then no fault."""
        errors, self.errors = self.errors, []
        return errors


class Left:
    """What there is that a test may have left behind."""

    def __init__(self) -> None:
        calls = [call for call in reactor.getDelayedCalls() if call.active()]
        # What wakes the reactor itself is there from the first turn of it on.
        readers = {*reactor.getReaders()} - reactor._internalReaders
        self.busy = {*readers, *reactor.getWriters(), *calls}
        # The reactor's own threads stay until it ends, and that of a log with the process.
        pool = reactor.threadpool
        idle = {*pool.threads} if pool and not pool.working else set()
        self.threads = {each for each in threading.enumerate() if each.name != "log"} - idle
        self.processes: set[int] = set()
        for children in Path("/proc/self/task").glob("*/children"):
            with suppress(OSError):
                self.processes |= set(map(int, children.read_text().split()))

    def end(self, before: "Left") -> list[object]:
        """End what was not there *before*; returns it, with what could not be ended."""
        left = [*self.busy - before.busy]
        for thing in left:
            if IDelayedCall.providedBy(thing):
                thing.cancel()
                continue
            reactor.removeReader(thing)
            reactor.removeWriter(thing)
            with suppress(Exception):
                thing.connectionLost(Failure(ConnectionAborted()))
        for pid in self.processes - before.processes:
            left.append(f"process {pid}")
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                # Whoever started it may be kept by a traceback, and says when freed that it runs.
                for each in gc.get_objects():
                    if isinstance(each, Popen) and each.pid == pid:
                        each.wait()
                os.waitpid(pid, 0)
        overdue = time.monotonic() + GRACE_SECONDS
        while (threads := Left().threads - before.threads) and time.monotonic() < overdue:
            time.sleep(0.01)
        return [*left, *threads]


#: How long a thread has that was told to end.
GRACE_SECONDS = 5.0


@pytest.fixture(autouse=True, scope="module")
def frozen() -> None:
    """What was there before a module's first test need not be looked through after each of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def strict() -> Iterator[Strictness]:
    """Plain pytest passes while errors are logged and sockets stay open; this does not."""
    before = Left()
    strictness = Strictness()
    globalLogPublisher.addObserver(strictness)
    yield strictness
    while services:
        if services[-1].running:
            # What does not stop is left behind.
            with suppress(TimeoutError):
                blockon(maybeDeferred(services[-1].stopService).addTimeout(LIMIT, reactor))
        services.pop()
    # A Deferred that failed unseen is logged when it is collected.
    gc.collect()
    globalLogPublisher.removeObserver(strictness)
    left = Left().end(before)
    assert not strictness.errors, [str(event.get("log_failure")) for event in strictness.errors]
    assert not left, f"the test left behind: {left}"


@pytest.fixture(autouse=True)
def cheap_passwords(strict: Strictness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password costs a quarter of a second, which is for attackers to have."""
    monkeypatch.setattr(passwords, "LOG_N", 4)


class MakeWorld(Protocol):
    """Makes a world over the kind of ledger that the test runs over."""

    def __call__(
        self,
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: NameClaims | None = None,
    ) -> World: ...


# A FailingLedger that refuses nothing is a DelayedLedger: see `failing`.
@pytest.fixture(params=LEDGERS)
def make_world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes a chat with people made of nothing but objects, over each kind of ledger."""
    made: list[World] = []

    def make(
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: NameClaims | None = None,
    ) -> World:
        made.append(World(request.param, settings, limits, claims))
        return made[-1]

    yield make
    for world in made:
        world.end()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A chat as it is when nobody set anything, but that lines may come as fast as they do."""
    return make_world()


@pytest.fixture
def failing() -> Iterator[World]:
    """A chat over a FailingLedger; what it `refuses` is for the test to say."""
    world = World(FailingLedger)
    yield world
    world.end()


@pytest.fixture
def book() -> FakeBook:
    return FakeBook()


@pytest.fixture
def kept(book: FakeBook) -> Iterator[World]:
    """A chat whose accounts are late, fail or never answer, when a test says so."""
    world = World(accounts=book_of(book))
    yield world
    book.late = False
    book.silent.clear()
    book.answer_all()
    world.end()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gives people time does not give much."""
    monkeypatch.setattr("chatroom.chat.announcer.STAY_SECONDS", 0.01)
    monkeypatch.setattr("chatroom.doors.ssh.connection.FAREWELL_SECONDS", 0.1)
    monkeypatch.setattr("chatroom.doors.factory.FAREWELL_SECONDS", 0.1)
    monkeypatch.setattr("chatroom.doors.telnet.charmode.ANSWER_SECONDS", 0.1)


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    """Whatever happens, no process and no socket stays."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log_events() -> Iterator[list[LogEvent]]:
    """What is logged."""
    events: list[LogEvent] = []
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


@implementer(ILogObserver)
class Lines:
    """What is logged, as an operator reads it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines += [line for line in [formatEvent(event)] if line]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged, as an operator reads it."""
    observer = Lines()
    globalLogPublisher.addObserver(observer)
    yield observer.lines
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Makes worlds whose decisions last, as with a store."""
    made: list[World] = []

    def make(**given: Any) -> World:
        given.setdefault("records", FakeRecords())
        made.append(World(**given))
        return made[-1]

    yield make
    for world in made:
        world.end()


@pytest.fixture
def server(make_server: MakeServer) -> World:
    return make_server()
