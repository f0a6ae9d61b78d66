"""What every test gets: an error that is logged, or a reactor left dirty, fails it."""

import gc
from collections.abc import Iterator

import pytest
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.logger import LogEvent, globalLogPublisher

from fakes import DelayedLedger, World
from chatroom.ledger import MemoryLedger


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
    own = getattr(reactor, "_internalReaders", set())
    return {*reactor.getReaders(), *reactor.getWriters(), *calls} - own


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


@pytest.fixture(params=["immediate", "late"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A chat with people made of nothing but objects, over each kind of ledger."""
    made = World(MemoryLedger if request.param == "immediate" else DelayedLedger)
    yield made
    made.end()
