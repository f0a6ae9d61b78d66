"""Stand-ins for what the chat is plugged into: the clock, writers, ledgers, claims, rules."""

from collections.abc import Callable
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, fail, succeed

from chatroom.backends.interfaces import Ledger, LedgerReceiver
from chatroom.backends.memory import MemoryLedger, MemoryModeration, MemoryNameClaims
from chatroom.backends.sqlite.moderation import ROWS, dump
from chatroom.model.entry import Entry
from chatroom.model.events import Event
from chatroom.model.sanctions import AuditEntry, Report, Rule, RuleKey, RuleKind


class Clock(task.Clock):
    """Time that tests move. `ahead` is what the clock on the wall shows beyond `seconds`."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        """See chatroom.model.clock.Clock."""
        return self.seconds() + self.ahead


class FakeWriter:
    """A writer that keeps what it is given. *room*: how many bytes it takes, None for all.

    drained: as the owner of a real writer has it. flowing: told when it is not congested any more.
    """

    def __init__(
        self,
        drained: Callable[[], bool] = lambda: True,
        flowing: Callable[[], None] = lambda: None,
    ) -> None:
        self.data = b""
        #: The objects that were written, as they came.
        self.written: list[bytes] = []
        self.room: int | None = None
        self.congested = False
        self.aborted = False
        self._lost = False
        self._draining = False
        self._unfinished = False
        self._drained = drained
        self._flowing = flowing

    @property
    def writes(self) -> int:
        """How many times it was written to."""
        return len(self.written)

    def write(self, data: bytes) -> int:
        assert data, "an empty write costs a system call"
        assert self._draining or not self.congested, "written to while congested"
        assert not self._unfinished, "written to before the last line was finished"
        taken = len(data) if self.room is None else min(len(data), self.room)
        self.data += data[:taken]
        self.written.append(data)
        if self.room is not None:
            self.room -= taken
        if taken < len(data):
            self.congested = self._unfinished = True
        return taken

    def finish(self, rest: bytes) -> None:
        assert self._unfinished, "there was nothing to finish"
        # Waits in a real transport: it comes out first when the client reads again.
        self.data += rest

    def abort(self) -> None:
        self.aborted = self.congested = self._lost = True

    def lose(self) -> None:
        """The connection is gone."""
        self.congested = self._lost = True

    def stall(self, room: int = 0) -> None:
        """The client stops reading: after *room* bytes more nothing is taken."""
        self.room = room

    def drain(self, room: int | None = None) -> None:
        """The client reads again: what waits, and *room* bytes more, or all there is."""
        self.room = room
        if not self.congested or self._lost:
            return
        self._unfinished = done = False
        while not (done or self._unfinished):
            done = self._drain_some()

    def drain_some(self) -> None:
        """The client reads what waits, and one portion that it is sent then."""
        self.room = None
        if self.congested and not self._lost:
            self._unfinished = False
            self._drain_some()

    def _drain_some(self) -> bool:
        self._draining = True
        done = self._drained()
        self._draining = False
        if done and not self._unfinished:
            self.congested = False
            self._flowing()
        return done


def immediate(clock: Clock) -> Ledger:
    """The ledger in memory."""
    return MemoryLedger(clock.time)


class DelayedLedger:
    """A ledger whose answers come some turns later, as from a disk or from elsewhere."""

    lagging = False

    def __init__(self, clock: Clock, delay: float = 0.004) -> None:
        self._clock = clock
        self._delay = delay
        self._pending: list[tuple[str, Event]] = []
        self._last_id = 0
        self._receiver: LedgerReceiver

    def attach(self, receiver: LedgerReceiver) -> None:
        self._receiver = receiver

    def submit(self, room: str, event: Event) -> None:
        self._pending.append((room, event))

    def end_turn(self) -> None:
        batch, self._pending = self._pending, []
        if batch:
            self._clock.callLater(self._delay, self.decide, batch)

    def decide(self, batch: list[tuple[str, Event]]) -> None:
        """The answer to a batch is there."""
        entries = []
        for room, event in batch:
            self._last_id = max(self._last_id + 1, int(self._clock.time() * 1e6))
            entries.append(Entry(room, self._last_id, event))
        self._receiver.committed(entries)

    def close(self) -> Deferred[None]:
        self.end_turn()
        closed: Deferred[None] = Deferred()
        self._clock.callLater(self._delay, closed.callback, None)
        return closed


class FailingLedger(DelayedLedger):
    """A late ledger that refuses whatever `refuses` says."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.refuses: Callable[[Event], bool] = lambda event: False

    def decide(self, batch: list[tuple[str, Event]]) -> None:
        taken: list[tuple[str, Event]] = []
        for room, event in batch:
            if self.refuses(event):
                # What came before it has happened before it is refused.
                super().decide(taken)
                taken = []
                self._receiver.rejected(room, event, "the disk is full")
            else:
                taken.append((room, event))
        super().decide(taken)


def refuse(ledger: Ledger, *kinds: type[Event], times: int = 1000) -> None:
    """Have a FailingLedger refuse the next events of these *kinds*; of none, all is well again."""
    assert isinstance(ledger, FailingLedger)
    left = times

    def refuses(event: Event) -> bool:
        nonlocal left
        refused = isinstance(event, kinds) and left > 0
        left -= refused
        return refused

    ledger.refuses = refuses


class LateClaims:
    """Claims that are answered when a test says so."""

    def __init__(self) -> None:
        self.local = MemoryNameClaims()
        self._asked: list[Callable[[], object]] = []
        self._answers: list[Deferred[Any]] = []

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        answer: Deferred[bool] = Deferred()
        self._asked.append(lambda: self.local.claim(key, origin).chainDeferred(answer))
        self._answers.append(answer)
        return answer

    def take(self, key: str, origin: int) -> Deferred[int]:
        answer: Deferred[int] = Deferred()
        self._asked.append(lambda: self.local.take(key, origin).chainDeferred(answer))
        self._answers.append(answer)
        return answer

    def release(self, key: str, origin: int) -> None:
        self.local.release(key, origin)

    def answer(self) -> None:
        """The oldest question is answered."""
        self._answers.pop(0)
        self._asked.pop(0)()

    def fail(self) -> None:
        """The oldest question cannot be answered."""
        self._asked.pop(0)
        self._answers.pop(0).errback(ConnectionError("the engine is away"))


class SomeClaims(LateClaims):
    """Claims that are late while `late`."""

    late = False

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        answer = super().claim(key, origin)
        self.hurry()
        return answer

    def take(self, key: str, origin: int) -> Deferred[int]:
        answer = super().take(key, origin)
        self.hurry()
        return answer

    def hurry(self) -> None:
        while self._asked and not self.late:
            self.answer()


class FakeRecords(MemoryModeration):
    """Records that outlast the server, on a disk that may be full."""

    lasting = True

    def __init__(self) -> None:
        super().__init__()
        #: The rows as a file has them: the values by kind and key.
        self.kept: dict[tuple[str, str], str] = {}
        self.full = False

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        if self.full:
            return fail(OSError("the disk is full"))
        row = (ROWS[kind][0], str(key))
        self.kept.pop(row, None)
        if rule is not None:
            self.kept[row] = dump(rule)
        return succeed(None)

    def record(self, action: AuditEntry) -> Deferred[None]:
        return fail(OSError("the disk is full")) if self.full else super().record(action)

    def report(self, report: Report) -> Deferred[int]:
        return fail(OSError("the disk is full")) if self.full else super().report(report)
