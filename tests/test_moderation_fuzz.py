"""Any command with any argument, from anybody: nothing is logged as a failure, all is in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.commands import COMMANDS
from tests.conftest import Strictness
from tests.support.accounts import WORD
from tests.support.doubles import DelayedLedger, FakeRecords, immediate
from tests.support.fuzzing import examples
from tests.support.world import Person, World

NAMES = ["alice", "bob", "olga", "BOB", "guest2", "zoe", "lobby", "den", "#den", "entrance", "王"]
WORDS = st.one_of(
    st.sampled_from(
        [
            *NAMES,
            *("30m", "12h", "7d", "0d", "999999w", "999999w" * 250, "-1", "1e9", "9" * 400),
            *("192.0.2.7", "192.0.2.0/24", "::/0", "::ffff:192.0.2.7", "127.0.0.1", "::1", "/8"),
            *("on", "off", "private", "public", "invite", "uninvite", "give", "in", "from"),
            *("before", "12:03", "%s", "{0}", "{name}", '"', "*", "-", WORD, "2345-6789"),
        ]
    ),
    st.text(max_size=12),
    st.text(alphabet="\x00\x07\x1b\x7f\x9b\u202e\u200d\ufeff\u2028\ud800💥é", max_size=6),
)
ARGUMENTS = st.lists(WORDS, max_size=4).map(" ".join)
#: Beside commands: people say something, and go, in each way there is.
GOES = {"closes": Person.closes, "hangs up": Person.hangs_up, "ends": Person.ends}
DONE = st.sampled_from([*sorted(COMMANDS), "say", *GOES])
# What empties rooms, hides them or brings somebody into them is done most.
OFTEN = st.sampled_from(["join", "lockdown", "room", "kick", "topic", "nick", "say", "quit"])
TYPED = st.tuples(st.integers(0, 3), st.one_of(DONE, OFTEN), ARGUMENTS)


def crowd(world: World) -> list[Person]:
    """A guest, two who are registered and an operator."""
    people = [world.person("greta", address="203.0.113.5")]
    for name in ("alice", "bob", "olga"):
        person = world.person(name, address=f"192.0.2.{len(people)}")
        person.says(f"/register {WORD}")
        people.append(person)
    account = people[-1].connection.user.account
    assert account is not None
    world.chat.moderation.make_operator(people[-1].connection, account)
    return people


def back(world: World, index: int) -> Person:
    """One of the crowd, who was gone."""
    person = world.person(address=f"192.0.2.{index}")
    person.says(f"/login {('', 'alice', 'bob', 'olga')[index] or 'nobody'} {WORD}")
    return person


@given(ledger=st.sampled_from([immediate, DelayedLedger]), typed=st.lists(TYPED, max_size=25))
@examples(150)
def test_whatever_is_typed_everything_stays_in_order(
    ledger: type[DelayedLedger], typed: list[tuple[int, str, str]]
) -> None:
    world = World(ledger, records=FakeRecords())
    people = crowd(world)
    world.chat.moderation.open_claim()
    for index, name, argument in typed:
        person = people[index]
        if person.gone:
            person = people[index] = back(world, index)
        if name in GOES:
            GOES[name](person)
        else:
            person.types(f"/{name} {argument}" if name != "say" else argument or "hm")
        world.clock.advance(0.001)
    world.settle()
    assert len({room.key for room in world.chat.rooms.values()}) == len(world.chat.rooms)
    for person in people:
        assert person.gone or person.room.members[person.connection.origin].name == person.name
    world.chat.moderation.keep(world.clock.time())
    world.end()


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("index", [0, 1, 3], ids=["guest", "registered", "operator"])
def test_every_command_takes_what_is_strange(strict: Strictness, name: str, index: int) -> None:
    world = World(records=FakeRecords())
    people = crowd(world)
    for argument in (
        *(
            "",
            "bob",
            "\x1b[2J\x07",
            "9" * 1000,
            "王 " * 300,
            "bob 999999w x",
            "bob " + "999999w" * 200,
        ),
        *("192.0.2.9 " + "9" * 30 + "d", "::/0", "{0} %s", "invite bob", "give \u202e", "\ud800"),
    ):
        if people[index].gone:
            people[index] = back(world, index)
        people[index].says(f"/{name} {argument}")
        for person in world.came:
            shown = "".join(person.sees)
            assert not set(shown) & set("\x1b\u202e\ud800")
    world.end()
    assert not strict.errors
