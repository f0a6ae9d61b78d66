"""The store of one server: its threads, ledger, history, accounts and rules.

The store runs in the reactor's thread, and hands all work on the database to three threads. One
writes; one reads history; one reads accounts and the like, so that a login never waits for a
search. The reactor never waits for any of them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, inlineCallbacks

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables, StoredAccounts
from chatroom.backends.sqlite.directory import Folder, StoreError, damaged, unusable
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.backends.sqlite.maintenance import Maintenance
from chatroom.backends.sqlite.moderation import ModerationTables, StoredModeration, load_all
from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.schema import SchemaError
from chatroom.backends.sqlite.worker import CallInReactor, Worker
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.aging import Aging
from chatroom.model.clock import Clock
from chatroom.model.entry import Entry
from chatroom.model.history import Gap, Query, StoredRoom, UnreadSummary
from chatroom.model.sanctions import Rule, RuleKey, RuleKind
from chatroom.text.words import Phrase

T = TypeVar("T")


def try_open(folder: Folder, count: int, lobby: str) -> None:
    """Check that `Store.open` will succeed, before twistd daemonises.

    Raises StoreError if it would not, and closes the folder; otherwise the folder stays open.
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
    """The store of one server; its methods are those of interfaces.HistoryStore, and a few more.

    post: `reactor.callFromThread`.
    folder: the folder with the database.
    sync: see database.connect.
    aging: the time by which messages are old.
    worker: makes the threads.
    """

    #: Set by `open`.
    maintenance: Maintenance
    _writer: Writer
    _reader: Reader
    _lookups: Reader
    _writing: Worker
    _reading: Worker
    _looking_up: Worker

    def __init__(
        self,
        clock: Clock,
        post: CallInReactor,
        folder: Folder,
        *,
        sync: str = "normal",
        aging: Aging | None = None,
        worker: Callable[..., Worker] = Worker,
    ) -> None:
        self._clock = clock
        self._aging = aging or Aging(clock)
        self._folder = folder
        #: The file for the code with which a user becomes an operator.
        self.claim = folder.claim
        self._closed = False
        self._post = post
        self._worker = worker
        self._sync = sync
        self.ledger = StoredLedger(clock, self._commit, lambda: self.maintenance.committed())
        #: Usable from `open` until `close`, which completes all earlier requests.
        self.accounts = StoredAccounts(
            partial(self._write, AccountTables), partial(self._read, AccountTables)
        )
        self.records = StoredModeration(
            partial(self._write, ModerationTables), partial(self._read, ModerationTables)
        )

    def open(self, count: int, lobby: str) -> list[StoredRoom]:
        """Open the database and return its rooms, each with its last *count* messages.

        lobby: the key of the room that is stored even if it has no messages.

        It blocks, which is allowed only at the start of the server. Call it after twistd has
        daemonised, because neither threads nor connections to the database survive a fork.
        """
        path = self._folder.database
        self._writer = Writer(path, self._sync)
        self._reader = Reader(path, self._writer.last_id)
        self._lookups = Reader(path)
        self._writing = self._worker("store writer", self._post)
        self._reading = self._worker("store reader", self._post, self._reader.interrupt)
        self._looking_up = self._worker("store accounts", self._post, self._lookups.interrupt)
        self._reader.end_when(lambda: self._reading.given_up)
        self._lookups.end_when(lambda: self._looking_up.given_up)
        self.ledger.last_id = self._writer.last_id
        if self._writer.last_time:
            self._aging.begin(self._writer.last_time)
        self.maintenance = Maintenance(
            self._clock, self._aging, self._writer, self._reader, self._writing, self._reading
        )
        return self._writer.load(count, lobby)

    @inlineCallbacks
    def close(self) -> Any:
        """Close the database. Fires when that is done; never, if the disk does not answer."""
        self._closed = True
        self.maintenance.stop()
        yield self._reading.do(self._reader.close)
        yield self._looking_up.do(self._lookups.close)
        yield self._writing.do(self._writer.close)
        for worker in (self._reading, self._looking_up, self._writing):
            worker.stop()
        self._folder.close()

    def _commit(self, entries: Sequence[Entry]) -> "Deferred[None]":
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
        return self._looking_up.do(method, part(self._lookups.connection), *args)
