"""The ledger of a store on a disk that answers whatever and whenever it likes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed

from chatroom.backends.sqlite import ledger as module
from chatroom.backends.sqlite.kept import is_kept
from chatroom.backends.sqlite.ledger import COMMIT_SECONDS, RETRY_SECONDS, StoredLedger
from chatroom.model.entry import Entry
from chatroom.model.events import Event, Left, Relayed, Said, Told
from tests.support.doubles import Clock
from tests.support.fuzzing import examples

BACK = "The disk is back: history is being kept again."


class Disk:
    """A ledger and all that is around it; *answers* says at once what becomes of a commit."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.ledger = StoredLedger(self.clock, self.commit)
        self.ledger.attach(self)
        self.kept: list[Entry] = []
        self.delivered: list[Entry] = []
        self.said: list[str] = []
        self.answers: list[str] = []
        self.writing: list[tuple[list[Entry], Deferred[None]]] = []
        #: Called while a batch is delivered.
        self.then = lambda: None

    def commit(self, entries: Sequence[Entry]) -> Deferred[None]:
        assert not self.writing, "two were written at once"
        answer = self.answers.pop(0) if self.answers else "later"
        match answer:
            case "raises":
                raise OSError("there is no disk")
            case "fails":
                return fail(OSError("the disk is full"))
            case "takes":
                self.kept += entries
                return succeed(None)
        written: Deferred[None] = Deferred()
        self.writing.append((list(entries), written))
        return written

    def takes(self) -> None:
        entries, written = self.writing.pop()
        self.kept += entries
        written.callback(None)

    def fails(self) -> None:
        self.writing.pop()[1].errback(OSError("the disk is full"))

    def takes_everything(self) -> None:
        """The disk is well for long enough."""
        self.clock.advance(RETRY_SECONDS)
        while self.writing:
            self.takes()
        assert not self.clock.getDelayedCalls()

    def committed(self, batch: Sequence[Entry]) -> None:
        assert batch, "an empty batch"
        self.delivered += batch
        self.then()

    def rejected(self, room: str, event: Event, why: str) -> None:
        raise AssertionError("a store rejects nothing")

    def say(self, count: int = 1, room: str = "lobby") -> None:
        for _ in range(count):
            self.said.append(f"line {len(self.said)}")
            self.ledger.submit(room, Said(self.clock.seconds(), 1, "alice", self.said[-1]))

    def says(self, count: int = 1, room: str = "lobby") -> None:
        self.say(count, room)
        self.ledger.end_turn()

    @property
    def heard(self) -> list[str]:
        return _said(self.delivered)

    @property
    def told(self) -> list[str]:
        """What the rooms were told, without what is the same in all that it says."""
        texts = [entry.event.text for entry in self.delivered if isinstance(entry.event, Told)]
        return [text.removeprefix("The disk is ").partition(":")[0] for text in texts]


def _said(entries: Sequence[Entry]) -> list[str]:
    return [entry.event.text for entry in entries if isinstance(entry.event, Said)]


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_commit_that_is_done_at_once_is_delivered_at_once(disk: Disk) -> None:
    disk.answers = ["takes"]
    disk.says(3)
    assert disk.heard == disk.said
    assert not disk.clock.getDelayedCalls()


@pytest.mark.parametrize("answer", ["raises", "fails"])
def test_a_commit_that_fails_at_once_is_tried_again(disk: Disk, answer: str) -> None:
    disk.answers = [answer] * 3 + ["takes"]
    disk.says()
    for _ in range(3):
        assert disk.heard == []
        disk.clock.advance(RETRY_SECONDS)
    assert disk.heard == disk.said
    assert disk.kept == disk.delivered
    assert not disk.clock.getDelayedCalls()


def test_what_is_written_at_once_is_delivered_after_what_was_written_before(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PORTION_ENTRIES", 2)
    disk.answers = ["later", "takes", "takes", "takes"]
    disk.says()
    disk.says(6)
    disk.takes()
    assert disk.heard == disk.said
    assert disk.kept == disk.delivered


def test_what_is_said_while_a_batch_is_delivered_comes_after_it(disk: Disk) -> None:
    disk.answers = ["takes", "takes"]

    def answer() -> None:
        if len(disk.said) == 2:
            disk.says()

    disk.then = answer
    disk.says(2)
    assert disk.heard == disk.said
    assert len(disk.said) == 3


def test_among_people_who_never_stop_talking_it_is_kept_again_as_well(disk: Disk) -> None:
    disk.says()
    disk.clock.advance(COMMIT_SECONDS)
    for _ in range(3):
        disk.says()
        disk.takes()
    assert not disk.ledger.lagging
    disk.takes_everything()
    assert disk.told == ["away", "back"]
    assert disk.heard == disk.said
    assert disk.kept == disk.delivered
    disk.says()
    assert disk.heard == disk.said[:-1]
    disk.takes()
    assert disk.heard == disk.said


def test_a_disk_that_fails_once_more_is_still_away(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PORTION_ENTRIES", 2)
    disk.says(4)
    disk.clock.advance(COMMIT_SECONDS)
    disk.takes()
    disk.fails()
    disk.says(3)
    assert disk.heard == disk.said
    disk.clock.advance(RETRY_SECONDS)
    disk.takes()
    disk.takes()
    assert disk.ledger.lagging
    disk.takes_everything()
    assert disk.told == ["away", "back"]
    assert disk.kept == disk.delivered


def test_what_is_not_kept_anyway_is_not_lost(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_ENTRIES", 2)
    disk.says()
    disk.clock.advance(COMMIT_SECONDS)
    for _ in range(5):
        disk.ledger.submit("relay", Relayed(0.0, 1, b"x"))
    disk.ledger.end_turn()
    disk.takes_everything()
    assert disk.told == ["away", "back"]
    last = disk.delivered[-1].event
    assert isinstance(last, Told)
    assert last.text == BACK


def test_closing_while_the_disk_is_away_waits_until_all_is_kept(disk: Disk) -> None:
    fired: list[None] = []
    disk.says()
    disk.clock.advance(COMMIT_SECONDS)
    disk.say()
    disk.ledger.close().addCallback(fired.append)
    assert disk.heard == disk.said
    disk.fails()
    assert fired == []
    disk.takes_everything()
    assert fired == [None]
    assert disk.kept == disk.delivered


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("end", ["takes", "fails"])
def test_an_answer_after_the_end_changes_nothing(disk: Disk, away: bool, end: str) -> None:
    disk.says()
    if away:
        disk.clock.advance(COMMIT_SECONDS)
    before = list(disk.delivered)
    closed = disk.ledger.close()
    closed.addErrback(lambda _: None)
    closed.cancel()
    (disk.takes if end == "takes" else disk.fails)()
    assert disk.delivered == before
    assert disk.writing == []
    assert not disk.clock.getDelayedCalls()


@pytest.mark.parametrize("pending", [0, 1])
def test_who_leaves_after_the_end_has_left_and_nothing_is_written(disk: Disk, pending: int) -> None:
    disk.say(pending)
    closed = disk.ledger.close()
    if pending:
        disk.takes()
    assert closed.called
    disk.ledger.submit("lobby", Left(0.0, 1, "alice", "", False))
    disk.ledger.end_turn()
    assert isinstance(disk.delivered[-1].event, Left)
    assert disk.writing == []
    assert not disk.clock.getDelayedCalls()


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["takes", "fails", "end of turn"]),
        st.sampled_from([0.01, RETRY_SECONDS, 1.0, COMMIT_SECONDS]),
        st.tuples(st.sampled_from(["lobby", "den"]), st.integers(1, 4)),
    ),
    max_size=40,
)
ANSWERS = st.lists(st.sampled_from(["takes", "fails", "raises", "later", "later"]), max_size=12)


@examples(150)
@given(STEPS, ANSWERS, st.sampled_from([3, 1000]))
def test_whatever_happens_all_is_delivered_once_and_kept_but_for_what_was_dropped(
    steps: list[str | float | tuple[str, int]], answers: list[str], bound: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_WAITING_ENTRIES", bound)
        patch.setattr(module, "PORTION_ENTRIES", 3)
        disk = Disk()
        disk.answers = answers
        for step in steps:
            match step:
                case (room, count):
                    disk.say(count, room)
                case float():
                    disk.clock.advance(step)
                case "end of turn":
                    disk.ledger.end_turn()
                case _ if disk.writing:
                    (disk.takes if step == "takes" else disk.fails)()
        disk.answers.clear()
        closed = disk.ledger.close()
        disk.takes_everything()
    assert closed.called
    assert disk.heard == disk.said
    for entries in (disk.delivered, disk.kept):
        ids = [entry.id for entry in entries]
        assert ids == sorted(set(ids))
    assert not disk.ledger.lagging
    assert all(is_kept(entry.event) for entry in disk.delivered)
    dropped = [entry for entry in disk.delivered if entry not in disk.kept]
    if bound == 1000:
        assert dropped == []
    assert set(disk.kept) <= set(disk.delivered)
    lost = [entry for entry in disk.delivered if "are lost" in getattr(entry.event, "text", "")]
    assert bool(lost) is any(isinstance(entry.event, Said) for entry in dropped)
