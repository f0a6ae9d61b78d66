"""Whatever people do with their names at once, each name has one owner."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.chatsettings import Settings
from chatroom.model.identity import Identity
from tests.support.accounts import LINE, OTHER, WORD, FakeBook, book_of, now
from tests.support.doubles import SomeClaims
from tests.support.fuzzing import examples
from tests.support.stores import LEDGERS
from tests.support.world import Person, World, check

ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            [
                *("nick", "respell", "register", "log in", "log in", "wrong", "log out"),
                *("unregister", "hang up", "quit", "come", "no claim", "late", "late claims"),
                *("stall", "drain", "wait", "prompt", "answer", "join", "bell"),
                *(
                    "arrive",
                    "arrive",
                    "arrive by name",
                    "key",
                    "turn",
                    "turns",
                    "claim",
                    "claim",
                    "book",
                    "book",
                    "book",
                ),
            ]
        ),
        st.sampled_from(["alice", "bob"]),
    ),
    max_size=60,
)


@given(ledger=st.sampled_from(LEDGERS), actions=ACTIONS)
@examples(300)
def test_whatever_people_do_a_name_has_one_owner(
    ledger: Any, actions: list[tuple[int, str, str]]
) -> None:
    fake, claims = FakeBook(), SomeClaims()
    world = World(ledger, Settings(names_per_day=0), claims=claims, accounts=book_of(fake))
    with closing(world):
        lives(world, fake, claims, actions)


def lives(
    world: World, fake: FakeBook, claims: SomeClaims, actions: list[tuple[int, str, str]]
) -> None:
    people = [world.person(source=f"192.0.2.{number}") for number in range(4)]
    people[0].says("/nick alice", f"/register {WORD}", "/bell on", "/logout")
    people[1].says("/nick bob", f"/register {WORD}", "/bell on")
    accounts = {name: now(fake.book.find(name)) for name in ("alice", "bob")}
    for index, action, name in actions:
        person = people[index]
        match action:
            case "nick":
                person.types(f"/nick {name}")
            case "respell":
                person.types(f"/nick {name.upper()}")
            case "register":
                person.types(f"/register {WORD}")
            case "log in":
                person.types(f"/login {name} {WORD}")
            case "wrong":
                person.types(f"/login {name} {OTHER}")
            case "log out":
                person.types("/logout")
            case "unregister":
                person.types(f"/unregister {WORD}")
            case "join":
                person.types("/join den")
            case "prompt":
                person.telnet = True
                person.types(f"/login {name}")
            case "answer":
                person.types(WORD)
            case "hang up":
                person.hangs_up()
            case "quit":
                person.types("/quit")
            case "come" if person.gone:
                people[index] = Person(world, f"192.0.2.{index}")
            case "arrive" if person.gone:
                identity = Identity(name, accounts[name])
                people[index] = Person(world, f"192.0.2.{index}", identity=identity)
            case "arrive by name" if person.gone:
                people[index] = Person(world, f"192.0.2.{index}", identity=Identity(name))
            case "key":
                person.types(f"/key add {LINE}")
            case "turn":
                world.clock.advance(0.001)
            case "claim" if claims._asked:
                claims.answer()
            case "no claim" if claims._asked:
                claims.fail()
            case "book":
                fake.answer()
            case "late":
                fake.late = not fake.late
            case "stall":
                person.writer.stall(index)
            case "drain":
                person.writer.drain()
            case "late claims":
                claims.late = not claims.late
                claims.hurry()
            case "turns":
                world.settle()
            case "bell":
                person.types("/bell mentions")
            case "wait":
                world.wait(6)
    fake.late = claims.late = False
    for _ in range(12):
        for person in people:
            person.writer.drain()
        fake.answer_all()
        claims.hurry()
        world.settle()
        world.wait(3)
    check(world)
    for id, user in world.chat.logins.online.items():
        # Nobody has what is for guests in place of what is kept for them.
        assert user.preferences.bell in ("on", "mentions") or id > 2
    world.empty()
    assert claims.local._holders == {}
    assert not world.chat.people
    assert not world.chat.connections
