"""What the chat counts is what happened."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from random import Random

import pytest
from twisted.internet.defer import Deferred

from chatroom.backends.sqlite import ledger as store_ledger
from chatroom.backends.sqlite.ledger import COMMIT_SECONDS, RETRY_SECONDS, StoredLedger
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.clock import Clock
from chatroom.model.counters import REFUSALS, Counters, Histogram
from chatroom.model.limits import Limits
from tests.conftest import MakeWorld
from tests.support.rooms import shorten
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import Person, World


def test_a_histogram_tells_durations_apart() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 1.5, 30.0, -1.0):
        histogram.observe(seconds)
    assert histogram.counts == [3, 1, 2]
    assert histogram.sum == pytest.approx(32.15)


def test_known_traffic_gives_known_numbers(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    counters = world.chat.counters
    lines, deliveries, bytes_, input = (
        counters.lines,
        counters.deliveries,
        counters.bytes,
        counters.input,
    )
    alice.says("hi")
    assert (counters.lines - lines, counters.deliveries - deliveries) == (1, 2)
    assert counters.bytes - bytes_ == 2 * len("alice: hi\r\n")
    alice.types("one", "two")
    bob.types("three", "/me waves")
    world.settle()
    # Two of alice's to two others, two of bob's to two others.
    assert (counters.lines - lines, counters.deliveries - deliveries) == (5, 10)
    carol.says("/who", "/nosuch", "")
    # What no line is is none, and an empty line came in all the same.
    assert (counters.lines - lines, counters.input - input) == (5, 8)
    carol.says("/join den", "alone")
    assert (counters.lines - lines, counters.deliveries - deliveries) == (6, 10)


def seen_lines(person: Person) -> int:
    """How many lines that somebody said were shown, of those said after everybody was there."""
    return sum(bool(re.search(r"(^|\s)(\w+: said|\* \w+ did)", line)) for line in person.sees)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_what_was_handed_over_is_counted(world: World, seed: int) -> None:
    shorten(world.chat.lobby, 12)
    random = Random(seed)
    people = world.people(*"abcdef")
    for person in random.sample(people, 3):
        shown = random.choice(["on", "seconds", "off"])
        person.connection.set_preferences(partial(replace, timestamps=shown))
    counters = world.chat.counters
    seen = 0
    for person in people:
        _ = person.sees
    before = counters.deliveries
    sent = counters.bytes - sum(len(person.writer.data) for person in people)
    for _ in range(120):
        person, other = random.sample(people, 2)
        match random.randrange(9):
            case 0 | 1 | 2:
                person.types(*(f"said {number}" for number in range(random.randrange(1, 4))))
            case 3:
                person.types("/me did", "/topic tea")
            case 4:
                person.writer.stall(random.randrange(60))
            case 5:
                person.writer.drain(random.choice([None, 5, 30]))
            case 6:
                person.types(random.choice(["/ignore ", "/unignore "]) + other.name)
            case 7:
                person.types(f"/msg {other.name} psst")
            case 8:
                world.settle()
    for person in people:
        person.writer.drain()
    world.settle()
    missed = 0
    for person in people:
        shown = person.writer.data[person._seen :].decode()
        missed += sum(map(int, re.findall(r"You missed (\d+) line", shown)))
        seen += seen_lines(person)
    assert counters.deliveries - before == seen
    assert counters.bytes - sum(len(person.writer.data) for person in people) == sent
    assert counters.missed == missed


def test_who_does_not_read_is_counted_when_told_what_they_missed(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    counters = world.chat.counters
    before = counters.deliveries
    bob.writer.stall(3)
    for number in range(31):
        alice.says(f"line{number}")
    # The one it stopped in is with the transport.
    assert (counters.deliveries - before, counters.missed) == (1, 0)
    bob.writer.drain(0)
    # Nothing of it went out, and it will be told again.
    assert (counters.deliveries - before, counters.missed) == (1, 0)
    bob.writer.drain()
    assert (counters.deliveries - before, counters.missed) == (11, 20)


def test_goodbyes_are_sent_as_well(world: World) -> None:
    (alice,) = world.people("alice")
    before = world.chat.counters.bytes - len(alice.writer.data)
    alice.says("/quit")
    assert alice.sees[-1] == "-- Good-bye."
    assert world.chat.counters.bytes - len(alice.writer.data) == before


def test_mail_of_who_leaves_without_reading_is_sent_as_well(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    before = world.chat.counters.bytes - len(alice.writer.data + bob.writer.data)
    alice.writer.stall()
    bob.says("hi")
    alice.connection.notice("psst")
    alice.connection.end()
    world.settle()
    assert b"psst" in alice.writer.data
    assert world.chat.counters.bytes - len(alice.writer.data + bob.writer.data) == before


def test_what_is_for_somebody_who_is_gone_is_not_sent(world: World) -> None:
    (alice,) = world.people("alice")
    before = world.chat.counters.bytes - len(alice.writer.data)
    alice.types("/help")
    assert alice.connection.queue.size
    alice.hangs_up()
    world.settle()
    assert world.chat.counters.bytes - len(alice.writer.data) == before


def test_batches_are_timed_by_the_timer_they_are_given() -> None:
    times = iter(range(1000))
    world = World()
    world.chat.counters.timer = lambda: float(next(times))
    world.person("alice")
    flushes = world.chat.counters.flushes
    assert flushes.sum == sum(flushes.counts) >= 2
    world.end()


# -- connections


@pytest.mark.parametrize("factory", [ChatFactory, RelayFactory])
def test_connections_that_are_refused_are_counted_by_their_reason(
    factory: type[ChatFactory] | type[RelayFactory], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(UNLIMITED, max_connections=3, connections_per_source=2, attempts_per_minute=4)
    world = World(limits=limits)
    counters = world.chat.counters
    door = factory(world.chat)
    addresses = iter(["192.0.2.1"] * 3 + ["192.0.2.2"] * 2)

    def comes() -> Visitor:
        return Visitor(world, door)

    monkeypatch.setattr("chatroom.doors.factory.source_of", lambda host: next(addresses))
    first, second = comes(), comes()
    assert counters.accepted == 2
    comes()
    assert counters.refused == {**dict.fromkeys(REFUSALS, 0), "source_full": 1}
    third = comes()
    comes()
    assert counters.refused["server_full"] == 1
    third.hangs_up()
    addresses = iter(["192.0.2.1"] * 5)
    comes(), comes()
    assert counters.refused["attempts"] == 1
    door.stop_reading()
    comes()
    assert counters.refused["shutting_down"] == 1
    assert counters.accepted == 3
    assert sum(counters.refused.values()) == 5
    first.hangs_up()
    second.hangs_up()
    world.end()


@pytest.mark.parametrize("factory", [ChatFactory, RelayFactory])
def test_who_is_cut_for_not_reading_is_counted(
    factory: type[ChatFactory] | type[RelayFactory],
) -> None:
    world = World(limits=replace(UNLIMITED, stall_timeout=5))
    door = factory(world.chat)
    visitor = Visitor(world, door)
    visitor.protocol.writer.pauseProducing()
    world.wait(4)
    assert world.chat.counters.cut == 0
    world.wait(2)
    assert world.chat.counters.cut == 1
    visitor.settle()
    world.end()


def test_the_relay_counts_its_lines() -> None:
    world = World(limits=UNLIMITED)
    door = RelayFactory(world.chat)
    one, two = Visitor(world, door), Visitor(world, door)
    one.sends(b"word\nfor word\n")
    counters = world.chat.counters
    assert two.received == b"word\nfor word\n"
    assert (counters.input, counters.lines, counters.deliveries) == (2, 2, 2)
    assert counters.bytes == len(b"word\nfor word\n")
    one.hangs_up()
    two.hangs_up()
    world.end()


# -- accounts


def test_accounts_and_attempts_are_counted(make_world: MakeWorld) -> None:
    world = make_world(limits=Limits(rate=0))
    counters = world.chat.counters
    alice, bob = world.people("alice", "bob")
    alice.says("/register correct-horse-battery")
    assert (counters.registrations, counters.logins) == (1, 0)
    alice.says("/logout")
    bob.says("/login alice wrong-horse-battery")
    assert (counters.wrong_passwords, counters.logins) == (1, 0)
    bob.says("/login alice correct-horse-battery")
    assert (counters.wrong_passwords, counters.logins) == (1, 1)
    alice.says("/login 23456789")
    assert (counters.wrong_codes, counters.wrong_passwords, counters.logins) == (1, 1, 1)


# -- the store


class Disk:
    """Takes what is to be committed when the test says so."""

    def __init__(self) -> None:
        self.answers: list[Deferred[None]] = []

    def __call__(self, entries: object) -> Deferred[None]:
        self.answers.append(Deferred())
        return self.answers[-1]


def test_a_disk_that_is_away_is_counted() -> None:
    disk = Disk()

    def stored(clock: Clock) -> StoredLedger:
        return StoredLedger(clock, disk)

    world = World(stored)
    ledger = world.ledger
    assert isinstance(ledger, StoredLedger)
    person = Person(world)
    world.settle()
    world.clock.advance(0.25)
    disk.answers.pop().callback(None)
    world.settle()
    assert ledger.commits.sum == pytest.approx(0.29, abs=0.05)
    assert (sum(ledger.commits.counts), ledger.failures, ledger.behind) == (1, 0, 0)
    person.says("one", "/topic two", "three")
    assert (ledger.lagging, ledger.behind) == (False, 0)
    world.clock.advance(COMMIT_SECONDS)
    # A topic is no line, and neither is what the room is told.
    assert (ledger.lagging, ledger.behind) == (True, 2)
    disk.answers.pop().errback(OSError("the disk is full"))
    assert (sum(ledger.commits.counts), ledger.failures) == (2, 1)
    world.clock.advance(RETRY_SECONDS)
    while disk.answers:
        disk.answers.pop().callback(None)
    world.settle()
    assert (ledger.lagging, ledger.behind, ledger.lost) == (False, 0, 0)
    assert sum(ledger.commits.counts) >= 3
    ledger._commit = lambda entries: _done()
    while disk.answers:
        disk.answers.pop().callback(None)
    world.end()


def _done() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done


def test_lines_that_are_lost_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_ledger, "MAX_WAITING_ENTRIES", 3)
    disk = Disk()
    world = World(lambda clock: StoredLedger(clock, disk))
    ledger = world.ledger
    assert isinstance(ledger, StoredLedger)
    person = Person(world)
    world.settle()
    disk.answers.pop().callback(None)
    world.settle()
    person.says("written")
    world.clock.advance(COMMIT_SECONDS)
    person.says(*(f"line{number}" for number in range(10)))
    assert ledger.lost == 7
    assert ledger.behind == 4
    ledger.close().addErrback(lambda _: None).cancel()
    assert ledger.behind == 0
    world.end()


def test_counters_begin_at_nothing() -> None:
    counters = Counters(float)
    assert counters.refused == dict.fromkeys(REFUSALS, 0)
    assert not any(
        getattr(counters, name)
        for name in Counters.__slots__
        if name not in ("timer", "refused", "flushes")
    )
