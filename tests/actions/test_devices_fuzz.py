"""Whatever people do in several rooms and by several devices: each line is shown once, in order."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatroom.model.chatsettings import Settings
from chatroom.model.events import Event, Joined, Left, Renamed, Said
from chatroom.model.identity import Identity
from tests.support.accounts import WORD, FakeBook, book_of, now
from tests.support.doubles import FailingLedger, SomeClaims, refuse
from tests.support.fuzzing import examples
from tests.support.stores import LEDGERS
from tests.support.world import Person, World, check

#: Who is there, beside the operator: so many slots, in which people come and go.
SLOTS = 6
NAMES = ["alice", "bob"]
ROOMS = ["tea", "den", "lobby"]
#: What is typed as it is; {name}, {room} and {word} are filled in.
TYPED = {
    "join": "/join {room}",
    "part": "/part",
    "part room": "/part {room}",
    "rooms": "/rooms",
    "missed": "/missed",
    "nick": "/nick {name}",
    "log in": "/login {name} {word}",
    "log out": "/logout",
    "register": "/register {word}",
    "unregister": "/unregister {word}",
    "message": "/msg {name} psst",
    "ignore": "/ignore {name}",
    "unignore": "/unignore {name}",
    "private": "/private on",
    "invite": "/invite {name}",
    "uninvite": "/uninvite {name}",
    "quit": "/quit",
}
#: What the operator types.
ORDERED = {
    "kick": "/kick {name}",
    "close": "/close {room}",
    "lock": "/lockdown on",
    "unlock": "/lockdown off",
    "operator joins": "/join {room}",
}
DONE = [
    *("come", "come", "arrive", "arrive", "arrive", "hang up", "end", "stall", "drain"),
    *("turn", "turn", "turns", "wait", "late", "book", "book", "late claims", "claim"),
    *("refuse", "accept"),
]
SPOKEN = ["say", "say", "say", "mention", "mention", "operator says"]
OFTEN = ["join", "join", "part", "log in", "log out"]
REFUSED: list[tuple[type[Event], ...]] = [(Joined,), (Left,), (Renamed,), (Said,), (Joined, Left)]

ACTIONS = st.lists(
    st.tuples(
        st.integers(0, SLOTS - 1),
        st.sampled_from([*TYPED, *ORDERED, *DONE, *SPOKEN, *OFTEN]),
        st.sampled_from(NAMES),
        st.sampled_from(ROOMS),
    ),
    max_size=70,
)


@given(ledger=st.sampled_from([*LEDGERS, FailingLedger]), actions=ACTIONS)
@examples(300)
def test_whatever_people_do_each_line_is_shown_once(
    ledger: Any, actions: list[tuple[int, str, str, str]]
) -> None:
    fake, claims = FakeBook(), SomeClaims()
    settings = Settings(names_per_day=0, scrollback=1000)
    world = World(ledger, settings, claims=claims, accounts=book_of(fake))
    with closing(world):
        lives(world, fake, claims, actions)


def lives(
    world: World, fake: FakeBook, claims: SomeClaims, actions: list[tuple[int, str, str, str]]
) -> None:
    operator = world.person("root")
    operator.operates()
    people = [world.person(source=f"192.0.2.{number}") for number in range(SLOTS)]
    for person, name in zip(people, NAMES, strict=False):
        person.says(f"/nick {name}", f"/register {WORD}", "/join tea", "/join den")
    # Both have another device from the beginning.
    for person, name in zip(people[2:], NAMES, strict=False):
        person.connection.replaces = False
        person.says(f"/login {name} {WORD}")
    said = 0
    for index, action, name, room in actions:
        person = people[index]
        words = {"name": name, "room": room, "word": WORD}
        if action in TYPED:
            person.types(TYPED[action].format(**words))
        if action in ORDERED:
            operator.types(*[ORDERED[action].format(**words)] * 2)
        match action:
            case "say":
                person.types(f"n{(said := said + 1)}")
            case "mention":
                person.types(f"{name}: n{(said := said + 1)}")
            case "operator says":
                operator.types(f"{name}: n{(said := said + 1)}")
            case "come" if person.gone:
                people[index] = Person(world, f"192.0.2.{index}")
            case "arrive" if person.gone:
                account = now(fake.book.find(name))
                identity = Identity(name, account)
                device = Person(
                    world, f"192.0.2.{index}", identity=identity, replaces=index % 2 == 0
                )
                people[index] = device
            case "hang up":
                person.hangs_up()
            case "end":
                person.ends()
            case "stall":
                person.writer.stall(index)
            case "drain":
                person.writer.drain()
            case "turn":
                world.clock.advance(0.001)
            case "turns":
                world.settle()
            case "wait":
                world.wait(6)
            case "late":
                fake.late = not fake.late
            case "book":
                fake.answer()
            case "late claims":
                claims.late = not claims.late
                claims.hurry()
            case "claim" if claims._asked:
                claims.answer()
            case "refuse" if isinstance(world.ledger, FailingLedger):
                refuse(world.ledger, *REFUSED[index % len(REFUSED)], times=3)
            case "accept" if isinstance(world.ledger, FailingLedger):
                refuse(world.ledger)
    if isinstance(world.ledger, FailingLedger):
        refuse(world.ledger)
    fake.late = claims.late = False
    for _ in range(12):
        for person in world.came:
            person.writer.drain()
        fake.answer_all()
        claims.hurry()
        world.settle()
        world.wait(3)
    check(world)
    everybody = not any(action == "ignore" for _, action, _, _ in actions)
    for person in world.came:
        shown_once(person, everybody=everybody)
    world.empty()
    assert claims.local._holders == {}
    assert not world.chat.people
    assert not world.chat.connections


SHOWN = re.compile(r"(?P<how>\d\d:\d\d |#\w+ )?[^ :]+: (?:\w+: )?n(?P<number>\d+)")


def shown_once(person: Person, *, everybody: bool) -> None:
    """Each line came to *person* at most once, and those of the room that they see all came.

    everybody: nobody has ignored anybody.
    """
    lines = [SHOWN.fullmatch(line) for line in person.writer.data.decode().split("\r\n")]
    before: set[str] = set()
    live: list[str] = []
    for line in filter(None, lines):
        how, number = line["how"] or "", line["number"]
        if ":" not in how:
            assert number not in before, f"n{number} came again"
        if not how:
            live.append(number)
        before.add(number)
    connection = person.connection
    if connection.reader is None or connection.room is None or connection.closed:
        return
    expected = [
        row.event.text.rpartition("n")[2]
        for row in connection.room.log.between(connection.live_from, 2**63)
        if isinstance(row.event, Said) and row.event.origin != connection.origin
    ]
    if everybody:
        assert live[len(live) - len(expected) :] == expected
