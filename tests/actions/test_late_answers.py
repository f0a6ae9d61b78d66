"""Answers of a history that take their time: input waits, and what nobody waits for is dropped."""

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from chatroom.actions.pager import LOOKING, SEARCHING, TOO_LONG
from chatroom.actions.steps import PATIENCE
from chatroom.model.entry import Entry
from chatroom.model.events import Said
from chatroom.model.history import Query
from tests.conftest import Strictness
from tests.support.lookups import LATER, LateHistory, unread
from tests.support.world import World


def test_input_waits_for_an_answer_that_comes_late(world: World, late: LateHistory) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/search tea", "hi", "/uptime")
    world.wait(SEARCHING / 2)
    assert alice.sees == bob.sees == []
    # Others are shown meanwhile.
    bob.says("hello")
    assert alice.sees == ["bob: hello"]
    late.answers[0].callback([Entry("lobby", 1, Said(0.0, 9, "zoe", "tea"))])
    world.settle()
    found, up = alice.sees
    assert found == "1970-01-01 00:00 #lobby zoe: tea"
    assert up.startswith("-- chatroom has been up")
    assert bob.sees == ["alice: hi"]


@pytest.mark.parametrize("typed", ["/history", "/search tea", "/missed"])
def test_an_answer_that_does_not_come_is_not_waited_for(
    world: World, late: LateHistory, typed: str
) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("hello")
    _ = alice.sees
    alice.connection.unread = unread({"lobby": 0})
    with capturedLogs() as logs:
        alice.says(typed, "hi")
        world.wait((SEARCHING if "search" in typed else LOOKING) - 0.1)
        assert alice.sees == bob.sees == []
        world.wait(0.2)
    assert alice.sees == [f"-- {TOO_LONG}" if "search" in typed else LATER]
    assert bob.sees == ["alice: hi"]
    assert [event["log_level"] for event in logs] == [LogLevel.warn]
    # It comes all the same, and nobody cares.
    late.answers[0].callback([])
    world.settle()
    assert alice.sees == []
    assert alice.connection.gate.is_open


def test_what_somebody_looked_for_who_has_gone_is_looked_for_no_more(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/search tea")
    bob.says("/search coffee")
    # One thing is looked up at a time.
    assert len(late.asked) == 1
    with capturedLogs() as logs:
        alice.hangs_up()
        world.settle()
    assert [event for event in logs if event["log_level"] is not LogLevel.info] == []
    assert late.answers[0].called
    late.answers[1].callback([])
    world.settle()
    assert bob.sees == ["-- alice left.", "-- Nothing was found."]


def test_whoever_asks_for_much_waits_for_others(world: World, late: LateHistory) -> None:
    greedy = [world.person(source="198.51.100.1") for _ in range(3)]
    bob = world.person("bob", source="198.51.100.2")
    for person in greedy:
        person.says("/search tea")
    bob.says("/search coffee")
    late.answers[0].callback([])
    late.answers[1].callback([])
    world.settle()
    asked = [question[1] for question in late.asked]
    assert [query.phrases[0].words[0] for query in asked if isinstance(query, Query)] == [
        *("tea", "tea", "coffee")
    ]


def test_an_answer_that_fails_is_said_and_logged_in_one_line(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    with capturedLogs() as logs:
        alice.says("/search tea", "hi")
        late.answers[0].errback(OSError("the disk is gone"))
        world.settle()
    assert alice.sees == [LATER]
    assert bob.sees == ["alice: hi"]
    (event,) = logs
    assert event["log_level"] is LogLevel.warn
    assert formatEvent(event) == "History could not be read: OSError('the disk is gone')"
    assert "log_failure" not in event


def test_what_could_not_be_shown_can_be_asked_for_again(world: World, late: LateHistory) -> None:
    alice, _bob = world.people("alice", "bob")
    alice.says("/search tea")
    late.answers[0].callback(
        [Entry("lobby", 50 + n, Said(0.0, 9, "zoe", "tea")) for n in range(10)]
    )
    world.settle()
    for _ in range(2):
        alice.says("/more")
        late.answers[-1].errback(OSError())
        world.settle()
        assert alice.sees[-1] == LATER
    alice.says("/more")
    assert late.asked[1] == late.asked[2] == late.asked[3]
    late.answers[-1].callback([])
    world.settle()
    assert alice.sees == ["-- That is all."]
    assert alice.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_an_answer_that_cannot_be_shown_does_not_keep_input_waiting(
    world: World, late: LateHistory, strict: Strictness
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/history", "hi")
    late.answers[0].callback("no list of entries")
    world.settle()
    assert bob.sees == ["alice: hi"]
    assert len(strict.expected()) == 1


@pytest.mark.parametrize("answer", [[Entry("lobby", 1, Said(0.0, 9, "zoe", "tea"))], OSError()])
def test_who_leaves_while_waiting_is_shown_nothing(
    world: World, late: LateHistory, answer: object
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/search tea", "hi")
    alice.hangs_up()
    world.settle()
    late.answers[0].callback(answer) if isinstance(answer, list) else late.answers[0].errback(
        OSError()
    )
    world.settle()
    assert alice.sees == []
    assert bob.sees == ["-- alice left."]
    assert world.pending == []


def test_who_leaves_while_waiting_for_nothing_is_forgotten(world: World, late: LateHistory) -> None:
    alice, _bob = world.people("alice", "bob")
    alice.says("/search tea")
    alice.hangs_up()
    world.wait(PATIENCE)
    assert alice.sees == []
    assert world.pending == []


def test_who_types_no_more_is_still_answered(world: World, late: LateHistory) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/search tea")
    alice.ends()
    world.settle()
    assert bob.sees == []
    late.answers[0].callback([Entry("lobby", 1, Said(0.0, 9, "zoe", "tea"))])
    world.settle()
    assert alice.sees == ["1970-01-01 00:00 #lobby zoe: tea"]
    assert bob.sees == ["-- alice left."]
