"""Keeping order: operators, bans, mutes, the lockdown, reports, and that all of it lasts."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import INegotiated
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from zope.interface import alsoProvides

from chatroom.backends.interfaces import Ledger, ModerationReceiver
from chatroom.backends.memory import MemoryAccounts, MemoryModeration
from chatroom.backends.sqlite.moderation import load_all
from chatroom.chat.memoryhistory import MemoryHistory
from chatroom.chat.rules import CLAIM_TRIES, Moderation
from chatroom.doors.factory import DoorFactory, TurnedAway
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.chatsettings import Settings
from chatroom.model.entry import Entry
from chatroom.model.events import Closed, Said
from chatroom.model.history import Query
from chatroom.model.identity import Identity
from chatroom.model.networks import Networks, read_networks
from chatroom.model.sanctions import Operator, RoomAccess, Rule, RuleKey, RuleKind, Sanction
from chatroom.text.times import DAY
from tests.support.accounts import WORD
from tests.support.doubles import DelayedLedger, FailingLedger, FakeRecords, LateClaims, immediate
from tests.support.operators import LateAccounts, MakeServer, account, back, operator, registered
from tests.support.wire import UNLIMITED, Visitor, Wire
from tests.support.world import Person, World

#: Sources that are not this machine.
HOME, OFFICE = "192.0.2.7", "198.51.100.9"


def refused(world: World, host: str) -> str | None:
    return world.chat.moderation.refusal(host)


# -- becoming an operator


def test_who_claims_while_logged_in_is_an_operator_for_good(server: World) -> None:
    code = server.chat.moderation.open_claim(lambda count: "9f3a22c177d0")
    assert code == "9F3A-22C1-77D0"
    alice = registered(server, "alice", HOME)
    assert alice.asks("/claim 9f3a22c177d0") == [
        "-- alice is an operator. /help moderation lists what you can do."
    ]
    assert server.chat.moderation.operators.get(account(alice).id) == Operator("alice", HOME)
    # It is good once, and nobody needs one any more.
    assert alice.asks("/claim 9F3A-22C1-77D0")[0].startswith("-- There is no code to claim")
    assert server.chat.moderation.open_claim() == ""
    assert alice.asks("/ops") == ["-- Operators: alice (here)."]
    alice.says("/logout")
    assert alice.asks("/kick bob") == ["-- /kick is for operators. /ops lists them."]


def test_a_guest_who_claims_is_told_to_register_first(server: World) -> None:
    code = server.chat.moderation.open_claim()
    alice = server.person("alice")
    told = "-- Only a registered name can be an operator's. /register first, then /claim."
    assert alice.asks(f"/claim {code}") == [told]
    # Whether it is right is not said, and it is not used up.
    assert alice.asks("/claim 9F3A-22C1-77D0") == [told]
    assert alice.asks("/ops") == ["-- There is no operator."]
    alice.says(f"/register {WORD}")
    assert alice.asks(f"/claim {code}")[0].startswith("-- alice is an operator.")


def test_without_a_store_a_claim_lasts_as_long_as_the_accounts(world: World) -> None:
    code = world.chat.moderation.open_claim()
    alice = registered(world, "alice")
    assert alice.asks(f"/claim {code}")[0].startswith("-- alice is an operator.")
    alice.hangs_up()
    world.settle()
    again = world.person()
    again.says(f"/login alice {WORD}")
    assert again.asks("/bans") == ["-- Nobody is banned or muted."]


WRONG = ("x", "9F3A", "密码", "9F3A-22C1-77D1", "-")


@pytest.mark.parametrize("address", ["", HOME])
def test_wrong_codes_are_limited_for_whom_they_come_from_and_cost_nobody_else_anything(
    server: World, address: str, log_events: list[LogEvent]
) -> None:
    code = server.chat.moderation.open_claim(lambda count: "9F3A22C177D0")
    eve, alice = registered(server, "eve", address), server.person("alice")
    server.wait(5)
    _ = eve.sees
    for wrong in WRONG:
        assert eve.asks(f"/claim {wrong}") == [
            "-- That is not the code. It is in the log of the server's last start."
        ]
        # The next line waits.
        assert eve.asks("/back") == []
        server.wait(2)
        assert eve.sees == ["-- You are not away. /away says that you are."]
    assert len(WRONG) == CLAIM_TRIES
    logged = [event for event in log_events if event.get("event") == "claim_wrong"]
    assert [event["address"] for event in logged] == [address or "127.0.0.1"] * CLAIM_TRIES
    assert eve.asks(f"/claim {code}") == [
        "-- Too many wrong codes came from your address. Try again in an hour."
    ]
    assert "is an operator" in alice.asks(f"/register {WORD}", f"/claim {code}")[-1]


def test_who_got_the_code_wrong_may_try_again_in_an_hour(server: World) -> None:
    code = server.chat.moderation.open_claim()
    eve = registered(server, "eve", HOME)
    eve.types(*(f"/claim {wrong}" for wrong in WRONG))
    server.wait(3601)
    assert "is an operator" in eve.asks(f"/claim {code}")[0]


def test_reserved_names_are_for_who_claims(make_server: MakeServer) -> None:
    server = make_server(reserved=["Olga"])
    code = server.chat.moderation.open_claim()
    alice = server.person("alice")
    assert alice.asks("/nick OLGA") == [
        "-- OLGA is kept for an operator. You are still alice. /nick NAME picks another."
    ]
    assert alice.asks("/nick oIga") == [
        "-- oIga is kept for an operator. You are still alice. /nick NAME picks another."
    ]
    assert alice.asks("/nick olga 9F3A-22C1-77D0") == [
        "-- That is not the code. It is in the log of the server's last start."
    ]
    server.wait(2)
    assert alice.name == "alice"
    alice.says(f"/nick olga {code}", f"/register {WORD}", f"/claim {code}")
    assert alice.name == "olga"
    assert server.chat.moderation.operators.get(account(alice).id) is not None
    assert not server.chat.moderation.is_reserved("olga")


def test_a_reserved_name_that_nobody_has_claimed_is_offered_again(
    make_server: MakeServer,
) -> None:
    server = make_server(reserved=["olga", "pia"])
    operator(server, "alice")
    assert server.chat.moderation.open_claim() != ""


def test_an_operator_who_gives_up_the_name_is_none(server: World) -> None:
    olga = operator(server)
    olga.says(f"/unregister olga {WORD}")
    assert olga.session.user.account is None
    assert olga.asks("/ops") == ["-- There is no operator."]
    # Or nobody could ever become one.
    assert server.chat.moderation.open_claim() != ""


def test_an_operator_whose_name_lapses_is_none(make_server: MakeServer) -> None:
    server = make_server(settings=Settings(keep_names=1))
    operator(server).hangs_up()
    server.wait(2 * DAY)
    server.chat.expire()
    assert server.chat.moderation.operators.items() == []


def test_operators_make_and_end_operators(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    assert olga.asks("/op zoe")[0].startswith("-- zoe is not registered.")
    assert olga.asks("/op bob") == ["-- bob is an operator."]
    assert bob.sees == ["-- olga has made you an operator: /help moderation."]
    assert olga.asks("/op BOB") == ["-- bob is an operator already. /ops lists them."]
    assert refused_ban(olga, HOME) == f"{HOME}/32 has an operator in it."
    assert olga.asks("/deop bob") == ["-- bob is no operator any more."]
    assert bob.sees == ["-- olga has ended that you are an operator."]
    assert olga.asks("/deop bob") == ["-- bob is no operator. /ops lists them."]
    assert olga.asks("/deop olga") == [
        "-- Somebody has to keep order: /op NAME makes somebody else an operator first."
    ]
    olga.says("/op bob")
    assert olga.asks("/deop olga") == ["-- olga is no operator any more."]
    assert olga.asks("/bans") == ["-- /bans is for operators. /ops lists them."]


def refused_ban(person: Person, target: str) -> str:
    (shown,) = person.asks(f"/ban {target}")
    assert shown.startswith("-- Not banned: ")
    return shown.removeprefix("-- Not banned: ")


def test_operators_are_not_kicked_banned_or_muted(server: World) -> None:
    olga, carl = operator(server), operator(server, "carl", HOME)
    for typed in ("/kick carl", "/ban carl", "/mute carl"):
        assert olga.asks(typed) == ["-- carl is an operator. /deop carl comes first."]
    assert carl.asks("/ops") == ["-- Operators: carl (here), olga (here)."]


def test_a_lockdown_lasts_as_long_as_somebody_can_end_it(server: World) -> None:
    olga, guest = operator(server), server.person("gina")
    olga.says("/lockdown on")
    assert "Only registered people" in guest.asks("hello")[0]
    olga.says(f"/unregister olga {WORD}")
    # Somebody has to be able to become an operator.
    assert "is yours" in guest.asks(f"/register {WORD}")[0]


def test_who_is_banned_is_made_no_operator(server: World) -> None:
    olga = operator(server)
    registered(server, "bob")
    olga.says("/ban bob")
    assert olga.asks("/op bob") == ["-- bob is banned. /unban bob comes first."]


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
    mine = {"by": "olga", "connection": olga.session.origin, "address": HOME, "source": HOME}
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
    monkeypatch.setattr("chatroom.commands.moderation.MAX_ORDERS", 2)
    olga = operator(server)
    olga.says("/ban 10.0.0.1", "/ban 10.0.0.2")
    assert olga.asks("/ban 10.0.0.3")[0].startswith("-- There are too many bans.")


# -- mute

#: What would bring a line into the room, or any other text before somebody else.
LINES = (
    *("psst", "//psst", "/me psst", "/say psst", "/topic psst", "/msg carol psst"),
    *("/nick psst", "/join psst", "/away psst"),
)


@pytest.mark.parametrize("address", ["", HOME])
@pytest.mark.parametrize("is_registered", [False, True])
def test_who_is_muted_says_nothing_in_any_way(
    server: World, address: str, is_registered: bool
) -> None:
    olga, carol = operator(server), server.person("carol")
    registered(server, "dora").hangs_up()
    bob = (
        registered(server, "bob", address)
        if is_registered
        else server.person("bob", "", address=address)
    )
    server.wait(5)
    assert "-- bob is muted until 2027-01-15 08:30 (UTC): spam." in olga.asks("/mute bob 30m spam")
    assert bob.sees[-1] == "-- olga has muted you until 2027-01-15 08:30 (UTC): spam."
    _ = carol.sees
    for typed in (*LINES, "/msg dora psst"):
        why = "-- You are muted until 2027-01-15 08:30 (UTC): spam."
        if typed.startswith("/nick") and is_registered:
            why = "-- You are logged in as bob."
        assert bob.asks(typed)[0].startswith(why)
    assert bob.asks("/msg olga why?") == ["-> you to olga: why?"]
    bob.says("/report carol I am innocent")
    if is_registered:
        # Nor as a guest.
        bob.says("/logout", "psst", "/register kohlrabi77")
        assert bob.session.user.account is None
    bob.says("/quit psst")
    assert not [line for line in carol.sees + carol.asks("/rooms") if "psst" in line]
    assert server.chat.lobby.topic == ""


def test_a_mute_ends_by_itself_or_by_an_operator(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    olga.says("/mute bob")
    assert bob.asks("hi")[0].startswith("-- You are muted until 2027-01-15 09:00")
    server.wait(3601)
    assert bob.asks("hi") == []
    olga.says("/mute bob 3d")
    assert olga.asks("/unmute bob") == ["-- bob may talk again."]
    assert bob.sees[-1] == "-- You may talk again."
    assert bob.asks("hi") == []
    assert olga.asks("/unmute bob") == ["-- bob is not muted. /bans lists who is."]
    assert olga.asks("/bans") == ["-- Nobody is banned or muted."]


def test_who_is_not_here_can_be_muted_and_unmuted(server: World) -> None:
    olga = operator(server)
    registered(server, "bob").hangs_up()
    server.settle()
    olga.says("/mute bob 3d")
    bob = server.person()
    bob.says(f"/login bob {WORD}")
    assert bob.asks("hi")[0].startswith("-- You are muted")
    bob.hangs_up()
    server.settle()
    assert olga.asks("/unmute bob")[-1] == "-- bob may talk again."


def test_a_muted_guest_is_muted_when_they_come_back_until_the_guest_is_unmuted(
    server: World,
) -> None:
    olga, bob = operator(server), server.person("bob", address=HOME)
    olga.says("/mute bob")
    bob.hangs_up()
    server.settle()
    again = server.person(address=HOME)
    assert again.asks("hi")[0].startswith("-- You are muted")
    elsewhere = server.person(address=OFFICE)
    assert elsewhere.asks("hi") == []
    olga.says("/unmute bob")
    assert again.asks("hi") == []


def test_a_guest_of_this_machine_who_is_muted_is_muted_when_they_come_back(
    server: World,
) -> None:
    olga, bob, other = operator(server), server.person("bob"), server.person("otto")
    server.wait(1)
    assert "-- So is every guest who comes from this machine until then." in olga.asks("/mute bob")
    bob.hangs_up()
    server.settle()
    again = server.person()
    assert again.asks("hi")[0].startswith("-- You are muted")
    assert again.asks("/nick fools")[0].startswith("-- You are muted")
    assert world_of_names(server) == {"olga", "otto", again.name}
    # Nor does it matter who asks for a name on the way in.
    named = server.arrives(Identity("fools"))
    assert named.sees[1].startswith("-- You are muted")
    assert named.name.startswith("guest")
    # Who was here already is somebody else, and who has a name of their own too.
    assert other.asks("hi") == []
    assert server.person("", HOME).asks("hi") == []
    olga.says("/unmute bob")
    assert again.asks("hi") == []


def world_of_names(server: World) -> set[str]:
    return {session.user.name for session in server.chat.people.values()}


def test_a_shorter_mute_does_not_end_a_longer_one_of_the_same_source(server: World) -> None:
    olga = operator(server)
    bob, eve = server.person("bob", address=HOME), server.person("eve", address=HOME)
    olga.says("/mute bob 3d", "/mute eve 1m")
    bob.hangs_up()
    eve.hangs_up()
    server.wait(3600)
    assert server.person(address=HOME).asks("hi")[0].startswith("-- You are muted until 2027-01-18")


def test_guests_who_are_muted_are_listed(server: World) -> None:
    olga, bob = operator(server), server.person("bob", address=HOME)
    server.person("greta")
    olga.says("/mute bob 1h spam", "/mute greta")
    assert olga.asks("/bans") == [
        f"-- {who} is muted until 2027-01-15 09:00 (UTC){why} (by olga{about})"
        for who, why, about in (
            (HOME, ": spam", ", about bob"),
            ("who comes from this machine as a guest", "", ", about greta"),
            ("bob", ": spam", ""),
            ("greta", "", ""),
        )
    ]
    bob.hangs_up()
    server.settle()
    assert len(olga.asks("/bans")) == 3
    olga.says("/unmute greta", "/unmute bob")
    assert olga.asks("/bans") == ["-- Nobody is banned or muted."]


def test_names_are_not_changed_as_often_as_lines_are_said(make_server: MakeServer) -> None:
    server = make_server(settings=Settings(renames_per_hour=2))
    eve = server.person("eve", address=HOME)
    # What nobody was told of does not count.
    eve.says("/nick a", "/nick b", "/nick c")
    server.wait(5)
    eve.says("/nick d", "/nick e")
    assert eve.asks("/nick f") == [
        "-- You are still e: names were changed too often from your address. Try again in an hour."
    ]
    again = server.person("", address=HOME)
    server.wait(5)
    assert again.asks("/nick f")[0].startswith("-- You are still guest")
    assert server.person("f", address=OFFICE).name == "f"
    # On this machine, where all come from one place, everybody is counted by themselves.
    for name in ("g", "h"):
        local = server.person()
        server.wait(5)
        local.says(f"/nick {name}1", f"/nick {name}2", f"/nick {name}3")
        assert local.name == f"{name}2"
    server.wait(3600)
    assert eve.asks("/nick f2") == ["-- You are now f2."]


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
    assert newcomer.session.room.name == "den"
    assert newcomer.asks("hi") == []
    assert olga.asks("/lockdown") == [
        "-- The lockdown is on: only registered people enter and talk."
    ]
    olga.says("/lockdown off")
    assert other.session.room is server.chat.lobby
    assert other.asks("hi") == []
    assert newcomer.session.room.name == "den"
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
    assert again.session.room is server.chat.lobby
    for _ in range(4):
        accounts.answer()
        server.settle()
    assert (again.name, again.session.room.name) == ("bob", "den")
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
    assert olga.asks("/close #den fools")[0] == "-- #den is closed. Who is in it goes to #lobby."
    for person in (bob, alice):
        assert "-- olga has closed #den: fools." in person.sees
        assert person.session.room is server.chat.lobby
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
        assert person.session.room is server.chat.lobby
    assert person.session.gate.is_open
    assert [room for room in server.chat.rooms.values() if room.closing] == []
    server.end()


def test_a_room_whose_end_cannot_be_kept_stays_as_it_was() -> None:
    server = World(FailingLedger, records=FakeRecords())
    olga, bob = operator(server), registered(server, "bob")
    bob.says("/join den", "/room private", "among us")
    assert isinstance(server.ledger, FailingLedger)
    server.ledger.refuses = lambda event: isinstance(event, Closed)
    olga.says("/close den")
    server.settle()
    assert bob.session.room is server.chat.lobby
    assert server.person().asks("/join den")[0].startswith("-- #den is private.")
    server.ledger.refuses = lambda event: False
    olga.says("/close den")
    server.settle()
    assert set(server.chat.rooms) == {"lobby"}
    server.end()


# -- announcements, reports, audit


def test_an_announcement_is_heard_in_all_rooms(server: World) -> None:
    olga, bob = operator(server), server.person("bob")
    bob.says("/join den")
    _ = bob.sees
    assert olga.asks("/announce tea at five")[-1] == "-- olga announces: tea at five"
    assert bob.sees == ["-- olga announces: tea at five"]


def test_a_report_is_told_to_operators_with_what_was_said(server: World) -> None:
    olga, alice, bob = operator(server), server.person("alice", address=HOME), server.person("bob")
    bob.says("buy", "/me shouts")
    _ = olga.sees, bob.sees
    assert alice.asks("/report bob spam and more")[-1] == (
        "-- Thank you. Those who keep order are told."
    )
    assert olga.sees == ["-- Report 1 by alice about bob in #lobby: spam and more"]
    assert bob.sees == []
    assert olga.asks("/reports") == [
        "-- 2027-01-15 08:00 1 by alice about bob in #lobby: spam and more"
    ]
    assert olga.asks("/reports 1")[1:] == ["08:00 bob: buy", "08:00 * bob shouts"]
    assert olga.asks("/reports 2", "/reports x", "/reports 999999999999999") == [
        "-- There is no report 2. /reports lists the last ones.",
        "-- Usage: /reports [NUMBER]. Alone, it lists the last ones.",
        "-- There is no report 999999999999999. /reports lists the last ones.",
    ]
    alice.says("/report bob", "/report bob")
    assert alice.asks("/report bob")[0].startswith("-- Three reports an hour have to do.")
    server.wait(3601)
    assert alice.asks("/report bob")[-1].startswith("-- Thank you.")


def test_a_report_that_cannot_be_kept_is_told_all_the_same(make_server: MakeServer) -> None:
    records = FakeRecords()
    server = make_server(records=records)
    olga, alice, _ = operator(server), server.person("alice"), server.person("bob")
    _ = olga.sees
    records.full = True
    with capturedLogs() as logged:
        assert alice.asks("/report bob spam") == [
            "-- Those who keep order and are here are told. Your report is not kept."
        ]
    assert len(logged) == 1
    assert olga.sees == ["-- Report that could not be kept: by alice about bob in #lobby: spam"]


def test_a_report_is_told_though_its_author_has_left(make_server: MakeServer) -> None:
    class LateRecords(FakeRecords):
        def report(self, report: Any) -> Deferred[int]:
            self.answer: Deferred[int] = Deferred()
            return self.answer

    records = LateRecords()
    server = make_server(records=records)
    olga, alice, _ = operator(server), server.person("alice"), server.person("bob")
    _ = olga.sees
    alice.says("/report bob spam")
    alice.hangs_up()
    records.answer.callback(7)
    server.settle()
    assert "-- Report 7 by alice about bob in #lobby: spam" in olga.sees


@pytest.mark.parametrize("name", ["bob", "BOB", "carl", "dora"])
def test_who_has_just_left_can_be_reported(server: World, name: str) -> None:
    olga, alice = operator(server), server.person("alice")
    bob, carl = server.person("bob"), server.person("carl")
    bob.says("buy")
    for gone in (bob, carl, registered(server, "dora")):
        gone.hangs_up()
    server.settle()
    server.wait(1800)
    _ = olga.sees
    assert alice.asks(f"/report {name} spam") == ["-- Thank you. Those who keep order are told."]
    shown = name.lower()
    assert olga.sees == [f"-- Report 1 by alice about {shown} in #lobby: spam"]


def test_nobody_is_reported_who_never_was_here(server: World) -> None:
    operator(server)
    alice = server.person("alice")
    for _ in range(4):
        assert alice.asks("/report nobody spam")[0].startswith(
            "-- Nobody called nobody is or was here."
        )
    # It has cost nothing.
    server.person("bob")
    assert alice.asks("/report bob")[-1].startswith("-- Thank you.")


def test_a_report_says_whether_anybody_is_there_to_read_it(
    server: World, make_server: MakeServer
) -> None:
    alice, _ = server.person("alice"), server.person("bob")
    assert alice.asks("/report bob") == ["-- Your report is kept, but nobody keeps order here yet."]
    operator(server).hangs_up()
    server.settle()
    assert alice.asks("/report bob")[-1] == (
        "-- Thank you. Nobody who keeps order is here; they find it in /reports."
    )
    # Where nothing lasts nobody would ever read it.
    memory = make_server(records=MemoryModeration())
    alice, _ = memory.person("alice"), memory.person("bob")
    assert alice.asks("/report bob") == [
        "-- Nobody keeps order here. /ignore NAME spares you what somebody says."
    ]


def test_what_was_said_before_the_rooms_log_begins_is_looked_up(make_server: MakeServer) -> None:
    class Looked(MemoryHistory):
        """Lines that are only in the file."""

        def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
            kept = [Entry(room, 1, Said(1_799_999_000.0, 0, "Bob", "buy")) for room in ("den",)]
            return succeed([one for one in kept if one.room in query.rooms and query.name == "bob"])

    server = make_server()
    chat = server.chat
    chat.history = Looked(chat.rooms, chat.clock)
    for name in ("lobby", "den"):
        room = chat.rooms.get(name) or chat.open_room(name)
        room.restore("", [(2, Said(1_799_999_500.0, 0, "alice", "hello"))])
    olga, alice, carl = operator(server), server.person("alice"), server.person("carl")
    carl.says("/join den")
    _ = alice.sees, carl.sees
    assert olga.asks("/forget zoe")[0].startswith("-- Nothing was said as zoe")
    assert "-- What bob said in the last hour is removed." in olga.asks("/forget bob")
    assert "-- olga removed what bob said in the last hour." in carl.sees
    assert alice.sees == []


def test_the_audit_says_who_did_what_to_whom_when_and_why(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    server.person("carol", address=OFFICE)
    bob.says("buy")
    olga.says(
        *("/kick carol noise", "/mute bob 1h spam", "/unmute bob", "/forget bob", "/op bob"),
        *("/deop bob", "/ban bob 7d spam", "/unban bob", "/announce tea", "/lockdown on"),
        *("/lockdown off", "/unregister bob", "/unregister bob", f"/ban {OFFICE}"),
    )
    assert olga.asks("/audit") == [
        f"-- 2027-01-15 08:00 olga {done}"
        for done in (
            "kicked carol (noise)",
            "muted bob (until 2027-01-15 09:00 (UTC): spam)",
            "unmuted bob",
            "removed the lines of bob",
            "made an operator of bob",
            "made no operator of bob",
            "banned bob (until 2027-01-22 08:00 (UTC): spam)",
            "unbanned bob",
            "announced (tea)",
            "switched the lockdown on",
            "switched the lockdown off",
            "unregistered bob",
            f"banned {OFFICE}/32 (for good)",
        )
    ]
    assert olga.asks("/audit 1") == [f"-- 2027-01-15 08:00 olga banned {OFFICE}/32 (for good)"]
    assert len(olga.asks("/audit 0")) == 13
    assert olga.asks("/audit x") == ["-- Usage: /audit [NUMBER], at most 999."]


def test_addresses_are_for_operators_alone(server: World) -> None:
    olga, alice, bob = operator(server), server.person("alice"), server.person("bob", address=HOME)
    server.wait(5)
    assert "from 192.0.2.7" in olga.asks("/whois bob")[-1]
    assert alice.asks("/whois bob") == [
        "-- bob is in #lobby, here for 5 seconds, idle for 5 seconds."
    ]
    olga.says("/mute bob", "/ban bob spam")
    assert not [line for line in alice.sees + bob.sees if HOME in line]


# -- others' lines and names


def test_an_operator_removes_what_somebody_said(server: World) -> None:
    olga, alice, bob = operator(server), server.person("alice"), server.person("Bob")
    alice.says("hello")
    bob.says("buy", "/join den", "buy more", "/me sells", "/join lobby")
    assert alice.asks("/forget bob") == [
        "-- Only an operator removes what others said. /report tells them."
    ]
    assert "-- What Bob said in the last hour is removed." in olga.asks("/forget bob")
    assert "-- olga removed what Bob said in the last hour." in alice.sees
    assert [line for line in alice.asks("/history") if "buy" in line] == []
    assert alice.asks("/search buy", "/search sells") == ["-- Nothing was found."] * 2
    assert alice.asks("/search hello")[0].endswith("alice: hello")
    assert olga.asks("/forget bob") == [
        "-- Nothing was said as Bob in the last hour. /search finds older lines."
    ]
    _ = alice.sees
    assert olga.asks("/forget zoe") == [
        "-- Nothing was said as zoe in the last hour. /search finds older lines."
    ]
    assert alice.sees == []


def test_an_operator_unregisters_somebody_who_is_here(server: World) -> None:
    olga, bob = operator(server), registered(server, "bob", HOME)
    bob.says("/join den", "/room private")
    olga.says("/mute bob")
    _ = olga.sees, bob.sees
    olga.says("/unregister bob", "/unregister bob")
    assert olga.sees == [
        "-- This gives bob up, and all that is kept for them. To do it, type /unregister bob once "
        "more.",
        "-- bob is registered no more.",
    ]
    told = bob.sees
    assert "-- olga has unregistered bob. You are a guest now." in told
    assert bob.session.user.account is None
    assert bob.name.startswith("guest")
    # Their room is not theirs any more, and no guest's.
    assert bob.session.room is server.chat.lobby
    assert "-- #den is private, and you are not invited." in told
    assert olga.asks("/unregister bob")[0].startswith("-- bob is not registered.")
    assert olga.asks("/unregister olga wrong-one") == [
        "-- That is not your password. Nothing was changed."
    ]
    operator(server, "pia")
    assert olga.asks("/unregister pia") == ["-- pia is an operator. /deop pia comes first."]


def test_an_unregistered_name_is_free_though_the_operator_has_left(
    make_server: MakeServer,
) -> None:
    class LateRemoval(MemoryAccounts):
        def remove(self, id: int) -> Deferred[bool]:
            answer: Deferred[bool] = Deferred()
            self.answer = lambda: MemoryAccounts.remove(self, id).chainDeferred(answer)
            return answer

    accounts = LateRemoval()
    server = make_server(accounts=accounts)
    olga, bob = operator(server), registered(server, "bob")
    olga.says("/unregister bob", "/unregister bob")
    olga.hangs_up()
    accounts.answer()
    server.settle()
    assert bob.session.user.account is None
    assert not server.chat.logins.online


# -- races


def logging_in(server: World, claims: LateClaims) -> Person:
    """Somebody who waits for the name bob, with the right password for it."""
    bob = server.person(address=OFFICE)
    bob.says(f"/login bob {WORD}")
    assert bob.session.user.account is None
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
    server.chat.moderation.make_operator(olga.session, account(olga))
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
    assert bob.session.user.account is None
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
    assert bob.session.user.account is None
    assert bob.name.startswith("guest")
    assert bob.session.gate.is_open
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
    assert bob.session.origin not in server.chat.sessions


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
    assert greta.session.room is not server.chat.lobby
    server.chat.moderation.removed(RuleKind.LOCKDOWN, "")
    server.settle()
    assert greta.session.room is server.chat.lobby


def test_who_is_no_operator_any_more_by_a_decision_elsewhere_leaves_private_rooms(
    server: World,
) -> None:
    olga, alice = operator(server), registered(server, "alice")
    alice.says("/join den", "/room private")
    olga.says("/join den")
    assert olga.session.room.key == "den"
    server.chat.moderation.removed(RuleKind.OPERATOR, account(olga).id)
    server.settle()
    assert olga.session.room is server.chat.lobby


def test_a_room_that_was_made_private_elsewhere_is_left_by_who_is_not_invited(
    server: World,
) -> None:
    alice, greta = registered(server, "alice"), server.person("greta")
    alice.says("/join den")
    greta.says("/join den")
    access = RoomAccess(account(alice).id, "alice", private=True)
    server.chat.moderation.changed(RuleKind.ROOM, "den", access)
    server.settle()
    assert alice.session.room.key == "den"
    assert greta.session.room is server.chat.lobby


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
