"""Whom a typed name means: a private line reaches nobody else, no operator hits anybody else."""

import pytest

from tests.support.world import World

LOOK = "/who lists who is in your room."
NOT_HERE = f"is not here any more. {LOOK}"


def test_the_beginning_of_a_name_is_enough(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    assert bob.asks("/msg ALI hi") == ["-> you to alice: hi"]
    assert alice.sees == ["-> bob to you: hi"]


def test_a_whole_name_goes_before_a_beginning(world: World) -> None:
    al, _alice, bob = world.people("al", "alice", "bob")
    assert bob.asks("/msg al hi") == ["-> you to al: hi"]
    assert al.sees == ["-> bob to you: hi"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("zoe", f"Nobody here is called zoe. {LOOK}"),
        ("z" * 40, f"Nobody here is called {'z' * 24}. {LOOK}"),
        (
            "\ufdfa" * 200,
            f"Nobody here is called {chr(0xFDFA) * 24}. {LOOK}",
        ),
        ("al", "Several names begin like that: alan, albert and alice. Please type more of it."),
        (
            "m",
            "Several names begin like that: m1, m2, m3, m4, m5 and 1 other. "
            "Please type more of it.",
        ),
    ],
)
def test_who_cannot_be_found_is_not_guessed(world: World, name: str, why: str) -> None:
    bob, *_ = world.people("bob", "alice", "albert", "alan", "m1", "m2", "m3", "m4", "m5", "m6")
    for command in ("/whois {}", "/msg {} hi", "/ignore {}"):
        shown = " ".join(line.removeprefix("-- ") for line in bob.asks(command.format(name)))
        assert shown == why


@pytest.mark.parametrize("command", ["/msg mar second", "/whois mar", "/ignore mar"])
def test_who_has_just_left_is_not_somebody_whose_name_begins_so(world: World, command: str) -> None:
    mar, mary, bob = world.people("mar", "mary", "bob")
    bob.says("/msg mar first")
    mar.hangs_up()
    world.settle()
    world.wait(3500)
    _ = mary.sees, bob.sees
    assert bob.asks(command) == [f"-- mar {NOT_HERE}"]
    assert mary.sees == []
    world.wait(101)
    assert bob.asks(command) != [f"-- mar {NOT_HERE}"]


def test_nor_is_who_has_another_name_now(world: World) -> None:
    mar, mary, bob = world.people("mar", "mary", "bob")
    mar.says("/nick tom")
    _ = mary.sees, bob.sees
    assert bob.asks("/msg mar second") == [f"-- mar {NOT_HERE}"]
    assert mary.sees == []


def test_nor_is_whose_lines_the_room_still_shows(world: World) -> None:
    mar, mary, bob = world.people("mar", "mary", "bob")
    mar.says("hello")
    mar.hangs_up()
    world.wait(4000)
    _ = mary.sees, bob.sees
    assert bob.asks("/msg mar second") == [f"-- mar {NOT_HERE}"]
    assert mary.sees == []


def test_nor_is_who_has_registered_that_name(world: World) -> None:
    mar, mary, bob = world.people("mar", "mary", "bob")
    mar.says("/register kohlrabi77")
    mar.hangs_up()
    world.wait(4000)
    _ = mary.sees, bob.sees
    away = ["-- mar is not here. /msg mar TEXT waits for them."]
    assert bob.asks("/whois mar") == away
    assert bob.asks("/ignore mar") == ["-- You ignore mar. /unignore mar ends it."]
    assert bob.asks("/msg mar second")[0] == "-> you to mar: second"
    assert mary.sees == []


@pytest.mark.parametrize(
    "command",
    ["/kick", "/ban", "/mute", "/unmute", "/op", "/deop", "/forget", "/unregister", "/report"],
)
def test_what_operators_do_takes_whole_names_only(world: World, command: str) -> None:
    alice, nb3 = world.people("alice", "nb3")
    alice.operates()
    nb3.says("/register kohlrabi77", "hello")
    _ = nb3.sees, alice.sees
    alice.says(f"{command} nb")
    assert nb3.sees == []
    assert not nb3.gone
    assert nb3.asks("/whois nb3")[0].startswith("-- nb3 is in #lobby, logged in")


def test_whom_you_ignore_is_found_by_a_beginning(world: World) -> None:
    alice, bob, _bert = world.people("alice", "bob", "bert")
    assert alice.asks("/ignore bo") == ["-- You ignore bob. /unignore bob ends it."]
    # Only among those who are ignored, so that it can only be one of them.
    assert alice.asks("/unignore b") == ["-- You see what bob says again."]
    assert alice.asks("/unignore b") == ["-- You do not ignore b. /ignore lists whom you ignore."]
    alice.says("/ignore bob", "/ignore bert")
    assert alice.asks("/unignore b") == [
        "-- Several whom you ignore have names that begin so. /ignore lists them."
    ]
    assert bob.asks("hello") == []


def test_a_beginning_is_never_of_ones_own_name(world: World) -> None:
    alice, _albert = world.people("alice", "albert")
    assert alice.asks("/msg al hi") == ["-> you to albert: hi"]
    assert alice.asks("/msg ali hi") == [f"-- Nobody here is called ali. {LOOK}"]
