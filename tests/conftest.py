"""What every test gets: an error that is logged, or a reactor left dirty, fails it."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from chatroom import passwords
from chatroom.chat import Settings
from chatroom.ledger import Claims
from chatroom.limits import Limits
from fakes import DelayedLedger, FailingLedger, World, immediate, stored

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Tests make sockets in their folders, and the path of a socket has at most 107 bytes."""
    if config.option.basetemp is None and len(os.fsencode(tempfile.gettempdir())) > 30:
        folder = tempfile.mkdtemp(prefix="chatroom-", dir="/tmp")
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


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


def _busy() -> set[object]:
    """What would keep the reactor busy after a test."""
    assert IReactorFDSet.providedBy(reactor)
    assert IReactorTime.providedBy(reactor)
    calls = [call for call in reactor.getDelayedCalls() if call.active()]
    # What wakes the reactor itself is there from the first turn of it on.
    own: set[object] = getattr(reactor, "_internalReaders", set())
    busy: set[object] = {*reactor.getReaders(), *reactor.getWriters(), *calls}
    return busy - own


@pytest.fixture(autouse=True, scope="session")
def frozen() -> None:
    """What is there before the first test need not be looked through after each of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password costs a quarter of a second, which is for attackers to have."""
    monkeypatch.setattr(passwords, "LOG_N", 4)


@pytest.fixture(autouse=True)
def strict() -> Iterator[Strictness]:
    """Plain pytest passes while errors are logged and sockets stay open; this does not."""
    before = _busy()
    strictness = Strictness()
    globalLogPublisher.addObserver(strictness)
    yield strictness
    # A Deferred that failed unseen is logged when it is collected.
    gc.collect()
    globalLogPublisher.removeObserver(strictness)
    assert not strictness.errors, [str(event.get("log_failure")) for event in strictness.errors]
    left = _busy() - before
    assert not left, f"the test left the reactor busy: {left}"


class MakeWorld(Protocol):
    """Makes a world over the kind of ledger that the test runs over."""

    def __call__(
        self,
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: Claims | None = None,
    ) -> World: ...


@pytest.fixture(params=[immediate, DelayedLedger, FailingLedger, stored])
def make_world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes a chat with people made of nothing but objects, over each kind of ledger."""
    made: list[World] = []

    def make(
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: Claims | None = None,
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
