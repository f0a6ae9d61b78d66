"""The maintenance of a store: its search index, and deleting old messages.

It runs in the reactor's thread, and has the workers do one slice after another. Commits are done
between the slices.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.worker import Worker
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.aging import Aging
from chatroom.model.clock import Call, Clock
from chatroom.text.times import DAY

log = Logger()

#: How long after a commit its messages are indexed, together with those of other commits.
INDEX_DELAY_SECONDS = 0.1

#: How often old messages are deleted, and how often traces of deleted messages are removed from the
#: file, which rewrites the search index. The sum is less than an hour, as docs/data.md promises.
UPKEEP_SECONDS = 600.0
CLEANING_SECONDS = 2700.0

#: The pause between two slices, for commits.
PAUSE_SECONDS = 0.005

#: How long to wait after indexing has failed.
RETRY_SECONDS = 1.0

#: How often a cleaning tries to empty the write-ahead log, which other programs may be reading.
MAX_TRIES = 20


class Maintenance:
    """The maintenance of one store, from `start` to `stop`.

    aging: the time by which messages are old.
    writer, reader: used in the threads of *writing* and *reading* only.
    """

    def __init__(
        self,
        clock: Clock,
        aging: Aging,
        writer: Writer,
        reader: Reader,
        writing: Worker,
        reading: Worker,
    ) -> None:
        self._clock = clock
        self._aging = aging
        self._writer = writer
        self._reader = reader
        self._writing = writing
        self._reading = reading
        self._keep_days = 0.0
        self._keep_lines = 0
        #: The delayed calls of the maintenance.
        self.calls: set[Call] = set()
        #: Whether messages are being indexed, or will be soon.
        self.indexing = False
        self._index_failed = False
        self._clean_at = 0.0
        self._stopped = False

    def configure(self, keep_days: float, keep_lines: int) -> None:
        """Keep messages only so long from now on; see chatsettings.Settings."""
        self._keep_days, self._keep_lines = keep_days, keep_lines

    def start(self) -> None:
        """Start to maintain the store."""
        self.committed()
        self._later(1.0, self._keep_up)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
        for call in list(self.calls):
            if call.active():
                call.cancel()

    def _later(self, delay: float, function: Callable[[], object]) -> None:
        """Call *function* in *delay* seconds, unless the maintenance is stopped by then."""

        def due() -> None:
            self.calls.discard(call)
            function()

        if not self._stopped:
            call = self._clock.callLater(delay, due)
            self.calls.add(call)

    def _pause(self) -> "Deferred[None]":
        """Return a Deferred that fires after a pause; never if the maintenance is stopped."""
        paused: Deferred[None] = Deferred()
        self._later(PAUSE_SECONDS, lambda: paused.callback(None))
        return paused

    # -- the index

    def committed(self) -> None:
        """Index soon what was committed."""
        if not self.indexing:
            self.indexing = True
            self._later(INDEX_DELAY_SECONDS, self._index)

    def _index(self) -> None:
        self._writing.do(self._writer.index).addCallbacks(self._indexed, self._not_indexed)

    def _indexed(self, more: bool) -> None:
        self.indexing = more
        self._index_failed = False
        if more:
            # After a commit that was requested meanwhile, and before the next one.
            self._later(0, self._index)

    def _not_indexed(self, failure: Failure) -> None:
        if not self._index_failed:
            self._index_failed = True
            log.warn(
                "The search index could not be written: {why}. Trying again.",
                event="index_not_written",
                why=failure.getErrorMessage(),
            )
        self._later(RETRY_SECONDS, self._index)

    # -- old and deleted messages

    def _keep_up(self) -> None:
        def failed(failure: Failure) -> None:
            log.warn(
                "The upkeep of the store failed: {why}. Trying again later.",
                event="upkeep_failed",
                why=failure.getErrorMessage(),
            )

        done = maybeDeferred(self.keep_up)
        done.addErrback(failed)
        done.addBoth(lambda _: self._later(UPKEEP_SECONDS, self._keep_up))

    @inlineCallbacks
    def keep_up(self) -> Any:
        """Delete old messages, and remove the traces of deleted ones.

        Fires with None when that is done, or fails with an error of SQLite.
        """
        while not self._stopped:
            before = self._aging.now() - self._keep_days * DAY if self._keep_days else 0.0
            ids = yield self._reading.do(self._reader.expired, before, self._keep_lines)
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
        """Remove all traces of deleted messages from the database and its write-ahead log.

        If the log cannot be emptied, because other programs read it, the next upkeep tries again.
        """
        yield self._writing.do(self._writer.begin_merge)
        while (yield self._writing.do(self._writer.merge)):
            yield self._pause()
        for _ in range(MAX_TRIES):
            if (yield self._writing.do(self._writer.empty_log)):
                self._clean_at = self._clock.seconds() + CLEANING_SECONDS
                break
            yield self._pause()
