"""The ledger: who orders the log, and who decides that a name is taken.

The rule: `submit` never calls back before it returns. What was submitted comes back in batches,
in its final order, through the receiver's `committed`; only then has it happened. A ledger in
memory commits when the turn ends, one with a store after its transaction, one shared by several
nodes when the engine has ordered it. What a ledger cannot commit comes back through `rejected`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from chatroom.events import SERVER, Event
from chatroom.model.entry import Entry


def number(pending: Iterable[tuple[str, Event]], last_id: int, now: float) -> list[Entry]:
    """What was submitted, by room, in its final order. *now* is in seconds since the epoch."""
    first = max(last_id + 1, int(now * 1e6))
    return [Entry(room, id, event) for id, (room, event) in enumerate(pending, first)]


class LedgerReceiver(Protocol):
    """Who hears what the ledger decided."""

    def committed(self, batch: Sequence[Entry]) -> None:
        """These events have happened, in this order."""

    def rejected(self, room: str, event: Event, why: str) -> None:
        """This event will not happen; *why* is half a sentence for people."""


class Ledger(Protocol):
    """Orders events. What one origin submits stays in its order."""

    def attach(self, receiver: LedgerReceiver) -> None:
        """Name the receiver, once and before anything is submitted."""

    def submit(self, room: str, event: Event) -> None:
        """Take *event* for the log of *room*; the receiver hears of it later."""

    def end_turn(self) -> None:
        """The turn is over: what was submitted in it may be committed as one batch."""

    def close(self) -> Deferred[None]:
        """Commit what is pending; fires when all of it was committed or rejected."""


class MemoryLedger:
    """The ledger of one node without a store: commits when the turn ends."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._pending: list[tuple[str, Event]] = []
        self._last_id = 0
        self._receiver: LedgerReceiver

    def attach(self, receiver: LedgerReceiver) -> None:
        self._receiver = receiver

    def submit(self, room: str, event: Event) -> None:
        self._pending.append((room, event))

    def end_turn(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            entries = number(pending, self._last_id, self._time())
            self._last_id = entries[-1].id
            self._receiver.committed(entries)

    def close(self) -> Deferred[None]:
        self.end_turn()
        return succeed(None)


class Claims(Protocol):
    """Names are claimed, not ordered: the first claim wins."""

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        """Whether the name with this key is from now on that of *origin*."""

    def take(self, key: str, origin: int) -> Deferred[int]:
        """The name is that of *origin* from now on, whoever had it: it belongs to them.

        Fires with the origin that had it until now, SERVER if nobody had.
        """

    def release(self, key: str, origin: int) -> None:
        """The name is free again, if it was that of *origin*."""


class LocalClaims:
    """The claims of one node: answered at once."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

    def claim(self, key: str, origin: int) -> Deferred[bool]:
        return succeed(self._holders.setdefault(key, origin) == origin)

    def take(self, key: str, origin: int) -> Deferred[int]:
        former = self._holders.get(key, SERVER)
        self._holders[key] = origin
        return succeed(former)

    def release(self, key: str, origin: int) -> None:
        if self._holders.get(key) == origin:
            del self._holders[key]
