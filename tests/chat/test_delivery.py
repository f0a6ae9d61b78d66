"""Members are cursors into the log of their room: what each of them is sent, and when."""

from typing import Any

import pytest

from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.formats.plain import PLAIN, PlainFormat
from chatroom.model.events import Event, Joined, Left, Renamed, Said, Whispered
from tests.conftest import Strictness
from tests.support.doubles import FakeWriter
from tests.support.rooms import reader, shorten
from tests.support.world import Person, World


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
    alice.reader.echo = True
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


def breaks(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    """From here on whatever is written to *person* fails."""

    def fails(data: bytes) -> int:
        raise OSError("broken")

    monkeypatch.setattr(person.writer, "write", fails)


def test_a_writer_that_fails_costs_only_who_has_it(
    world: World, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    breaks(monkeypatch, bob)
    alice.says("hi")
    assert carol.sees == ["alice: hi"]
    assert bob.writer.aborted
    assert strict.expected()


def test_a_private_line_that_fails_costs_only_its_reader(
    world: World, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    breaks(monkeypatch, bob)
    alice.says("/msg bob psst", "/msg carol psst")
    assert carol.sees == ["-> alice to you: psst"]
    assert bob.writer.aborted
    assert strict.expected()


class Fails:
    """A connection that fails whatever a room tells it."""

    one_shot = over = False

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.writer = FakeWriter()
        self.handler = self

    def joined(self, room: Room) -> None:
        raise ZeroDivisionError

    def join_failed(self, room: Room, why: str) -> None:
        raise ZeroDivisionError

    def left(self, room: Room) -> None:
        raise ZeroDivisionError

    def renamed(self, connection: object, event: Renamed) -> None:
        raise ZeroDivisionError


def test_a_connection_that_fails_costs_nobody_else_the_batch(strict: Strictness) -> None:
    room = Room("den", "den")
    writer = reader(room, 1)
    user, fails = User(2, "x"), Fails(2)
    connection: Any = fails
    user.connections = (connection,)
    room.expect(user, connection)
    room.append(10, Joined(0.0, 2, "x"))
    room.append(11, Said(0.0, 9, "alice", "one"))
    room.append(12, Renamed(0.0, 2, "x", "y", shown=False))
    room.append(13, Left(0.0, 2, "y", "", shown=False))
    room.append(14, Said(0.0, 9, "alice", "two"))
    room.flush()
    assert writer.data == b"alice: one\r\nalice: two\r\n"
    assert list(room.members) == [1]
    assert fails.writer.aborted
    assert len(strict.expected()) == 3


# -- a room by itself


def test_what_was_not_delivered_is_not_cut_from_the_log() -> None:
    room = Room("den", "den")
    shorten(room, 5)
    writer = reader(room, 1)
    for number in range(50):
        room.append(number, Said(1.0, 99, "alice", str(number)))
    room.flush()
    assert writer.data.count(b"\n") == 50
    assert len(room.log.rows) == 5


def test_a_reader_that_goes_elsewhere_is_served_to_the_end_at_once() -> None:
    room = Room("den", "den")
    writer = reader(room, 1)
    room.append(2, Said(0.0, 7, "x", "hi"))
    room.append(3, Left(0.0, 1, "m1", "", shown=True))
    assert room.detach(room.readers[1]) == 3
    assert writer.data == b"x: hi\r\n"
    assert room.deserted
    room.flush()
    assert writer.writes == 1


def test_a_room_in_which_nothing_happened_has_nothing_to_deliver() -> None:
    room = Room("den", "den")
    writer = reader(room, 1)
    room.append(2, Said(0.0, 7, "x", "hi"))
    room.flush()
    room.flush()
    assert writer.data == b"x: hi\r\n"
