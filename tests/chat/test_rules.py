"""What was decided holds: in races, after restarts, and when it was decided elsewhere."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from chatroom.backends.interfaces import ModerationReceiver
from chatroom.backends.memory import MemoryAccounts
from chatroom.backends.sqlite.moderation import load_all
from chatroom.chat.rules import Moderation
from chatroom.model.networks import Networks, read_networks
from chatroom.model.sanctions import RoomAccess, Rule, RuleKey, RuleKind, Sanction
from chatroom.text.times import DAY
from tests.support.accounts import WORD
from tests.support.doubles import DelayedLedger, FakeRecords, LateClaims
from tests.support.operators import (
    HOME,
    OFFICE,
    LateAccounts,
    MakeServer,
    account,
    back,
    operator,
    refused,
    registered,
)
from tests.support.world import Person, World

# -- races


def logging_in(server: World, claims: LateClaims) -> Person:
    """Somebody who waits for the name bob, with the right password for it."""
    bob = server.person(address=OFFICE)
    bob.says(f"/login bob {WORD}")
    assert bob.connection.user.account is None
    return bob


@pytest.fixture
def slow(make_server: MakeServer) -> tuple[World, LateClaims, Person]:
    """A server whose claims come late, and an operator on it; bob is registered and not here."""
    claims = LateClaims()
    server = make_server(claims=claims)
    people = []
    for name in ("bob", "olga"):
        person = server.person(address=HOME if name == "bob" else "")
        person.types(f"/nick {name}")
        server.settle()
        claims.answer()
        server.settle()
        person.says(f"/register {WORD}")
        people.append(person)
    bob, olga = people
    server.chat.moderation.make_operator(olga.connection, account(olga))
    bob.hangs_up()
    server.settle()
    return server, claims, olga


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (["/ban bob"], "-- bob is banned for good."),
        (["/unregister bob"] * 2, "-- bob is not registered any more."),
    ],
)
def test_who_is_banned_or_unregistered_on_the_way_in_does_not_come_in(
    slow: tuple[World, LateClaims, Person], typed: list[str], why: str
) -> None:
    server, claims, olga = slow
    bob = logging_in(server, claims)
    olga.says(*typed)
    claims.answer()
    server.settle()
    assert bob.sees[-1] == why
    assert bob.connection.user.account is None
    assert len(server.chat.logins.online) == 1
    assert bob.name != "bob"
    # The name is not held by who did not get it.
    assert "bob" not in claims.local._holders


def test_who_is_unregistered_while_their_name_is_on_its_way_can_go_on(
    make_server: MakeServer,
) -> None:
    server = make_server(ledger=DelayedLedger)
    olga = operator(server)
    registered(server, "bob").hangs_up()
    server.settle()
    bob = server.person()
    bob.types(f"/login bob {WORD}")
    while len(server.chat.logins.online) < 2:
        server.clock.advance(0.0001)
    assert bob.name != "bob"
    olga.types("/unregister bob", "/unregister bob")
    server.settle()
    assert bob.connection.user.account is None
    assert bob.name.startswith("guest")
    assert bob.connection.gate.is_open
    assert bob.asks("/away") == ["-- You are away. /back says that you are here again."]


def test_who_logs_in_while_being_looked_for_is_muted_and_told(make_server: MakeServer) -> None:
    accounts = LateAccounts()
    server = make_server(accounts=accounts)
    olga = operator(server)
    registered(server, "bob").hangs_up()
    server.settle()
    bob = server.person()
    accounts.late = True
    olga.says("/mute bob")
    accounts.late = False
    bob.says(f"/login bob {WORD}")
    _ = bob.sees
    accounts.answer()
    server.settle()
    assert bob.sees == ["-- olga has muted you until 2027-01-15 09:00 (UTC)."]


def test_who_is_no_operator_any_more_by_then_bans_nobody(make_server: MakeServer) -> None:
    accounts = LateAccounts()
    server = make_server(accounts=accounts)
    olga, pia = operator(server), operator(server, "pia")
    registered(server, "bob").hangs_up()
    server.settle()
    accounts.late = True
    olga.says("/ban bob")
    pia.says("/deop olga")
    accounts.answer()
    server.settle()
    assert olga.sees[-1] == "-- You are no operator any more. /ops lists who is."
    assert not server.chat.moderation.account_bans
    accounts.late = False


@pytest.mark.parametrize("doing", ["/nick carl", "/join den", "/quit", "/logout"])
def test_who_is_banned_while_doing_something_is_gone(make_server: MakeServer, doing: str) -> None:
    server = make_server(ledger=DelayedLedger)
    olga = operator(server)
    bob = (
        registered(server, "bob", HOME)
        if doing == "/logout"
        else server.person("bob", address=HOME)
    )
    bob.types(doing)
    olga.types("/ban bob")
    server.settle()
    assert bob.gone
    server.wait(5)
    assert bob.connection.origin not in server.chat.connections


# -- keeping


class AnsweringLate(FakeRecords):
    """Records that write, or fail to, when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self._waiting: list[tuple[Deferred[None], RuleKind, RuleKey, Rule | None]] = []

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        if not self.late:
            return super().set(kind, key, rule)
        answer: Deferred[None] = Deferred()
        self._waiting.append((answer, kind, key, rule))
        return answer

    def answer(self, *, fails_last: bool) -> None:
        """Write what waits, perhaps without the last."""
        *first, last = self._waiting
        for answer, kind, key, rule in first:
            super().set(kind, key, rule).chainDeferred(answer)
        if fails_last:
            last[0].errback(OSError("the disk is full"))


def test_what_was_decided_holds_after_a_restart(make_server: MakeServer) -> None:
    records, accounts = FakeRecords(), MemoryAccounts()
    first = make_server(records=records, accounts=accounts)
    olga = operator(first)
    registered(first, "bob", HOME)
    registered(first, "carol")
    olga.says("/ban bob 7d spam", "/mute carol 2d noise", f"/ban {OFFICE}", "/lockdown on")
    now = first.clock.seconds()
    kept = [(kind, key, value) for (kind, key), value in records.kept.items()]
    second = make_server(records=records, accounts=accounts)
    second.clock.advance(now - second.clock.seconds())
    second.chat.moderation.restore(load_all(kept))
    assert second.chat.moderation.locked
    assert refused(second, HOME) is not None
    assert refused(second, OFFICE) == "You are banned for good."
    assert back(second, "bob") == ["-- bob is banned until 2027-01-22 08:00 (UTC): spam."]
    carol = Person(second)
    second.settle()
    carol.says(f"/login carol {WORD}")
    assert carol.asks("hi")[0].startswith("-- You are muted until 2027-01-17 08:00 (UTC): noise")
    assert second.chat.moderation.open_claim() == ""
    assert "-- You are now olga." in back(second, "olga")
    second.wait(2 * DAY)
    second.chat.moderation.keep(second.clock.time())
    assert carol.asks("hi") == []
    assert {kind for kind, _ in records.kept} == {
        *("operator", "ban account", "ban network", "lockdown"),
    }


def test_what_cannot_be_kept_holds_and_is_tried_again(make_server: MakeServer) -> None:
    records = FakeRecords()
    server = make_server(records=records)
    olga = operator(server)
    registered(server, "bob", HOME)
    records.full = True
    with capturedLogs() as logged:
        olga.says("/ban bob", f"/ban {OFFICE}")
        server.chat.moderation.keep(server.clock.time())
        server.chat.moderation.keep(server.clock.time())
    warnings = [formatEvent(event) for event in logged if event["log_level"] is LogLevel.warn]
    assert warnings == ["What operators decide is not kept: the disk is full. Trying again."]
    assert refused(server, HOME) is not None
    assert {kind for kind, _ in records.kept} == {"operator"}
    records.full = False
    olga.says(f"/unban {OFFICE}")
    server.chat.moderation.keep(server.clock.time())
    assert {kind for kind, _ in records.kept} == {"operator", "ban account", "ban network"}
    assert [line.split(" ", 4)[4] for line in olga.asks("/audit")] == [
        f"unbanned {OFFICE}",
        "banned bob (for good)",
        f"banned {OFFICE}/32 (for good)",
    ]


def test_a_ban_that_was_ended_twice_is_not_in_the_store_after_a_failure(
    make_server: MakeServer,
) -> None:
    records = AnsweringLate()
    server = make_server(records=records)
    operator(server)
    records.late = True
    office, bans = ip_network(OFFICE), server.chat.moderation.network_bans
    for _ in range(2):
        bans.set(office, Sanction(OFFICE, 0.0, "", "olga", 0.0))
        bans.remove(office)
    # The last write fails after the earlier ones have succeeded.
    records.answer(fails_last=True)
    assert {kind for kind, _ in records.kept} == {"operator", "ban network"}
    records.late = False
    server.chat.moderation.keep(server.clock.time())
    assert {kind for kind, _ in records.kept} == {"operator"}


def test_orders_that_are_not_understood_cost_nothing_else(server: World) -> None:
    order = '{"target": "x", "until": 0, "why": "", "by": "olga", "time": 1.0, "about": ""}'
    with capturedLogs() as logged:
        server.chat.moderation.restore(
            load_all(
                [
                    ("ban network", "no network", order),
                    ("ban account", "bob", order),
                    ("operator", "one", '{"name": "one", "source": ""}'),
                    ("ban account", "5", "no JSON"),
                    ("ban network", f"{HOME}/32", order),
                ]
            )
        )
    assert sum(event["log_level"] is LogLevel.error for event in logged) == 4
    assert refused(server, HOME) == "You are banned for good."
    server.chat.moderation.keep(server.clock.time())
    moderation = server.chat.moderation
    assert len(moderation.network_bans) == 1
    assert not moderation.account_bans
    assert not moderation.operators


# -- what was decided elsewhere


def test_a_ban_that_was_decided_elsewhere_takes_effect_and_is_not_written(
    make_server: MakeServer,
) -> None:
    records = FakeRecords()
    server = make_server(records=records)
    receiver: ModerationReceiver = server.chat.moderation
    bob, carol = registered(server, "bob", HOME), server.person("carol", address=OFFICE)
    id = account(bob).id
    receiver.changed(RuleKind.ACCOUNT_BAN, id, Sanction("bob", 0.0, "spam", "olga", 0.0))
    server.settle()
    assert bob.sees[-1] == "-- You are banned for good: spam."
    network = ip_network(OFFICE)
    receiver.changed(RuleKind.NETWORK_BAN, network, Sanction(OFFICE, 0.0, "", "olga", 0.0))
    server.settle()
    assert carol.sees[-1] == "-- You are banned for good."
    assert refused(server, OFFICE) is not None
    receiver.removed(RuleKind.NETWORK_BAN, network)
    receiver.removed(RuleKind.ACCOUNT_BAN, id)
    assert refused(server, OFFICE) is None
    assert server.chat.moderation.banned(id) is None
    assert not records.kept


def test_a_lockdown_that_was_ended_elsewhere_lets_those_in_who_wait(server: World) -> None:
    operator(server).says("/lockdown on")
    greta = server.person("greta")
    assert greta.connection.room is None
    server.chat.moderation.removed(RuleKind.LOCKDOWN, "")
    server.settle()
    assert greta.room is server.chat.lobby


def test_who_is_no_operator_any_more_by_a_decision_elsewhere_leaves_private_rooms(
    server: World,
) -> None:
    olga, alice = operator(server), registered(server, "alice")
    alice.says("/join den", "/room private")
    olga.says("/join den")
    assert olga.room.key == "den"
    server.chat.moderation.removed(RuleKind.OPERATOR, account(olga).id)
    server.settle()
    assert olga.room is server.chat.lobby


def test_a_room_that_was_made_private_elsewhere_is_left_by_who_is_not_invited(
    server: World,
) -> None:
    alice, greta = registered(server, "alice"), server.person("greta")
    alice.says("/join den")
    greta.says("/join den")
    access = RoomAccess(account(alice).id, "alice", private=True)
    server.chat.moderation.changed(RuleKind.ROOM, "den", access)
    server.settle()
    assert alice.room.key == "den"
    assert greta.room is server.chat.lobby


# -- the allow-list


def test_only_who_is_on_the_list_may_connect(make_server: MakeServer) -> None:
    server = make_server(allowed=read_networks(["192.0.2.0/24", "2001:db8::/32"]))
    for host in (HOME, f"::ffff:{HOME}", "2001:db8::1"):
        assert refused(server, host) is None
    for host in (OFFICE, "127.0.0.1", "::1", "", "nonsense"):
        assert server.chat.moderation.refusal(host) == (
            "Your address is not on the list of this server. Ask whoever runs it."
        )


def test_an_empty_list_lets_nobody_in(make_server: MakeServer) -> None:
    server = make_server(allowed=Networks())
    assert refused(server, HOME) is not None
    assert refused(server, "127.0.0.1") is not None


def test_bans_hold_for_who_is_on_the_list(make_server: MakeServer) -> None:
    server = make_server(allowed=read_networks([HOME]))
    operator(server).says(f"/ban {HOME} spam")
    assert refused(server, HOME) == "You are banned for good: spam."


def test_moderation_needs_nobody(server: World) -> None:
    assert isinstance(server.chat.moderation, Moderation)
    assert server.chat.moderation.refusal(None) is None
