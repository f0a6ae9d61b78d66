"""The history of a chat without a store: what the logs of its rooms have."""

from typing import TypeVar

import pytest
from twisted.internet.defer import Deferred

from chatroom.chat.memoryhistory import MemoryHistory
from chatroom.chat.room import Room
from chatroom.model.entry import Entry
from chatroom.model.events import Emoted, Event, Joined, Relayed, Said
from chatroom.model.history import Gap, Query, UnreadSummary
from chatroom.text.words import phrases
from tests.support.doubles import Clock

T = TypeVar("T")


def now(answer: Deferred[T]) -> T:
    """What *answer* has already."""
    found: list[T] = []
    answer.addCallback(found.append)
    return found[0]


LOBBY: list[tuple[int, Event]] = [
    (10, Said(1.0, 1, "alice", "green tea")),
    (12, Joined(2.0, 2, "bob")),
    (13, Emoted(3.0, 2, "bob", "makes tea for Alice")),
    (17, Said(5.0, 2, "bob", "no coffee")),
]
DEN: list[tuple[int, Event]] = [
    (15, Said(4.0, 3, "Élodie", "tea")),
    (18, Relayed(6.0, 4, b"tea")),
]


@pytest.fixture
def history() -> MemoryHistory:
    rooms = {key: Room(key, key) for key in ("lobby", "den", "attic")}
    for key, log in (("lobby", LOBBY), ("den", DEN)):
        for id, event in log:
            rooms[key].append(id, event)
    return MemoryHistory(rooms, Clock())


def ids(answer: Deferred[list[Entry]]) -> list[int]:
    return [entry.id for entry in now(answer)]


def test_an_answer_has_the_lines_and_their_rooms(history: MemoryHistory) -> None:
    assert now(history.before("den", 16, 5)) == [Entry("den", 15, DEN[0][1])]


def test_lines_before_an_id_are_the_last_of_them(history: MemoryHistory) -> None:
    assert ids(history.before("lobby", 18, 9)) == [10, 13, 17]
    assert ids(history.before("lobby", 17, 9)) == [10, 13]
    assert ids(history.before("lobby", 17, 1)) == [13]
    assert ids(history.before("lobby", 10, 9)) == []


def test_lines_after_an_id_are_the_first_of_them(history: MemoryHistory) -> None:
    assert ids(history.after("lobby", 0, 9)) == [10, 13, 17]
    assert ids(history.after("lobby", 10, 1)) == [13]
    assert ids(history.after("lobby", 17, 9)) == []


def test_of_a_room_that_is_not_there_nothing_is_known(history: MemoryHistory) -> None:
    assert ids(history.before("cellar", 99, 9)) == []
    assert ids(history.after("cellar", 0, 9)) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(phrases("tea"), ["lobby", "den"]), [10, 13, 15]),
        (Query(phrases("tea"), ["lobby"]), [10, 13]),
        (Query(phrases("tea"), ["attic", "cellar"]), []),
        (Query(phrases("tea green"), ["lobby", "den"]), [10]),
        (Query(phrases("tea"), ["lobby", "den"], "bob"), [13]),
        (Query(phrases("tea"), ["lobby", "den"], before=15), [10, 13]),
    ],
)
def test_a_search_finds(history: MemoryHistory, query: Query, found: list[int]) -> None:
    assert ids(history.search(query, 9)) == found


def test_a_search_finds_the_last_lines(history: MemoryHistory) -> None:
    assert ids(history.search(Query(phrases("tea"), ["den", "lobby"]), 2)) == [13, 15]


def test_what_was_missed_is_counted_by_room(history: MemoryHistory) -> None:
    (name,) = phrases("alice")
    gaps = [("lobby", Gap(10)), ("den", Gap(18)), ("attic", Gap(0)), ("cellar", Gap(0))]
    assert now(history.missed(gaps, name, "zoe")) == [UnreadSummary("lobby", 2, 1, 3.0)]
    assert now(history.missed([("den", Gap(14))], name, "zoe")) == [UnreadSummary("den", 2, 0, 4.0)]


def test_what_was_missed_is_what_was_not_shown_and_others_said(history: MemoryHistory) -> None:
    (name,) = phrases("alice")
    gaps = [("lobby", Gap(0, 13)), ("lobby", Gap(13))]
    assert now(history.missed(gaps, name, "zoe")) == [UnreadSummary("lobby", 2, 0, 1.0)]
    assert now(history.missed(gaps, name, "alice")) == [UnreadSummary("lobby", 1, 0, 5.0)]
    assert now(history.missed([("lobby", Gap(0))], name, "bob")) == [
        UnreadSummary("lobby", 1, 0, 1.0)
    ]
