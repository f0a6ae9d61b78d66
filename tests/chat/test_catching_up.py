"""Members who do not read: where they stop, and what they are sent when they read again."""

import re

from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.reader import Reader
from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.formats.plain import PLAIN, PlainFormat
from chatroom.model.events import Event, Joined, Said, TookBack
from tests.support.doubles import DelayedLedger, FakeWriter, immediate
from tests.support.fuzzing import examples
from tests.support.rooms import shorten
from tests.support.world import Person, World


def check(lines: list[str], count: int, private: int = 0) -> None:
    """*lines* are all of alice's *count* lines in order, or say exactly how many are missing."""
    said = told = 0
    for line in lines:
        if missed := re.fullmatch(r"-- You missed (\d+) (lines?)\.", line):
            assert (int(missed[1]) == 1) == (missed[2] == "line")
            said += int(missed[1])
        elif line.startswith("->"):
            assert line.split()[:5] == ["->", "alice", "to", "you:", f"mail{told}"]
            told += 1
        else:
            assert line.split()[:2] == ["alice:", f"line{said}"]
            said += 1
    assert said == count
    assert told == private


#: A person talks, a turn ends, a client takes so many bytes more and stops.
STALLING = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 60)),
        st.tuples(st.just("mail"), st.integers(0, 60)),
        st.tuples(st.just("turn"), st.just(0)),
        st.tuples(st.just("take"), st.integers(0, 200)),
        st.tuples(st.just("drain"), st.just(0)),
        st.tuples(st.just("drain some"), st.just(0)),
    ),
    max_size=40,
)


def act(world: World, alice: Person, bob: Person, actions: list[tuple[str, int]]) -> list[int]:
    """Do all that, then let bob read; returns how many lines were said and sent by mail."""
    said = mailed = 0
    for action, number in actions:
        if action == "say":
            alice.types(f"line{said} {'x' * number}")
            said += 1
        elif action == "mail":
            alice.types(f"/msg bob mail{mailed} {'y' * number}")
            mailed += 1
        elif action == "turn":
            world.settle()
        elif action == "take":
            bob.writer.drain(number)
        elif action == "drain some":
            bob.writer.drain_some()
        else:
            bob.writer.drain()
    world.settle()
    bob.writer.drain()
    world.settle()
    return [said, mailed]


@given(ledger=st.sampled_from([immediate, DelayedLedger]), actions=STALLING)
@examples(200)
def test_wherever_a_reader_stops_they_get_every_line_once_and_in_order(
    ledger: type[DelayedLedger], actions: list[tuple[str, int]]
) -> None:
    world = World(ledger)
    alice, bob = world.people("alice", "bob")
    said, mailed = act(world, alice, bob, actions)
    check(bob.sees, said, mailed)
    assert not bob.writer.congested
    world.end()


@given(
    ledger=st.sampled_from([immediate, DelayedLedger]),
    actions=STALLING,
    portion=st.sampled_from([1, 60, 10_000]),
)
@examples(200)
def test_wherever_the_log_moves_past_a_reader_they_are_told_how_many_lines_they_missed(
    ledger: type[DelayedLedger], actions: list[tuple[str, int]], portion: int
) -> None:
    world = World(ledger)
    world.chat.lobby.delivery.portion = portion
    shorten(world.chat.lobby, 3)
    alice, bob = world.people("alice", "bob")
    said, mailed = act(world, alice, bob, actions)
    check(bob.sees, said, mailed)
    world.end()


@given(ledger=st.sampled_from([immediate, DelayedLedger]), actions=STALLING, many=st.integers(1, 3))
@examples(50)
def test_catching_up_in_small_portions_loses_nothing(
    ledger: type[DelayedLedger], actions: list[tuple[str, int]], many: int
) -> None:
    world = World(ledger)
    world.chat.lobby.delivery.portion = many
    alice, bob = world.people("alice", "bob")
    said, mailed = act(world, alice, bob, actions)
    check(bob.sees, said, mailed)
    world.end()


def test_who_missed_lines_is_told_how_many(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(3)
    for number in range(31):
        alice.says(f"line{number}")
    bob.writer.drain()
    lines = bob.sees
    # The first was cut by the stall and went to the transport.
    assert lines[:2] == ["alice: line0", "-- You missed 20 lines."]
    assert len(lines) == 12
    check(lines, 31)


def test_who_has_caught_up_with_some_is_told_how_many_of_the_others_they_missed(
    world: World,
) -> None:
    shorten(world.chat.lobby, 10)
    world.chat.lobby.delivery.portion = 1
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(3)
    for number in range(5):
        alice.says(f"line{number}")
    bob.writer.drain_some()
    assert bob.sees == ["alice: line0", "alice: line1"]
    for number in range(5, 31):
        alice.says(f"line{number}")
    bob.writer.drain()
    assert bob.sees[0] == "-- You missed 19 lines."


def test_one_missed_line_is_one_line(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(3)
    for number in range(12):
        alice.says(f"line{number}")
    bob.writer.drain()
    assert bob.sees[1] == "-- You missed 1 line."


def test_who_missed_only_what_is_no_line_is_told_nothing(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(3)
    alice.says("line0")
    for number in range(20):
        alice.says(f"/topic {number}")
    bob.writer.drain()
    assert bob.sees == [
        "alice: line0",
        *[f"-- alice set the topic: {number}" for number in range(10, 20)],
    ]


def test_who_stopped_at_a_private_line_is_told_how_many_lines_they_missed(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    for number in range(7):
        alice.says(f"line{number}")
    _ = bob.sees
    bob.writer.stall(3)
    alice.says("/msg bob psst")
    for number in range(30):
        alice.says(f"more{number}")
    bob.writer.drain()
    assert bob.sees[:2] == ["-> alice to you: psst", "-- You missed 20 lines."]


def test_a_reader_who_stops_again_before_they_were_told_is_told_later(world: World) -> None:
    shorten(world.chat.lobby, 10)
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(3)
    for number in range(31):
        alice.says(f"line{number}")
    bob.writer.drain(0)
    assert bob.writer.congested
    for number in range(31, 41):
        alice.says(f"line{number}")
    bob.writer.drain()
    lines = bob.sees
    assert lines[1] == "-- You missed 30 lines."
    check(lines, 41)


def test_a_slow_reader_does_not_hold_up_the_others(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.writer.stall()
    for number in range(50):
        alice.says(str(number))
        assert carol.sees == [f"alice: {number}"]


def test_nothing_is_kept_for_a_slow_reader(world: World) -> None:
    alice, bob, _ = world.people("alice", "bob", "carol")
    bob.writer.stall(3)
    alice.says("cut here")
    kept, writes = len(bob.writer.data), bob.writer.writes
    for number in range(200):
        alice.says(f"{number} {'x' * 1000}")
    assert (len(bob.writer.data), bob.writer.writes) == (kept, writes)
    assert bob.connection.queue.size == 0


def test_catching_up_goes_in_portions(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    for number in range(300):
        alice.types(f"line{number} {'x' * 1900}")
    world.settle()
    writes = bob.writer.writes
    bob.writer.drain()
    portions = [len(data) for data in bob.writer.written[writes:]]
    assert sum(portions) > 500_000
    # A portion ends with the line that fills it.
    assert max(portions) < world.chat.lobby.delivery.portion + 2000
    check(bob.sees, 300)


def test_a_slow_reader_who_has_caught_up_reads_live(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    alice.says("one", "two")
    bob.writer.drain()
    alice.says("three")
    assert bob.sees == ["alice: one", "alice: two", "alice: three"]


def test_what_a_reader_typed_before_they_stopped_is_still_left_out(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    alice.types("one")
    bob.types("mine")
    alice.types("two")
    world.settle()
    bob.writer.drain()
    assert bob.sees == ["alice: one", "alice: two"]


def test_a_slow_reader_is_taken_no_input_from(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    alice.says("one")
    _ = alice.sees
    bob.says("late")
    assert alice.sees == []
    bob.writer.drain()
    world.settle()
    assert alice.sees == ["bob: late"]


def test_a_slow_reader_who_moves_is_shown_the_new_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.types("/join den")
    bob.writer.stall()
    alice.types("one")
    world.settle()
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["-- You made #den; nobody else is here."]


def test_a_reader_who_stalls_and_resumes_on_the_way_to_another_room_loses_nothing() -> None:
    world = World(DelayedLedger)
    alice, bob = world.people("alice", "bob")
    alice.types("one", "two")
    world.clock.advance(0)
    bob.writer.stall(3)
    alice.types("three")
    world.clock.advance(0.002)
    bob.types("/join den")
    world.clock.advance(0.002)
    # The first two lines were committed; the third, and that bob moves, were not.
    assert bob.writer.congested
    bob.writer.drain()
    world.settle()
    assert bob.sees == [
        "alice: one",
        "alice: two",
        "alice: three",
        "-- You made #den; nobody else is here.",
    ]
    world.end()


def test_a_slow_reader_who_leaves_is_dropped(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    alice.says("one")
    bob.hangs_up("not reading")
    world.settle()
    assert alice.sees == ["-- bob left (not reading)."]
    assert len(world.chat.lobby.members) == 1


def test_a_member_who_enters_while_congested_is_served_on_draining() -> None:
    room = Room("den", "den")
    writer = FakeWriter(lambda: room.delivery.catch_up(slow))
    user = User(1, "slow")
    slow = Reader(1, PLAIN, writer, user)
    writer.room = 3
    assert writer.write(b"greeting\r\n") == 3
    writer.finish(b"eting\r\n")
    room.expect(user, None)
    room.append(1, Said(0.0, 9, "alice", "before"))
    room.append(2, Joined(0.0, 1, "slow"))
    room.attach(slow)
    room.append(3, Said(0.0, 9, "alice", "after"))
    room.flush()
    assert writer.data == b"greeting\r\n"
    writer.drain()
    assert writer.data == b"greeting\r\nalice: after\r\n"


def test_who_is_behind_is_not_shown_what_was_forgotten(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(5)
    alice.says("one", "two", "three")
    world.chat.lobby.expire(0.0, 1)
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["alice: one", "alice: three"]


def test_who_is_behind_is_served_what_others_who_are_were_served() -> None:
    class Counted(PlainFormat):
        """Counts what it is asked to encode."""

        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
            self.count += 1
            return super().encode(event, room, id, live)

    format = Counted()
    room = Room("den", "den")
    writers = [FakeWriter() for _ in range(50)]
    readers = [Reader(origin, format, writer) for origin, writer in enumerate(writers, 1)]
    for one in readers:
        room.attach(one)
    for writer in writers:
        writer.congested = True
    for number in range(20):
        room.append(100 + number, Said(1.0, 99, "alice", str(number)))
        room.flush()
    format.count = 0
    for writer, one in zip(writers[:-1], readers[:-1], strict=True):
        writer._draining = True
        assert room.delivery.catch_up(one)
        assert writer.data.count(b"alice: ") == 20
    assert format.count == 20
    # What was taken back is not sent from what was made of it before.
    room.append(200, TookBack(2.0, 99, "alice", frozenset([0])))
    room.flush()
    writers[-1]._draining = True
    assert room.delivery.catch_up(readers[-1])
    assert b"alice: " not in writers[-1].data


def test_what_is_for_one_user_waits_until_they_have_taken_the_lines_of_the_room(
    world: World,
) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall()
    alice.says("one", "/msg bob psst")
    # They stop again, in the middle of the last line.
    bob.writer.drain(5)
    assert bob.sees == ["alice: one"]
    bob.writer.drain()
    assert bob.sees == ["-> alice to you: psst"]
