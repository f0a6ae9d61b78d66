"""What only a book of accounts in a file can do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from chatroom.backends.interfaces import AccountStore
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables
from chatroom.backends.sqlite.directory import Folder, StoreError
from chatroom.backends.sqlite.store import Store
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.accounts import (
    MAX_KEYS,
    Account,
    AccountState,
    Binding,
    BoundKey,
    KeyOwner,
    OfflineMessage,
)
from chatroom.model.preferences import Preferences
from tests.support.accounts import made_key, now
from tests.support.book import CHOSEN, NOW, text, visit
from tests.support.reactor import DEADLINE, clock, on_reactor, reactor
from tests.support.stores import old_file

# -- what only a file can do


def test_what_was_kept_is_there_in_the_next_run(path: Path) -> None:
    with closing(Writer(path)) as writer:
        book = AccountTables(writer.connection)
        account = book.add("Alice", "$secret$", NOW)
        assert account is not None
        book.save([AccountState(account.id, NOW + 1, lambda _: CHOSEN, {"lobby": 5})])
        book.leave(account.id, text(1))
        (last,) = book.messages(account.id)
        book.shown(account.id, last.id)
        removed = book.add("Bob", "", NOW)
        assert removed is not None
        book.remove(removed.id)
    with closing(Writer(path)) as writer:
        book = AccountTables(writer.connection)
        assert book.find("alice") == replace(account, seen=NOW + 1, preferences=CHOSEN)
        assert book.places(account.id) == {"lobby": 5}
        # Neither ids of accounts nor of messages begin anew.
        book.leave(account.id, text(2))
        assert book.messages(account.id)[0].id > last.id
        again = book.add("Bob", "", NOW)
        assert again is not None
        assert again.id > removed.id


def test_of_two_who_add_one_name_at_the_same_time_one_gets_it(path: Path) -> None:
    Writer(path).close()
    rounds = 20
    barrier = Barrier(2, timeout=DEADLINE)
    got: list[list[Account | None]] = [[], []]

    def register(mine: list[Account | None]) -> None:
        with closing(Writer(path)) as writer:
            for number in range(rounds):
                barrier.wait()
                mine.append(AccountTables(writer.connection).add(f"name{number}", "", NOW))

    threads = [Thread(target=register, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(mine) for mine in got] == [rounds, rounds]
    for one, other in zip(*got, strict=True):
        assert (one is None) is not (other is None)


def test_a_batch_of_visits_is_kept_whole_or_not_at_all(writer: Writer) -> None:
    book = AccountTables(writer.connection)
    account = book.add("Alice", "", NOW)
    assert account is not None
    bad = AccountState(account.id, NOW + 2, lambda _: Preferences(room="\ud800"), {})  # no UTF-8
    with pytest.raises(UnicodeEncodeError):
        book.save([visit(account, NOW + 1, lobby=5), bad])
    assert book.find("alice") == account
    assert book.places(account.id) == {}


def test_a_name_may_change_but_not_into_anothers(writer: Writer) -> None:
    book = AccountTables(writer.connection)
    account, other = book.add("Alice", "$", NOW), book.add("Bob", "", NOW)
    assert account is not None
    assert other is not None
    book.leave(account.id, text(1))
    assert book.rename(account.id, "BOB") is None
    assert (book.find("alice"), book.find("bob")) == (account, other)
    assert book.rename(account.id, "ALICE") is True
    assert book.rename(account.id, "Carol") is True
    assert book.find("alice") is None
    assert book.find("carol") == replace(account, name="Carol")
    assert len(book.messages(account.id)) == 1
    assert book.rename(other.id + 7, "Dave") is False


def test_a_name_may_not_change_into_what_looks_like_anothers(writer: Writer) -> None:
    book = AccountTables(writer.connection)
    account, other = book.add("Alice", "", NOW), book.add("Bob", "", NOW)
    assert account is not None
    assert other is not None
    assert book.rename(other.id, "aIice") is None
    assert book.resembling("AIice") == account
    assert book.rename(account.id, "aIice") is True
    assert book.rename(account.id, "Carol") is True
    assert book.resembling("Alice") is None
    assert book.rename(other.id, "aIice") is True
    assert book.resembling("alice") == replace(other, name="aIice")


def test_accounts_that_look_alike_already_stay(path: Path) -> None:
    old_file(
        path,
        3,
        "INSERT INTO accounts VALUES (7, 'alice', 'Alice', '$', 5.0, 6.0, '{}')",
        "INSERT INTO accounts VALUES (8, 'aiice', 'aIice', '$', 5.0, 6.0, '{}')",
    )
    with closing(Writer(path)) as writer:
        book = AccountTables(writer.connection)
        assert [getattr(book.resembling(name), "id", 0) for name in ("ALICE", "AIICE")] == [7, 8]
        assert getattr(book.resembling("ALlCE"), "id", 0) == 7
        assert book.rename(8, "zoe") is True
        assert book.rename(8, "a1ice") is None


def test_what_looks_alike_is_looked_up_as_it_is_known_now(path: Path) -> None:
    with closing(Writer(path)) as writer:
        account = AccountTables(writer.connection).add("alice", "", NOW)
        # As a table of lookalikes of another version had it.
        writer.connection.execute("UPDATE accounts SET skeleton = 'other'")
        assert AccountTables(writer.connection).resembling("aIice") is None
    with closing(Writer(path)) as writer:
        assert AccountTables(writer.connection).resembling("aIice") == account


def test_what_a_file_has_is_made_safe(writer: Writer) -> None:
    book = AccountTables(writer.connection)
    account = book.add("Alice", "$", NOW)
    assert account is not None
    book.save([visit(account, den=1)])
    evil = "\x1b[2J"
    leave = book.leave(account.id, OfflineMessage(NOW, evil, 0, f"{evil}\nroot: hello"))
    assert leave == 1
    execute = writer.connection.execute
    execute("UPDATE accounts SET name = ?", (evil,))
    execute("UPDATE places SET room = ?", (evil,))
    (message,) = book.messages(account.id)
    assert (message.sender, message.text) == ("\ufffd[2J", "\ufffd[2J\ufffdroot: hello")
    assert book.places(account.id) == {"\ufffd[2J": 1}
    for preferences, expected in (
        ("no JSON", Preferences()),
        ("[" * 100_000, Preferences()),
        ('["quiet"]', Preferences()),
        ('{"bell": "loud", "quiet": true, "more": 1}', Preferences(quiet=True)),
        ('{"room": "\\u001b[2J", "timezone": "\\ud800"}', Preferences({}, "off", "\ufffd")),
    ):
        execute("UPDATE accounts SET preferences = ?", (preferences,))
        expected = replace(expected, room="\ufffd[2J" if "room" in preferences else "")
        (found,) = [book.find("alice")]
        assert found == replace(account, name="\ufffd[2J", preferences=expected)
    book.add_key(account.id, made_key(1), NOW, True)
    safe = "\ufffd[2J"
    execute("UPDATE keys SET fingerprint = ?, type = ?, comment = ?", (evil, evil, evil))
    assert book.keys(account.id) == [BoundKey(safe, safe, safe, NOW, True)]
    assert book.expire(NOW + 1) == ["\ufffd[2J"]


@pytest.mark.parametrize(
    "delete",
    [
        lambda book, id: book.shown(id, 2**62),
        lambda book, id: book.remove(id),
        lambda book, id: book.expire(NOW + 1),
        lambda book, id: book.set_password(id, "other"),
        lambda book, id: book.remove_key(id, made_key(1).fingerprint),
        lambda book, id: book.forget_keys(id),
    ],
)
def test_what_is_gone_is_cleaned_away(
    path: Path, writer: Writer, delete: Callable[[AccountTables, int], object]
) -> None:
    book = AccountTables(writer.connection)
    account = book.add("Alice", "zanzibar", NOW)
    assert account is not None
    book.leave(account.id, text(1)._replace(text="zanzibar"))
    book.add_key(account.id, made_key(1, "zanzibar"), NOW, True)
    id = account.id
    delete(book, id)
    assert writer.unclean
    writer.begin_merge()
    while writer.merge():
        pass
    assert writer.empty_log()
    (unclean,) = writer.connection.execute("SELECT value FROM state WHERE key = 'unclean'")
    assert unclean == (0,)
    # What is still to be looked up is there, once, and nothing else.
    account = book.find("alice")
    kept = [account.password] if account else []
    kept += [message.text for message in book.messages(id)]
    kept += [key.comment for key in book.keys(id)]
    data = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert data.count(b"zanzibar") == kept.count("zanzibar")


def test_where_nothing_was_deleted_nothing_is_cleaned(writer: Writer) -> None:
    book = AccountTables(writer.connection)
    book.shown(1, 5)
    book.remove(1)
    book.expire(NOW)
    assert not writer.unclean


# -- a file of an earlier version


def test_a_file_of_version_1_keeps_what_it_has_and_can_keep_accounts(path: Path) -> None:
    old_file(
        path,
        1,
        "INSERT INTO rooms VALUES (3, 'den', 'Den', 'tea')",
        "INSERT INTO events VALUES (10, 3, 0, 5.0, 1, 'alice', 'hello')",
        "UPDATE state SET value = 1 WHERE key = 'unclean'",
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        before = old.execute("SELECT name FROM sqlite_master").fetchall()
    with closing(Writer(path)) as writer:
        assert schema.version(writer.connection) == len(schema.MIGRATIONS)
        (room,) = writer.load(5)
        assert (room.name, room.topic, room.lines[0][0]) == ("Den", "tea", 10)
        assert writer.unclean
        after = writer.connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert set(before) < set(after)
        book = AccountTables(writer.connection)
        account = book.add("Alice", "", NOW)
        assert account is not None
        assert book.leave(account.id, text(1)) == 1


def test_a_file_of_version_3_keeps_its_accounts_and_can_keep_keys(path: Path) -> None:
    old_file(path, 3, "INSERT INTO accounts VALUES (7, 'alice', 'Alice', '$', 5.0, 6.0, '{}')")
    with closing(Writer(path)) as writer:
        book = AccountTables(writer.connection)
        account = book.find("alice")
        assert account == Account(7, "Alice", "$", 5.0, 6.0)
        assert book.add_key(7, made_key(1), NOW, True) is Binding.DONE
    with closing(Writer(path)) as writer:
        assert AccountTables(writer.connection).keyholder(made_key(1).fingerprint) == KeyOwner(
            account, True
        )


def test_of_two_who_add_one_key_at_the_same_time_one_gets_it(path: Path) -> None:
    with closing(Writer(path)) as writer:
        ids = [
            found.id
            for name in "ab"
            if (found := AccountTables(writer.connection).add(name, "", NOW))
        ]
    barrier = Barrier(2, timeout=DEADLINE)
    got: list[list[Binding]] = [[], []]

    def bind(which: int) -> None:
        with closing(Writer(path)) as writer:
            for number in range(MAX_KEYS // 2):
                barrier.wait()
                key = made_key(number)
                got[which].append(
                    AccountTables(writer.connection).add_key(ids[which], key, NOW, True)
                )

    threads = [Thread(target=bind, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got[0]) == MAX_KEYS // 2
    for pair in zip(*got, strict=True):
        assert set(pair) == {Binding.DONE, Binding.TAKEN}


# -- in the store


@on_reactor
async def test_a_store_has_accounts_and_keeps_what_it_was_given_before_it_closed(
    tmp_path: Path,
) -> None:
    def store() -> Store:
        return Store(clock, reactor.callFromThread, Folder(str(tmp_path / "data")))

    first = store()
    accounts: AccountStore = first.accounts
    first.open(5, "lobby")
    account = await accounts.add("Alice", "$", NOW)
    assert account is not None
    assert await accounts.find("alice") == account
    assert await accounts.add("alice", "$", NOW) is None
    places = {"lobby": 5}
    saved = accounts.save([AccountState(account.id, NOW + 1, lambda _: CHOSEN, places)])
    # What is handed in is as it was then.
    places.clear()
    left = [accounts.leave(account.id, text(number)) for number in range(20)]
    key = made_key(1)
    assert await accounts.add_key(account.id, key, NOW, False) is Binding.DONE
    proven = accounts.prove_key(account.id, key.fingerprint)
    await first.close()
    assert now(proven)
    assert now(saved) is None
    assert [now(answer) for answer in left] == list(range(1, 21))
    for late in (accounts.find("alice"), accounts.remove(account.id)):
        assert isinstance(await late.addErrback(lambda failure: failure.value), StoreError)
    second = store()
    second.open(5, "lobby")
    assert await second.accounts.find("alice") == replace(account, seen=NOW + 1, preferences=CHOSEN)
    assert await second.accounts.places(account.id) == {"lobby": 5}
    assert len(await second.accounts.messages(account.id)) == 20
    (kept,) = await second.accounts.keys(account.id)
    assert (kept.fingerprint, kept.proven) == (key.fingerprint, True)
    holder = await second.accounts.keyholder(key.fingerprint)
    assert holder is not None
    assert holder.account.id == account.id
    assert await second.accounts.remove_key(account.id, key.fingerprint)
    assert await second.accounts.expire(NOW + 2) == ["Alice"]
    await second.close()


@on_reactor
async def test_what_a_file_refuses_fails(tmp_path: Path) -> None:
    store = Store(clock, reactor.callFromThread, Folder(str(tmp_path / "data")))
    store.open(5, "lobby")
    with closing(sqlite3.connect(tmp_path / "data" / "chatroom.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await store.accounts.add("Alice", "", NOW)
    assert await store.accounts.add("Alice", "", NOW) is not None
    await store.close()
