"""How wide the server's own lines are: a terminal of 80 columns wraps none of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.commands import COMMANDS
from chatroom.formats.plain import PLAIN, plain
from chatroom.model.chatsettings import Settings
from chatroom.model.events import (
    SERVER,
    Announced,
    CrowdMoved,
    Event,
    Left,
    Noticed,
    Renamed,
    Told,
    TookBack,
    TopicSet,
)
from chatroom.model.preferences import Preferences
from chatroom.text.cells import cells
from tests.conftest import MakeWorld
from tests.support.answers import ANSWERS, groups
from tests.support.world import Person, World

TIMED = plain(Preferences(timestamps="seconds"))

WORDS = st.lists(st.text("ab小é", max_size=24), max_size=40).map(" ".join)
NAMES = st.text("ab小é", min_size=1, max_size=24)


def rows_of(data: bytes) -> list[str]:
    return data.decode().removesuffix("\r\n").split("\r\n")


@given(NAMES, NAMES, WORDS)
def test_whatever_the_server_tells_fits_into_80_columns(name: str, other: str, text: str) -> None:
    told: list[Event] = [
        Noticed(0.0, SERVER, f"{text}\n{text}"),
        Told(0.0, SERVER, text),
        Announced(0.0, 1, name),
        Left(0.0, 1, name, text, True),
        Renamed(0.0, 1, name, other, True),
        TopicSet(0.0, 1, name, text),
        CrowdMoved(0.0, SERVER, (name, other), 1000, True),
        TookBack(0.0, 1, name, said_as=other),
    ]
    for event in told:
        for format in (PLAIN, TIMED):
            rows = rows_of(format.encode(event))
            assert max(map(cells, rows)) <= 79
            assert all(row.startswith("--") for row in rows[1:])


def test_what_somebody_chose_of_a_line_of_the_servers_cannot_begin_one() -> None:
    forged = "x" * 60 + " Your session has expired. /login bob PASSWORD logs you in again."
    first, *others = rows_of(PLAIN.encode(Left(0.0, 1, "bob", forged, True)))
    assert first.startswith("-- bob left (xxx")
    assert others
    assert all(row.startswith("--    ") for row in others)


def test_a_link_stays_whole_and_what_people_say_is_one_line() -> None:
    link = "https://example.org/" + "a" * 100
    assert link in PLAIN.encode(Noticed(0.0, SERVER, f"see {link} for more")).decode()


def widest(person: Person, *typed: str) -> dict[str, int]:
    """The lines of the server's own that are too wide, among the answers to what was *typed*."""
    seen = len(person.writer.data)
    person.says(*typed)
    rows = rows_of(person.writer.data[seen:])
    return {row: cells(row) for row in rows if row.startswith("--") and cells(row) > 79}


@pytest.mark.parametrize("name", ["alice", "W" * 24, "小" * 24])
def test_every_answer_of_a_command_fits_into_80_columns(world: World, name: str) -> None:
    for typed, _ in ANSWERS:
        alice, bob = world.person(name), world.person(name[::-1][:-1] + "b")
        alice.operates()
        assert not widest(alice, typed.replace("bob", bob.name)), typed
        assert not widest(bob, "/who"), typed
        alice.hangs_up()
        bob.hangs_up()
        world.settle()


def test_all_of_help_fits_into_80_columns(world: World) -> None:
    alice = world.person("alice")
    alice.operates()
    assert not widest(alice, "/help")
    for group in groups():
        assert not widest(alice, f"/help {group}")
    for command in COMMANDS:
        assert not widest(alice, f"/help /{command}")


def test_the_greeting_fits_into_80_columns_however_long_the_names_are(
    make_world: MakeWorld,
) -> None:
    world = make_world(Settings(name="N" * 40, lobby="W" * 24, motd="Be kind to one another. " * 9))
    crowd = [world.person("x" * 22 + letter) for letter in "abcdefghijklmnop"]
    crowd[0].says("hi", f"/topic {'tea and toast ' * 20}")
    newcomer = Person(world)
    world.settle()
    rows = rows_of(newcomer.writer.data)
    assert len(rows) > 10
    assert max(map(cells, rows)) <= 79


def test_at_default_names_no_line_of_the_greeting_is_wrapped(world: World) -> None:
    newcomer = Person(world)
    world.settle()
    assert rows_of(newcomer.writer.data) == newcomer.sees
