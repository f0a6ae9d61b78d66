"""The store as the service knows it: its threads, ledger, history, accounts and upkeep.

The rule: everything here runs in the reactor's thread and hands work to three others. One writes,
one looks up what was said, and one looks up accounts and decisions, so that nobody's login waits
for somebody's search. Nothing waits for them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables, StoredAccounts
from chatroom.backends.sqlite.database import Reader, Writer
from chatroom.backends.sqlite.directory import Folder, StoreError, damaged, unusable
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.backends.sqlite.moderation import ModerationTables, StoredModeration
from chatroom.backends.sqlite.schema import SchemaError
from chatroom.backends.sqlite.worker import CallInReactor, Worker
from chatroom.model.aging import Aging
from chatroom.model.clock import Call, Clock
from chatroom.model.entry import Entry
from chatroom.model.history import Gap, Query, StoredRoom, UnreadSummary
from chatroom.text.times import DAY
from chatroom.text.words import Phrase

log = Logger()

T = TypeVar("T")

#: How long, in seconds, after a commit its lines are indexed; those of a crowd together.
INDEX_DELAY_SECONDS = 0.1

#: How often, in seconds, old lines are deleted, and how often traces of deleted ones are cleaned
#: away, which writes the search index anew: both within the hour.
UPKEEP_SECONDS = 600.0
CLEANING_SECONDS = 2700.0

#: How long, in seconds, between two slices of the cleaning, so that commits go first.
PAUSE_SECONDS = 0.005

#: How often it is tried, at an upkeep, to empty the log of the file, which others may be reading.
MAX_TRIES = 20


def try_open(folder: Folder, count: int, lobby: str) -> None:
    """Do once what `Store.open` will do, before twistd daemonises; lets go of all but the folder.

    Raises StoreError when it cannot be done, and closes the folder.
    """
    try:
        writer = Writer(folder.database)
        try:
            damage = schema.damage(writer.connection, *schema.NEEDED)
            if damage:
                raise damaged(folder.database, damage)
            writer.load(count, lobby)
            ModerationTables(writer.connection).load()
        finally:
            writer.close()
    except StoreError:
        folder.close()
        raise
    except (sqlite3.Error, SchemaError, ValueError) as error:
        folder.close()
        raise unusable(folder.database, error) from error


class Store:
    """One server's store.

    folder: has the file. post: `reactor.callFromThread`. keep_days, keep_lines: see chat.Settings.
    """

    def __init__(
        self,
        clock: Clock,
        post: CallInReactor,
        folder: Folder,
        *,
        sync: str = "normal",
        keep_days: float = 0.0,
        keep_lines: int = 0,
        aging: Aging | None = None,
        worker: Callable[..., Worker] = Worker,
    ) -> None:
        self._clock = clock
        self._aging = aging or Aging(clock)
        self._folder = folder
        #: Where the code is written with which somebody becomes an operator.
        self.claim = folder.claim
        #: See chat.Settings; they may change.
        self.keep_days = keep_days
        self.keep_lines = keep_lines
        self._calls: set[Call] = set()
        self._indexing = False
        self._index_failed = False
        self._clean_at = 0.0
        self._closed = False
        self._post = post
        self._worker = worker
        self._sync = sync
        self._writer: Writer
        self._reader: Reader
        self._accounts: Reader
        self._writing: Worker
        self._reading: Worker
        self._looking_up: Worker
        self.ledger = StoredLedger(clock, self._commit, self._kept)
        #: Can be asked from `open` until `close`; whatever it was given by then is done.
        self.accounts = StoredAccounts(
            partial(self._write, AccountTables), partial(self._read, AccountTables)
        )
        self.records = StoredModeration(
            partial(self._write, ModerationTables), partial(self._read, ModerationTables)
        )

    def open(self, count: int, lobby: str) -> list[StoredRoom]:
        """Open the file; returns the rooms that are kept in it, with their last *count* lines.

        lobby: the key of the room that is kept though nothing was said in it.

        It waits for the disk, as only the start may; not before twistd has daemonised, for
        neither threads nor connections survive that.
        """
        path = self._folder.database
        self._writer = Writer(path, self._sync)
        self._reader = Reader(path, self._writer.last_id)
        self._accounts = Reader(path)
        self._writing = self._worker("store writer", self._post)
        self._reading = self._worker("store reader", self._post, self._reader.interrupt)
        self._looking_up = self._worker("store accounts", self._post, self._accounts.interrupt)
        self._reader.end_when(lambda: self._reading.given_up)
        self._accounts.end_when(lambda: self._looking_up.given_up)
        self.ledger.last_id = self._writer.last_id
        if self._writer.last_time:
            self._aging.begin(self._writer.last_time)
        return self._writer.load(count, lobby)

    def start(self) -> None:
        """Begin with what goes on beside: the index is caught up, old lines are deleted."""
        self._kept()
        self._later(1.0, self._keep_up)

    @inlineCallbacks
    def close(self) -> Any:
        """End; fires when the file is closed, which a disk that is away may never let it be."""
        self._closed = True
        for call in list(self._calls):
            if call.active():
                call.cancel()
        yield self._reading.do(self._reader.close)
        yield self._looking_up.do(self._accounts.close)
        yield self._writing.do(self._writer.close)
        for worker in (self._reading, self._looking_up, self._writing):
            worker.stop()
        self._folder.close()

    def _later(self, delay: float, function: Any) -> None:
        """Call *function* in some seconds, unless the store was closed by then."""

        def due() -> None:
            self._calls.discard(call)
            function()

        if not self._closed:
            call = self._clock.callLater(delay, due)
            self._calls.add(call)

    def _commit(self, entries: Any) -> "Deferred[None]":
        return self._writing.do(self._writer.commit, entries)

    # -- interfaces.HistoryStore

    def before(self, room: str, id: int, count: int) -> "Deferred[list[Entry]]":
        return self._reading.do(self._reader.before, room, id, count)

    def after(self, room: str, id: int, count: int) -> "Deferred[list[Entry]]":
        return self._reading.do(self._reader.after, room, id, count)

    def place(self, room: str, time: float) -> "Deferred[int]":
        return self._reading.do(self._reader.place, room, time)

    def search(self, query: Query, count: int) -> "Deferred[list[Entry]]":
        return self._reading.do(self._reader.search, query, count)

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> "Deferred[list[UnreadSummary]]":
        return self._reading.do(self._reader.missed, list(gaps), name, own)

    # -- interfaces.AccountStore and interfaces.ModerationStore

    def changed_elsewhere(self) -> "Deferred[bool]":
        """Whether another program has changed the file since this was last asked."""
        if self._closed:
            return fail(StoreError("the store is closed"))
        return self._writing.do(self._writer.changed_elsewhere)

    def orders(self) -> list[tuple[str, str, str]]:
        """What operators have decided: kind, key and value. It waits for the disk, as `open`."""
        return ModerationTables(self._writer.connection).load()

    def _write(self, part: Callable[..., object], method: Callable[..., T], *args: object) -> Any:
        if self._closed:
            return fail(StoreError("the store is closed"))
        return self._writing.do(method, part(self._writer.connection), *args)

    def _read(self, part: Callable[..., object], method: Callable[..., T], *args: object) -> Any:
        if self._closed:
            return fail(StoreError("the store is closed"))
        return self._looking_up.do(method, part(self._accounts.connection), *args)

    # -- the index

    def _kept(self) -> None:
        """Something was committed."""
        if not self._indexing:
            self._indexing = True
            self._later(INDEX_DELAY_SECONDS, self._index)

    def _index(self) -> None:
        def indexed(more: bool) -> None:
            self._indexing = more
            self._index_failed = False
            if more:
                # Behind the commit that came meanwhile, before the next.
                self._later(0, self._index)

        def failed(failure: Failure) -> None:
            if not self._index_failed:
                self._index_failed = True
                why = failure.getErrorMessage()
                log.warn(
                    "The search index could not be written: {why}. Trying again.",
                    event="index_not_written",
                    why=why,
                )
            self._later(1.0, self._index)

        self._writing.do(self._writer.index).addCallbacks(indexed, failed)

    # -- upkeep

    def _keep_up(self) -> None:
        def failed(failure: Failure) -> None:
            why = failure.getErrorMessage()
            log.warn(
                "The upkeep of the store failed: {why}. Trying again later.",
                event="upkeep_failed",
                why=why,
            )

        done = maybeDeferred(self.keep_up)
        done.addErrback(failed)
        done.addBoth(lambda _: self._later(UPKEEP_SECONDS, self._keep_up))

    @inlineCallbacks
    def keep_up(self) -> Any:
        """Delete what is too old, and clean away what is left of deleted lines; fires then."""
        while not self._closed:
            before = self._aging.now() - self.keep_days * DAY if self.keep_days else 0.0
            ids = yield self._reading.do(self._reader.expired, before, self.keep_lines)
            if not ids:
                break
            yield self._writing.do(self._writer.delete, ids)
            yield self._pause()
        yield self._writing.do(self._writer.note_time, self._aging.now())
        due = self._clock.seconds() >= self._clean_at
        if due and (yield self._writing.do(lambda: self._writer.unclean)):
            yield self._clean()

    @inlineCallbacks
    def _clean(self) -> Any:
        """Leave no trace of deleted lines in the file and in its log, or stay unclean."""
        yield self._writing.do(self._writer.begin_merge)
        while (yield self._writing.do(self._writer.merge)):
            yield self._pause()
        for _ in range(MAX_TRIES):
            if (yield self._writing.do(self._writer.empty_log)):
                self._clean_at = self._clock.seconds() + CLEANING_SECONDS
                break
            yield self._pause()

    def _pause(self) -> "Deferred[None]":
        """Fires when commits had their turn; never once the store is closed."""
        paused: Deferred[None] = Deferred()
        self._later(PAUSE_SECONDS, lambda: paused.callback(None))
        return paused
