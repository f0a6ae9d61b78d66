"""Operators: how people become one, and what they do with others' lines and names."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from chatroom.backends.memory import MemoryAccounts
from chatroom.chat.rules import CLAIM_TRIES
from chatroom.model.chatsettings import Settings
from chatroom.model.sanctions import Operator
from chatroom.text.times import DAY
from tests.support.accounts import WORD
from tests.support.operators import HOME, MakeServer, account, operator, refused_ban, registered
from tests.support.world import World

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
    assert olga.connection.user.account is None
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
    assert bob.connection.user.account is None
    assert bob.name.startswith("guest")
    # Their room is not theirs any more, and no guest's.
    assert bob.room is server.chat.lobby
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
    assert bob.connection.user.account is None
    assert not server.chat.logins.online
