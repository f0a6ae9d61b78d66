"""Accounts for tests: people who have one, a book of them that is late or fails, and keys."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from chatroom.accounts import passwords
from chatroom.backends.interfaces import AccountStore
from chatroom.backends.memory import MemoryAccounts
from chatroom.backends.sqlite.accounts import AccountTables, CallInWorker
from chatroom.model import publickeys
from chatroom.model.accounts import Account
from chatroom.model.identity import Identity
from chatroom.model.publickeys import PublicKey
from chatroom.text import names
from tests.support.world import Person, World

#: A password.
WORD = "kohlrabi-77"

#: How alice logs in.
LOGIN = f"/login alice {WORD}"

T = TypeVar("T")


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


def owner(world: World, name: str = "alice", source: str = "198.51.100.1") -> Person:
    """Somebody who has just registered *name*."""
    person = world.person(name, source=source)
    person.says(f"/register {WORD}")
    assert person.connection.user.account is not None
    _ = person.sees
    return person


def logged_in(world: World, person: Person, name: str) -> bool:
    account = person.connection.user.account
    return (
        account is not None
        and person.name == account.name == name
        and world.chat.logins.online[account.id] is person.connection.user
        and world.chat.people[names.fold(name)] is person.connection.user
    )


def take_steps(world: World, fake: FakeBook, steps: range) -> None:
    """In each of *steps* a late book answers, or some time passes, by turns."""
    for step in steps:
        if step % 2:
            fake.answer()
        else:
            world.clock.advance(0.001)


def hangs_up_while_answered(person: Person, fake: FakeBook, steps: int, moment: int) -> None:
    """In so many steps a late book answers, or some time passes; before one *person* goes.

    After them everything is answered.
    """
    take_steps(person.world, fake, range(min(moment, steps)))
    if moment < steps:
        person.hangs_up()
    take_steps(person.world, fake, range(moment, steps))
    fake.late = False
    fake.answer_all()


def now(answer: Deferred[T]) -> T:
    """What a Deferred has fired with already; its failure is raised."""
    answers: list[T] = []
    failures: list[Exception] = []
    answer.addCallbacks(answers.append, lambda failure: failures.append(failure.value))
    for error in failures:
        raise error
    (result,) = answers
    return result


def at_once(book: AccountTables) -> CallInWorker:
    """A worker that needs no thread."""

    def do(method: Callable[..., T], *args: object) -> Deferred[T]:
        return maybeDeferred(method, book, *args)

    return do


def register(world: World, name: str) -> Account:
    """*name* is somebody's who is not here."""
    made: list[Account | None] = []
    now = world.clock.seconds()
    world.chat.logins.accounts.add(name, passwords.make(WORD), now).addCallback(made.append)
    assert made[0] is not None
    return made[0]


def again(world: World, name: str = "alice") -> Identity:
    """How the owner of *name* arrives by a key, or by SSH with a password."""
    account = now(world.chat.logins.accounts.find(name))
    assert account is not None
    return Identity(account.name, account)


def code_of(person: Person) -> str:
    (line,) = [line for line in person.asks("/pair") if "/login" in line]
    return line.rpartition(" ")[2]


OTHER = "sellerie-88"


def come(world: World, *lines: str) -> Person:
    person = world.person()
    person.types(*lines)
    world.settle()
    return person


#: A public key, as people paste it.
LINE = f"ssh-ed25519 {b64encode(made_key(1).blob).decode()} laptop"
