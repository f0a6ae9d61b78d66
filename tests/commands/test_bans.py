"""Kicks and bans: whom they hit, whom they spare, and when they end."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import INegotiated
from twisted.logger import LogEvent
from zope.interface import alsoProvides

from chatroom.doors.factory import DoorFactory, TurnedAway
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.networks import read_networks
from chatroom.text.times import DAY
from tests.support.operators import (
    HOME,
    OFFICE,
    MakeServer,
    back,
    operator,
    refused,
    refused_ban,
    registered,
)
from tests.support.wire import UNLIMITED, Visitor, Wire
from tests.support.world import World

# -- kick


def test_the_log_says_who_kicked_whom_from_where(
    make_server: MakeServer, log_events: list[LogEvent]
) -> None:
    server = make_server(limits=UNLIMITED)
    olga = operator(server, address=HOME)
    factory = ChatFactory(server.chat)
    for name, typed in (("bob", "/kick bob noise"), ("carl", f"/ban {OFFICE}")):
        visitor = Visitor(server, factory, OFFICE)
        visitor.sends(f"/nick {name}\n".encode())
        olga.says(typed)
        visitor.settle()
    given = [event for event in log_events if event.get("event") == "order_given"]
    mine = {"by": "olga", "connection": olga.connection.origin, "address": HOME, "source": HOME}
    assert all(mine.items() <= event.items() for event in given)
    assert len(given) == 2
    closed = [event for event in log_events if event.get("event") == "connection_closed"]
    assert [event["why"] for event in closed] == ["kicked", "banned"]


def test_who_is_kicked_is_told_why_and_may_come_back(server: World) -> None:
    olga, bob, carol = operator(server), server.person("bob"), server.person("carol")
    server.wait(5)
    _ = carol.sees
    assert sorted(olga.asks("/kick bob  buy  elsewhere")) == [
        "-- bob is sent away.",
        "-- bob left (kicked: buy  elsewhere).",
    ]
    assert "-- olga has sent you away: buy  elsewhere." in bob.sees
    assert bob.gone
    assert carol.sees == ["-- bob left (kicked: buy  elsewhere)."]
    assert refused(server, HOME) is None
    assert olga.asks("/kick olga") == ["-- You cannot send yourself away. /quit leaves."]
    assert olga.asks("/kick zoe") == [
        "-- Nobody here is called zoe. /who lists who is in your room."
    ]


# -- ban


def test_a_ban_by_name_holds_for_the_account_and_a_day_for_the_source(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    other = server.person("carol", address=HOME)
    shown = olga.asks("/ban bob 7d spam")
    assert "-- bob is banned until 2027-01-22 08:00 (UTC): spam." in shown
    # The account's own terms, and the source's for who was only there.
    assert "-- You are banned until 2027-01-22 08:00 (UTC): spam." in bob.sees
    assert "-- You are banned until 2027-01-16 08:00 (UTC): spam." in other.sees
    assert bob.gone
    assert other.gone
    assert refused(server, HOME) == "You are banned until 2027-01-16 08:00 (UTC): spam."
    assert refused(server, f"::ffff:{HOME}") is not None
    assert refused(server, OFFICE) is None
    assert back(server, "bob", OFFICE) == ["-- bob is banned until 2027-01-22 08:00 (UTC): spam."]
    server.wait(DAY + 60)
    assert refused(server, HOME) is None
    assert back(server, "bob")[0].startswith("-- bob is banned")
    server.wait(6 * DAY)
    assert "-- You are now bob." in back(server, "bob")


def test_a_ban_may_be_for_good(server: World) -> None:
    olga = operator(server)
    registered(server, "bob", HOME).hangs_up()
    server.settle()
    # Who is not here has no source.
    assert olga.asks("/ban bob")[-1] == "-- bob is banned for good."
    assert refused(server, HOME) is None
    server.wait(3 * 365 * DAY)
    assert back(server, "bob") == ["-- bob is banned for good."]
    assert olga.asks("/bans") == ["-- bob is banned for good (by olga)"]
    assert olga.asks("/unban bob") == ["-- bob is banned no more."]
    assert "-- You are now bob." in back(server, "bob")
    assert olga.asks("/unban bob") == ["-- bob is not banned. /bans lists who is."]


def test_a_ban_of_a_guest_holds_a_day_for_the_source(server: World) -> None:
    olga, bob = operator(server), server.person("bob", address=HOME)
    olga.says("/ban bob 9d")
    assert bob.gone
    assert refused(server, HOME) is not None
    assert "about bob" in olga.asks("/bans")[0]
    server.wait(DAY + 1)
    assert refused(server, HOME) is None
    assert olga.asks("/bans") == ["-- Nobody is banned or muted."]


def test_a_ban_by_name_is_ended_by_name(server: World) -> None:
    olga = operator(server)
    registered(server, "bob", HOME)
    olga.says("/ban bob", f"/ban {OFFICE}")
    assert len(olga.asks("/bans")) == 3
    assert len(olga.asks("/unban BOB")) == 2
    assert refused(server, HOME) is None
    assert refused(server, OFFICE) is not None
    assert olga.asks(f"/unban {OFFICE}") == [f"-- {OFFICE}/32 is banned no more."]


def test_a_guest_from_this_machine_is_not_banned_but_an_account_is(server: World) -> None:
    olga, guest, bob = operator(server), server.person("greta"), registered(server, "bob")
    assert "it is this machine's" in olga.asks("/ban greta")[-1]
    assert not guest.gone
    olga.says("/ban bob")
    assert bob.gone
    moderation = server.chat.moderation
    assert len(moderation.account_bans) + len(moderation.network_bans) == 1


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("127.0.0.1", "127.0.0.1/32 is this machine."),
        ("127.8.8.8", "127.8.8.8/32 is this machine."),
        ("::1", "::1/128 is this machine."),
        ("::ffff:127.0.0.1", "127.0.0.1/32 is this machine."),
        ("0.0.0.0/0", "0.0.0.0/0 is too wide: nothing below /8 is banned."),
        ("::/0", "::/0 is too wide: nothing below /19 is banned."),
        ("::/64", "::/64 is this machine."),
        ("203.0.113.0/24", "203.0.113.0/24 has a proxy of this server in it."),
        ("192.0.2.0/24", "192.0.2.0/24 has an operator in it."),
        ("2001:db8::5", "2001:db8::5/128 has an operator in it."),
    ],
)
def test_what_is_never_banned(make_server: MakeServer, target: str, why: str) -> None:
    server = make_server(spared=read_networks(["203.0.113.8"]))
    olga = operator(server)
    # Also of operators who are not here.
    operator(server, "pia", HOME).hangs_up()
    operator(server, "rosa", "2001:db8::9").hangs_up()
    server.settle()
    assert refused_ban(olga, target) == why
    assert not server.chat.moderation.network_bans


def test_where_an_operator_was_last_is_remembered_though_they_came_from_this_machine(
    server: World,
) -> None:
    olga = operator(server)
    pia = operator(server, "pia", HOME)
    pia.hangs_up()
    server.settle()
    back(server, "pia")
    assert refused_ban(olga, HOME) == f"{HOME}/32 has an operator in it."


def test_an_operators_source_is_spared_when_somebody_there_is_banned_by_name(
    server: World,
) -> None:
    olga, bob = operator(server, address=HOME), registered(server, "bob", HOME)
    olga.says("/ban bob")
    assert bob.gone
    assert not olga.gone
    assert refused(server, HOME) is None
    assert olga.asks("/ban olga") == ["-- olga is an operator. /deop olga comes first."]


@pytest.mark.parametrize("target", ["198.51.100.0/24", "198.51.100.9", "::ffff:198.51.100.9"])
def test_who_comes_from_a_banned_network_is_cut_at_every_door(
    make_server: MakeServer, target: str
) -> None:
    server = make_server(limits=UNLIMITED)
    olga, bob = operator(server), server.person("bob", address=OFFICE)
    relay = RelayFactory(server.chat)
    wire: Any = Wire()
    protocol = relay.buildProtocol(IPv4Address("TCP", OFFICE, 5))
    protocol.makeConnection(wire)
    server.settle()
    olga.says(f"/ban {target} spam")
    assert bob.gone
    assert wire.aborted
    protocol.connectionLost()
    line = ChatFactory(server.chat)
    for address in (
        IPv4Address("TCP", OFFICE, 5),
        IPv6Address("TCP", f"::ffff:{OFFICE}", 5),
    ):
        wire = Wire()
        refusing = line.buildProtocol(address)
        assert isinstance(refusing, TurnedAway)
        refusing.makeConnection(wire)
        assert wire.value() == b"-- You are banned for good: spam.\r\n"
        refusing.connectionLost()


@pytest.mark.parametrize("door", [ChatFactory, ConsoleFactory, RelayFactory])
def test_who_has_still_to_agree_on_tls_is_cut_as_well(
    make_server: MakeServer, door: type[DoorFactory[Any]]
) -> None:
    server = make_server(limits=UNLIMITED)
    olga = operator(server)
    factory = door(server.chat)
    wires: list[Any] = []
    for address in (OFFICE, "198.51.99.9"):
        wires.append(Wire())
        # What TLS is told of by its transport.
        alsoProvides(wires[-1], INegotiated)
        factory.buildProtocol(IPv4Address("TCP", address, 5)).makeConnection(wires[-1])
    server.settle()
    assert not factory.clients
    olga.says("/ban 198.51.100.0/24")
    assert [wire.aborted for wire in wires] == [True, False]
    factory.stop_reading()


@pytest.mark.parametrize(
    ("typed", "until"),
    [
        ("1h flooding", "until 2027-01-15 09:00 (UTC): flooding"),
        ("1hour flooding", "until 2027-01-15 09:00 (UTC): flooding"),
        ("90 min", "until 2027-01-15 09:30 (UTC)"),
        ("1h30m", "until 2027-01-15 09:30 (UTC)"),
        ("2 days of rest", "until 2027-01-17 08:00 (UTC): of rest"),
        ("flooding 1h", "for good: flooding 1h"),
        ("", "for good"),
    ],
)
def test_a_ban_says_until_when_it_is(server: World, typed: str, until: str) -> None:
    olga = operator(server)
    assert olga.asks(f"/ban {HOME} {typed}") == [f"-- {HOME}/32 is banned {until}."]
    assert olga.asks("/bans") == [f"-- {HOME}/32 is banned {until} (by olga)"]


@pytest.mark.parametrize(
    "time", ["0m", "0d", "10x", "1h30", "30", "-1", "1.5h", "1e9", "3rd", "0" * 99, "5 months"]
)
@pytest.mark.parametrize("command", ["/ban 10.0.0.1", "/mute bob"])
def test_what_is_no_time_is_not_taken_for_a_reason(server: World, command: str, time: str) -> None:
    olga, _ = operator(server), server.person("bob")
    shown = time.partition(" ")[0][:24]
    assert olga.asks(f"{command} {time} flooding") == [
        f"-- {shown} is no time. A time is 30m, 90 min, 12h, 1d12h or 7 days."
    ]
    assert olga.asks("/bans") == ["-- Nobody is banned or muted."]


@pytest.mark.parametrize("time", ["999999w", "3651d", "999999w" * 100])
def test_a_time_is_one_that_can_be_kept(server: World, time: str) -> None:
    assert operator(server).asks(f"/ban {HOME} {time}") == [
        "-- A time is 10 years at most. Without a time, /ban is for good."
    ]


def test_there_are_only_so_many_bans(server: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatroom.actions.sanctions.MAX_BANS", 2)
    olga = operator(server)
    olga.says("/ban 10.0.0.1", "/ban 10.0.0.2")
    assert olga.asks("/ban 10.0.0.3")[0].startswith("-- There are too many bans.")
