"""A room is a log and its members are cursors: what each of them is sent, and when."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.chat.log import Log
from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.formats.plain import PLAIN, RAW, PlainFormat
from chatroom.model.chatsettings import Settings
from chatroom.model.events import Event, Joined, Left, Renamed, Said, TookBack, TopicSet, Whispered
from conftest import MakeWorld, Strictness
from fakes import DelayedLedger, FakeWriter, Person, World, immediate, shorten
from fuzzing import examples


class Shouting(PlainFormat):
    """A format of its own: everything in capitals."""

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        return PLAIN.encode(event, room, id, live).upper()


class Broken(PlainFormat):
    """A format that cannot show what is said."""

    def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
        if isinstance(event, Said):
            raise ZeroDivisionError
        return PLAIN.encode(event, room, id, live)


# -- who is shown what


def test_a_line_is_shown_to_all_but_who_said_it(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("hi")
    assert alice.sees == []
    assert bob.sees == carol.sees == ["alice: hi"]


def test_all_see_one_order(world: World) -> None:
    *talkers, reader = world.people("alice", "bob", "carol", "reader")
    for number in range(20):
        talkers[number % 3].types(f"line {number}")
    world.settle()
    order = reader.sees
    assert len(order) == 20
    for talker in talkers:
        assert talker.sees == [line for line in order if not line.startswith(f"{talker.name}:")]


def test_what_one_person_says_stays_in_its_order(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types(*[str(number) for number in range(50)])
    world.settle()
    assert bob.sees == [f"alice: {number}" for number in range(50)]


def test_who_draws_their_own_screen_is_shown_their_own_lines(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.session.member.echo = True
    alice.types("one")
    bob.types("two")
    alice.types("three")
    world.settle()
    assert alice.sees == ["alice: one", "bob: two", "alice: three"]
    assert bob.sees == ["alice: one", "alice: three"]
    # What they do otherwise they are told of, or know.
    alice.says("/me waves", "/nick ann")
    assert alice.sees == ["* alice waves", "-- You are now ann."]


def test_each_member_is_shown_their_own_format(world: World) -> None:
    loud = Shouting()
    alice, bob = world.people("alice", "bob")
    carol = world.person("carol", format=loud)
    dave = world.person("dave", format=loud)
    world.wait(5)
    _ = bob.sees, carol.sees, dave.sees
    alice.says("hi")
    assert bob.sees == ["alice: hi"]
    assert carol.sees == dave.sees == ["ALICE: HI"]
    assert carol.writer.written[-1] is dave.writer.written[-1]


class Marking(PlainFormat):
    """A format that marks who is named."""

    highlights = True

    def highlighted(self, encoded: bytes, name: str) -> bytes:
        return encoded.replace(name.encode(), b"<" + name.encode() + b">")


def test_who_is_named_is_shown_it_and_the_others_share_what_they_are_sent(world: World) -> None:
    marking = Marking()
    alice = world.person("alice")
    bob, carol, dave = (world.person(name, format=marking) for name in ("bob", "carol", "dave"))
    world.wait(5)
    _ = alice.sees, bob.sees, carol.sees, dave.sees
    bob.says("/ignore dave")
    _ = bob.sees
    alice.types("hi bob", "hi Carol and bob", "hi all")
    dave.types("bob!")
    world.settle()
    assert bob.sees == ["alice: hi <bob>", "alice: hi Carol and <bob>", "alice: hi all"]
    assert carol.sees == ["alice: hi bob", "alice: hi Carol and bob", "alice: hi all", "dave: bob!"]
    alice.types("hello")
    world.settle()
    assert bob.writer.written[-1] is carol.writer.written[-1]


def test_who_is_named_while_they_do_not_read_is_shown_it_later(world: World) -> None:
    marking = Marking()
    alice = world.person("alice")
    bob = world.person("bob", format=marking)
    world.wait(5)
    _ = bob.sees
    bob.writer.stall(5)
    alice.types("hi bob", "and bob again")
    bob.types("bob is me")
    world.settle()
    alice.says("bob?")
    bob.writer.drain()
    assert bob.sees == ["alice: hi <bob>", "alice: and <bob> again", "alice: <bob>?"]
    assert [line[6:] for line in bob.asks("/history 4")[1:-1]] == [
        *("alice: hi <bob>", "alice: and <bob> again", "<bob>: <bob> is me", "alice: <bob>?"),
    ]


def test_who_is_ignored_is_left_out_until_they_are_not(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/ignore alice")
    _ = bob.sees
    alice.types("not for bob")
    carol.types("for bob")
    bob.types("mine")
    alice.types("/me waves", "/nick alicia")
    world.settle()
    assert bob.sees == ["carol: for bob"]
    assert alice.sees == ["carol: for bob", "bob: mine", "-- You are now alicia."]
    bob.says("/unignore alicia")
    _ = bob.sees
    alice.says("again")
    assert bob.sees == ["alicia: again"]


def test_who_is_ignored_may_still_set_the_topic(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/ignore alice")
    _ = bob.sees
    alice.says("/topic tea")
    assert bob.sees == ["-- alice set the topic: tea"]


def test_somebody_else_with_the_name_of_the_ignored_is_heard(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    bob.says("/ignore alice")
    alice.says("/nick other")
    carol.says("/nick alice")
    _ = bob.sees
    carol.says("hi")
    alice.says("unheard")
    assert bob.sees == ["alice: hi"]


def test_ignoring_follows_to_another_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("/ignore alice")
    alice.says("/join den", "one")
    bob.says("/join den")
    assert "one" not in " ".join(bob.sees)
    alice.says("two")
    assert bob.sees == []


# -- how often, and with what


def test_a_turn_is_one_write_for_each_member_and_one_for_what_is_theirs_alone(world: World) -> None:
    alice, bob, carol, reader = world.people("alice", "bob", "carol", "reader")
    before = [person.writer.writes for person in (alice, bob, carol, reader)]
    for number in range(10):
        alice.types(f"a{number}")
        bob.types(f"b{number}")
    carol.types("/msg reader psst", "/msg bob psst", "/topic tea")
    world.settle()
    after = [person.writer.writes for person in (alice, bob, carol, reader)]
    # alice was told nothing but what was said.
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 2, 2, 2]
    assert len(reader.sees) == 22


def test_all_who_are_shown_the_same_are_sent_the_same_object(world: World) -> None:
    alice, *others = world.people("alice", "bob", "carol", "dave")
    alice.types("one", "two")
    world.settle()
    written = [person.writer.written[-1] for person in others]
    assert written[0] == b"alice: one\r\nalice: two\r\n"
    assert written[0] is written[1] is written[2]


def test_an_event_is_encoded_once_for_all_of_one_format(world: World) -> None:
    class Counting(PlainFormat):
        count = 0

        def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
            self.count += isinstance(event, Said)
            return PLAIN.encode(event, room, id, live)

    counting = Counting()
    alice = world.person("alice")
    for _ in range(5):
        world.person(format=counting)
    world.wait(5)
    alice.says("hi")
    assert counting.count == 1


def test_what_is_for_one_user_comes_after_what_the_room_says() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.types("/msg bob psst", "hi")
    world.settle()
    assert bob.sees == ["alice: hi", "-> alice to you: psst"]
    world.end()


def test_who_is_shown_nothing_is_not_written_to(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    before = alice.writer.writes
    alice.says("hi")
    assert alice.writer.writes == before
    assert bob.sees == ["alice: hi"]


# -- coming and going in the middle of things


@given(
    ledger=st.sampled_from([immediate, DelayedLedger]),
    actions=st.lists(st.sampled_from(["says", "joins", "turn"]), max_size=25),
)
@examples(100)
def test_between_scrollback_and_the_first_live_line_there_is_neither_gap_nor_duplicate(
    ledger: type[DelayedLedger], actions: list[str]
) -> None:
    world = World(ledger, Settings(scrollback=5))
    (alice,) = world.people("alice")
    newcomers: list[Person] = []
    said = 0
    for action in actions:
        if action == "says":
            alice.types(f"line {said}")
            said += 1
        elif action == "joins":
            newcomers.append(Person(world))
        else:
            world.clock.advance(0.001)
    world.settle()
    alice.says(f"line {said}")
    for newcomer in newcomers:
        numbers = [
            int(line.split()[-1]) for line in newcomer.sees if re.search(r"alice: line", line)
        ]
        assert numbers == list(range(numbers[0], said + 1))
    world.end()


def test_who_joins_in_the_turn_in_which_others_talk_sees_each_line_once(world: World) -> None:
    (alice,) = world.people("alice")
    alice.types("before")
    bob = Person(world)
    alice.types("after")
    world.settle()
    shown = bob.sees
    assert shown[:3] == ["-- Today (times are UTC)", "08:00 alice: before", "-- Now"]
    assert shown[5:] == ["alice: after"]


def test_a_line_a_rename_a_topic_and_a_leave_in_one_turn_stay_in_order(world: World) -> None:
    alice, bob, carol, dave = world.people("alice", "bob", "carol", "dave")
    alice.types("one")
    bob.types("/nick bert")
    dave.types("/topic tea")
    alice.types("three")
    carol.types("/quit bye")
    bob.types("two")
    world.settle()
    assert dave.sees == [
        "alice: one",
        "-- bob is now bert.",
        "-- dave set the topic: tea",
        "alice: three",
        "-- carol left (bye).",
        "bert: two",
    ]
    assert bob.sees == [
        "alice: one",
        "-- dave set the topic: tea",
        "alice: three",
        "-- carol left (bye).",
        "-- You are now bert.",
    ]
    assert sorted(carol.sees) == [
        "-- Good-bye.",
        "-- bob is now bert.",
        "-- dave set the topic: tea",
        "alice: one",
        "alice: three",
    ]
    assert carol.gone


def test_who_leaves_is_shown_what_was_said_before_and_nothing_after(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("before")
    bob.types("/quit")
    alice.types("after")
    world.settle()
    assert [line for line in bob.sees if ":" in line] == ["alice: before"]


def test_who_moves_is_in_one_room_at_a_time(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("/join den", "hi")
    _ = alice.sees, bob.sees, carol.sees
    alice.types("one")
    bob.types("/join den")
    alice.types("two")
    carol.types("three")
    world.settle()
    assert bob.sees == [
        "alice: one",
        "-- Today (times are UTC)",
        "08:00 carol: hi",
        "-- Now",
        "-- You are now in #den with carol.",
        "carol: three",
    ]
    assert alice.sees == ["-- bob left (to #den)."]


def test_who_comes_and_goes_in_one_turn_leaves_nothing(world: World) -> None:
    (alice,) = world.people("alice")
    ghost = Person(world)
    ghost.hangs_up()
    world.settle()
    world.wait(5)
    assert alice.sees == []
    assert list(world.chat.lobby.members) == [alice.session.origin]


# -- slow readers


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


def test_who_stopped_at_their_mail_is_told_how_many_lines_they_missed(world: World) -> None:
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
    assert bob.session.queue.size == 0


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


# -- one member's fault


def test_a_format_that_fails_costs_only_who_uses_it(world: World, strict: Strictness) -> None:
    broken = Broken()
    alice, bob = world.people("alice", "bob")
    carol = world.person("carol", format=broken)
    dave = world.person("dave", format=broken)
    eve = world.person("eve")
    world.wait(5)
    _ = bob.sees, carol.sees, dave.sees, eve.sees
    alice.says("hi")
    assert bob.sees == eve.sees == ["alice: hi"]
    assert carol.sees == dave.sees == []
    assert strict.expected()


def test_a_format_that_fails_shows_no_scrollback_and_costs_nobody_a_line(
    world: World, strict: Strictness
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("one")
    carol = Person(world, format=Broken())
    alice.types("two")
    world.settle()
    assert carol.sees[:2] == ["-- Today (times are UTC)", "-- Now"]
    assert bob.sees == ["alice: one", "alice: two"]
    assert strict.expected()


def test_a_private_line_that_cannot_be_shown_does_not_cost_its_sender_the_connection(
    world: World, strict: Strictness
) -> None:
    class Mute(PlainFormat):
        def encode(self, event: Event, room: str = "", id: int = 0, live: bool = True) -> bytes:
            if isinstance(event, Whispered):
                raise ZeroDivisionError
            return PLAIN.encode(event, room, id, live)

    (alice,) = world.people("alice")
    world.person("bob", format=Mute())
    assert alice.asks("/msg bob psst") == ["-> you to bob: psst"]
    assert not alice.gone
    assert strict.expected()


def test_an_outlet_that_fails_costs_only_who_has_it(
    world: World, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")

    def fails(data: bytes) -> int:
        raise OSError("broken")

    monkeypatch.setattr(bob.writer, "write", fails)
    alice.says("hi")
    assert carol.sees == ["alice: hi"]
    assert bob.writer.aborted
    assert strict.expected()


def test_mail_that_fails_costs_only_its_reader(
    world: World, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")

    def fails(data: bytes) -> int:
        raise OSError("broken")

    monkeypatch.setattr(bob.writer, "write", fails)
    alice.says("/msg bob psst", "/msg carol psst")
    assert carol.sees == ["-> alice to you: psst"]
    assert bob.writer.aborted
    assert strict.expected()


class Owner:
    """An owner that fails whatever it is told."""

    user_id = 2

    def entered(self, member: Member) -> None:
        raise ZeroDivisionError

    def left(self, member: Member, event: Left) -> None:
        raise ZeroDivisionError

    def renamed(self, event: Renamed) -> None:
        raise ZeroDivisionError


def test_an_owner_that_fails_costs_nobody_else_the_batch(strict: Strictness) -> None:
    room = Room("den", "den")
    reader = member(room, 1)
    for origin in (2, 3, 4):
        room.expect(Member(origin, "x", PLAIN, FakeWriter(), Owner()))
    room.append(10, Joined(0.0, 2, "x"))
    room.append(11, Said(0.0, 9, "alice", "one"))
    room.append(12, Renamed(0.0, 2, "x", "y", shown=False))
    room.append(13, Left(0.0, 2, "y", "", shown=False))
    room.append(14, Said(0.0, 9, "alice", "two"))
    room.flush()
    assert reader.data == b"alice: one\r\nalice: two\r\n"
    assert list(room.members) == [1]
    assert len(strict.expected()) == 3


# -- the log


def member(room: Room, origin: int) -> FakeWriter:
    """Somebody without a session in *room*."""
    writer = FakeWriter()
    room.expect(Member(origin, f"m{origin}", PLAIN, writer))
    room.append(origin, Joined(0.0, origin, f"m{origin}"))
    room.flush()
    return writer


def fill(room: Room, count: int, text: str) -> None:
    for number in range(count):
        room.append(number, Said(1.0, 99, "alice", text))
        if number % 10 == 0:
            room.flush()
    room.flush()


def test_the_log_keeps_4_mib_of_small_events() -> None:
    room = Room("den", "den")
    fill(room, 20_000, "x")
    assert Log().max_events < len(room.log.rows) < 20_000
    assert Log().max_bytes - 1000 < room.log.size <= Log().max_bytes
    assert room.log.end == room.log.lines == 20_000


def test_the_log_keeps_a_thousand_large_events() -> None:
    room = Room("den", "den")
    fill(room, 1500, "x" * 10_000)
    assert len(room.log.rows) == Log().max_events
    assert room.log.size > Log().max_bytes


def test_a_short_log_is_kept_whole() -> None:
    room = Room("den", "den")
    fill(room, 900, "x" * 10_000)
    assert len(room.log.rows) == 900


def test_what_was_not_delivered_is_not_cut_from_the_log() -> None:
    room = Room("den", "den")
    shorten(room, 5)
    writer = member(room, 1)
    for number in range(50):
        room.append(number, Said(1.0, 99, "alice", str(number)))
    room.flush()
    assert writer.data.count(b"\n") == 50
    assert len(room.log.rows) == 5


def test_the_last_lines_are_found_among_other_events() -> None:
    room = Room("den", "den")
    for number in range(10):
        room.append(number, Said(1.0, 99, "alice", str(number)))
        room.append(number, Joined(1.0, 98, "x"))
    texts = [event.text for event in room.log.recent(3) if isinstance(event, Said)]
    assert texts == ["7", "8", "9"]
    assert room.log.recent(0) == []
    assert len(room.log.recent(100)) == 10


def test_newcomers_share_the_scrollback_until_something_is_said() -> None:
    room = Room("den", "den")
    room.append(1, Said(1.0, 99, "alice", "hi"))
    first = room.scrollback.encoded(PLAIN, 20, 10.0)
    assert first == b"-- Today (times are UTC)\r\n00:00 alice: hi\r\n-- Now\r\n"
    assert room.scrollback.encoded(PLAIN, 20, 11.0) is first
    assert room.scrollback.encoded(RAW, 20, 11.0) == b""
    assert room.scrollback.encoded(PLAIN, 20, 11.0) is first
    assert room.scrollback.encoded(PLAIN, 20, 90_000.0).startswith(b"-- Yesterday")
    room.append(2, Said(1.0, 99, "alice", "ho"))
    assert b"ho" in room.scrollback.encoded(PLAIN, 20, 10.0)


def test_a_room_without_anything_said_has_no_scrollback() -> None:
    assert Room("den", "den").scrollback.encoded(PLAIN, 20, 0.0) == b""


def test_events_of_strangers_change_nobody() -> None:
    room = Room("den", "den")
    writer = member(room, 1)
    room.append(2, Left(0.0, 7, "x", "", shown=True))
    room.append(3, Renamed(0.0, 7, "x", "y", shown=True))
    room.append(4, Joined(0.0, 7, "x"))
    room.flush()
    assert writer.data == b"-- x left.\r\n-- x is now y.\r\n"
    assert list(room.members) == [1]


def test_a_topic_belongs_to_the_room_not_to_who_set_it() -> None:
    room = Room("den", "den")
    room.append(1, TopicSet(0.0, 7, "x", "tea"))
    room.flush()
    assert room.topic == "tea"


def test_a_member_without_an_owner_may_be_renamed_and_leave() -> None:
    room = Room("den", "den")
    member(room, 1)
    room.append(2, Renamed(0.0, 1, "m1", "x", shown=True))
    assert room.members[1].name == "x"
    room.append(3, Left(0.0, 1, "x", "", shown=True))
    room.flush()
    assert room.deserted


def test_a_member_who_enters_while_congested_is_served_on_draining() -> None:
    room = Room("den", "den")
    writer = FakeWriter(lambda: room.delivery.catch_up(slow))
    slow = Member(1, "slow", PLAIN, writer)
    writer.room = 3
    assert writer.write(b"greeting\r\n") == 3
    writer.finish(b"eting\r\n")
    room.expect(slow)
    room.append(1, Said(0.0, 9, "alice", "before"))
    room.append(2, Joined(0.0, 1, "slow"))
    room.append(3, Said(0.0, 9, "alice", "after"))
    room.flush()
    assert writer.data == b"greeting\r\n"
    writer.drain()
    assert writer.data == b"greeting\r\nalice: after\r\n"


def test_a_member_who_moves_is_served_to_the_end_at_once() -> None:
    room = Room("den", "den")
    writer = member(room, 1)
    room.members[1].moves = True
    room.append(2, Said(0.0, 7, "x", "hi"))
    room.append(3, Left(0.0, 1, "m1", "", shown=True))
    assert writer.data == b"x: hi\r\n"
    assert room.deserted
    room.flush()
    assert writer.writes == 1


def test_a_room_in_which_nothing_happened_has_nothing_to_deliver() -> None:
    room = Room("den", "den")
    writer = member(room, 1)
    room.append(2, Said(0.0, 7, "x", "hi"))
    room.flush()
    room.flush()
    assert writer.data == b"x: hi\r\n"


def test_a_greeting_waits_for_nothing_that_follows(make_world: MakeWorld) -> None:
    world = make_world(Settings(motd="be kind"))
    (alice,) = world.people("alice")
    bob = Person(world)
    alice.types("hi")
    world.settle()
    assert bob.sees[-2:] == ["-- be kind", "alice: hi"]


# -- lines of before


def spoken(room: Room) -> list[str]:
    return [event.text for event in room.log.recent(99) if isinstance(event, Said)]


def filled() -> Room:
    """A room in which five lines were said, a second and ten ids apart."""
    room = Room("den", "den")
    for number in range(5):
        room.append(number * 10, Said(float(number), 0, "alice", str(number), user=number % 2 + 1))
        room.append(number * 10 + 1, TopicSet(float(number), 1, "alice", "tea"))
    return room


def test_lines_before_an_id_are_the_last_of_them() -> None:
    room = filled()
    assert [id for id, _ in room.log.before(40, 3)] == [10, 20, 30]
    assert [id for id, _ in room.log.before(41, 3)] == [20, 30, 40]
    assert [id for id, _ in room.log.before(35, 9)] == [0, 10, 20, 30]
    assert room.log.before(0, 9) == room.log.before(99, 0) == []
    assert room.log.before(1, 9) == [(0, Said(0.0, 0, "alice", "0", user=1))]


def test_rows_go_from_one_id_up_to_another() -> None:
    room = filled()
    assert [row.id for row in room.log.between(30)] == [30, 31, 40, 41]
    assert [row.id for row in room.log.between(11, 31)] == [11, 20, 21, 30]
    assert not room.log.between(42)


def test_the_place_of_a_time_is_behind_the_latest_line_from_before() -> None:
    room = filled()
    assert [room.log.place(time) for time in (0.0, 0.5, 1.0, 1.5, 99.0)] == [0, 1, 1, 11, 41]
    # The clock was ahead, and is right again.
    room.append(50, Said(1000.0, 1, "alice", "ahead"))
    room.append(60, Said(5.0, 1, "alice", "right"))
    assert [room.log.place(time) for time in (1.5, 5.5, 999.0, 1001.0)] == [11, 61, 61, 61]


def test_a_log_begins_with_the_id_of_its_first_event() -> None:
    assert filled().log.first_id == 0
    room = Room("den", "den")
    assert room.log.first_id > 2**62
    for number in range(Log().max_events + 9000):
        room.append(number + 1, Said(0.0, 1, "alice", "x" * 500))
    room.flush()
    assert room.log.first_id == room.log.before(2**62, 10**6)[0][0] > 1


@pytest.mark.parametrize(
    ("before", "keep", "left"),
    [
        (0.0, 0, "01234"),
        (2.0, 0, "234"),
        (99.0, 0, ""),
        (0.0, 2, "34"),
        (0.0, 9, "01234"),
        (4.0, 3, "4"),
        (1.0, 1, "4"),
    ],
)
def test_lines_that_are_too_old_or_too_many_are_forgotten(
    before: float, keep: int, left: str
) -> None:
    room = filled()
    room.expire(before, keep)
    assert "".join(spoken(room)) == left
    # What is not a line stays, and so does the place of every event.
    assert (room.log.end, room.log.lines, room.topic, room.log.first_id) == (10, 5, "tea", 0)


def test_scrollback_forgets_what_the_room_forgets() -> None:
    room = filled()
    assert b"alice: 0" in room.scrollback.encoded(PLAIN, 9, 10.0)
    room.expire(1.0, 0)
    assert b"alice: 0" not in room.scrollback.encoded(PLAIN, 9, 10.0)
    assert b"alice: 1" in room.scrollback.encoded(PLAIN, 9, 10.0)
    room.expire(99.0, 0)
    assert room.scrollback.encoded(PLAIN, 9, 10.0) == b""


def test_who_is_behind_is_not_shown_what_was_forgotten(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(5)
    alice.says("one", "two", "three")
    world.chat.lobby.expire(0.0, 1)
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["alice: one", "alice: three"]


@pytest.mark.parametrize(
    ("author", "since", "left"), [(1, 0.0, "13"), (1, 3.0, "0123"), (3, 0.0, "01234")]
)
def test_lines_that_were_taken_back_are_not_there(author: int, since: float, left: str) -> None:
    room = filled()
    room.append(50, TookBack(9.0, author, "alice", frozenset([author]), since))
    assert "".join(spoken(room)) == left


def test_a_room_begins_with_what_was_kept() -> None:
    room = Room("den", "den")
    room.restore("tea", [(5, Said(1.0, 0, "alice", "one")), (8, Said(2.0, 0, "bob", "two"))])
    assert (room.topic, room.log.lines, room.log.spoken, room.log.first_id) == ("tea", 2, 2.0, 5)
    # It has all been delivered, to people of another run.
    writer = member(room, 9)
    room.append(10, Said(3.0, 7, "carol", "three"))
    room.flush()
    assert writer.data == b"carol: three\r\n"
    assert spoken(room) == ["one", "two", "three"]


def test_only_what_was_said_counts_as_a_line(world: World) -> None:
    lobby = world.chat.lobby
    alice = world.person("alice")
    alice.says("/topic tea")
    assert not lobby.log.has(lambda event: event.origin == alice.session.origin, 0)
    alice.says("hello")
    assert lobby.log.has(lambda event: event.origin == alice.session.origin, 0)
    said = world.clock.seconds()
    assert not lobby.log.has(lambda event: event.origin == alice.session.origin, said + 1)


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
    members = [
        Member(origin, f"p{origin}", format, writer) for origin, writer in enumerate(writers, 1)
    ]
    for member in members:
        room.expect(member)
        room.append(member.origin, Joined(0.0, member.origin, member.name))
    room.flush()
    for writer in writers:
        writer.congested = True
    for number in range(20):
        room.append(100 + number, Said(1.0, 99, "alice", str(number)))
        room.flush()
    format.count = 0
    for writer, member in zip(writers[:-1], members[:-1], strict=True):
        writer._draining = True
        assert room.delivery.catch_up(member)
        assert writer.data.count(b"alice: ") == 20
    assert format.count == 20
    # What was taken back is not sent from what was made of it before.
    room.append(200, TookBack(2.0, 99, "alice", frozenset([0])))
    room.flush()
    writers[-1]._draining = True
    assert room.delivery.catch_up(members[-1])
    assert b"alice: " not in writers[-1].data
