"""A ledger that refuses: what could not be noted has not happened, and who did it is told."""

import pytest

from chatroom.model.events import Announced, Joined, Left, Renamed, TopicSet
from tests.support.doubles import FailingLedger, refuse
from tests.support.world import Person, World


def test_who_cannot_be_let_in_is_told_and_let_go(failing: World) -> None:
    refuse(failing.ledger, Joined)
    alice = Person(failing)
    failing.settle()
    assert alice.sees == ["-- #lobby cannot be entered: the disk is full."]
    assert alice.gone
    assert failing.chat.connections == {}


def test_who_cannot_be_let_in_and_has_gone_leaves_nothing(failing: World) -> None:
    refuse(failing.ledger, Joined)
    alice = Person(failing)
    alice.hangs_up()
    failing.settle()
    assert failing.chat.connections == {}


def test_who_cannot_enter_a_room_stays_where_they_are(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Joined, times=1)
    assert alice.asks("/join den") == ["-- #den cannot be entered: the disk is full."]
    assert list(failing.chat.rooms) == ["lobby"]
    alice.says("still here")
    assert bob.sees == ["alice: still here"]


@pytest.mark.parametrize("way", ["hangs up", "ends"])
def test_who_cannot_move_and_has_gone_leaves_nothing(failing: World, way: str) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Joined, times=1)
    alice.types("/join den")
    if way == "ends":
        # A door may end a conversation whatever it waits for.
        alice.connection.end()
    else:
        alice.hangs_up()
    failing.settle()
    assert list(failing.chat.connections) == [bob.connection.origin]


def test_who_leaves_is_out_though_it_could_not_be_noted(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Left)
    alice.says("/quit")
    assert alice.gone
    assert list(failing.chat.lobby.members) == [bob.connection.origin]
    assert "alice" not in failing.chat.people


def test_who_leaves_a_room_is_out_though_it_could_not_be_noted(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    alice.says("/join den")
    refuse(failing.ledger, Left)
    alice.says("/part lobby")
    assert list(failing.chat.lobby.members) == [bob.connection.origin]
    assert alice.room.key == "den"


def test_a_name_that_could_not_be_noted_is_not_taken(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Renamed, times=1)
    assert alice.asks("/nick carol", "hi") == ["-- You are still alice: the disk is full."]
    assert bob.sees == ["alice: hi"]
    bob.says("/nick carol")
    assert bob.name == "carol"


def test_another_spelling_that_could_not_be_noted_leaves_the_name(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Renamed, times=1)
    alice.says("/nick ALICE")
    assert alice.name == "alice"
    assert bob.asks("/nick alice") == [
        "-- alice is taken. You are still bob. /nick NAME picks another."
    ]


@pytest.mark.parametrize("line", ["hi", "/me waves"])
def test_who_said_what_could_not_be_noted_is_told(failing: World, line: str) -> None:
    alice, bob = failing.people("alice", "bob")
    assert isinstance(failing.ledger, FailingLedger)
    failing.ledger.refuses = lambda event: event.line
    assert alice.asks(line) == [
        "-- Your line was not said: the disk is full. Please send it again."
    ]
    assert bob.sees == []


def test_a_topic_that_could_not_be_noted_is_not_set(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, TopicSet)
    assert alice.asks("/topic tea") == ["-- The topic was not set: the disk is full."]
    assert bob.sees == []
    assert failing.chat.lobby.topic == ""


def test_nobody_is_bothered_with_what_nobody_asked_for(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    refuse(failing.ledger, Announced)
    carol = failing.person()
    failing.wait(3)
    assert carol.asks("hi") == []
    assert alice.sees == bob.sees == ["guest3: hi"]
