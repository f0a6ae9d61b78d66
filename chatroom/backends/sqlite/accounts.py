"""The accounts in the store's database.

The database itself ensures that a name has one owner: by a UNIQUE constraint, and by a lookup of
similar names in the transaction that adds one. Nothing is cached, since `chatroom-data` changes the
same file.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks

from chatroom.backends.sqlite.database import transaction
from chatroom.model.accounts import (
    MAX_KEYS,
    MAX_MESSAGES,
    MAX_PLACES,
    Account,
    AccountState,
    Binding,
    BoundKey,
    Change,
    KeyOwner,
    OfflineMessage,
)
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.text import names

T = TypeVar("T")

#: How many accounts expire in one transaction; with all their data that takes some milliseconds.
EXPIRED_PER_TRANSACTION = 25

#: The columns that `_account` takes; no table that is joined has other columns with these names.
_ACCOUNT = "accounts.id, name, password, created, seen, preferences"


def _account(
    id: int, name: str, password: str, created: float, seen: float, preferences: str
) -> Account:
    return Account(id, names.clean(name), password, created, seen, Preferences.load(preferences))


class AccountTables:
    """The tables of accounts, for the thread that has the connection to the database.

    Each method is one transaction or one lookup.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, key: str) -> Account | None:
        """See interfaces.AccountStore."""
        row = self._connection.execute(
            f"SELECT {_ACCOUNT} FROM accounts WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else _account(*row)

    def resembling(self, name: str, but: int = 0) -> Account | None:
        """See interfaces.AccountStore; leaves out the account with the id *but*."""
        rows = self._connection.execute(
            f"SELECT {_ACCOUNT} FROM accounts WHERE (key = :key OR skeleton = :skeleton) "
            "AND id <> :but ORDER BY key = :key DESC, id",
            {"key": names.fold(name), "skeleton": names.skeleton(name), "but": but},
        )
        found = (_account(*row) for row in rows.fetchall())
        return next((account for account in found if names.alike(name, account.name)), None)

    def present(self, ids: Sequence[int]) -> dict[int, Account]:
        """See interfaces.AccountStore."""
        rows = self._connection.execute(
            f"SELECT {_ACCOUNT} FROM accounts WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        )
        return {row[0]: _account(*row) for row in rows}

    def add(self, name: str, password: str, time: float) -> Account | None:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            if self.resembling(name) is not None:
                return None
            (id,) = self._connection.execute(
                "INSERT INTO accounts (key, skeleton, name, password, created, seen) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (names.fold(name), names.skeleton(name), name, password, time, time),
            ).fetchone()
        return Account(id, name, password, time, time)

    def rename(self, id: int, name: str) -> bool | None:
        """Give the account another name, which `names.check_name` has accepted.

        Returns whether the account exists, or None if another account's name resembles it.
        """
        with transaction(self._connection):
            if self.resembling(name, but=id) is not None:
                return None
            return self._changed(
                "UPDATE accounts SET key = ?, skeleton = ?, name = ? WHERE id = ?",
                (names.fold(name), names.skeleton(name), name, id),
            )

    def set_password(self, id: int, password: str) -> bool:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            return self._erase("UPDATE accounts SET password = ? WHERE id = ?", (password, id))

    def remove(self, id: int) -> bool:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            return self._erase("DELETE FROM accounts WHERE id = ?", (id,))

    def save(self, visits: Sequence[AccountState]) -> None:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            for id, time, change, places in visits:
                exists = self._changed(
                    "UPDATE accounts SET seen = max(seen, ?) WHERE id = ?", (time, id)
                )
                if exists and change is not None:
                    self._change_preferences(id, change)
                if exists and places:
                    self._connection.executemany(
                        "INSERT INTO places (account, room, id) VALUES (?, ?, ?) "
                        "ON CONFLICT (account, room) DO UPDATE SET id = max(id, excluded.id)",
                        [(id, room, last) for room, last in places.items()],
                    )
                    self._connection.execute(
                        "DELETE FROM places WHERE account = ? AND room IN "
                        "(SELECT room FROM places WHERE account = ? "
                        "ORDER BY id DESC LIMIT -1 OFFSET ?)",
                        (id, id, MAX_PLACES),
                    )

    def _change_preferences(self, id: int, change: Change) -> None:
        (stored,) = self._connection.execute(
            "SELECT preferences FROM accounts WHERE id = ?", (id,)
        ).fetchone()
        former = Preferences.load(stored)
        chosen = change(former)
        if chosen != former:
            self._connection.execute(
                "UPDATE accounts SET preferences = ? WHERE id = ?", (chosen.dump(), id)
            )

    def places(self, id: int) -> dict[str, int]:
        """See interfaces.AccountStore."""
        rows = self._connection.execute("SELECT room, id FROM places WHERE account = ?", (id,))
        return {names.clean(room): last for room, last in rows}

    def leave(self, id: int, message: OfflineMessage) -> int:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            row = self._connection.execute(
                "SELECT (SELECT count(*) FROM messages WHERE account = accounts.id) "
                "FROM accounts WHERE id = ?",
                (id,),
            ).fetchone()
            if row is None or row[0] >= MAX_MESSAGES:
                return 0
            self._connection.execute(
                "INSERT INTO messages (account, time, sender, author, text) VALUES (?, ?, ?, ?, ?)",
                (id, message.time, message.sender, message.author, message.text),
            )
            return int(row[0]) + 1

    def messages(self, id: int) -> list[OfflineMessage]:
        """See interfaces.AccountStore."""
        rows = self._connection.execute(
            "SELECT time, sender, author, text, id FROM messages WHERE account = ? ORDER BY id",
            (id,),
        )
        return [
            OfflineMessage(time, names.clean(sender), author, names.clean(text), number)
            for time, sender, author, text, number in rows
        ]

    def shown(self, id: int, last: int) -> None:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            self._erase("DELETE FROM messages WHERE account = ? AND id <= ?", (id, last))

    def add_key(self, id: int, key: PublicKey, time: float, proven: bool) -> Binding:
        """See interfaces.AccountStore."""
        fingerprint = key.fingerprint
        execute = self._connection.execute
        with transaction(self._connection):
            if execute("SELECT 1 FROM accounts WHERE id = ?", (id,)).fetchone() is None:
                return Binding.GONE
            known = execute(
                "SELECT account, proven FROM keys WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
            if known is not None:
                holder, proven_before = known
                if holder == id:
                    if proven and not proven_before:
                        self._prove_key(id, fingerprint)
                    return Binding.OURS
                if proven_before or not proven:
                    return Binding.TAKEN
            (count,) = execute("SELECT count(*) FROM keys WHERE account = ?", (id,)).fetchone()
            if count >= MAX_KEYS:
                return Binding.FULL
            self._erase("DELETE FROM keys WHERE fingerprint = ?", (fingerprint,))
            execute(
                "INSERT INTO keys (fingerprint, account, type, comment, added, proven) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (fingerprint, id, key.type, key.comment, time, proven),
            )
            return Binding.DONE

    def prove_key(self, id: int, fingerprint: str) -> bool:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            return self._prove_key(id, fingerprint)

    def _prove_key(self, id: int, fingerprint: str) -> bool:
        return self._changed(
            "UPDATE keys SET proven = 1 WHERE account = ? AND fingerprint = ?", (id, fingerprint)
        )

    def keys(self, id: int) -> list[BoundKey]:
        """See interfaces.AccountStore."""
        rows = self._connection.execute(
            "SELECT fingerprint, type, comment, added, proven FROM keys "
            "WHERE account = ? ORDER BY id",
            (id,),
        )
        return [
            BoundKey(
                names.clean(hash), names.clean(type), names.clean(comment), added, bool(proven)
            )
            for hash, type, comment, added, proven in rows
        ]

    def remove_key(self, id: int, fingerprint: str) -> bool:
        """See interfaces.AccountStore."""
        with transaction(self._connection):
            return self._erase(
                "DELETE FROM keys WHERE account = ? AND fingerprint = ?", (id, fingerprint)
            )

    def forget_keys(self, id: int) -> None:
        """Remove all keys of the account."""
        with transaction(self._connection):
            self._erase("DELETE FROM keys WHERE account = ?", (id,))

    def keyholder(self, fingerprint: str) -> KeyOwner | None:
        """See interfaces.AccountStore."""
        row = self._connection.execute(
            f"SELECT proven, {_ACCOUNT} FROM accounts JOIN keys ON keys.account = accounts.id "
            "WHERE fingerprint = ?",
            (fingerprint,),
        ).fetchone()
        return None if row is None else KeyOwner(_account(*row[1:]), bool(row[0]))

    def expire(self, before: float) -> list[str]:
        """See interfaces.AccountStore; removes at most EXPIRED_PER_TRANSACTION accounts."""
        with transaction(self._connection):
            rows = self._connection.execute(
                "SELECT id, name FROM accounts WHERE seen < ? ORDER BY id LIMIT ?",
                (before, EXPIRED_PER_TRANSACTION),
            ).fetchall()
            for id, _ in rows:
                self._erase("DELETE FROM accounts WHERE id = ?", (id,))
        return [names.clean(name) for _, name in rows]

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        """Execute *statement* and return whether it changed a row."""
        return self._connection.execute(statement, values).rowcount > 0

    def _erase(self, statement: str, values: tuple[Any, ...]) -> bool:
        """Execute a statement that removes private data, of which no trace may stay.

        Returns whether it changed a row.
        """
        changed = self._changed(statement, values)
        if changed:
            # SQLite overwrites the data in the file (secure_delete), but not in the write-ahead
            # log, which the maintenance empties later (see Writer.empty_log).
            self._connection.execute("UPDATE state SET value = 1 WHERE key = 'unclean'")
        return changed


class CallInWorker(Protocol):
    """Calls a method of `AccountTables` in a thread. Fires with its result, or fails."""

    def __call__(self, method: Callable[..., T], *args: object) -> Deferred[T]: ...


class StoredAccounts:
    """Accounts that outlast the server; see interfaces.AccountStore.

    write: calls a method of `AccountTables` in the thread that writes.
    read: calls one in the thread that only reads, which sees all changes that were confirmed
    before.
    """

    lasting = True

    def __init__(self, write: CallInWorker, read: CallInWorker) -> None:
        self._write = write
        self._read = read

    def find(self, key: str) -> Deferred[Account | None]:
        return self._read(AccountTables.find, key)

    def resembling(self, name: str) -> Deferred[Account | None]:
        return self._read(AccountTables.resembling, name)

    def present(self, ids: Sequence[int]) -> Deferred[Mapping[int, Account]]:
        # In the writing thread, after the changes that are under way.
        return self._write(AccountTables.present, ids)

    def add(self, name: str, password: str, time: float) -> Deferred[Account | None]:
        return self._write(AccountTables.add, name, password, time)

    def set_password(self, id: int, password: str) -> Deferred[bool]:
        return self._write(AccountTables.set_password, id, password)

    def remove(self, id: int) -> Deferred[bool]:
        return self._write(AccountTables.remove, id)

    def save(self, visits: Sequence[AccountState]) -> Deferred[None]:
        # Copied, since the caller may change the read positions before the thread reads them.
        return self._write(
            AccountTables.save, [visit._replace(places=dict(visit.places)) for visit in visits]
        )

    def places(self, id: int) -> Deferred[dict[str, int]]:
        return self._read(AccountTables.places, id)

    def leave(self, id: int, message: OfflineMessage) -> Deferred[int]:
        return self._write(AccountTables.leave, id, message)

    def messages(self, id: int) -> Deferred[list[OfflineMessage]]:
        return self._read(AccountTables.messages, id)

    def shown(self, id: int, last: int) -> Deferred[None]:
        return self._write(AccountTables.shown, id, last)

    def add_key(self, id: int, key: PublicKey, time: float, proven: bool) -> Deferred[Binding]:
        return self._write(AccountTables.add_key, id, key, time, proven)

    def prove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        return self._write(AccountTables.prove_key, id, fingerprint)

    def keys(self, id: int) -> Deferred[list[BoundKey]]:
        return self._read(AccountTables.keys, id)

    def remove_key(self, id: int, fingerprint: str) -> Deferred[bool]:
        return self._write(AccountTables.remove_key, id, fingerprint)

    def keyholder(self, fingerprint: str) -> Deferred[KeyOwner | None]:
        return self._read(AccountTables.keyholder, fingerprint)

    @inlineCallbacks
    def expire(self, before: float) -> Any:
        expired: list[str] = []
        more = True
        while more:
            some = yield self._write(AccountTables.expire, before)
            expired += some
            more = len(some) == EXPIRED_PER_TRANSACTION
        return expired
