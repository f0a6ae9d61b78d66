"""The ledger of a store delivers what is committed, and goes on when the disk does not."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from chatroom.backends.sqlite import ledger as module
from chatroom.backends.sqlite.ledger import COMMIT_SECONDS, RETRY_SECONDS, StoredLedger
from chatroom.model.entry import Entry
from chatroom.model.events import (
    SERVER,
    Closed,
    Event,
    Joined,
    Relayed,
    Said,
    Told,
    TookBack,
)
from tests.conftest import Strictness
from tests.support.doubles import Clock
from tests.support.fuzzing import examples


class Disk:
    """Takes what is to be committed; the test says what becomes of it."""

    def __init__(self) -> None:
        self.kept: dict[int, Entry] = {}
        self.asked: list[tuple[Sequence[Entry], Deferred[None]]] = []

    def commit(self, entries: Sequence[Entry]) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        self.asked.append((list(entries), answer))
        return answer

    def takes(self) -> None:
        entries, answer = self.asked.pop(0)
        for entry in entries:
            self.kept.setdefault(entry.id, entry)
        answer.callback(None)

    def fails(self) -> None:
        self.asked.pop(0)[1].errback(OSError("the disk is full"))


class Room:
    """What was delivered."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def committed(self, batch: Sequence[Entry]) -> None:
        self.entries += batch

    def rejected(self, room: str, event: Event, why: str) -> None:
        raise AssertionError("a store rejects nothing")

    @property
    def texts(self) -> list[str]:
        return [entry.event.text for entry in self.entries if isinstance(entry.event, Said | Told)]


class Case:
    """A ledger between people and a disk."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.disk = Disk()
        self.room = Room()
        self.ledger = StoredLedger(self.clock, self.disk.commit)
        self.ledger.attach(self.room)

    def lagging(self) -> bool:
        return self.ledger.lagging

    def say(self, *texts: str, room: str = "lobby") -> None:
        for text in texts:
            self.ledger.submit(room, Said(self.clock.seconds(), 1, "alice", text))
        self.ledger.end_turn()


@pytest.fixture
def case() -> Case:
    return Case()


AWAY = "The disk is away: from here on history is not being kept."
BACK = "The disk is back: history is being kept again."
FOLLOWS = "The disk is away: what was removed stays in its file until it is back."


def test_nothing_is_delivered_before_it_is_committed(case: Case) -> None:
    case.say("one", "two")
    case.clock.advance(COMMIT_SECONDS / 2)
    assert case.room.texts == []
    case.disk.takes()
    assert case.room.texts == ["one", "two"]
    assert [entry.id for entry in case.room.entries] == list(case.disk.kept)
    assert not case.clock.getDelayedCalls()


def test_what_comes_while_a_batch_is_written_is_the_next_one(case: Case) -> None:
    case.say("one")
    case.say("two")
    case.say("three")
    assert len(case.disk.asked) == 1
    case.disk.takes()
    assert case.room.texts == ["one"]
    assert [entry.event for entry in case.disk.asked[0][0]] == [
        Said(1_800_000_000.0, 1, "alice", "two"),
        Said(1_800_000_000.0, 1, "alice", "three"),
    ]
    case.disk.takes()
    assert case.room.texts == ["one", "two", "three"]


def test_ids_go_on_where_an_earlier_run_ended(case: Case) -> None:
    case.ledger.last_id = 2_000_000_000_000_000
    case.say("one", "two")
    case.disk.takes()
    assert list(case.disk.kept) == [2_000_000_000_000_001, 2_000_000_000_000_002]


def test_ids_are_at_least_the_clock(case: Case) -> None:
    case.say("one")
    case.disk.takes()
    assert list(case.disk.kept) == [1_800_000_000_000_000]


def test_a_commit_that_fails_is_tried_again_and_delivered_once(case: Case) -> None:
    case.say("one")
    case.disk.fails()
    assert case.disk.asked == []
    case.clock.advance(RETRY_SECONDS)
    case.disk.takes()
    assert case.room.texts == ["one"]
    assert not case.lagging()


def test_what_a_disk_does_not_take_in_time_is_delivered_and_the_room_is_told_once(
    case: Case, strict: Strictness
) -> None:
    case.say("one")
    case.clock.advance(COMMIT_SECONDS)
    assert case.room.texts == ["one", AWAY]
    case.say("two")
    case.say("elsewhere", room="den")
    assert case.room.texts == ["one", AWAY, "two", "elsewhere", AWAY]
    case.disk.takes()
    assert case.lagging()
    case.disk.takes()
    assert case.room.texts[5:] == []
    assert not case.lagging()
    # The rooms are told when that is kept, too.
    case.disk.takes()
    assert case.room.texts[5:] == [BACK, BACK]
    assert [entry.room for entry in case.room.entries[-2:]] == ["den", "lobby"]
    assert list(case.disk.kept) == [entry.id for entry in case.room.entries]
    case.say("three")
    assert case.room.texts[-1] == BACK
    case.disk.takes()
    assert case.room.texts[-1] == "three"
    assert strict.errors == []


def test_a_disk_that_fails_again_and_again_is_away_until_it_takes_everything(case: Case) -> None:
    case.say("one")
    for _ in range(int(COMMIT_SECONDS / RETRY_SECONDS)):
        case.disk.fails()
        case.clock.advance(RETRY_SECONDS)
    assert case.room.texts == ["one", AWAY]
    case.say("two")
    case.disk.fails()
    case.clock.advance(RETRY_SECONDS)
    case.disk.takes()
    case.disk.takes()
    assert case.room.texts == ["one", AWAY, "two", BACK]
    assert list(case.disk.kept) == [entry.id for entry in case.room.entries]


def test_a_second_outage_is_told_again(case: Case) -> None:
    for _ in range(2):
        case.say("one")
        case.clock.advance(COMMIT_SECONDS)
        case.disk.takes()
        case.disk.takes()
        case.disk.takes()
    assert case.room.texts == ["one", AWAY, BACK] * 2


def test_what_nobody_keeps_is_no_reason_to_tell_a_room(case: Case) -> None:
    case.ledger.submit("relay", Relayed(0.0, 1, b"x"))
    case.ledger.submit("lobby", Joined(0.0, 2, "bob"))
    case.ledger.end_turn()
    case.clock.advance(COMMIT_SECONDS)
    assert case.room.texts == []
    assert len(case.room.entries) == 2


@pytest.mark.parametrize("bound", ["MAX_WAITING_ENTRIES", "MAX_WAITING_BYTES"])
def test_of_too_much_for_the_memory_the_oldest_is_lost_and_that_is_told(
    case: Case, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 10 * Said(0.0, 1, "alice", "00").size()
    # What is being written counts, too.
    size += Said(0.0, 1, "alice", "first").size()
    monkeypatch.setattr(module, bound, 10 if bound == "MAX_WAITING_ENTRIES" else size)
    case.say("first")
    case.clock.advance(COMMIT_SECONDS)
    for number in range(20):
        case.say(f"{number:02}")
    assert case.room.texts == ["first", AWAY, *(f"{number:02}" for number in range(20))]
    while case.disk.asked:
        case.disk.takes()
    assert case.room.texts[-1] == f"{BACK} 10 lines said meanwhile are lost."
    kept = [entry.event for entry in case.disk.kept.values()]
    texts = [event.text for event in kept if isinstance(event, Said)]
    assert texts == ["first", *(f"{number:02}" for number in range(10, 20))]


@pytest.mark.parametrize("hangs", [False, True])
def test_who_reads_that_lines_are_removed_reads_that_the_disk_has_them_still(
    case: Case, hangs: bool
) -> None:
    case.say("one")
    case.disk.takes()
    back = TookBack(case.clock.seconds(), 1, "alice", frozenset([-1]))
    case.ledger.submit("lobby", back)
    case.ledger.end_turn()
    if not hangs:
        case.disk.fails()
    case.clock.advance(COMMIT_SECONDS)
    assert case.room.texts == ["one", AWAY, FOLLOWS]
    assert back in [entry.event for entry in case.room.entries]
    case.say("two")
    case.ledger.submit("lobby", back)
    case.ledger.end_turn()
    assert case.room.texts == ["one", AWAY, FOLLOWS, "two", FOLLOWS]
    while case.disk.asked:
        case.disk.takes()
    assert case.room.texts[-1] == BACK
    assert list(case.disk.kept.values()) == case.room.entries
    case.ledger.submit("lobby", back)
    case.ledger.end_turn()
    case.disk.takes()
    assert case.room.texts[-1] == BACK
    assert case.room.entries[-1].event == back


REMOVALS = [TookBack(1.0, 1, "alice", frozenset([-1])), Closed(1.0, SERVER)]


@pytest.mark.parametrize("removal", REMOVALS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("fails", [False, True])
def test_a_removal_is_written_however_much_waits_for_the_disk(
    case: Case, monkeypatch: pytest.MonkeyPatch, removal: Event, fails: bool
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_ENTRIES", 10)
    monkeypatch.setattr(module, "PORTION_ENTRIES", 4)
    case.say("first")
    case.clock.advance(COMMIT_SECONDS)
    for number in range(3):
        case.say(str(number))
        case.ledger.submit("lobby", removal)
        case.ledger.end_turn()
    if fails:
        case.disk.fails()
        for number in range(20):
            case.say(f"meanwhile {number}")
        case.clock.advance(RETRY_SECONDS)
    for number in range(20):
        case.say(f"later {number}")
    assert len(case.ledger._unsaved) <= 10 + 4
    while case.disk.asked:
        case.disk.takes()
    kept = list(case.disk.kept.values())
    assert sorted(case.disk.kept) == list(case.disk.kept)
    assert [entry.event for entry in kept].count(removal) == 3
    # Each once, and where it was: what was said after it stays.
    assert kept == [entry for entry in case.room.entries if entry in kept]
    assert case.room.texts[-1].startswith(BACK)


@pytest.mark.parametrize("removals", [0, 1, 3])
def test_that_removals_are_lost_at_the_end_is_logged(
    case: Case, monkeypatch: pytest.MonkeyPatch, removals: int
) -> None:
    logged: list[dict[str, object]] = []
    monkeypatch.setattr(module.log, "error", lambda text, **fields: logged.append(fields))
    monkeypatch.setattr(module, "MAX_WAITING_ENTRIES", 2)
    case.say("first")
    case.clock.advance(COMMIT_SECONDS)
    for _ in range(removals):
        case.ledger.submit("lobby", REMOVALS[0])
        case.ledger.end_turn()
    closed = case.ledger.close()
    closed.addErrback(lambda _: None)
    closed.cancel()
    lost = [fields["count"] for fields in logged if fields["event"] == "removals_lost"]
    assert lost == ([removals] if removals else [])


def test_closing_waits_for_what_is_pending(case: Case) -> None:
    fired: list[None] = []
    case.ledger.submit("lobby", Said(0.0, 1, "alice", "last"))
    case.ledger.close().addCallback(fired.append)
    assert fired == []
    case.disk.takes()
    assert fired == [None]
    assert case.room.texts == ["last"]


def test_closing_with_nothing_pending_is_done_at_once(case: Case) -> None:
    fired: list[None] = []
    case.ledger.close().addCallback(fired.append)
    assert fired == [None]


def test_who_does_not_wait_any_longer_drops_what_nobody_saw(case: Case) -> None:
    case.say("doomed")
    closed = case.ledger.close()
    closed.addErrback(lambda _: None)
    closed.cancel()
    assert not case.clock.getDelayedCalls()
    case.disk.takes()
    assert case.room.texts == []


def test_who_does_not_wait_while_it_is_tried_again_leaves_nothing_behind(case: Case) -> None:
    case.say("doomed")
    case.disk.fails()
    closed = case.ledger.close()
    closed.addErrback(lambda _: None)
    closed.cancel()
    assert not case.clock.getDelayedCalls()


@examples(150)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["takes", "fails", "turn"]),
            st.sampled_from([0.01, 0.3, 1.0, 2.5]),
            st.tuples(st.sampled_from(["lobby", "den"]), st.integers(1, 3)),
        ),
        max_size=40,
    )
)
def test_whatever_the_disk_does_everything_is_delivered_once_and_kept_once(
    steps: list[str | float | tuple[str, int]],
) -> None:
    case = Case()
    said: list[str] = []

    def settle() -> None:
        if case.disk.asked:
            case.disk.takes()

    for step in steps:
        if isinstance(step, tuple):
            room, count = step
            texts = [str(len(said) + number) for number in range(count)]
            said += texts
            case.say(*texts, room=room)
        elif isinstance(step, float):
            case.clock.advance(step)
        elif step == "turn":
            case.ledger.end_turn()
        elif case.disk.asked:
            (case.disk.takes if step == "takes" else case.disk.fails)()
    for _ in range(10):
        case.clock.advance(RETRY_SECONDS)
        settle()
        settle()
    delivered = [entry.event for entry in case.room.entries]
    assert [event.text for event in delivered if isinstance(event, Said)] == said
    assert list(case.disk.kept.values()) == case.room.entries
    assert sorted(case.disk.kept) == list(case.disk.kept)
    assert not case.lagging()


def test_no_turn_of_an_outage_walks_through_what_waits(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.say("first")
    case.clock.advance(COMMIT_SECONDS)
    for _ in range(3):
        case.disk.fails()
        case.clock.advance(RETRY_SECONDS)
    for number in range(1000):
        case.say(str(number))
    asked: list[Event] = []

    def size(event: Event) -> int:
        asked.append(event)
        return 1

    monkeypatch.setattr(Said, "size", size)
    case.say("next")
    assert len(asked) <= 2
