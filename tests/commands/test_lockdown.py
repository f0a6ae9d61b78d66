"""The lockdown, and rooms that are closed: where people are meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from chatroom.backends.interfaces import Ledger
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Closed
from tests.support.accounts import WORD
from tests.support.doubles import DelayedLedger, FailingLedger, FakeRecords, immediate, refuse
from tests.support.operators import LINES, LateAccounts, MakeServer, operator, registered
from tests.support.world import Person, World

# -- lockdown


def test_in_a_lockdown_only_registered_people_enter_and_talk(server: World) -> None:
    olga, bob, guest = operator(server), registered(server, "bob"), server.person("greta")
    bob.says("/join den", "hi", "/quit")
    server.settle()
    assert "-- From now on only registered people enter and talk." in olga.asks("/lockdown on")
    _ = guest.sees
    for typed in LINES:
        told = guest.asks(typed.replace("carol", "bob"))
        assert told[0].startswith("-- Only registered people "), typed
    assert guest.asks("/join den") == [
        "-- Only registered people enter a room just now: /login NAME."
    ]
    assert guest.asks(f"/register {WORD}") == [
        "-- No names are registered just now. Try again later."
    ]
    newcomer, other = Person(server), Person(server)
    server.settle()
    assert newcomer.sees[-1] == "-- Only registered people enter and talk just now: /login NAME."
    _ = other.sees
    assert newcomer.asks("hi")[0].startswith("-- Only registered people may talk")
    assert other.sees == []
    newcomer.says(f"/login bob {WORD}")
    assert newcomer.room.name == "den"
    assert newcomer.asks("hi") == []
    assert olga.asks("/lockdown") == [
        "-- The lockdown is on: only registered people enter and talk."
    ]
    olga.says("/lockdown off")
    assert other.room is server.chat.lobby
    assert other.asks("hi") == []
    assert newcomer.room.name == "den"
    assert olga.asks("/lockdown", "/lockdown please") == [
        "-- The lockdown is off.",
        "-- Usage: /lockdown on or /lockdown off",
    ]


@pytest.mark.parametrize("lobby", ["lobby", "entrance"])
def test_where_guests_wait_in_a_lockdown_is_no_room_that_anybody_can_make(
    make_server: MakeServer, lobby: str
) -> None:
    server = make_server(settings=Settings(lobby=lobby))
    olga, bob = operator(server), registered(server, "bob")
    for name in ("entrance", "doorstep"):
        bob.says(f"/join {name}", "/room private", "among us")
    bob.says("/join entrance")
    olga.says("/lockdown on")
    guest = Person(server)
    server.settle()
    _ = guest.sees, bob.sees
    bob.says("for members only")
    assert guest.sees == []
    assert bob.asks("/who")[0].startswith("-- 1 person in #entrance" if lobby == "lobby" else "-- ")
    assert guest.asks("hi")[0].startswith("-- Only registered people may talk")
    guest.says("/quit")
    assert guest.gone
    bob.says("/quit")
    assert bob.gone


def test_who_logs_in_while_the_lockdown_ends_is_where_they_were(make_server: MakeServer) -> None:
    accounts = LateAccounts()
    server = make_server(accounts=accounts)
    olga, bob = operator(server), registered(server, "bob")
    bob.says("/join den", "hi")
    bob.hangs_up()
    olga.says("/lockdown on")
    again = Person(server)
    server.settle()
    accounts.late = True
    again.says(f"/login bob {WORD}")
    olga.says("/lockdown off")
    assert again.room is server.chat.lobby
    for _ in range(4):
        accounts.answer()
        server.settle()
    assert (again.name, again.room.name) == ("bob", "den")
    accounts.late = False


# -- closing rooms


@pytest.mark.parametrize("ledger", [immediate, DelayedLedger])
def test_an_operator_closes_a_room(
    make_server: MakeServer, ledger: Callable[[Clock], Ledger]
) -> None:
    server = make_server(ledger=ledger)
    olga, bob, alice = operator(server), registered(server, "bob"), server.person("alice")
    bob.says("/join den", "/topic secret", "/room private", "/room invite alice", "among us")
    alice.says("/join den")
    _ = bob.sees, alice.sees
    assert olga.asks("/close #den fools")[0] == "-- #den is closed, and its users leave it."
    for person in (bob, alice):
        assert "-- olga has closed #den: fools." in person.sees
        assert person.room is server.chat.lobby
    server.settle()
    assert set(server.chat.rooms) == {"lobby"}
    assert server.chat.moderation.rooms.items() == []
    # Who makes it again has a new one.
    carol = server.person("carol")
    assert carol.asks("/join den") == ["-- You made #den; nobody else is here."]
    assert carol.asks("/history") == ["-- Nothing has been said here."]
    assert olga.asks("/audit 1")[0].endswith("olga closed #den (fools)")
    assert olga.asks("/close lobby") == [
        "-- #lobby is where everybody enters. /lockdown on keeps guests out."
    ]
    assert olga.asks("/close nowhere") == ["-- There is no room #nowhere. /rooms lists them."]
    assert carol.asks("/close den") == ["-- /close is for operators. /ops lists them."]


def test_nobody_enters_a_room_that_is_being_closed() -> None:
    server = World(DelayedLedger, records=FakeRecords())
    olga, bob, alice = operator(server), server.person("bob"), server.person("alice")
    bob.says("/join den", "hi")
    # On the way in when it is closed, and right after.
    alice.types("/join den")
    olga.types("/close den")
    carol = server.person()
    carol.types("/join den")
    server.clock.advance(0.001)
    server.settle()
    for person in (bob, alice):
        assert person.room is server.chat.lobby
    assert person.connection.gate.is_open
    assert [room for room in server.chat.rooms.values() if room.closing] == []
    server.end()


def test_a_room_whose_end_cannot_be_kept_stays_as_it_was() -> None:
    server = World(FailingLedger, records=FakeRecords())
    olga, bob = operator(server), registered(server, "bob")
    bob.says("/join den", "/room private", "among us")
    refuse(server.ledger, Closed)
    olga.says("/close den")
    server.settle()
    assert bob.room is server.chat.lobby
    assert server.person().asks("/join den")[0].startswith("-- #den is private.")
    refuse(server.ledger)
    olga.says("/close den")
    server.settle()
    assert set(server.chat.rooms) == {"lobby"}
    server.end()
