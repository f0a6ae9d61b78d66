"""The ledger orders events and calls back only later; the first claim of a name wins."""

from collections.abc import Callable, Sequence

import pytest

from chatroom.backends.interfaces import Ledger
from chatroom.backends.memory import MemoryLedger, MemoryNameClaims
from chatroom.model.entry import Entry
from chatroom.model.events import Event, Said
from tests.support.doubles import Clock, DelayedLedger, FailingLedger, LateClaims, immediate
from tests.support.stores import stored_ledger


class Receiver:
    """Notes what the ledger decided."""

    def __init__(self) -> None:
        self.batches: list[list[Entry]] = []
        self.refused: list[tuple[str, Event, str]] = []

    def committed(self, batch: Sequence[Entry]) -> None:
        self.batches.append(list(batch))

    def rejected(self, room: str, event: Event, why: str) -> None:
        self.refused.append((room, event, why))

    @property
    def said(self) -> list[tuple[str, str]]:
        return [
            (entry.room, entry.event.text)
            for batch in self.batches
            for entry in batch
            if isinstance(entry.event, Said)
        ]


def line(text: str, origin: int = 1) -> Said:
    return Said(0.0, origin, "alice", text)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(params=[immediate, DelayedLedger, FailingLedger, stored_ledger])
def ledger(request: pytest.FixtureRequest, clock: Clock, receiver: Receiver) -> Ledger:
    kind: Callable[[Clock], Ledger] = request.param
    made = kind(clock)
    made.attach(receiver)
    return made


def test_nothing_comes_back_before_the_turn_ends(
    ledger: Ledger, clock: Clock, receiver: Receiver
) -> None:
    ledger.submit("lobby", line("hi"))
    clock.advance(10)
    assert receiver.batches == []


def test_a_turn_comes_back_as_one_batch_in_its_order(
    ledger: Ledger, clock: Clock, receiver: Receiver
) -> None:
    for number in range(5):
        ledger.submit("lobby" if number % 2 else "den", line(str(number)))
    ledger.end_turn()
    clock.advance(1)
    assert len(receiver.batches) == 1
    assert receiver.said == [
        ("den", "0"),
        ("lobby", "1"),
        ("den", "2"),
        ("lobby", "3"),
        ("den", "4"),
    ]


def test_a_turn_in_which_nothing_was_asked_for_is_silent(
    ledger: Ledger, clock: Clock, receiver: Receiver
) -> None:
    ledger.end_turn()
    clock.advance(1)
    assert receiver.batches == []


def test_ids_grow_over_batches(ledger: Ledger, clock: Clock, receiver: Receiver) -> None:
    for _ in range(3):
        ledger.submit("lobby", line("one"))
        ledger.submit("den", line("two"))
        ledger.end_turn()
        clock.advance(1)
    ids = [entry.id for batch in receiver.batches for entry in batch]
    assert ids == sorted(set(ids))
    assert len(ids) == 6


def test_closing_commits_what_is_pending(ledger: Ledger, clock: Clock, receiver: Receiver) -> None:
    fired: list[None] = []
    ledger.submit("lobby", line("last"))
    ledger.close().addCallback(fired.append)
    clock.advance(1)
    assert receiver.said == [("lobby", "last")]
    assert fired == [None]


def test_what_is_submitted_while_a_batch_comes_back_belongs_to_the_next(clock: Clock) -> None:
    ledger = MemoryLedger(clock.time)

    class Answering(Receiver):
        def committed(self, batch: Sequence[Entry]) -> None:
            super().committed(batch)
            if len(self.batches) == 1:
                ledger.submit("lobby", line("answer"))

    receiver = Answering()
    ledger.attach(receiver)
    ledger.submit("lobby", line("question"))
    ledger.end_turn()
    assert receiver.said == [("lobby", "question")]
    ledger.end_turn()
    assert receiver.said == [("lobby", "question"), ("lobby", "answer")]


def test_ids_in_memory_are_at_least_the_clock_in_microseconds(receiver: Receiver) -> None:
    times = iter([5.0, 5.0, 4.0, 9.0])
    ledger = MemoryLedger(lambda: next(times))
    ledger.attach(receiver)
    for _ in range(4):
        ledger.submit("lobby", line("x"))
        ledger.end_turn()
    ids = [entry.id for batch in receiver.batches for entry in batch]
    assert ids == [5_000_000, 5_000_001, 5_000_002, 9_000_000]


def test_what_a_ledger_refuses_is_told_in_its_place(clock: Clock, receiver: Receiver) -> None:
    ledger = FailingLedger(clock)
    ledger.attach(receiver)
    bad = line("bad")
    ledger.refuses = lambda event: event is bad
    for event in (line("one"), bad, line("two")):
        ledger.submit("lobby", event)
    ledger.end_turn()
    clock.advance(1)
    assert receiver.said == [("lobby", "one"), ("lobby", "two")]
    assert receiver.refused == [("lobby", bad, "the disk is full")]


def answer(claims: MemoryNameClaims, key: str, origin: int) -> bool:
    answers: list[bool] = []
    claims.claim(key, origin).addCallback(answers.append)
    return answers[0]


def test_the_first_claim_wins() -> None:
    claims = MemoryNameClaims()
    assert answer(claims, "alice", 1)
    assert not answer(claims, "alice", 2)
    assert answer(claims, "bob", 2)


def test_who_has_a_name_may_claim_it_again() -> None:
    claims = MemoryNameClaims()
    assert answer(claims, "alice", 1)
    assert answer(claims, "alice", 1)


def test_a_name_that_is_given_back_is_free() -> None:
    claims = MemoryNameClaims()
    assert answer(claims, "alice", 1)
    claims.release("alice", 1)
    assert answer(claims, "alice", 2)


def test_nobody_can_give_back_the_name_of_another() -> None:
    claims = MemoryNameClaims()
    assert answer(claims, "alice", 1)
    claims.release("alice", 2)
    claims.release("nobody", 2)
    assert not answer(claims, "alice", 2)


def test_late_claims_are_answered_in_the_order_of_asking() -> None:
    claims = LateClaims()
    first: list[bool] = []
    second: list[bool] = []
    claims.claim("alice", 1).addCallback(first.append)
    claims.claim("alice", 2).addCallback(second.append)
    assert first == []
    claims.answer()
    claims.answer()
    assert first == [True]
    assert second == [False]
