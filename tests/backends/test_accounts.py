"""What every book of accounts promises, in memory or in a file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chatroom.backends.interfaces import AccountStore
from chatroom.backends.memory import MemoryAccounts
from chatroom.backends.sqlite import accounts as module
from chatroom.backends.sqlite.accounts import StoredAccounts
from chatroom.model.accounts import (
    MAX_KEYS,
    MAX_MESSAGES,
    MAX_PLACES,
    Account,
    AccountState,
    Binding,
    BoundKey,
    KeyOwner,
)
from chatroom.model.preferences import Preferences
from tests.support.accounts import made_key, now
from tests.support.book import CHOSEN, NOW, add, found, leave, text, texts, visit

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
