"""Mutes: who says nothing, in no way, and for how long."""

from __future__ import annotations

import pytest

from chatroom.model.chatsettings import Settings
from chatroom.model.identity import Identity
from tests.support.accounts import WORD
from tests.support.operators import HOME, LINES, OFFICE, MakeServer, operator, registered
from tests.support.world import World


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
        assert bob.connection.user.account is None
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
    return {user.name for user in server.chat.people.values()}


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
