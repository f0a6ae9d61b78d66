"""The doubles do what they stand for: each is run beside the real thing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatroom.backends.sqlite.worker import Worker
from tests.support.doubles import Clock, FakeWriter
from tests.support.fuzzing import examples
from tests.support.reactor import on_reactor, reactor, until
from tests.support.stores import ClockWorker
from tests.support.writers import Log, Plain

#: Somebody says so many lines, the client stops reading, or reads all there is.
STEPS = st.lists(st.one_of(st.integers(1, 4), st.just("stops"), st.just("reads")), max_size=12)

#: What a socket that nobody reads does not take in one piece.
MUCH = 1_000_000


def real(steps: list[int | str]) -> tuple[bytes, list[str], bool]:
    """What is received, what the owner is told, and whether it is congested in the end."""
    plain = Plain()
    reads = True
    number = 0
    for step in steps:
        if step == "stops" and reads:
            reads = False
            plain.log.says(b"x" * MUCH + b"\r\n")
        elif step == "reads":
            reads = True
            plain.reads_all()
        elif isinstance(step, int):
            number += 1
            plain.log.says(*[b"%d of %d\r\n" % (number, step)] * step)
            if reads:
                plain.reads_all()
    congested = plain.writer.congested
    plain.reads_all()
    plain.ends()
    return plain.received, plain.log.heard, congested


def fake(steps: list[int | str]) -> tuple[bytes, list[str], bool]:
    log: Any = Log()
    writer = log.writer = FakeWriter(log.drained, log.flowing)
    reads = True
    number = 0
    for step in steps:
        if step == "stops" and reads:
            reads = False
            writer.stall(MUCH // 2)
            log.says(b"x" * MUCH + b"\r\n")
        elif step == "reads":
            reads = True
            writer.drain()
        elif isinstance(step, int):
            number += 1
            log.says(*[b"%d of %d\r\n" % (number, step)] * step)
    congested = writer.congested
    writer.drain()
    return writer.data, log.heard, congested


@given(steps=STEPS)
@examples(60)
def test_the_outlet_takes_stalls_and_drains_as_the_real_one_does(steps: list[int | str]) -> None:
    (data, heard, congested), (faked, told, stalled) = real(steps), fake(steps)
    assert data == faked
    assert congested == stalled
    # Who owns the fake one sees by itself that it is congested.
    assert [what for what in heard if what != "stalled"] == told


@pytest.mark.parametrize("kind", ["thread", "clock"])
@on_reactor
async def test_a_worker_does_one_thing_after_another_whatever_becomes_of_it(kind: str) -> None:
    clock = Clock()
    worker: Any = ClockWorker(clock) if kind == "clock" else Worker("test", reactor.callFromThread)
    done: list[object] = []

    def fails() -> None:
        done.append("failed")
        raise OSError("the disk is away")

    answers: list[Deferred[Any]] = [
        worker.do(done.append, "first"),
        worker.do(fails),
        worker.do(done.append, "not waited for"),
        worker.do(len, "four"),
    ]
    heard: list[object] = []
    for answer in answers:
        answer.addCallbacks(heard.append, lambda failure: heard.append(type(failure.value)))
    assert heard == []
    answers[2].cancel()
    del heard[:]
    while kind == "clock" and clock.getDelayedCalls():
        clock.advance(1)
    await until(lambda: len(heard) == 3)
    worker.stop()
    assert heard == [None, OSError, 4]
    assert done == ["first", "failed", "not waited for"]
