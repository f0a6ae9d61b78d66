"""Accounts for tests: people who have one, a book of them that is late or fails, and keys."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from chatroom.backends.interfaces import AccountStore
from chatroom.backends.memory import MemoryAccounts
from chatroom.model import publickeys
from chatroom.model.publickeys import PublicKey
from chatroom.text import names
from tests.support.world import Person, World


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
