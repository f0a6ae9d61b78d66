"""Stand-ins for what the core is plugged into: outlets, doors, ledgers, claims, the clock."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import task
from twisted.internet.defer import Deferred, execute, fail, succeed

from chatroom.actions import login
from chatroom.actions.handler import TEXT
from chatroom.backends.interfaces import (
    AccountStore,
    Ledger,
    LedgerReceiver,
    ModerationStore,
    NameClaims,
)
from chatroom.backends.memory import (
    MemoryAccounts,
    MemoryLedger,
    MemoryModeration,
    MemoryNameClaims,
)
from chatroom.backends.sqlite.directory import Folder
from chatroom.backends.sqlite.ledger import StoredLedger
from chatroom.backends.sqlite.moderation import ROWS, dump
from chatroom.backends.sqlite.store import Store
from chatroom.backends.sqlite.worker import Worker
from chatroom.chat.chat import Chat
from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.chat.rules import Moderation
from chatroom.chat.session import Session
from chatroom.commands import COMMANDS
from chatroom.commands.interpreter import Interpreter
from chatroom.formats.format import Format
from chatroom.formats.plain import PLAIN, plain
from chatroom.model import publickeys
from chatroom.model.accounts import Account
from chatroom.model.chatsettings import Settings
from chatroom.model.entry import Entry
from chatroom.model.events import Event, Joined, Said, TopicSet
from chatroom.model.identity import Identity
from chatroom.model.limits import LOCAL, Limits, source_of
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.sanctions import AuditEntry, Report, Rule, RuleKey, RuleKind
from chatroom.text import names

T = TypeVar("T")


class Clock(task.Clock):
    """Time that tests move. `ahead` is what the clock on the wall shows beyond `seconds`."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        """See chatroom.model.clock.Clock."""
        return self.seconds() + self.ahead


class FakeWriter:
    """An writer that keeps what it is given. *room*: how many bytes it takes, None for all.

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


class Person:
    """Somebody at a door: what they type goes to a session, what they see comes back."""

    def __init__(
        self,
        world: "World",
        source: str = LOCAL,
        format: Format = PLAIN,
        address: str = "",
        identity: Identity | None = None,
        passing: bool = False,
    ) -> None:
        self.address = address or self.address
        self.writer = FakeWriter(lambda: self.session.drained(), lambda: self.resume())
        self.world = world
        self.gone = False
        #: How often it was asked not to show what is typed.
        self.hidings = 0
        self._waiting: list[str] = []
        self._ended = False
        self._seen = 0
        self._format = format
        self.session = Session(world.chat, self, self.writer, TEXT, COMMANDS, source)
        self.interpreter = Interpreter(self.session)
        self.session.passing = passing
        world.came.append(self)
        login.open_session(self.session, identity)

    @property
    def name(self) -> str:
        return self.session.user.name

    # -- what its session asks of it as a Connection

    #: Whether it is a telnet that can be asked not to show what is typed, and whether it complies.
    telnet = False
    complies = True
    encrypted = False
    hidden = False
    #: Whether it draws its own screen.
    echo = False
    hint = ""
    height = 0
    closing = ""
    place = "192.0.2.7 (a plain line)"
    address = "127.0.0.1"

    def format_for(self, preferences: Preferences) -> Format:
        return plain(preferences) if self._format is PLAIN else self._format

    def hide_input(self) -> bool:
        if self.telnet:
            self.hidden = self.complies
            self.hidings += 1
        return self.telnet

    def show_input(self) -> None:
        self.hidden = False

    def types(self, *lines: str) -> None:
        """Type lines, without waiting for what they lead to."""
        self._waiting += lines
        self.resume()

    def says(self, *lines: str) -> None:
        """Type lines and wait until everything has happened."""
        self.types(*lines)
        self.world.settle()

    def asks(self, *lines: str) -> list[str]:
        """What is shown after typing *lines*."""
        _ = self.sees
        self.says(*lines)
        return self.sees

    def operates(self) -> None:
        """Make this person an operator, with an account of their name."""
        chat = self.world.chat
        if self.session.user.account is None:
            added: list[Account | None] = []
            chat.logins.accounts.add(self.name, "", chat.clock.time()).addCallback(added.append)
            self.world.settle()
            (account,) = added
            assert account is not None
            chat.logins.logged_in(self.session, account)
        assert self.session.user.account is not None
        chat.moderation.make_operator(self.session, self.session.user.account)

    def ends(self) -> None:
        """No more will be typed, but what comes is still read."""
        self._ended = True
        self.resume()

    def hangs_up(self, reason: str = "") -> None:
        """The connection is gone at once."""
        self.gone = True
        self._waiting.clear()
        self.writer.lose()
        self.session.lost(reason)

    def closes(self) -> None:
        """The client has closed both ways, as it does with TLS: what it has sent counts."""
        self.gone = True
        self.writer.lose()
        self.session.disconnected()
        self.ends()

    def resume(self) -> None:
        self.interpreter.resume()
        while (
            self._waiting and self.session.gate.is_open and (self.gone or not self.writer.congested)
        ):
            self.interpreter.received(self._waiting.pop(0))
        if self._ended and not self._waiting and self.session.gate.is_open:
            self.session.end()

    def expelled(self, what: str) -> None:
        self.closing = what

    def close(self, farewell: bytes) -> None:
        assert not self.session.queue.size
        if not self.gone:
            self.writer.data += farewell
        self.gone = True
        self.writer.lose()

    @property
    def sees(self) -> list[str]:
        """The whole lines that were shown since this was last asked; a bell after them is one.

        What the server says in several rows, so that it fits into 79 columns, is one line.
        """
        new = self.writer.data[self._seen :]
        self._seen = len(self.writer.data)
        lines = re.sub("\r\n-- {4}(?! )", " ", new.decode()).split("\r\n")
        last = lines.pop()
        assert last in ("", "\a"), "a line was cut"
        return [*lines, last] if last else lines


def immediate(clock: Clock) -> Ledger:
    """The ledger in memory."""
    return MemoryLedger(clock.time)


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


class World:
    """A chat, a clock that tests move, and whoever comes.

    lasting: accounts, and what operators decide, are in the store as well. now: the time at first.
    """

    def __init__(
        self,
        ledger: Callable[[Clock], Ledger | Store] = immediate,
        settings: Settings | None = None,
        limits: Limits | None = None,
        claims: NameClaims | None = None,
        accounts: AccountStore | None = None,
        records: ModerationStore | None = None,
        now: float = 1_800_000_000,
        lasting: bool = False,
        **moderated: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        made = ledger(self.clock)
        #: What it keeps its lines in, None for nothing.
        self.store = made if isinstance(made, Store) else None
        self.ledger = made.ledger if isinstance(made, Store) else made
        if self.store is not None and lasting:
            accounts, records = self.store.accounts, self.store.records
        self.came: list[Person] = []
        self.claims = claims or MemoryNameClaims()
        self.chat = Chat(
            self.clock,
            settings,
            limits or Limits(rate=0),
            ledger=self.ledger,
            claims=self.claims,
            history=self.store,
            accounts=accounts,
            moderation=Moderation(self.clock, records or MemoryModeration(), **moderated),
        )
        if self.store is not None:
            kept = self.store.open(self.chat.settings.scrollback, self.chat.lobby.key)
            if lasting:
                self.chat.moderation.restore(self.store.rules())
            self.chat.restore(kept)
            self.store.start()
        self.chat.doors.append(self)

    def expel_banned(self, why: str) -> None:
        """Its people come by no door: it is theirs."""
        for person in self.came:
            told = self.chat.moderation.banned_from(person.address)
            if told is not None:
                person.session.expel(told, "banned", why)

    def person(
        self, name: str = "", source: str = LOCAL, format: Format = PLAIN, address: str = ""
    ) -> Person:
        """Somebody who came in, has this name, and has read the greeting.

        address: what the network has as theirs; it says their source as well.
        """
        person = Person(self, source_of(address) if address else source, format, address)
        self.settle()
        if name:
            person.says(f"/nick {name}")
        person._seen = len(person.writer.data)
        return person

    def arrives(self, identity: Identity, source: str = LOCAL, format: Format = PLAIN) -> Person:
        """Somebody whom a door knows, when everything has happened; the greeting is to be read."""
        person = Person(self, source, format, identity=identity)
        self.settle()
        return person

    def passes(self, identity: Identity, line: str, source: str = LOCAL) -> list[str]:
        """What answers the one *line* that somebody has come for, who is gone then."""
        person = Person(self, source, identity=identity, passing=True)
        self.settle()
        answer = person.asks(line)
        person.ends()
        self.settle()
        assert person.gone
        return answer

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

    @property
    def pending(self) -> list[Any]:
        """What is to be called in some time, but for what a store does by itself."""
        own = self.store._calls if self.store is not None else ()
        return [call for call in self.clock.getDelayedCalls() if call not in own]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(10):
            self.clock.advance(seconds / 10)
        self.settle()

    def empty(self) -> None:
        """Everybody hangs up, and nothing of them may be left."""
        for person in self.came:
            person.hangs_up()
        self.settle()
        # Who was waiting to be announced is waited for.
        self.wait(5)
        origins = {person.session.origin for person in self.came}
        chat = self.chat
        assert not origins & chat.sessions.keys()
        assert not origins & {session.origin for session in chat.people.values()}
        for room in chat.rooms.values():
            assert not origins & room.members.keys()
            assert not origins & room._entering.keys()
        assert not origins & {session.origin for session in chat.logins.online.values()}
        if isinstance(self.claims, MemoryNameClaims):
            assert not origins & set(self.claims._holders.values())
        assert chat._announcers.keys() == chat.rooms.keys()

    def end(self) -> None:
        """Nothing may be left to be called, whatever the tests did."""
        try:
            self.empty()
        finally:
            self.close()

    def close(self) -> None:
        """The server has ended."""
        self.chat.close()
        if self.store is not None:
            self.settle()
            self.store.close()
            self.settle()


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


class FakeBook:
    """A book of accounts that is late, fails, or never answers, as the test says.

    late: answers wait for `answer`. failing, silent: the methods that fail, or never answer.
    """

    lasting = True

    def __init__(self) -> None:
        self.book = MemoryAccounts()
        self.late = False
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self._waiting: list[Callable[[], object]] = []

    def __getattr__(self, method: str) -> Callable[..., Deferred[Any]]:
        def ask(*args: object) -> Deferred[Any]:
            answer: Deferred[Any] = Deferred()

            def work() -> None:
                if method in self.failing:
                    answer.errback(OSError("the disk is away"))
                else:
                    getattr(self.book, method)(*args).chainDeferred(answer)

            if self.late or method in self.silent:
                self._waiting.append(work)
            else:
                work()
            return answer

        return ask

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def answer(self) -> None:
        """The oldest question is answered."""
        if self._waiting:
            self._waiting.pop(0)()

    def answer_all(self) -> None:
        while self._waiting:
            self.answer()


def book_of(fake: FakeBook) -> AccountStore:
    made: Any = fake
    accounts: AccountStore = made
    return accounts


def made_key(number: int, comment: str = "") -> PublicKey:
    """A public key that looks like one; nobody has it."""
    fields = (b"ssh-ed25519", number.to_bytes(32))
    blob = b"".join(len(field).to_bytes(4) + field for field in fields)
    return publickeys.decode(blob, comment)


#: A password.
WORD = "kohlrabi-77"


def owner(world: World, name: str = "alice", source: str = "198.51.100.1") -> Person:
    """Somebody who has just registered *name*."""
    person = world.person(name, source=source)
    person.says(f"/register {WORD}")
    assert person.session.user.account is not None
    _ = person.sees
    return person


def logged_in(world: World, person: Person, name: str) -> bool:
    account = person.session.user.account
    return (
        account is not None
        and person.name == account.name == name
        and world.chat.logins.online[account.id] is person.session
        and world.chat.people[names.fold(name)] is person.session
    )


def check(world: World) -> None:
    """What holds once everything has settled."""
    chat = world.chat
    for key, session in chat.people.items():
        assert names.fold(session.user.name) == key
        assert chat.sessions[session.origin] is session
    assert len(chat.people) == len(chat.sessions)
    for id, session in chat.logins.online.items():
        assert session.user.account is not None
        assert session.user.account.id == id
        assert session.user.account.name == session.user.name
        assert chat.people[session.user.account.key] is session
    for session in chat.sessions.values():
        assert (
            session.user.account is None or chat.logins.online[session.user.account.id] is session
        )
        assert session.gate.is_open
    claims = world.claims
    local: Any = claims.local if isinstance(claims, LateClaims) else claims
    holders: dict[str, int] = local._holders
    for key, origin in holders.items():
        assert chat.people[key].origin == origin
    for key, session in chat.people.items():
        if not names.is_reserved(session.user.name):
            assert holders.get(key) == session.origin


def member(room: Room, origin: int) -> FakeWriter:
    """Somebody without a session in *room*."""
    writer = FakeWriter()
    room.expect(Member(origin, f"m{origin}", PLAIN, writer))
    room.append(origin, Joined(0.0, origin, f"m{origin}"))
    room.flush()
    return writer


def filled() -> Room:
    """A room in which five lines were said, a second and ten ids apart."""
    room = Room("den", "den")
    for number in range(5):
        room.append(number * 10, Said(float(number), 0, "alice", str(number), user=number % 2 + 1))
        room.append(number * 10 + 1, TopicSet(float(number), 1, "alice", "tea"))
    return room


def shorten(room: Room, events: int) -> None:
    """Have the log of *room* keep so many events, however small they are."""
    room.log.max_events, room.log.max_bytes = events, 0


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


def hangs_up_while_answered(person: Person, fake: FakeBook, steps: int, moment: int) -> None:
    """In each of so many steps a late book answers, or some time passes; *person* goes at one.

    After them everything is answered.
    """
    for step in range(steps):
        if step == moment:
            person.hangs_up()
        if step % 2:
            fake.answer()
        else:
            person.world.clock.advance(0.001)
    fake.late = False
    fake.answer_all()
