"""Answers in order: what one connection sends is answered as if each line had taken full effect."""

from collections.abc import Iterator, Sequence

import pytest
from twisted.internet.defer import Deferred, fail

from chatroom.actions.steps import PATIENCE, UNKEPT
from chatroom.backends.sqlite.ledger import COMMIT_SECONDS, StoredLedger
from chatroom.model.entry import Entry
from chatroom.model.events import Said, TookBack, TopicSet
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Rule, RuleKey, RuleKind
from tests.support.accounts import FakeBook, book_of, owner
from tests.support.doubles import FakeRecords, refuse
from tests.support.world import Person, World

WHY = "the disk is full"


def types(person: Person, *lines: str) -> list[str]:
    """What *person* is shown after these lines came in one packet."""
    _ = person.sees
    person.types(*lines)
    person.world.settle()
    return person.sees


def test_what_was_said_is_in_the_history_that_is_asked_for_at_once(world: World) -> None:
    (alice,) = world.people("alice")
    shown = types(alice, "hello", "/history")
    assert shown == ["-- Today (times are UTC)", "08:00 alice: hello"]


def test_what_is_taken_back_is_not_found_at_once(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("a zanzibar")
    assert types(alice, "zanzibar", "/forget", "/search zanzibar", "/history 1") == [
        "-- alice took back a line.",
        "2027-01-15 08:00 #lobby bob: a zanzibar",
        "-- Today (times are UTC)",
        "08:00 bob: a zanzibar",
        "-- /more shows what was said before.",
    ]


def test_a_topic_is_set_when_it_is_asked_for_next(world: World) -> None:
    (alice,) = world.people("alice")
    assert types(alice, "/topic tea", "/topic") == [
        "-- alice set the topic: tea",
        "-- #lobby is about: tea",
    ]


def test_commands_follow_one_another_and_lines_do_not_wait(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    shown = types(alice, "one", "two", "/history", "three", "/history", "/me waves", "/history 1")
    assert [line for line in shown if "(times" not in line] == [
        *("08:00 alice: one", "08:00 alice: two"),
        *("08:00 alice: one", "08:00 alice: two", "08:00 alice: three"),
        "08:00 * alice waves",
        "-- /more shows what was said before.",
    ]
    assert bob.sees == ["alice: one", "alice: two", "alice: three", "* alice waves"]


def test_the_next_room_hears_nothing_of_what_was_said_before(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("one", "/join den", "two", "/history", "/quit")
    world.settle()
    assert bob.sees == ["alice: one", "-- alice left."]
    assert "08:00 alice: two" in alice.sees
    assert alice.gone


def test_a_command_that_waits_is_gone_with_its_connection(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("one", "/me waves")
    alice.hangs_up()
    world.settle()
    assert "* alice waves" not in bob.sees


def test_nobody_waits_for_what_others_asked_for(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    alice.types("one")
    bob.types("/topic")
    assert bob.connection.gate.reasons == 0
    assert alice.connection.gate.reasons == 0
    alice.types("/topic")
    assert alice.connection.gate.reasons
    failing.settle()


def test_a_line_that_is_refused_holds_up_no_command(failing: World) -> None:
    (alice,) = failing.people("alice")
    refuse(failing.ledger, Said)
    assert types(alice, "hello", "/history") == [
        f"-- Your line was not said: {WHY}. Please send it again.",
        "-- Nothing has been said here.",
    ]


def test_a_receipt_is_the_id_of_the_line_or_why_it_was_not_said(failing: World) -> None:
    (alice,) = failing.people("alice")
    chat, ledger = failing.chat, failing.ledger

    def receipt(text: str) -> Deferred[int]:
        event = Said(failing.clock.time(), alice.connection.origin, "alice", text)
        chat.submit(chat.lobby, event)
        waits = chat.receipt(event)
        assert not waits.called
        failing.settle()
        return waits

    answer: list[object] = []
    receipt("hello").addCallback(answer.append)
    assert answer == [chat.lobby.log.last_id]
    refuse(ledger, Said)
    receipt("again").addErrback(lambda failure: answer.append(failure.value))
    refusal = answer[1]
    assert isinstance(refusal, Refused)
    assert (refusal.code, str(refusal)) == (Code.UNAVAILABLE, WHY)


def test_a_topic_that_is_refused_is_not_the_topic(failing: World) -> None:
    (alice,) = failing.people("alice")
    refuse(failing.ledger, TopicSet)
    assert types(alice, "/topic tea", "/topic") == [
        f"-- The topic was not set: {WHY}.",
        "-- #lobby has no topic. /topic TEXT sets one.",
    ]


def operator(world: World) -> Person:
    olga = world.person("olga")
    olga.operates()
    return olga


def test_that_lines_are_removed_is_said_when_they_are(world: World) -> None:
    olga, bob = operator(world), world.person("bob")
    bob.says("buy")
    _ = olga.sees
    olga.types("/forget bob", "/history", "/audit")
    assert olga.sees == []
    world.settle()
    assert olga.sees[1:] == [
        "-- What bob said in the last hour is removed.",
        "-- Nothing has been said here.",
        "-- 2027-01-15 08:00 olga removed the lines of bob",
    ]


def test_that_lines_are_not_removed_is_said_too(failing: World) -> None:
    olga, bob = operator(failing), failing.person("bob")
    bob.says("buy")
    _ = olga.sees
    refuse(failing.ledger, TookBack)
    assert types(olga, "/forget bob", "/audit") == [
        f"-- What bob said was not removed everywhere: {WHY}. Try again later.",
        "-- Nothing has been done yet.",
    ]


# -- a disk that is away

FOLLOWS = "The disk is away: what was removed stays in its file until it is back."


def full(entries: Sequence[Entry]) -> Deferred[None]:
    """What a full disk says to a commit."""
    return fail(OSError(WHY))


@pytest.fixture
def away() -> Iterator[World]:
    """A chat whose disk takes nothing."""
    world = World(lambda clock: StoredLedger(clock, full))
    yield world
    world.chat.close().addErrback(lambda _: None).cancel()


def late(person: Person, *lines: str) -> list[str]:
    """What *person* is shown after these lines when the disk has had its time."""
    shown = types(person, *lines)
    person.world.wait(COMMIT_SECONDS)
    return shown + person.sees


def test_that_the_disk_has_still_what_is_taken_back_is_said(away: World) -> None:
    alice, bob = away.people("alice", "bob")
    away.wait(COMMIT_SECONDS)
    late(alice, "secret")
    _ = bob.sees
    assert late(alice, "/forget", "/history") == [
        "-- alice took back a line.",
        f"-- {FOLLOWS}",
        "-- Nothing has been said here.",
    ]
    assert bob.sees == ["-- alice took back a line.", f"-- {FOLLOWS}"]


def test_that_the_disk_has_still_what_is_removed_is_said_elsewhere_too(away: World) -> None:
    alice, olga = away.person("alice"), operator(away)
    away.wait(COMMIT_SECONDS)
    late(alice, "secret", "another", "/join den")
    late(olga, "/join tea")
    assert late(alice, "/forget") == [
        "-- What you said in #lobby is removed.",
        f"-- {FOLLOWS}",
    ]
    assert late(olga, "/forget alice") == [
        "-- What alice said in the last hour is removed.",
        f"-- {FOLLOWS}",
    ]
    late(alice, "in the den")
    assert late(olga, "/close den")[:2] == [
        "-- #den is closed, and its users leave it.",
        f"-- {FOLLOWS}",
    ]


def test_that_a_line_elsewhere_is_removed_is_said_when_it_is(failing: World) -> None:
    (alice,) = failing.people("alice")
    alice.says("one", "/join den")
    refuse(failing.ledger, TookBack)
    assert types(alice, "/forget") == [f"-- Your lines in #lobby were not taken back: {WHY}."]
    refuse(failing.ledger)
    assert types(alice, "/forget") == ["-- What you said in #lobby is removed."]
    assert types(alice, "/join lobby", "two", "/join den", "/forget hour", "/forget hour")[-1] == (
        "-- What you said in #lobby is removed."
    )


# -- what is decided, and what is preferred


class LateRecords(FakeRecords):
    """Records that are written when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deferred[None]] = []

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        answer.addCallback(lambda _: FakeRecords.set(self, kind, key, rule))
        self.waiting.append(answer)
        return answer

    def write(self) -> None:
        """All that waits is written."""
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            answer.callback(None)


DECISIONS = [
    ("/mute bob 1h", "-- bob is muted until 2027-01-15 09:00 (UTC)."),
    ("/ban 198.51.100.9 1h", "-- 198.51.100.9/32 is banned until 2027-01-15 09:00 (UTC)."),
]


@pytest.fixture(params=DECISIONS)
def decision(request: pytest.FixtureRequest) -> tuple[str, str]:
    """What an operator types, and what they are told of it."""
    decided: tuple[str, str] = request.param
    return decided


@pytest.fixture
def records() -> LateRecords:
    return LateRecords()


@pytest.fixture
def kept(records: LateRecords) -> Iterator[World]:
    """A chat whose *records* are late."""
    world = World(records=records)
    yield world
    records.write()
    world.end()


def test_that_somebody_is_muted_is_said_when_it_is_written(
    kept: World, records: LateRecords, decision: tuple[str, str]
) -> None:
    olga, bob = operator(kept), kept.person("bob", source="198.51.100.1")
    typed, told = decision
    assert told not in types(olga, typed)
    assert kept.chat.moderation.why_muted(bob.connection) or kept.chat.moderation.refusal(
        "198.51.100.9"
    )
    records.write()
    kept.settle()
    assert told in olga.sees


def test_what_is_not_written_holds_and_that_is_said(
    kept: World, records: LateRecords, decision: tuple[str, str]
) -> None:
    olga = operator(kept)
    kept.person("bob", source="198.51.100.1")
    typed, told = decision
    records.full = True
    assert told not in types(olga, typed)
    records.write()
    kept.settle()
    assert olga.sees == [told, f"-- {UNKEPT}"]


def test_nobody_waits_for_a_decision_for_ever(
    kept: World, records: LateRecords, decision: tuple[str, str]
) -> None:
    olga = operator(kept)
    kept.person("bob", source="198.51.100.1")
    typed, told = decision
    assert told not in types(olga, typed)
    kept.wait(PATIENCE)
    assert olga.sees[-2:] == [told, f"-- {UNKEPT}"]
    # That it is written at last is too late to be told.
    records.write()
    assert kept.chat.moderation.saver.unsaved == {}


@pytest.mark.parametrize("fails", [False, True])
def test_a_preference_is_confirmed_when_it_is_written(fails: bool) -> None:
    book = FakeBook()
    world = World(accounts=book_of(book))
    alice = owner(world)
    book.late = True
    told = "-- Times are Europe/Berlin. It is 09:00 there, Friday 15 January 2027."
    assert types(alice, "/tz europe/berlin", "/tz") == []
    book.failing = {"save"} if fails else set()
    book.answer_all()
    world.settle()
    book.answer_all()
    world.settle()
    assert alice.sees == ([told, f"-- {UNKEPT}", told] if fails else [told, told])
    book.late = False
    world.end()
