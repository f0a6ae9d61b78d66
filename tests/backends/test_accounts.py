"""What every book of accounts promises, in memory or in a file; and what only a file can do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from chatroom.backends.interfaces import AccountStore
from chatroom.backends.memory import MemoryAccounts
from chatroom.backends.sqlite import accounts as module
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.accounts import AccountTables, StoredAccounts
from chatroom.backends.sqlite.database import Reader, Writer
from chatroom.backends.sqlite.directory import Folder, StoreError
from chatroom.backends.sqlite.store import Store
from chatroom.model.accounts import (
    MAX_KEYS,
    MAX_MESSAGES,
    MAX_PLACES,
    Account,
    AccountState,
    Binding,
    BoundKey,
    KeyOwner,
    OfflineMessage,
)
from chatroom.model.preferences import Preferences
from chatroom.text import names
from tests.support.accounts import at_once, made_key, now
from tests.support.reactor import DEADLINE, clock, on_reactor, reactor

NOW = 1_800_000_000.25
CHOSEN = Preferences({7: "王明"}, "seconds", "Europe/Berlin", True, "mentions", "on", True, "den")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chatroom.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path)
    yield writer
    writer.close()


@pytest.fixture
def stored(path: Path, writer: Writer) -> Iterator[StoredAccounts]:
    """A book in a file, which is written and read over two connections."""
    reader = Reader(path)
    yield StoredAccounts(
        at_once(AccountTables(writer.connection)), at_once(AccountTables(reader.connection))
    )
    reader.close()


@pytest.fixture(params=["memory", "stored"])
def accounts(request: pytest.FixtureRequest) -> AccountStore:
    """A book of each kind."""
    made: AccountStore = MemoryAccounts()
    if request.param == "stored":
        made = request.getfixturevalue("stored")
    return made


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


# -- accounts


def test_an_account_is_found_by_its_key_as_it_was_made(accounts: AccountStore) -> None:
    account = add(accounts, "Ångström")
    assert account == Account(account.id, "Ångström", "$Ångström$", NOW, NOW, Preferences())
    assert account.id > 0
    assert now(accounts.find(account.key)) == account
    assert now(accounts.find("Ångström")) is None
    assert now(accounts.find("")) is None


def test_what_can_be_taken_for_an_accounts_name_is_nobody_elses(accounts: AccountStore) -> None:
    account = add(accounts, "Alice")
    for name in ("alice", "aIice", "ALlCE", "\u0430\u04cf\u0456\u0441\u0435"):
        assert now(accounts.resembling(name)) == account
        assert now(accounts.add(name, "", NOW)) is None
    for name in ("allce", "alicia", ""):
        assert now(accounts.resembling(name)) is None
    mia, mla = add(accounts, "mia"), add(accounts, "mla")
    assert [now(accounts.resembling(name)) for name in ("mia", "mla")] == [mia, mla]
    now(accounts.remove(account.id))
    assert now(accounts.resembling("alice")) is None
    lookalike = add(accounts, "aIice")
    assert now(accounts.resembling("alice")) == lookalike
    assert now(accounts.expire(NOW + 1)) == ["mia", "mla", "aIice"]
    assert now(accounts.resembling("aIice")) is None


def test_a_name_is_one_accounts_whatever_its_case(accounts: AccountStore) -> None:
    account = add(accounts, "Alice")
    assert now(accounts.add("ALICE", "other", NOW + 1)) is None
    assert found(accounts) == account
    assert add(accounts, "Bob").id != account.id


def test_an_id_is_never_given_twice(accounts: AccountStore) -> None:
    first = add(accounts)
    second = add(accounts, "Bob")
    assert now(accounts.remove(second.id))
    assert add(accounts, "Bob").id > second.id
    assert now(accounts.remove(first.id))
    assert add(accounts).id > second.id + 1


def test_another_password_is_all_that_changes(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    assert now(accounts.set_password(account.id, "new")) is True
    assert found(accounts) == replace(account, password="new")
    assert found(accounts, "bob") == other
    assert now(accounts.set_password(account.id + 7, "new")) is False


def test_what_was_removed_is_gone_with_all_that_was_kept_for_it(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    for one in (account, other):
        leave(accounts, one, text(1))
        now(accounts.save([visit(one, lobby=5)]))
    assert now(accounts.remove(account.id)) is True
    assert now(accounts.remove(account.id)) is False
    assert found(accounts) is None
    assert texts(accounts, account) == []
    assert now(accounts.places(account.id)) == {}
    assert now(accounts.set_password(account.id, "new")) is False
    # What was another's stays, and the name is free.
    assert texts(accounts, other) == ["message 1"]
    assert now(accounts.places(other.id)) == {"lobby": 5}
    again = add(accounts)
    assert texts(accounts, again) == []
    assert now(accounts.places(again.id)) == {}


# -- visits


def test_of_a_visit_everything_is_kept(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    places = {"lobby": 5, "王": 2**62}
    assert now(accounts.save([AccountState(account.id, NOW + 9, lambda _: CHOSEN, places)])) is None
    assert found(accounts) == replace(account, seen=NOW + 9, preferences=CHOSEN)
    assert now(accounts.places(account.id)) == places
    assert found(accounts, "bob") == other
    assert now(accounts.places(other.id)) == {}


def test_a_visit_need_not_change_what_is_preferred(accounts: AccountStore) -> None:
    account = add(accounts)
    now(accounts.save([AccountState(account.id, NOW + 1, lambda _: CHOSEN, {})]))
    now(accounts.save([AccountState(account.id, NOW + 2, None, {"lobby": 5})]))
    assert found(accounts) == replace(account, seen=NOW + 2, preferences=CHOSEN)
    assert now(accounts.places(account.id)) == {"lobby": 5}


def test_of_two_changes_to_what_is_preferred_both_are_kept(accounts: AccountStore) -> None:
    account = add(accounts)
    quiet = AccountState(account.id, NOW, lambda kept: replace(kept, quiet=True), {})
    late = AccountState(account.id, NOW, lambda kept: replace(kept, bell="on"), {})
    now(accounts.save([quiet, late]))
    kept = found(accounts)
    assert kept is not None
    assert kept.preferences == Preferences(quiet=True, bell="on")


def test_several_visits_are_kept_in_their_order(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    chosen = Preferences(quiet=True)
    quiet = visit(account, NOW + 2, lobby=4)._replace(change=lambda _: chosen)
    visits = [visit(account, NOW + 1, lobby=3), visit(other, NOW + 3, den=9), quiet]
    now(accounts.save(visits))
    assert found(accounts) == replace(account, seen=NOW + 2, preferences=chosen)
    assert now(accounts.places(account.id)) == {"lobby": 4}
    assert now(accounts.places(other.id)) == {"den": 9}
    now(accounts.save([]))


def test_time_and_places_do_not_go_back(accounts: AccountStore) -> None:
    account = add(accounts)
    now(accounts.save([visit(account, NOW + 9, lobby=5, den=6)]))
    now(accounts.save([visit(account, NOW + 3, lobby=4, den=7)]))
    assert found(accounts) == replace(account, seen=NOW + 9)
    assert now(accounts.places(account.id)) == {"lobby": 5, "den": 7}
    now(accounts.save([visit(account, NOW + 9)]))
    assert now(accounts.places(account.id)) == {"lobby": 5, "den": 7}


def test_of_too_many_rooms_those_read_last_are_kept(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    now(accounts.save([visit(other, lobby=1)]))
    rooms = {f"room{number}": 1000 + number for number in range(MAX_PLACES)}
    now(accounts.save([visit(account, **rooms)]))
    assert now(accounts.places(account.id)) == rooms
    # One that is too old, one that is new, and one that was the oldest.
    now(accounts.save([visit(account, old=999, new=5000, room0=5001)]))
    kept = now(accounts.places(account.id))
    assert len(kept) == MAX_PLACES
    assert rooms.keys() - kept.keys() == {"room1"}
    assert kept.keys() - rooms.keys() == {"new"}
    assert kept["room0"] == 5001
    assert now(accounts.places(other.id)) == {"lobby": 1}


def test_of_an_account_that_is_gone_nothing_is_kept(accounts: AccountStore) -> None:
    account = add(accounts)
    gone = add(accounts, "Bob")
    now(accounts.remove(gone.id))
    now(accounts.save([visit(gone, NOW + 1, lobby=5), visit(account, NOW + 1, lobby=6)]))
    assert now(accounts.places(gone.id)) == {}
    assert now(accounts.places(account.id)) == {"lobby": 6}
    assert found(accounts, "bob") is None


# -- messages


def test_messages_wait_in_their_order_with_ids_that_grow(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    # Clocks go back; the id that was handed in does not count.
    assert leave(accounts, account, text(2)._replace(id=99), text(1)) == [1, 2]
    assert leave(accounts, other, text(3)) == [1]
    first, second = now(accounts.messages(account.id))
    assert [first._replace(id=0), second._replace(id=0)] == [text(2), text(1)]
    assert 0 < first.id < second.id
    assert first.id != 99


def test_what_was_shown_is_forgotten_and_its_id_not_used_again(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    leave(accounts, account, text(1), text(2))
    leave(accounts, other, text(9))
    leave(accounts, account, text(3))
    shown = now(accounts.messages(account.id))
    assert now(accounts.shown(account.id, shown[1].id)) is None
    assert texts(accounts, account) == ["message 3"]
    now(accounts.shown(account.id, shown[2].id))
    assert texts(accounts, account) == []
    assert texts(accounts, other) == ["message 9"]
    assert leave(accounts, account, text(4)) == [1]
    (latest,) = now(accounts.messages(account.id))
    assert latest.id > shown[2].id
    # Shown once more, late: what came meanwhile waits on.
    now(accounts.shown(account.id, shown[2].id))
    assert texts(accounts, account) == ["message 4"]


def test_only_so_many_messages_wait(accounts: AccountStore) -> None:
    account = add(accounts)
    other = add(accounts, "Bob")
    numbers = range(1, MAX_MESSAGES + 1)
    assert leave(accounts, account, *map(text, numbers)) == list(numbers)
    assert leave(accounts, account, text(51), text(52)) == [0, 0]
    assert texts(accounts, account) == [f"message {number}" for number in numbers]
    assert leave(accounts, other, text(1)) == [1]
    now(accounts.shown(account.id, now(accounts.messages(account.id))[0].id))
    assert leave(accounts, account, text(53), text(54)) == [MAX_MESSAGES, 0]


def test_for_nobody_no_message_waits(accounts: AccountStore) -> None:
    account = add(accounts)
    now(accounts.remove(account.id))
    assert leave(accounts, account, text(1)) == [0]
    assert now(accounts.messages(account.id)) == []
    now(accounts.shown(account.id, 5))


# -- keys


def bound(accounts: AccountStore, account: Account) -> list[tuple[str, bool]]:
    """The keys of the account, and whether each is proven."""
    return [(key.fingerprint, key.proven) for key in now(accounts.keys(account.id))]


def add_key(
    accounts: AccountStore, account: Account, number: int, *, proven: bool = True
) -> Binding:
    return now(accounts.add_key(account.id, made_key(number), NOW + number, proven))


def test_a_key_is_found_with_whose_it_is_and_listed_as_it_was_added(accounts: AccountStore) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    key = made_key(7, "王's laptop")
    assert now(accounts.add_key(account.id, key, NOW, True)) is Binding.DONE
    assert add_key(accounts, account, 3, proven=False) is Binding.DONE
    first, second = now(accounts.keys(account.id))
    assert first == BoundKey(key.fingerprint, "ssh-ed25519", "王's laptop", NOW, True)
    assert second == BoundKey(made_key(3).fingerprint, "ssh-ed25519", "", NOW + 3, False)
    assert now(accounts.keyholder(key.fingerprint)) == KeyOwner(account, True)
    assert now(accounts.keyholder(second.fingerprint)) == KeyOwner(account, False)
    assert now(accounts.keyholder(made_key(4).fingerprint)) is None
    assert now(accounts.keys(other.id)) == []


def test_a_key_is_one_accounts(accounts: AccountStore) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    assert add_key(accounts, account, 1) is Binding.DONE
    assert add_key(accounts, account, 1) is Binding.OURS
    for proven in (True, False):
        assert add_key(accounts, other, 1, proven=proven) is Binding.TAKEN
    assert bound(accounts, account) == [(made_key(1).fingerprint, True)]
    assert bound(accounts, other) == []


def test_who_has_shown_that_a_key_is_theirs_gets_it_from_who_has_not(
    accounts: AccountStore,
) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    mark = made_key(1).fingerprint
    assert add_key(accounts, account, 1, proven=False) is Binding.DONE
    assert add_key(accounts, other, 1, proven=False) is Binding.TAKEN
    assert add_key(accounts, other, 1, proven=True) is Binding.DONE
    assert bound(accounts, account) == []
    assert bound(accounts, other) == [(mark, True)]
    assert now(accounts.remove_key(account.id, mark)) is False
    assert now(accounts.keyholder(mark)) == KeyOwner(other, True)


def test_a_key_is_proven_once_and_for_all(accounts: AccountStore) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    mark = made_key(1).fingerprint
    add_key(accounts, account, 1, proven=False)
    assert now(accounts.prove_key(other.id, mark)) is False
    assert now(accounts.prove_key(account.id, made_key(2).fingerprint)) is False
    assert bound(accounts, account) == [(mark, False)]
    assert now(accounts.prove_key(account.id, mark)) is True
    assert add_key(accounts, account, 1, proven=False) is Binding.OURS
    assert bound(accounts, account) == [(mark, True)]
    add_key(accounts, other, 2, proven=False)
    assert add_key(accounts, other, 2, proven=True) is Binding.OURS
    assert bound(accounts, other) == [(made_key(2).fingerprint, True)]


def test_an_account_has_only_so_many_keys(accounts: AccountStore) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    numbers = range(MAX_KEYS)
    assert {add_key(accounts, account, number) for number in numbers} == {Binding.DONE}
    assert add_key(accounts, account, MAX_KEYS) is Binding.FULL
    assert add_key(accounts, account, 0) is Binding.OURS
    # It is not taken from who has it, either.
    add_key(accounts, other, MAX_KEYS, proven=False)
    assert add_key(accounts, account, MAX_KEYS) is Binding.FULL
    assert len(bound(accounts, other)) == 1
    assert now(accounts.remove_key(account.id, made_key(0).fingerprint)) is True
    assert add_key(accounts, account, MAX_KEYS) is Binding.DONE


def test_a_key_that_was_removed_is_nobodys(accounts: AccountStore) -> None:
    account, other = add(accounts), add(accounts, "Bob")
    mark = made_key(1).fingerprint
    add_key(accounts, account, 1)
    add_key(accounts, account, 2)
    assert now(accounts.remove_key(other.id, mark)) is False
    assert now(accounts.remove_key(account.id, mark)) is True
    assert now(accounts.remove_key(account.id, mark)) is False
    assert now(accounts.keyholder(mark)) is None
    assert bound(accounts, account) == [(made_key(2).fingerprint, True)]
    assert add_key(accounts, other, 1) is Binding.DONE


@pytest.mark.parametrize("way", ["removed", "lapsed"])
def test_with_an_account_its_keys_are_gone(accounts: AccountStore, way: str) -> None:
    account, other = add(accounts, "Alice", NOW - 9), add(accounts, "Bob")
    add_key(accounts, account, 1)
    add_key(accounts, other, 2)
    if way == "removed":
        now(accounts.remove(account.id))
    else:
        assert now(accounts.expire(NOW)) == ["Alice"]
    assert add_key(accounts, account, 3) is Binding.GONE
    assert now(accounts.keyholder(made_key(1).fingerprint)) is None
    assert bound(accounts, account) == []
    assert bound(accounts, other) == [(made_key(2).fingerprint, True)]
    # And may be somebody else's.
    assert add_key(accounts, add(accounts), 1) is Binding.DONE


# -- lapsing


def test_accounts_that_nobody_uses_lapse(accounts: AccountStore) -> None:
    old, used = add(accounts, "Old", NOW - 100), add(accounts, "Used", NOW - 100)
    add(accounts, "New", NOW)
    leave(accounts, old, text(1))
    now(accounts.save([visit(used, NOW - 1)]))
    assert now(accounts.expire(NOW - 100)) == []
    assert now(accounts.expire(NOW - 1)) == ["Old"]
    assert found(accounts, "old") is None
    assert texts(accounts, old) == []
    rest = now(accounts.expire(NOW + 1))
    assert sorted(rest) == ["New", "Used"]
    assert now(accounts.expire(NOW + 1)) == []


def test_however_many_lapse_all_of_them_do(accounts: AccountStore) -> None:
    made = [
        add(accounts, f"user{number}").name for number in range(2 * module.EXPIRED_PER_TRANSACTION)
    ]
    kept = add(accounts, "kept", NOW + 5)
    lapsed = now(accounts.expire(NOW + 1))
    assert sorted(lapsed) == sorted(made)
    assert found(accounts, "kept") == kept


def test_a_book_says_whether_it_lasts() -> None:
    assert MemoryAccounts().lasting is False
    assert StoredAccounts.lasting is True


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
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        scripts = " ".join(schema.MIGRATIONS[:3])
        old.executescript(
            f"PRAGMA journal_mode = WAL; {scripts} "
            f"PRAGMA application_id = {schema.APPLICATION}; PRAGMA user_version = 3;"
            "INSERT INTO accounts VALUES (7, 'alice', 'Alice', '$', 5.0, 6.0, '{}');"
            "INSERT INTO accounts VALUES (8, 'aiice', 'aIice', '$', 5.0, 6.0, '{}');"
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
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(
            f"PRAGMA journal_mode = WAL; {schema.MIGRATIONS[0]} "
            f"PRAGMA application_id = {schema.APPLICATION}; PRAGMA user_version = 1;"
            "INSERT INTO rooms VALUES (3, 'den', 'Den', 'tea');"
            "INSERT INTO events VALUES (10, 3, 0, 5.0, 1, 'alice', 'hello');"
            "UPDATE state SET value = 1 WHERE key = 'unclean';"
        )
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
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        scripts = " ".join(schema.MIGRATIONS[:3])
        old.executescript(
            f"PRAGMA journal_mode = WAL; {scripts} "
            f"PRAGMA application_id = {schema.APPLICATION}; PRAGMA user_version = 3;"
            "INSERT INTO accounts VALUES (7, 'alice', 'Alice', '$', 5.0, 6.0, '{}');"
        )
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
