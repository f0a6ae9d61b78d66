"""What administrators change in the book of accounts, while people are logged in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chatroom.actions.reconcile import reconcile
from chatroom.backends.memory import MemoryAccounts
from chatroom.model.sanctions import Operator
from chatroom.server import datatool
from tests.support.accounts import WORD, owner
from tests.support.doubles import FakeRecords
from tests.support.operators import account, operator
from tests.support.reactor import on_reactor
from tests.support.stores import running
from tests.support.world import World

NEW = "sellerie-88"


class Administered(MemoryAccounts):
    """Accounts that somebody else changes as well."""

    def rename(self, id: int, name: str) -> None:
        account = self._accounts[id]
        del self._ids[account.key]
        self._accounts[id] = replace(account, name=name)
        self._ids[self._accounts[id].key] = id


@pytest.fixture
def book() -> Administered:
    return Administered()


@pytest.fixture
def server(book: Administered) -> Iterator[World]:
    made = World(accounts=book, records=FakeRecords())
    yield made
    made.end()


def test_who_had_an_account_that_was_removed_is_a_guest_and_keeps_order_no_more(
    server: World, book: Administered
) -> None:
    olga, bob = operator(server), owner(server, "bob")
    olga.says("/join den", "/room private")
    book.remove(account(olga).id)
    _ = olga.sees
    reconcile(server.chat)
    server.settle()
    told = olga.sees
    assert told[0] == "-- An administrator has removed the account olga. You are a guest now."
    assert "-- #den is private, and you are not invited." in told
    assert olga.name.startswith("guest")
    assert olga.asks("/kick bob") == ["-- /kick is for operators. /ops lists them."]
    assert olga.asks("/ops") == ["-- There is no operator."]
    assert account(bob).name == "bob"
    # Nobody logs in by it who found it a moment before.
    assert olga.asks(f"/login olga {WORD}")[0].startswith("-- olga is not registered.")
    # It is told once.
    reconcile(server.chat)
    server.settle()
    assert olga.sees == []


def test_what_was_decided_about_an_account_goes_with_it_though_nobody_is_here(
    server: World, book: Administered
) -> None:
    olga, bob, carl = operator(server), owner(server, "bob"), owner(server, "carl")
    ids = [account(person).id for person in (bob, carl)]
    carl.says("/join den", "hello", "/room private", "/room invite bob")
    for person in (bob, carl):
        person.hangs_up()
    server.settle()
    olga.says("/ban bob", "/mute bob")
    for id in ids:
        book.remove(id)
    reconcile(server.chat)
    moderation = server.chat.moderation
    assert not moderation.account_bans
    assert not moderation.account_mutes
    assert [access.invited for _, access in moderation.rooms.items()] == [()]
    assert server.chat.logins.removed == set(ids)
    assert moderation.accounts().keys() == {account(olga).id}


def test_who_had_an_account_that_was_renamed_logs_in_under_its_new_name(
    server: World, book: Administered
) -> None:
    olga, carol = operator(server, address="198.51.100.1"), server.person("olivia")
    id = account(olga).id
    book.rename(id, "Olivia")
    reconcile(server.chat)
    server.settle()
    assert olga.sees[:2] == [
        "-- An administrator has renamed the account olga: /login Olivia.",
        "-- You are a guest now.",
    ]
    assert olga.connection.user.account is None
    assert carol.name.startswith("guest")
    assert server.chat.moderation.operators.get(id) == Operator("Olivia", "198.51.100.1")
    olga.says(f"/login Olivia {WORD}")
    assert olga.name == "Olivia"
    assert olga.asks("/ops") == ["-- Operators: Olivia (here)."]


def test_who_had_an_account_whose_password_was_reset_is_logged_out(
    server: World, book: Administered
) -> None:
    alice, bob = owner(server), owner(server, "bob")
    id = account(alice).id
    book.set_password(id, account(bob).password)
    reconcile(server.chat)
    server.settle()
    assert alice.connection.user.account is None
    assert "-- An administrator has given the account alice another password: /login alice." in (
        alice.sees
    )
    assert alice.asks("/nick alice")[0].startswith("-- alice is registered.")


@pytest.mark.parametrize("typed", [f"/password {WORD} {NEW}", "/timestamps on", "/logout"])
def test_what_people_change_themselves_logs_nobody_out(server: World, typed: str) -> None:
    alice = owner(server)
    alice.says(typed)
    name = alice.name
    reconcile(server.chat)
    server.settle()
    assert alice.name == name
    assert (alice.connection.user.account is None) is (typed == "/logout")


@on_reactor
async def test_a_store_sees_what_chatroom_data_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as (_, store):
        made = await store.accounts.add("bob", "x", 1.0)
        assert made is not None
        await store.accounts.set_password(made.id, "y")
        # What the server does itself is no news.
        assert not await store.changed_elsewhere()
        assert not await store.changed_elsewhere()
        folder = str(tmp_path / "data")
        monkeypatch.setattr("sys.argv", ["chatroom-data", "accounts", folder, "--remove", "bob"])
        assert datatool.main() == 0
        assert capsys.readouterr().err == (
            "chatroom-data: a server that is running sees this within a minute, "
            "at once with SIGHUP\n"
        )
        assert await store.changed_elsewhere()
        assert not await store.changed_elsewhere()
        assert await store.accounts.present([made.id, 7]) == {}
