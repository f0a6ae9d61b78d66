"""Operators, and accounts that are found late while they decide."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from chatroom.backends.memory import MemoryAccounts
from chatroom.model.accounts import Account
from tests.support.accounts import WORD
from tests.support.world import Person, World


class LateAccounts(MemoryAccounts):
    """Accounts that are found when a test says so, once it is `late`."""

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self._waiting: list[tuple[str, Deferred[Account | None]]] = []

    def find(self, key: str) -> Deferred[Account | None]:
        if not self.late:
            return super().find(key)
        answer: Deferred[Account | None] = Deferred()
        self._waiting.append((key, answer))
        return answer

    def answer(self) -> None:
        """All that was asked so far is answered, as it is now."""
        waiting, self._waiting = self._waiting, []
        for key, answer in waiting:
            super().find(key).chainDeferred(answer)


#: Makes a world whose decisions last.
MakeServer = Callable[..., World]


def registered(world: World, name: str, address: str = "") -> Person:
    """Somebody who is logged in, and has read everything."""
    world.chat.logins.created = type(world.chat.logins.created)(0, 1, lambda: 0.0)
    person = world.person(name, address=address)
    person.says(f"/register {WORD}")
    assert person.connection.user.account is not None
    _ = person.sees
    return person


def operator(world: World, name: str = "olga", address: str = "") -> Person:
    """An operator, who is logged in and has read everything."""
    person = registered(world, name, address)
    world.chat.moderation.make_operator(person.connection, account(person))
    return person


def account(person: Person) -> Account:
    assert person.connection.user.account is not None
    return person.connection.user.account


def back(world: World, name: str, address: str = "") -> list[str]:
    """What somebody is shown who comes and logs in."""
    person = world.person(address=address)
    return person.asks(f"/login {name} {WORD}")


#: Sources that are not this machine.
HOME, OFFICE = "192.0.2.7", "198.51.100.9"


def refused(world: World, host: str) -> str | None:
    return world.chat.moderation.refusal(host)


def refused_ban(person: Person, target: str) -> str:
    (shown,) = person.asks(f"/ban {target}")
    assert shown.startswith("-- Not banned: ")
    return shown.removeprefix("-- Not banned: ")


#: What would bring a line into the room, or any other text before somebody else.
LINES = (
    *("psst", "//psst", "/me psst", "/say psst", "/topic psst", "/msg carol psst"),
    *("/nick psst", "/join psst", "/away psst"),
)
