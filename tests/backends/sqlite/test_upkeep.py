"""The store works beside the reactor: what it does when, and what it does when that fails."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from threading import Event, get_ident
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from chatroom.backends.sqlite import maintenance as module
from chatroom.backends.sqlite.directory import Folder
from chatroom.backends.sqlite.maintenance import (
    CLEANING_SECONDS,
    INDEX_DELAY_SECONDS,
    UPKEEP_SECONDS,
)
from chatroom.backends.sqlite.store import Store
from chatroom.backends.sqlite.worker import Worker
from chatroom.model.entry import Entry
from chatroom.model.events import Opened, Said
from chatroom.model.history import Gap, Query
from chatroom.text.words import phrases
from tests.support.doubles import Clock
from tests.support.reactor import clock as real_clock
from tests.support.reactor import on_reactor, reactor, until

DAY = 24 * 3600


@asynccontextmanager
async def opened(
    folder: Path, clock: Any = None, keep_days: float = 0.0, keep_lines: int = 0, **options: Any
) -> AsyncIterator[Store]:
    """A store whose threads report to the real reactor."""
    store = Store(
        clock or real_clock, reactor.callFromThread, Folder(str(folder / "data")), **options
    )
    store.open(20, "lobby")
    store.maintenance.configure(keep_days, keep_lines)
    try:
        yield store
    finally:
        await store.close()


def lines(*texts: str, time: float = 1_800_000_000.0, first: int = 1) -> list[Entry]:
    return [
        Entry("lobby", int(time * 1e6) + number, Said(time, 1, "alice", text))
        for number, text in enumerate(texts, first)
    ]


async def found(store: Store, text: str) -> int:
    return len(await store.search(Query(phrases(text), ["lobby"]), 1000))


@implementer(ILogObserver)
class Warnings:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines += [line for line in [formatEvent(event)] if line]


@pytest.fixture
def logged() -> Any:
    observer = Warnings()
    globalLogPublisher.addObserver(observer)
    yield observer.lines
    globalLogPublisher.removeObserver(observer)


@on_reactor
async def test_a_worker_does_one_thing_after_another_in_its_own_thread() -> None:
    worker = Worker("test", reactor.callFromThread)
    done: list[int] = []
    answers = [worker.do(done.append, number) for number in range(20)]
    thread = await worker.do(get_ident)
    await DeferredList(answers)
    assert done == list(range(20))
    assert thread != get_ident()
    worker.stop()


@on_reactor
async def test_what_fails_in_a_worker_fails_where_it_was_asked_for() -> None:
    worker = Worker("test", reactor.callFromThread)
    with pytest.raises(ZeroDivisionError):
        await worker.do(lambda: 1 // 0)
    assert await worker.do(lambda: "goes on") == "goes on"
    worker.stop()


@on_reactor
async def test_nobody_hears_of_an_answer_that_came_too_late() -> None:
    worker = Worker("test", reactor.callFromThread)
    answer: Deferred[int] = worker.do(int)
    answer.addErrback(lambda _: None)
    answer.cancel()
    await worker.do(int)
    worker.stop()


@on_reactor
async def test_what_nobody_waits_for_is_not_begun_and_ends() -> None:
    interrupted, begun = Event(), Event()
    done: list[str] = []

    def works() -> None:
        begun.set()
        assert interrupted.wait(10)
        raise InterruptedError

    worker = Worker("test", reactor.callFromThread, interrupted.set)
    first, second = worker.do(works), worker.do(done.append, "second")
    third = worker.do(done.append, "third")
    second.addErrback(lambda failure: failure.trap(CancelledError))
    second.cancel()
    assert await deferToThread(begun.wait, 10)
    assert not interrupted.is_set()
    first.addErrback(lambda failure: failure.trap(CancelledError))
    first.cancel()
    await third
    assert done == ["third"]
    # What is over is not interrupted.
    interrupted.clear()
    third.cancel()
    assert not interrupted.is_set()
    worker.stop()


@on_reactor
async def test_what_is_to_be_written_is_written_whether_or_not_anybody_waits() -> None:
    worker = Worker("test", reactor.callFromThread)
    done: list[str] = []
    answer = worker.do(done.append, "written")
    answer.addErrback(lambda failure: failure.trap(CancelledError))
    answer.cancel()
    await worker.do(int)
    assert done == ["written"]
    worker.stop()


@on_reactor
async def test_a_search_that_nobody_waits_for_ends_and_holds_up_no_login(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await store._commit(lines("tea"))
        # As dear as one likes: it ends when it is interrupted.
        numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        execute = store._reader.connection.execute
        search = store._reading.do(lambda: execute(f"{numbers} SELECT max(i) FROM n").fetchall())
        search.addErrback(lambda failure: failure.trap(CancelledError))
        assert await store.accounts.find("alice") is None
        assert await store.records.actions(1) == []
        assert not search.called
        search.cancel()
        assert await found(store, "tea") == 1


@on_reactor
async def test_a_search_that_is_given_up_before_the_database_has_begun_it_ends(
    tmp_path: Path,
) -> None:
    begun, cancelled = Event(), Event()
    ended: list[str] = []
    async with opened(tmp_path, Clock()) as store:
        execute = store._reader.connection.execute

        def works() -> None:
            begun.set()
            assert cancelled.wait(10)
            try:
                # A minute's work.
                numbers = "SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000000"
                execute(f"WITH RECURSIVE n (i) AS ({numbers}) SELECT max(i) FROM n").fetchall()
            except sqlite3.OperationalError as error:
                ended.append(str(error))

        search = store._reading.do(works)
        search.addErrback(lambda failure: failure.trap(CancelledError))
        assert await deferToThread(begun.wait, 10)
        search.cancel()
        cancelled.set()
        await store._reading.do(int)
        assert ended == ["interrupted"]


@on_reactor
async def test_what_is_committed_is_found_at_once_and_indexed_a_moment_later(
    tmp_path: Path,
) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        await store._commit(lines("one tea", "two teas"))
        store.maintenance.committed()
        store.maintenance.committed()
        assert await found(store, "tea") == 1
        assert store._writer._state("indexed") == 0
        clock.advance(INDEX_DELAY_SECONDS)
        await store._writing.do(int)
        assert store._writer._state("indexed") > 0
        assert await found(store, "tea") == 1
        assert [entry.id for entry in await store.before("lobby", 2**63 - 1, 5)] == [
            entry.id for entry in await store.after("lobby", 0, 5)
        ]
        (missed,) = await store.missed([("lobby", Gap(0))], phrases("two")[0], "bob")
        assert (missed.lines, missed.naming) == (2, 1)
        # Once more than a slice, which takes several.
        await store._commit(lines(*["coffee"] * 600, first=10))
        store.maintenance.committed()
        clock.advance(INDEX_DELAY_SECONDS)
        for _ in range(5):
            await store._writing.do(int)
            clock.advance(0)
        assert await found(store, "coffee") == 600
    assert not clock.getDelayedCalls()


def failing(times: int, then: Callable[..., Any]) -> Callable[..., Any]:
    """Fails so many times as a full disk does, then does it."""
    left = [times]

    def call(*args: object) -> Any:
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return then(*args)

    return call


@on_reactor
async def test_an_index_that_cannot_be_written_is_tried_again_and_that_is_said_once(
    tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as store:
        monkeypatch.setattr(store._writer, "index", failing(3, store._writer.index))
        await store._commit(lines("tea"))
        store.maintenance.committed()
        clock.advance(INDEX_DELAY_SECONDS)
        for _ in range(4):
            await store._writing.do(int)
            clock.advance(1)
        await store._writing.do(int)
        assert await found(store, "tea") == 1
    warnings = [line for line in logged if "index could not be written" in line]
    assert warnings == [
        "The search index could not be written: database or disk is full. Trying again."
    ]


@on_reactor
async def test_what_is_too_old_or_too_much_goes_and_leaves_no_trace(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_days=7, keep_lines=3) as store:
        now = real_clock.time()
        await store._commit([Entry("lobby", 1, Opened(now, 0, "Lobby"))])
        await store._commit(lines("zanzibar", time=now - 8 * DAY))
        await store._commit(lines("xylophone", "a tea", "b tea", "c tea", time=now))
        while await store._writing.do(store._writer.index):
            pass
        await store.maintenance.keep_up()
        kept = await store.before("lobby", 2**63 - 1, 10)
        assert [getattr(entry.event, "text", "") for entry in kept] == ["a tea", "b tea", "c tea"]
        files = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
        assert b"zanzibar" not in files
        assert b"xylophone" not in files
        assert await found(store, "tea") == 3


@on_reactor
async def test_it_is_cleaned_seldom_but_within_the_hour(tmp_path: Path) -> None:
    clock = Clock()
    clock.advance(1_800_000_000)

    async def upkeep(store: Store) -> bool:
        """Do it, and say whether it was cleaned."""
        done: list[object] = []
        store.maintenance.keep_up().addBoth(done.append)
        while not done:
            await store._writing.do(int)
            clock.advance(0.01)
        assert done == [None]
        return not await store._writing.do(lambda: store._writer.unclean)

    async with opened(tmp_path, clock) as store:
        await store._commit(lines("one", "two", "three"))
        ids = [entry.id for entry in lines("one", "two", "three")]
        for index, cleaned in ((0, True), (1, False)):
            await store._writing.do(store._writer.delete, ids[index : index + 1])
            assert await upkeep(store) is cleaned
        clock.advance(CLEANING_SECONDS)
        assert await upkeep(store) is True
        assert CLEANING_SECONDS + UPKEEP_SECONDS < 3600


@on_reactor
async def test_a_cleaning_that_does_not_come_to_its_end_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TRIES", 2)
    async with opened(tmp_path) as store:
        await store._commit(lines("one"))
        await store._writing.do(store._writer.delete, [entry.id for entry in lines("one")])
        merge = store._writer.merge
        monkeypatch.setattr(store._writer, "merge", failing(1, merge))
        with pytest.raises(sqlite3.OperationalError):
            await store.maintenance.keep_up()
        with closing(
            sqlite3.connect(tmp_path / "data" / "chatroom.sqlite", isolation_level=None)
        ) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM events").fetchall()
            await store._commit(lines("two"))
            await store.maintenance.keep_up()
            assert await store._writing.do(lambda: store._writer.unclean)
        await store.maintenance.keep_up()
        assert not await store._writing.do(lambda: store._writer.unclean)


@on_reactor
async def test_an_upkeep_that_fails_is_said_and_comes_again(
    tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with opened(tmp_path, clock, keep_lines=1) as store:
        calls: list[int] = []

        def expired(before: float, keep: int) -> list[int]:
            calls.append(keep)
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(store._reader, "expired", expired)
        store.maintenance.start()
        clock.advance(1)
        await until(lambda: any("upkeep" in line for line in logged))
        clock.advance(UPKEEP_SECONDS)
        await until(lambda: len(calls) == 2)
        await store._reading.do(int)
    assert logged[-1].startswith("The upkeep of the store failed: disk I/O error.")
    assert not clock.getDelayedCalls()
