"""Events are values, and say of themselves how they are to be handled."""

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from chatroom.model import events
from chatroom.model.events import (
    SERVER,
    Closed,
    Emoted,
    Event,
    Joined,
    Left,
    Relayed,
    Renamed,
    Said,
    Told,
    TookBack,
    TopicSet,
)

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_a_frozen_value_without_a_dictionary(kind: type[Event]) -> None:
    assert is_dataclass(kind)
    event = kind(1.0, SERVER, *["" for field in fields(kind)[2:] if not field.kw_only])
    assert event == kind(1.0, SERVER, *["" for field in fields(kind)[2:] if not field.kw_only])
    assert not hasattr(event, "__dict__")
    with pytest.raises(FrozenInstanceError):
        event.time = 2.0  # type: ignore[misc]  # that it cannot be done is the point


def test_what_is_said_counts_as_a_line() -> None:
    assert {kind for kind in KINDS if kind.line} == {Said, Emoted, Relayed}


def test_who_is_there_and_what_it_is_about_changes_a_room() -> None:
    assert {kind for kind in KINDS if kind.changes_room} == {
        Closed,
        Joined,
        Left,
        Renamed,
        TopicSet,
        TookBack,
    }


def test_what_ends_the_time_of_lines_removes() -> None:
    assert {kind for kind in KINDS if kind.removes} == {Closed, TookBack}


def test_what_the_room_has_to_know_is_shown_to_everybody() -> None:
    assert {kind for kind in KINDS if kind.echoed} == {TopicSet, TookBack, Told}
    assert {kind for kind in KINDS if not kind.ignorable} == {TopicSet, TookBack, Told}


@pytest.mark.parametrize(
    "event",
    [
        Said(0.0, 1, "alice", "x" * 5000),
        Emoted(0.0, 1, "alice", "x" * 5000),
        Relayed(0.0, 1, b"x" * 5000),
    ],
)
def test_a_line_weighs_as_much_as_its_text(event: Event) -> None:
    assert 5000 < event.size() < 5200


def test_what_has_no_text_weighs_little() -> None:
    assert 0 < Joined(0.0, 1, "alice").size() < 200
