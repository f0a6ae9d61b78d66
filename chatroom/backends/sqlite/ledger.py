"""The ledger of a node with a store: what anybody was shown is on the disk.

The rule: the reactor never waits for the disk. What is not committed in time is delivered all the
same, and the rooms are told; it is written when the disk is back. Lines may be lost if the disk
stays away for too long, but what removes lines is not: people were told that it is still to come.
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

#: How long, in seconds, a line waits for its commit before it is delivered without.
PATIENCE = 2.0

#: How long, in seconds, after a failure it is tried again.
RETRY = 0.25

#: At most this many entries, and bytes of text, wait for a disk that is away.
MOST_ENTRIES = 100_000
MOST_BYTES = 64 * 1024 * 1024

#: How many of them are written in one transaction.
PORTION = 5000


class Commit(Protocol):
    """Keeps entries; fires when they are kept, and fails when they are not."""

    def __call__(self, entries: Sequence[Entry]) -> Deferred[None]: ...


class StoredLedger:
    """Commits what was submitted, then delivers it.

    commit: keeps entries, each once by its id. kept: told when something was committed.
    """

    def __init__(
        self, clock: Clock, commit: Commit, kept: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._commit = commit
        self._kept = kept
        #: The greatest id that is kept already.
        self.last_id = 0
        #: How long commits took, those that failed among them, and how many failed.
        self.commits = Histogram()
        self.failures = 0
        #: How many lines were shown and will not be kept.
        self.lost = 0
        self._begun = 0.0
        self._receiver: LedgerReceiver
        self._pending: list[tuple[str, Event]] = []
        # What is not committed yet, in its order. The first `_shown` of it were delivered without,
        # the first `_writing` are being written.
        self._unsaved: list[Entry] = []
        self._shown = 0
        self._writing = 0
        # What removes lines and was delivered, when what was said around it was dropped; it goes
        # into the next portion. Something of `_unsaved` always comes after it.
        self._owed: list[Entry] = []
        self._owed_writing = 0
        # How many bytes of text are not committed; counted only while the disk is away.
        self._size = 0
        self._overdue: Call | None = None
        self._retry: Call | None = None
        # The rooms that were told that history is not being kept; None while it is.
        self._told: set[str] | None = None
        self._lost = 0
        # The last id when the disk came back; 0 while it is away.
        self._back_at = 0
        # What went wrong last, so that it is logged once.
        self._why = ""
        self._closed: Deferred[None] | None = None
        # Nothing more is kept: the store is being closed.
        self._ended = False

    @property
    def lagging(self) -> bool:
        """Whether lines are delivered that are not kept yet."""
        return self._told is not None

    @property
    def behind(self) -> int:
        """How many lines are delivered and not kept yet; of the relay's, which never are, none."""
        shown = islice(self._unsaved, self._shown)
        return sum(_kept(entry.event) for entry in shown)

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
            # Who leaves now leaves because the server stops, which nobody is shown.
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
        """The time is up for good: what is not kept was not seen, and what was seen is lost."""
        self._ended = True
        self._stop_waiting()
        if self._retry is not None:
            self._retry.cancel()
        shown = [*self._owed, *islice(self._unsaved, self._shown)]
        removals = sum(entry.event.removes for entry in shown)
        if removals:
            log.error(
                "Lines that people had removed ({count} times) are in the file still: the disk "
                "was away to the end. The next start shows them again.",
                event="removals_lost",
                count=removals,
            )
        self._unsaved.clear()
        self._owed.clear()
        self._writing = self._shown = 0

    # -- writing

    def _write(self) -> None:
        """Have what is not committed written, unless something is being written already."""
        writing = self._begin()
        if writing is not None:
            writing.addCallbacks(self._saved, self._failed)

    def _begin(self) -> Deferred[None] | None:
        """The same, but what comes of it is for the caller to hear."""
        if self._writing or self._retry is not None or not self._unsaved:
            return None
        portion = self._unsaved[:PORTION]
        self._writing = len(portion)
        self._owed_writing = len(self._owed)
        if self._owed:
            portion = sorted([*self._owed, *portion], key=attrgetter("id"))
        if self._told is None and self._overdue is None:
            self._overdue = self._clock.callLater(PATIENCE, self._give_up)
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
            # Not when nothing waits at all, which among busy people may never be.
            self._back_at = self._back_at or self.last_id
            behind = self._unsaved and self._unsaved[0].id <= self._back_at
            if not behind and not self._owed:
                self._recovered()
        # The next batch is written while this one is delivered, and delivered after it.
        writing = self._begin()
        if shown < count:
            self._receiver.committed(saved[shown:])
        self._kept()
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
        self._retry = self._clock.callLater(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._write()

    def _stop_waiting(self) -> None:
        overdue, self._overdue = self._overdue, None
        if overdue is not None and overdue.active():
            overdue.cancel()

    # -- a disk that is away

    def _give_up(self) -> None:
        """The time is up: what waits is delivered."""
        self._overdue = None
        log.error(
            "History is not being kept: the disk has not taken a line for {seconds} seconds.",
            event="history_suspended",
            seconds=PATIENCE,
        )
        self._told = set()
        self._size = _size(self._unsaved)
        self._show()

    def _show(self) -> None:
        """Deliver what was not delivered yet, and tell each room once what is wrong.

        Those that read that lines are removed are told each time that the file has them still.
        """
        told = self._told
        assert told is not None
        entries = self._unsaved[self._shown :]
        # The bare relay's lines, and other things that nobody keeps, are no loss.
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
        """Forget the oldest of what waits, if it is too much; not what is being written.

        What removes lines is not forgotten: the lines may be on the disk since long ago.
        It looks only at what it forgets: each turn of an outage comes here.
        """
        unsaved, first = self._unsaved, self._writing
        end = first + max(0, len(unsaved) - first - MOST_ENTRIES)
        size = self._size - _size(unsaved[first:end])
        while size > MOST_BYTES and end < len(unsaved) - 1:
            size -= unsaved[end].event.size()
            end += 1
        if end > first:
            lost = sum(_kept(entry.event) for entry in unsaved[first:end])
            self._lost += lost
            self.lost += lost
            self._owed += [entry for entry in unsaved[first:end] if entry.event.removes]
            del unsaved[first:end]
            self._shown -= end - first
            self._size = size

    def _recovered(self) -> None:
        """All that was delivered before the disk came back is kept now."""
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
    """About how many bytes of memory the texts of *entries* take."""
    return sum(entry.event.size() for entry in entries)


def _kept(event: Event) -> bool:
    """Whether *event* is a line that belongs into the store."""
    return event.line and is_kept(event)
