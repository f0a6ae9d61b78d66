"""A connection's life: what each thing that may happen leads to in each state, and in no other."""

from collections.abc import Callable

import pytest

from chatroom.chat.connection import TRANSITIONS, State
from chatroom.model.identity import Identity
from tests.support.doubles import FailingLedger, LateClaims
from tests.support.world import Person, World

#: What may happen to a connection, by any door.
HAPPENS: dict[str, Callable[[Person], object]] = {
    "ends": lambda person: person.connection.end(),
    "is lost": lambda person: person.connection.lost(),
    "is expelled": lambda person: person.connection.expel("Go.", "kicked"),
    "is replaced": lambda person: person.connection.replaced("elsewhere"),
    "has drained": lambda person: person.connection.drained(),
    "is told": lambda person: person.connection.notice("hello"),
    "waits": lambda person: person.connection.waiting(3),
    "resumes": lambda person: person.connection.resume(),
    "prefers": lambda person: person.connection.use_preferences(person.connection.user.preferences),
    "is flushed": lambda person: person.connection.flush_queue(),
}

#: The states in which a connection is over.
OVER = {State.LEAVING, State.CLOSED}


def unauthenticated(world: World) -> Person:
    """Somebody whose name is being claimed."""
    return Person(world, identity=Identity("zoe"))


def entering(world: World) -> Person:
    """Somebody on the way into the lobby."""
    return Person(world)


def open_(world: World) -> Person:
    """Somebody in the lobby."""
    return world.person()


def leaving(world: World) -> Person:
    """Somebody whose leaving is still to be committed."""
    person = world.person()
    person.connection.end()
    return person


def closed(world: World) -> Person:
    """Somebody who has gone."""
    person = world.person()
    person.says("/quit")
    return person


BEGINNINGS = {
    State.UNAUTHENTICATED: unauthenticated,
    State.ENTERING: entering,
    State.OPEN: open_,
    State.LEAVING: leaving,
    State.CLOSED: closed,
}


@pytest.mark.parametrize("what", HAPPENS)
@pytest.mark.parametrize("state", State)
def test_whatever_happens_leads_to_a_state_that_may_follow(state: State, what: str) -> None:
    claims = LateClaims()
    world = World(FailingLedger, claims=claims)
    person = BEGINNINGS[state](world)
    if state is not State.UNAUTHENTICATED and claims._asked:
        claims.answer()
    assert person.connection.state is state
    HAPPENS[what](person)
    ends = what in ("ends", "is lost", "is expelled", "is replaced")
    now = person.connection.state
    if not ends:
        assert now is state
    elif state is State.UNAUTHENTICATED:
        # Nobody has seen them: there is nothing to wait for.
        assert now is State.CLOSED
    elif state in OVER:
        assert now is state
    else:
        assert now is State.LEAVING
    while claims._asked:
        claims.answer()
    world.settle()
    world.wait(6)
    assert person.connection.over is (ends or state in OVER)
    if person.connection.over:
        assert person.connection.state is State.CLOSED
        assert person.connection.origin not in world.chat.connections
        assert not world.chat.people
        assert claims.local._holders == {}
    else:
        assert person.connection.state is State.OPEN
        assert person.room is world.chat.lobby
    person.hangs_up()
    world.settle()
    world.end()


def test_only_what_is_drawn_may_follow(world: World) -> None:
    assert {after for state in TRANSITIONS for after in TRANSITIONS[state]} == {*State} - {
        State.UNAUTHENTICATED
    }
    person = world.person()
    with pytest.raises(AssertionError, match="cannot become"):
        person.connection.enter_first_room()
