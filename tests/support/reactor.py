"""The real reactor: tests that run on it, and the waiting for what it does.

The rule: whoever waits for bytes waits for those bytes, with a deadline, never for some time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from twisted.application.service import Service
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatroom.server.service import ReactorClock

# Its module stands in for itself, so mypy does not know what it is.
reactor: Any = installed_reactor

#: Made before anything is put off, see chatroom.model.clock.
clock = ReactorClock(reactor)

#: How long a test waits, in seconds, for something that is to come, late on a busy machine.
DEADLINE = 30.0

#: How long a test may take, in seconds.
LIMIT = 120.0

#: Services that a test has made, which are stopped after it, however it ends.
services: list[Service] = []


P = ParamSpec("P")


def on_reactor(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Deferred[None]]:
    """Run an async test on the real reactor; pytest-twisted waits for what a test returns.

    One that has not ended within `LIMIT` fails where it waits, and puts its things away.
    """

    def overdue(result: Failure | None, seconds: float) -> None:
        if isinstance(result, Failure):
            if result.check(CancelledError):
                raise AssertionError(f"it took longer than {seconds:g} seconds") from result.value
            result.raiseException()

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[None]:
        ended = Deferred.fromCoroutine(test(*args, **kwargs))
        # Once more for what it does about the first time.
        return ended.addTimeout(LIMIT, reactor, overdue).addTimeout(LIMIT + 5, reactor, overdue)

    return run


async def turns(count: int = 5) -> None:
    """Let the reactor do what it has to do at once."""
    for _ in range(count):
        await deferLater(reactor, 0)


async def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    overdue = reactor.seconds() + DEADLINE
    while not condition():
        assert reactor.seconds() < overdue, "it did not come about"
        await deferLater(reactor, 0.002)
