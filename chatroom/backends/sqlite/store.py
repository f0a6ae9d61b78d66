"""The store of one server: its threads, ledger, history, accounts and maintenance.

This module runs in the reactor's thread and hands all work on the database to three threads. One
writes; one looks up history; one looks up accounts and sanctions, so that a login never waits for a
search. The reactor never waits for any of them.
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
from chatroom.backends.sqlite.moderation import ModerationTables, StoredModeration, load_all
from chatroom.backends.sqlite.schema import SchemaError
from chatroom.backends.sqlite.worker import CallInReactor, Worker
from chatroom.model.aging import Aging
from chatroom.model.clock import Call, Clock
from chatroom.model.entry import Entry
from chatroom.model.history import Gap, Query, StoredRoom, UnreadSummary
from chatroom.model.sanctions import Rule, RuleKey, RuleKind
from chatroom.text.times import DAY
from chatroom.text.words import Phrase

log = Logger()

T = TypeVar("T")

#: How long after a commit its lines are indexed, so that those of several commits go together.
INDEX_DELAY_SECONDS = 0.1

#: How often old lines are deleted, and how often traces of deleted lines are removed from the file,
#: which rewrites the search index. Together they take less than an hour, as the documents promise.
UPKEEP_SECONDS = 600.0
CLEANING_SECONDS = 2700.0

#: The pause between two slices of maintenance, in which commits have their turn.
PAUSE_SECONDS = 0.005

#: How often the maintenance tries to empty the write-ahead log, which others may be reading.
MAX_TRIES = 20


def try_open(folder: Folder, count: int, lobby: str) -> None:
    """Find out whether `Store.open` will succeed, before twistd daemonises.

    Raises StoreError if not, and closes the folder. Else only the folder stays open.
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
    """The store of one server.

    post: `reactor.callFromThread`.
    folder: the folder with the database.
    sync: see database.connect.
    keep_days, keep_lines: see chatsettings.Settings.
    aging: the time by which lines are old.
    worker: makes the threads.
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
        #: The file for the code with which a user becomes an operator.
        self.claim = folder.claim
        #: See chatsettings.Settings; they may change while the server runs.
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
        #: Usable from `open` until `close`, which carries out all that was asked before.
        self.accounts = StoredAccounts(
            partial(self._write, AccountTables), partial(self._read, AccountTables)
        )
        self.records = StoredModeration(
            partial(self._write, ModerationTables), partial(self._read, ModerationTables)
        )

    def open(self, count: int, lobby: str) -> list[StoredRoom]:
        """Open the database and return its rooms, each with its last *count* lines.

        lobby: the key of the room that is stored even if nothing was said in it.

        It blocks, which is allowed only at the start of the server. Call it after twistd has
        daemonised, because neither threads nor connections to the database survive a fork.
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
        """Start the work in the background: indexing, and deleting old lines."""
        self._kept()
        self._later(1.0, self._keep_up)

    @inlineCallbacks
    def close(self) -> Any:
        """Close the database. Fires when that is done; never, if the disk does not answer."""
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
        """Call *function* in *delay* seconds, unless the store is closed by then."""

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
        """Return whether another program has changed the database since the last call."""
        if self._closed:
            return fail(StoreError("the store is closed"))
        return self._writing.do(self._writer.changed_elsewhere)

    def rules(self) -> list[tuple[RuleKind, RuleKey, Rule]]:
        """Return the rules that are stored. Blocks on the disk, as `open` does."""
        return list(load_all(ModerationTables(self._writer.connection).load()))

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
        """Index soon what was committed."""
        if not self._indexing:
            self._indexing = True
            self._later(INDEX_DELAY_SECONDS, self._index)

    def _index(self) -> None:
        def indexed(more: bool) -> None:
            self._indexing = more
            self._index_failed = False
            if more:
                # After a commit that was requested meanwhile, and before the next one.
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
        """Delete old lines, and remove the traces of deleted ones. Fires when that is done."""
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
        """Remove all traces of deleted lines from the database and its write-ahead log.

        If the log cannot be emptied, because others read it, the next maintenance tries again.
        """
        yield self._writing.do(self._writer.begin_merge)
        while (yield self._writing.do(self._writer.merge)):
            yield self._pause()
        for _ in range(MAX_TRIES):
            if (yield self._writing.do(self._writer.empty_log)):
                self._clean_at = self._clock.seconds() + CLEANING_SECONDS
                break
            yield self._pause()

    def _pause(self) -> "Deferred[None]":
        """Return a Deferred that fires after a pause for commits; never if the store is closed."""
        paused: Deferred[None] = Deferred()
        self._later(PAUSE_SECONDS, lambda: paused.callback(None))
        return paused
