"""Stand-ins for what the core is plugged into: outlets, doors, ledgers, the clock."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatroom.chat import Chat, Settings
from chatroom.events import Event
from chatroom.formats import PLAIN, Format
from chatroom.ledger import Entry, Ledger, LedgerReceiver, MemoryLedger
from chatroom.limits import LOCAL, Limits
from chatroom.session import Session


class FakeOutlet:
    """An outlet that keeps what it is given. *room*: how many bytes it takes, None for all."""

    def __init__(self, drained: Callable[[], bool] = lambda: True) -> None:
        self.data = b""
        self.writes = 0
        self.room: int | None = None
        self.congested = False
        self.aborted = False
        self._drained = drained

    def write(self, data: bytes) -> int:
        taken = len(data) if self.room is None else min(len(data), self.room)
        self.data += data[:taken]
        self.writes += 1
        if self.room is not None:
            self.room -= taken
        if taken < len(data):
            self.congested = True
        return taken

    def finish(self, rest: bytes) -> None:
        # Waits in a real transport: it comes out first when the client reads again.
        self.data += rest

    def abort(self) -> None:
        self.aborted = self.congested = True

    def stall(self) -> None:
        """The client stops reading: from the next byte on nothing is taken."""
        self.room = 0

    def drain(self) -> None:
        """The client reads again, all there is."""
        self.room = None
        while not self._drained():
            pass
        self.congested = False


class Person:
    """Somebody at a door: what they type goes to a session, what they see comes back."""

    def __init__(self, world: "World", source: str = LOCAL, format: Format = PLAIN) -> None:
        self.outlet = FakeOutlet(lambda: self.session.drained())
        self.world = world
        self.gone = False
        self._waiting: list[str] = []
        self._seen = 0
        self.session = Session(world.chat, self, self.outlet, format, source)
        self.session.open()

    def types(self, *lines: str) -> None:
        """Type lines, without waiting for what they lead to."""
        self._waiting += lines
        self.resume()

    def says(self, *lines: str) -> None:
        """Type lines and wait until everything has happened."""
        self.types(*lines)
        self.world.settle()

    def hangs_up(self, reason: str = "") -> None:
        """The connection is gone at once."""
        self.gone = True
        self.session.lost(reason)

    def resume(self) -> None:
        while self._waiting and not self.session.held:
            self.session.received(self._waiting.pop(0))

    def close(self, farewell: bytes) -> None:
        if not self.gone:
            self.outlet.data += farewell
        self.gone = True
        self.outlet.congested = True

    @property
    def sees(self) -> list[str]:
        """The whole lines that were shown since this was last asked."""
        new = self.outlet.data[self._seen :]
        self._seen = len(self.outlet.data)
        lines = new.decode().split("\r\n")
        assert lines.pop() == "", "a line was cut"
        return lines


class World:
    """A chat, a clock that tests move, and whoever comes."""

    def __init__(
        self,
        ledger: Callable[[Any], Ledger] = MemoryLedger,
        settings: Settings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        kind = ledger
        self.ledger = kind(self.clock if kind is not MemoryLedger else self.clock.seconds)
        self.chat = Chat(self.clock, settings, limits or Limits(rate=0), ledger=self.ledger)

    def person(self, name: str = "", source: str = LOCAL, format: Format = PLAIN) -> Person:
        """Somebody who came in, has this name, and has read the greeting."""
        person = Person(self, source, format)
        self.settle()
        if name:
            person.says(f"/nick {name}")
        _ = person.sees
        return person

    def people(self, *names: str) -> list[Person]:
        """Several people, all announced, who have read everything so far."""
        came = [self.person(name) for name in names]
        self.wait(5)
        for person in came:
            _ = person.sees
        return came

    def settle(self) -> None:
        """Let everything happen that was asked for, which takes next to no time."""
        for _ in range(40):
            self.clock.advance(0.001)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(10):
            self.clock.advance(seconds / 10)
        self.settle()

    def end(self) -> None:
        """Nothing may be left to be called, whatever the tests did."""
        self.chat.close()


class DelayedLedger:
    """A ledger whose answers come some turns later, as from a disk or from elsewhere."""

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
            self._last_id += 1
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
        for room, event in batch:
            if self.refuses(event):
                self._receiver.rejected(room, event, "the disk is full")
            else:
                super().decide([(room, event)])
