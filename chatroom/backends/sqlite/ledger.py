"""The ledger of a server with a store: events are stored before they are delivered.

If the disk does not answer in time, events are delivered nevertheless and the rooms are told; they
are stored when the disk answers again. Of too many waiting events the oldest are dropped, except
those that remove messages: users were told that these will be carried out.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.backends.interfaces import LedgerReceiver
from chatroom.backends.memory import number
from chatroom.backends.sqlite.kept import is_kept
from chatroom.model.clock import Call, Clock
from chatroom.model.counters import Histogram
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Event, Told
from chatroom.model.history import REMOVED_LATER

log = Logger()

#: How long an event waits for its commit before it is delivered without it.
COMMIT_SECONDS = 2.0

#: How long to wait after a commit has failed.
RETRY_SECONDS = 0.25

#: How many entries, and bytes of text, may wait for a disk that does not answer.
MAX_WAITING_ENTRIES = 100_000
MAX_WAITING_BYTES = 64 * 1024 * 1024

#: How many entries are written in one transaction.
PORTION_ENTRIES = 5000


class Commit(Protocol):
    """Stores entries. Fires when that is done, or fails."""

    def __call__(self, entries: Sequence[Entry]) -> Deferred[None]: ...


class StoredLedger:
    """Commits submitted events, then delivers them; see interfaces.Ledger.

    commit: stores entries; those that are stored already are skipped.
    committed: called after each commit.
    """

    def __init__(
        self, clock: Clock, commit: Commit, committed: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._commit = commit
        self._committed = committed
        #: The id of the last event.
        self.last_id = 0
        #: How long commits took, including failed ones, and how many failed.
        self.commits = Histogram()
        self.failures = 0
        #: How many messages were delivered and will never be stored.
        self.lost = 0
        self._begun = 0.0
        self._receiver: LedgerReceiver
        self._pending: list[tuple[str, Event]] = []
        # The entries that are not stored yet, in their order. The first `_shown` of them were
        # delivered without a commit, the first `_writing` are being written.
        self._unsaved: list[Entry] = []
        self._shown = 0
        self._writing = 0
        # Delivered entries that remove messages, from among entries that were dropped. They are
        # written with the next portion; `_unsaved` is never empty while there are any.
        self._owed: list[Entry] = []
        self._owed_writing = 0
        # The bytes of text in `_unsaved`; counted only during an outage.
        self._size = 0
        self._overdue: Call | None = None
        self._retry: Call | None = None
        # During an outage the rooms that were told of it, otherwise None.
        self._told: set[str] | None = None
        # How many messages were lost in this outage.
        self._lost = 0
        # The last id when the disk answered again after an outage; 0 before that.
        self._back_at = 0
        # The last error, so that it is logged once.
        self._why = ""
        self._closed: Deferred[None] | None = None
        # Whether the store is being closed, so that nothing more is stored.
        self._ended = False

    @property
    def lagging(self) -> bool:
        """See interfaces.Ledger."""
        return self._told is not None

    @property
    def behind(self) -> int:
        """How many messages are delivered and not stored yet, but will be."""
        shown = islice(self._unsaved, self._shown)
        return sum(_is_kept_message(entry.event) for entry in shown)

    def attach(self, receiver: LedgerReceiver) -> None:
        self._receiver = receiver

    def submit(self, room: str, event: Event) -> None:
        self._pending.append((room, event))

    def end_turn(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        entries = number(pending, self.last_id, self._clock.time())
        self.last_id = entries[-1].id
        if self._ended:
            # Users leave now because the server stops, and no user is shown that.
            self._receiver.committed(entries)
            return
        self._unsaved += entries
        if self._told is not None:
            self._size += _size(entries)
            self._show()
        self._write()

    def close(self) -> Deferred[None]:
        self.end_turn()
        if not self._unsaved:
            self._ended = True
            return succeed(None)
        self._closed = Deferred(lambda _: self._drop_all())
        return self._closed

    def _drop_all(self) -> None:
        """Give up all entries that are not stored, as the time to close is over."""
        self._ended = True
        self._stop_waiting()
        if self._retry is not None:
            self._retry.cancel()
        shown = [*self._owed, *islice(self._unsaved, self._shown)]
        removals = sum(entry.event.removes for entry in shown)
        if removals:
            log.error(
                "Messages that users had removed ({count} times) are still in the file: the disk "
                "did not answer. They are shown again after the next start: remove them then.",
                event="removals_lost",
                count=removals,
            )
        self._unsaved.clear()
        self._owed.clear()
        self._writing = self._shown = 0

    # -- writing

    def _write(self) -> None:
        """Write the next portion, unless one is being written."""
        writing = self._begin()
        if writing is not None:
            writing.addCallbacks(self._saved, self._failed)

    def _begin(self) -> Deferred[None] | None:
        """Begin to write the next portion. The caller handles the result; None if there is none."""
        if self._writing or self._retry is not None or not self._unsaved:
            return None
        portion = self._unsaved[:PORTION_ENTRIES]
        self._writing = len(portion)
        self._owed_writing = len(self._owed)
        if self._owed:
            portion = sorted([*self._owed, *portion], key=attrgetter("id"))
        if self._told is None and self._overdue is None:
            self._overdue = self._clock.callLater(COMMIT_SECONDS, self._give_up)
        self._begun = self._clock.seconds()
        return maybeDeferred(self._commit, portion)

    def _saved(self, _: object) -> None:
        self.commits.observe(self._clock.seconds() - self._begun)
        if self._ended:
            return
        count, self._writing = self._writing, 0
        self._why = ""
        saved = self._unsaved[:count]
        del self._unsaved[:count]
        del self._owed[: self._owed_writing]
        shown = min(self._shown, count)
        self._shown -= shown
        self._stop_waiting()
        if self._told is not None:
            self._size -= _size(saved)
            # Not when nothing is waiting at all, which may never be so in a busy chat.
            self._back_at = self._back_at or self.last_id
            behind = self._unsaved and self._unsaved[0].id <= self._back_at
            if not behind and not self._owed:
                self._recovered()
        # The next batch is written while this one is delivered, and delivered after it.
        writing = self._begin()
        if shown < count:
            self._receiver.committed(saved[shown:])
        self._committed()
        if writing is not None:
            writing.addCallbacks(self._saved, self._failed)
        elif self._closed is not None and not self._unsaved:
            closed, self._closed = self._closed, None
            self._ended = True
            closed.callback(None)

    def _failed(self, failure: Failure) -> None:
        self.commits.observe(self._clock.seconds() - self._begun)
        self.failures += 1
        if self._ended:
            return
        self._writing = self._back_at = 0
        why = failure.getErrorMessage()
        if why != self._why:
            self._why = why
            log.warn(
                "History could not be written: {why}. Trying again.",
                event="history_not_written",
                why=why,
            )
        self._retry = self._clock.callLater(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._write()

    def _stop_waiting(self) -> None:
        overdue, self._overdue = self._overdue, None
        if overdue is not None and overdue.active():
            overdue.cancel()

    # -- an outage of the disk

    def _give_up(self) -> None:
        """Deliver what waits for its commit, since the time is over."""
        self._overdue = None
        log.error(
            "History is not being kept: the disk has not answered for {seconds} seconds.",
            event="history_suspended",
            seconds=COMMIT_SECONDS,
        )
        self._told = set()
        self._size = _size(self._unsaved)
        self._show()

    def _show(self) -> None:
        """Deliver entries without a commit, and tell each room once about the outage.

        After each removal of messages a room is told that the file still contains them.
        """
        told = self._told
        assert told is not None
        entries = self._unsaved[self._shown :]
        # Events that the history does not keep, such as the relay's lines, are no reason for that.
        shown = [entry for entry in entries if is_kept(entry.event)]
        rooms = {entry.room for entry in shown}
        removed = {entry.room for entry in shown if entry.event.removes}
        text = "The disk is away: from here on history is not being kept."
        notices = [(room, text) for room in sorted(rooms - told)]
        notices += [(room, REMOVED_LATER) for room in sorted(removed)]
        told |= rooms
        now = self._clock.time()
        for room, text in notices:
            self.last_id += 1
            entries.append(Entry(room, self.last_id, Told(now, SERVER, text)))
            self._unsaved.append(entries[-1])
            self._size += entries[-1].event.size()
        self._shown = len(self._unsaved)
        self._drop()
        if entries:
            self._receiver.committed(entries)

    def _drop(self) -> None:
        """Drop the oldest entries if too many wait; not those that are being written.

        Entries that remove messages are not dropped, since the messages may be stored already. This
        runs in each turn of an outage, so it takes time only for entries that it drops.
        """
        unsaved, first = self._unsaved, self._writing
        end = first + max(0, len(unsaved) - first - MAX_WAITING_ENTRIES)
        size = self._size - _size(unsaved[first:end])
        while size > MAX_WAITING_BYTES and end < len(unsaved) - 1:
            size -= unsaved[end].event.size()
            end += 1
        if end > first:
            lost = sum(_is_kept_message(entry.event) for entry in unsaved[first:end])
            self._lost += lost
            self.lost += lost
            self._owed += [entry for entry in unsaved[first:end] if entry.event.removes]
            del unsaved[first:end]
            self._shown -= end - first
            self._size = size

    def _recovered(self) -> None:
        """Tell the rooms that the outage is over: all that it delivered is stored or lost."""
        told, self._told = self._told, None
        self._back_at = 0
        lost, self._lost = self._lost, 0
        log.info(
            "History is being kept again; {lost} lines were lost.",
            event="history_resumed",
            lost=lost,
        )
        text = "The disk is back: history is being kept again."
        if lost:
            text += f" {lost:,} lines said meanwhile are lost."
        for room in sorted(told or ()):
            self.submit(room, Told(self._clock.time(), SERVER, text))
        self.end_turn()


def _size(entries: Iterable[Entry]) -> int:
    """Return about how many bytes of memory the texts of *entries* take."""
    return sum(entry.event.size() for entry in entries)


def _is_kept_message(event: Event) -> bool:
    """Return whether *event* is a message that the history keeps."""
    return event.line and is_kept(event)
