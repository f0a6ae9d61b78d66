"""Accounts in a book, and what is kept with them."""

from __future__ import annotations

from chatroom.backends.interfaces import AccountStore
from chatroom.model.accounts import Account, AccountState, OfflineMessage
from chatroom.model.preferences import Preferences
from chatroom.text import names
from tests.support.accounts import now

NOW = 1_800_000_000.25
CHOSEN = Preferences({7: "王明"}, "seconds", "Europe/Berlin", True, "mentions", "on", True, "den")


def add(accounts: AccountStore, name: str = "Alice", time: float = NOW) -> Account:
    account = now(accounts.add(name, f"${name}$", time))
    assert account is not None
    return account


def found(accounts: AccountStore, name: str = "alice") -> Account | None:
    return now(accounts.find(names.fold(name)))


def text(number: int) -> OfflineMessage:
    return OfflineMessage(NOW + number, "Bob", 2, f"message {number}")


def leave(accounts: AccountStore, account: Account, *messages: OfflineMessage) -> list[int]:
    return [now(accounts.leave(account.id, message)) for message in messages]


def texts(accounts: AccountStore, account: Account) -> list[str]:
    return [message.text for message in now(accounts.messages(account.id))]


def visit(account: Account, time: float = NOW, **places: int) -> AccountState:
    return AccountState(account.id, time, None, places)
