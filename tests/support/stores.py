"""Stores on a disk that takes its time, which is that of a clock that a test moves."""

import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute

from chatroom.backends.interfaces import Ledger
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.directory import Folder
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.backends.sqlite.store import Store
from chatroom.backends.sqlite.worker import Worker
from chatroom.chat.chat import Chat
from chatroom.model.entry import Entry
from chatroom.text import names
from tests.support.doubles import Clock, DelayedLedger, immediate
from tests.support.reactor import clock, reactor

T = TypeVar("T")

#: How long, in seconds, the disk of a store takes for everything.
DISK_SECONDS = 0.003


class ClockWorker(Worker):
    """A worker of a store without a thread: it does what it is given some milliseconds later."""

    #: What it does takes no time.
    given_up = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def do(self, function: Callable[..., T], *args: object) -> Deferred[T]:
        answer: Deferred[T] = Deferred(lambda _: None)

        def work() -> None:
            done = execute(function, *args)
            if answer.called:
                # Nobody waits for it any more, and a failure is nobody's.
                done.addErrback(lambda _: None)
            else:
                done.chainDeferred(answer)

        self._clock.callLater(DISK_SECONDS, work)
        return answer

    def stop(self) -> None:
        """There is no thread to be ended."""


def store_in(folder: str | Path) -> Callable[[Clock], Store]:
    """The store in *folder*, all of whose answers come later."""

    def made(clock: Clock) -> Store:
        worker = ClockWorker(clock)
        return Store(clock, lambda *_: None, Folder(str(folder)), worker=lambda *_: worker)

    return made


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory, where there is such a place: many hundreds are made."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="chatroom-", dir=place) as name:
        yield Path(name)


class TemporaryStore(Store):
    """A store in a folder of its own, which goes when it is closed."""

    def __init__(self, clock: Clock) -> None:
        self._stack = ExitStack()
        folder = self._stack.enter_context(memory_folder())
        worker = ClockWorker(clock)
        super().__init__(clock, lambda *_: None, Folder(str(folder)), worker=lambda *_: worker)

    def close(self) -> Any:
        return super().close().addCallback(lambda _: self._stack.close())


def stored(clock: Clock) -> Store:
    """A store, whose ledger and history a world has."""
    return TemporaryStore(clock)


def stored_ledger(clock: Clock) -> Ledger:
    """The ledger of a store alone, on a disk that takes everything some milliseconds later."""

    def commit(entries: Sequence[Entry]) -> Deferred[None]:
        written: Deferred[None] = Deferred()
        clock.callLater(DISK_SECONDS, written.callback, None)
        return written

    return StoredLedger(clock, commit)


#: What a chat may keep its lines in.
LEDGERS = [immediate, DelayedLedger, stored]


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[tuple[Chat, Store]]:
    """A chat over what is kept in *folder*, from start to stop."""
    path = str(folder / "data")
    store = Store(clock, reactor.callFromThread, Folder(path), **options)
    chat = Chat(clock, ledger=store.ledger, history=store)
    chat.restore(store.open(20, chat.lobby.key))
    store.maintenance.start()
    try:
        yield chat, store
    finally:
        await chat.close()
        await store.close()


def old_file(path: Path, version: int, *statements: str) -> None:
    """Make a file as a server with so many migrations left it, with what *statements* add."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("fold", 1, names.fold, deterministic=True)
        connection.executescript(
            f"PRAGMA journal_mode = WAL; {' '.join(schema.MIGRATIONS[:version])}"
            f"PRAGMA application_id = {schema.APPLICATION}; PRAGMA user_version = {version};"
            + "".join(f"{statement};" for statement in statements)
        )
