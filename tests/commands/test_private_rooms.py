"""Rooms that are somebody's: who may enter, and that nobody else learns what is said there."""

from __future__ import annotations

import pytest

from chatroom.actions import invitations
from chatroom.actions.pager import FOUND
from tests.support.doubles import DelayedLedger, LateClaims
from tests.support.operators import LateAccounts, MakeServer, account, operator, registered
from tests.support.world import Person, World

NOT_INVITED = "-- #den is private. Whoever it belongs to can invite you."


@pytest.fixture
def den(server: World) -> tuple[World, Person, Person]:
    """A private room of alice's, in which something was said, and bob, who is not invited."""
    alice, bob = registered(server, "alice"), registered(server, "bob")
    alice.says("/join den", "/room private", "/topic plans", "secret one")
    server.wait(5)
    _ = alice.sees, bob.sees
    return server, alice, bob


Den = tuple[World, Person, Person]


def test_a_room_belongs_to_who_made_it_while_logged_in(server: World) -> None:
    alice, guest = registered(server, "alice"), server.person("greta")
    alice.says("/join den")
    assert alice.asks("/room") == ["-- #den belongs to alice: everybody may enter."]
    guest.says("/join attic")
    assert guest.asks("/room", "/room private") == [
        "-- #attic belongs to nobody: everybody may enter.",
        "-- #attic is not yours. It belongs to nobody; operators decide: /ops.",
    ]
    guest.says("/join den")
    assert guest.asks("/room private") == [
        "-- #den is not yours. It belongs to alice: /msg alice TEXT asks them."
    ]
    for typed in ("/room public x", "/room invite", "/room give", "/room burn it"):
        assert alice.asks(typed) == [
            "-- Usage: /room [private|public|invite NAME|uninvite NAME|give NAME]"
        ]
    olga = operator(server)
    assert olga.asks("/room private") == [
        "-- The room that everybody enters first is everybody's. /join NAME makes another."
    ]


def test_others_learn_nothing_of_a_private_room(den: Den) -> None:
    server, alice, bob = den
    for person in (bob, server.person("greta")):
        assert person.asks("/join den") == [NOT_INVITED]
        assert person is bob or person.asks("/rooms") == [
            "-- #lobby  3 people, silent so far, you are here"
        ]
        for typed in ("/who den", "/who d", "/search secret in #den", "/search x in #d"):
            assert person.asks(typed) == ["-- There is no such room. /rooms lists them."]
        assert person.asks("/search secret", "/search secret in den", "/missed") == [
            "-- Nothing was found.",
            "-- Nothing was found.",
            "-- You missed nothing.",
        ]
        assert "#den" not in person.asks("/whois alice")[0]
        assert person.asks("/join de") == ["-- You made #de; nobody else is here."]
        person.says("/part")
    # Nor where somebody goes.
    alice.says("/part", "hi")
    server.wait(5)
    _ = bob.sees
    alice.says("/join den", "/part lobby")
    assert bob.sees == ["-- alice left."]


def test_who_is_invited_sees_what_is_said_from_then_on(den: Den) -> None:
    _server, alice, bob = den
    assert alice.asks("/room invite bob") == ["-- bob is invited."]
    assert bob.sees == ["-- alice invites you to #den: /join den"]
    assert alice.asks("/room invite bob") == ["-- bob is invited already. /room says who is."]
    alice.says("two")
    shown = bob.asks("/join den")
    assert not [line for line in shown if "secret" in line]
    assert [line for line in shown if line.endswith("alice: two")]
    alice.says("three")
    bob.says("/join lobby")
    alice.says("four")
    bob.says("/join den")
    assert [line[-5:] for line in bob.asks("/history")][1:] == [": two", "three", " four"]
    assert bob.asks("/search secret", "/search secret in den") == ["-- Nothing was found."] * 2
    assert bob.asks("/search four")[0].endswith("#den alice: four")
    assert alice.asks("/search secret")[0].endswith("alice: secret one")
    assert bob.asks("/rooms")[0].endswith("(private)  plans")
    assert bob.asks("/room") == ["-- #den belongs to alice, and is private. Invited: bob."]


def test_not_even_how_much_was_found_is_told(den: Den) -> None:
    _server, alice, bob = den
    alice.says(*["secret"] * 2 * FOUND)
    alice.says("/room invite bob")
    assert bob.asks("/search secret") == ["-- Nothing was found."]
    alice.says("secret last")
    # Nor that there would be more.
    (shown,) = bob.asks("/search secret")
    assert shown.endswith("secret last")
    alice.says("/join lobby", *[f"secret lobby {number}" for number in range(FOUND)])
    alice.says("/join den", *["secret den"] * 3)
    pages = [bob.asks("/search secret"), bob.asks("/more")]
    assert [sum("secret den" in line for line in page) for page in pages] == [3, 0]
    assert [sum("secret lobby" in line for line in page) for page in pages] == [7, 3]
    assert sum("secret last" in line for line in pages[1]) == 1
    assert "/more" not in pages[1][-1]


def test_what_was_missed_in_a_private_room_is_for_who_may_enter(den: Den) -> None:
    server, alice, bob = den
    alice.says("/room invite bob")
    bob.says("/join den", "/join lobby", "/quit")
    server.settle()
    alice.says("you missed this")
    back = server.person()
    shown = back.asks("/login bob kohlrabi-77")
    assert any(line.startswith("-- You missed 1 line") for line in shown)
    alice.says("/room uninvite bob")
    assert back.asks("/missed") == ["-- You missed nothing."]
    back.says("/quit")
    server.settle()
    alice.says("and this")
    again = server.person()
    shown = again.asks("/login bob kohlrabi-77")
    assert again.room is server.chat.lobby
    assert not [line for line in shown if "missed" in line]


def test_who_is_not_invited_any_more_is_out(den: Den) -> None:
    server, alice, bob = den
    alice.says("/room invite bob")
    bob.says("/join den")
    _ = bob.sees
    assert "-- bob is not invited any more." in alice.asks("/room uninvite bob")
    assert bob.room is server.chat.lobby
    assert bob.sees[0] == "-- alice has taken back your invitation to #den."
    alice.says("secret two")
    assert not [line for line in bob.sees if "secret" in line]
    assert bob.asks("/join den") == [NOT_INVITED]
    assert alice.asks("/room uninvite bob") == ["-- bob is not invited. /room says who is."]


def test_a_guest_is_invited_as_long_as_they_are_here(den: Den) -> None:
    server, alice, _bob = den
    greta = server.person("greta")
    assert alice.asks("/room invite greta") == ["-- greta is invited as long as they are here."]
    assert alice.asks("/room")[0].endswith("Invited: greta.")
    shown = greta.asks("/join den")
    assert not [line for line in shown if "secret" in line]
    greta.hangs_up()
    server.settle()
    assert server.person("greta").asks("/join den") == [NOT_INVITED]


def test_whoever_is_in_it_when_it_becomes_private_stays(server: World) -> None:
    alice, bob, greta = registered(server, "alice"), registered(server, "bob"), server.person("gr")
    alice.says("/join den", "before")
    bob.says("/join den")
    greta.says("/join den")
    alice.says("/room private", "after")
    for person in (bob, greta):
        assert person.sees[-1] == "alice: after"
        person.says("/part")
        assert any("before" in line for line in person.asks("/join den", "/history"))
    # When it was public in between, guests are invited anew.
    greta.says("/part")
    alice.says("/room public", "/room private")
    assert greta.asks("/join den") == [NOT_INVITED]


def test_for_whom_there_is_no_place_is_not_in_it(
    server: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MAX_INVITED", 1)
    alice, bob, carol = [registered(server, name) for name in ("alice", "bob", "carol")]
    alice.says("/join den", "hi")
    bob.says("/join den")
    carol.says("/join den")
    alice.says("/room private")
    assert [person.room.key for person in (alice, bob, carol)] == ["den", "den", "lobby"]
    assert alice.asks("/room invite carol") == [
        "-- 1 are invited already. /room uninvite NAME makes a place."
    ]


def test_a_room_of_nobody_that_is_private_is_not_for_guests(server: World) -> None:
    olga, greta = operator(server), server.person("greta")
    greta.says("/join den", "hi", "/part")
    olga.says("/join den", "/room private")
    assert greta.asks("/join den") == [NOT_INVITED]
    assert olga.asks("/room")[0].startswith("-- #den belongs to nobody, and is private.")


def test_who_gives_a_room_away_stays_in_it(den: Den) -> None:
    server, alice, bob = den
    alice.says("/room invite bob")
    _ = bob.sees
    assert alice.asks("/room give bob") == ["-- #den belongs to bob now."]
    assert bob.sees == ["-- alice has given you #den."]
    assert alice.asks("/room private") == [
        "-- #den is not yours. It belongs to bob: /msg bob TEXT asks them."
    ]
    assert any("secret one" in line for line in alice.asks("/history"))
    assert alice.asks("/room") == ["-- #den belongs to bob, and is private. Invited: alice."]
    bob.says("/join den", "/room uninvite alice")
    assert alice.room is server.chat.lobby
    server.person("greta")
    assert bob.asks("/room give greta")[-1] == (
        "-- greta is a guest; a room is for who has a name. They can /register."
    )
    assert bob.asks("/room give zoe") == [
        "-- zoe is not registered. They have to /register first.",
    ]
    assert bob.asks("/room invite zoe") == [
        "-- zoe is not registered. They have to be here for that.",
    ]
    access = server.chat.moderation.rooms.get("den")
    assert access is not None
    assert not access.guests


def test_a_room_is_not_given_to_who_is_unregistered_meanwhile(den: Den) -> None:
    server, alice, bob = den
    late = LateAccounts()
    vars(late).update({**vars(late), **vars(server.chat.logins.accounts)})
    server.chat.logins.accounts = late
    late.late = True
    alice.says("/room give bob")
    # It has been found, and is gone when that is known.
    found = account(bob)
    ((_, answer),) = late._waiting
    late._waiting.clear()
    server.chat.logins.removed.add(found.id)
    answer.callback(found)
    server.settle()
    assert alice.sees == ["-- bob is not registered any more."]
    late.late = False
    assert alice.asks("/room")[0].startswith("-- #den belongs to alice")


@pytest.mark.parametrize("typed", ["/logout", "/unregister kohlrabi-77"])
def test_who_is_a_guest_again_leaves_a_private_room(den: Den, typed: str) -> None:
    server, alice, bob = den
    alice.says("/room invite bob")
    bob.says("/join den")
    _ = bob.sees
    bob.says(typed)
    assert bob.room is server.chat.lobby
    alice.says("secret two")
    assert not [line for line in bob.sees if "secret" in line]
    assert server.chat.lobby.members[bob.connection.origin].name == bob.name


def test_who_is_no_operator_any_more_leaves_a_private_room(den: Den) -> None:
    server, _alice, _bob = den
    olga, pia = operator(server), operator(server, "pia")
    assert any("secret" in line for line in olga.asks("/join den"))
    pia.says("/deop olga")
    assert olga.room is server.chat.lobby


def test_the_owner_of_a_room_who_gives_up_the_name_has_it_no_more(den: Den) -> None:
    server, alice, bob = den
    alice.says("/room invite bob", "/unregister kohlrabi-77")
    bob.says("/join den")
    assert bob.asks("/room") == ["-- #den belongs to nobody, and is private. Invited: bob."]
    alice.says("/quit")
    server.settle()
    again = registered(server, "alice")
    assert again.asks("/join den") == [NOT_INVITED]


def test_an_invitation_is_not_for_a_room_that_is_made_anew(server: World) -> None:
    alice, bob, greta = registered(server, "alice"), registered(server, "bob"), server.person("gr")
    alice.says("/join den", "/room private", "/room invite gr", "/part")
    assert "den" not in server.chat.rooms
    bob.says("/join den", "/room private")
    assert greta.asks("/join den") == [NOT_INVITED]
    assert alice.asks("/join den") == [NOT_INVITED]


# -- while people move and are renamed


@pytest.mark.parametrize("doing", ["/nick carl", "/join lobby", "/part", "/join attic", "/quit"])
def test_who_loses_the_invitation_while_doing_something_is_in_order(
    make_server: MakeServer, doing: str
) -> None:
    server = make_server(ledger=DelayedLedger)
    alice, greta = registered(server, "alice"), server.person("greta")
    alice.says("/join den", "/room private", "/room invite greta")
    greta.says("/join den")
    greta.types(doing)
    alice.types("/room uninvite greta")
    server.settle()
    if not greta.gone:
        assert greta.room.key != "den"
        assert greta.connection.gate.is_open
        assert greta.room.members[greta.connection.origin].name == greta.name
        assert greta.connection.origin not in server.chat.rooms["den"].members


def test_who_loses_the_invitation_on_the_way_in_is_shown_nothing(
    make_server: MakeServer,
) -> None:
    server = make_server(ledger=DelayedLedger)
    alice, bob = registered(server, "alice"), registered(server, "bob")
    alice.says("/join den", "/room private", "/room invite bob", "secret")
    _ = bob.sees
    bob.types("/join den")
    alice.types("/room uninvite bob")
    server.settle()
    assert bob.room is server.chat.lobby
    assert not [line for line in bob.sees if "secret" in line]


def test_who_waits_for_a_name_is_out_at_once(make_server: MakeServer) -> None:
    claims = LateClaims()
    server = make_server(claims=claims)
    olga, greta = server.person(), server.person()
    olga.operates()
    olga.says("/join den", "/room private", f"/room invite {greta.name}")
    greta.says("/join den", "/nick greta")
    olga.says(f"/room uninvite {greta.name}")
    assert greta.room is server.chat.lobby
    claims.answer()
    server.settle()
    assert greta.name == "greta"
    assert server.chat.lobby.members[greta.connection.origin].name == "greta"


def test_nothing_is_left_of_the_invitation_of_a_guest_who_has_gone(den: Den) -> None:
    server, alice, _ = den
    greta = server.person("greta")
    alice.says("/room invite greta")
    access = server.chat.moderation.rooms.get("den")
    assert access is not None
    assert list(access.guests) == [greta.connection.origin]
    greta.hangs_up()
    server.settle()
    assert not access.guests
    assert "greta" not in alice.asks("/room")[0]
