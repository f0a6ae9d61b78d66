"""What several connections share: rooms, people, and the end of the turn."""

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred, succeed

from chatroom.backends.memory import MemoryLedger, MemoryNameClaims
from chatroom.chat import chat as chats
from chatroom.chat.chat import MAX_LOOKS, Chat
from chatroom.chat.gate import Reason
from chatroom.chat.reader import Reader
from chatroom.formats.plain import RAW
from chatroom.model.chatsettings import Settings
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Announced, Event, Joined, Left, Opened, Relayed, Said
from chatroom.model.history import StoredRoom
from chatroom.model.refused import Refused
from chatroom.text import names
from chatroom.text.times import DAY
from tests.conftest import MakeWorld, Strictness
from tests.support.doubles import Clock, FakeWriter, refuse
from tests.support.world import Person, World

FAR = "192.0.2.1"


def test_a_chat_needs_nothing_but_a_clock() -> None:
    chat = Chat(Clock())
    assert chat.settings == Settings()
    assert isinstance(chat.ledger, MemoryLedger)
    assert isinstance(chat.claims, MemoryNameClaims)
    assert chat.lobby.name == "lobby"


# -- rooms


def test_a_deserted_silent_room_goes_at_once_topic_or_not(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/join den", "/topic tea", "/nick carol")
    assert list(world.chat.rooms) == ["lobby", "den"]
    alice.says("/part")
    assert list(world.chat.rooms) == ["lobby"]
    alice.says("/join den")
    assert alice.asks("/topic") == ["-- #den has no topic. /topic TEXT sets one."]


def test_a_room_that_was_spoken_in_stays(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/join den", "hi", "/part")
    assert list(world.chat.rooms) == ["lobby", "den"]
    assert "08:00 alice: hi" in alice.asks("/join den", "/history")


def test_the_lobby_stays_though_nobody_was_ever_there(world: World) -> None:
    (alice,) = world.people("alice")
    alice.says("/join den")
    assert "lobby" in world.chat.rooms


def test_a_room_somebody_is_on_the_way_to_stays(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den")
    alice.types("/part")
    bob.types("/join den")
    world.settle()
    assert bob.asks("/who") == ["-- 1 person in #den: bob"]


def test_what_comes_too_late_for_a_room_is_nothing(world: World) -> None:
    den = world.chat.open_room("den")
    world.chat.submit(den, Joined(0.0, 99, "ghost"))
    del world.chat.rooms["den"]
    del world.chat._announcers["den"]
    world.settle()
    assert list(world.chat.rooms) == ["lobby"]


def test_one_source_may_make_so_many_rooms_in_an_hour(make_world: MakeWorld) -> None:
    world = make_world(Settings(rooms_per_hour=2))
    near, far = world.person("near"), world.person("far", source=FAR)
    far.says("/join one", "hi", "/join two", "hi")
    assert far.asks("/join three") == [
        "-- Too many rooms were created from your address. Try again later."
    ]
    assert near.asks("/join three") == ["-- You made #three; nobody else is here."]
    assert far.asks("/join one")[-1] == "-- You are now in #one."
    world.wait(3601)
    assert far.asks("/join four") == ["-- You made #four; nobody else is here."]


def test_there_are_only_so_many_rooms(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "MAX_ROOMS", 3)
    world = make_world(Settings(rooms_per_hour=0))
    world.chat.open_room("relay 1", listed=False)
    (alice,) = world.people("alice")
    alice.says("/join one", "hi", "/join two", "hi")
    assert alice.asks("/join three") == ["-- There are 3 rooms already. /rooms lists them."]
    assert alice.asks("/join one")[-1] == "-- You are now in #one."


def test_where_there_is_no_place_the_room_gives_way_that_was_silent_for_longest(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "MAX_ROOMS", 5)
    world = make_world(Settings(rooms_per_hour=0))
    alice, bob = world.people("alice", "bob")
    bob.says("/register kohlrabi77", "/join owned", "hi", "/part")
    for name in ("old", "older", "new"):
        alice.says(f"/join {name}", "hi", "/part")
        world.wait(60)
    alice.says("/join old", "again", "/part")
    refusal = "-- There are 5 rooms already. /rooms lists them."
    assert alice.asks("/join other") == [refusal]
    world.wait(3500)
    alice.says("/join other")
    # In the one there is somebody, and the other is somebody's.
    assert set(world.chat.rooms) == {"lobby", "owned", "old", "new", "other"}
    bob.says("/join new")
    world.wait(3600)
    bob.says("/part", "/join old")
    alice.says("hi")
    assert bob.asks("/join newest")[-1].startswith("-- You made #newest")
    assert set(world.chat.rooms) == {"lobby", "owned", "old", "other", "newest"}
    assert bob.asks("/search hi in old") != []


def test_a_room_that_was_never_entered_does_not_stay(failing: World) -> None:
    (alice,) = failing.people("alice")
    refuse(failing.ledger, Joined)
    alice.types("/join den")
    assert "den" in failing.chat.rooms
    failing.settle()
    assert "den" not in failing.chat.rooms


@pytest.mark.parametrize("name", ["no good", "-", "", "#", "a" * 25])
def test_a_room_has_a_name_as_people_have(world: World, name: str) -> None:
    with pytest.raises(Refused, match=r"^A room's name"):
        world.chat.room_for(name, world.person().connection)


def test_rooms_of_doors_are_neither_listed_nor_entered(world: World) -> None:
    hidden = world.chat.open_room("relay 1", listed=False)
    (alice,) = world.people("alice")
    assert alice.asks("/rooms") == ["-- #lobby  1 person, silent so far, you are here"]
    assert alice.asks("/join relay 1") == ["-- A room's name consists of letters, digits, _ and -."]
    assert alice.asks("/who relay") == ["-- There is no such room. /rooms lists them."]
    writer = FakeWriter()
    hidden.attach(Reader(99, RAW, writer))
    world.chat.submit(hidden, Relayed(0.0, 98, b"\xff"))
    world.settle()
    assert writer.data == b"\xff\n"
    assert hidden.deserted
    assert hidden.key in world.chat.rooms


# -- what was kept


class Recording(MemoryLedger):
    """A ledger in memory that keeps what was submitted."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.time)
        self.submitted: list[tuple[str, Event]] = []

    def submit(self, room: str, event: Event) -> None:
        self.submitted.append((room, event))
        super().submit(room, event)


def test_a_room_that_is_made_is_opened_before_anybody_is_in_it() -> None:
    world = World(Recording)
    ledger = world.ledger
    assert isinstance(ledger, Recording)
    (alice,) = world.people("alice")
    ledger.submitted.clear()
    alice.says("/join Den", "hi", "/part", "/join den")
    kinds = [type(event) for room, event in ledger.submitted if room == "den"]
    assert kinds == [Opened, Joined, Announced, Said, Left, Joined]
    room, opened = ledger.submitted[0]
    assert (room, opened) == ("den", Opened(opened.time, SERVER, "Den"))
    world.end()


def test_a_chat_goes_on_with_the_rooms_that_were_kept() -> None:
    world = World(Recording)
    ledger = world.ledger
    assert isinstance(ledger, Recording)
    lobby = world.chat.lobby
    world.chat.restore(
        [
            StoredRoom("Lobby", "", [(5, Said(1.0, SERVER, "zoe", "one"))]),
            StoredRoom("Den", "tea", [(6, Said(2.0, SERVER, "zoe", "two"))]),
        ]
    )
    assert ledger.submitted == []
    assert list(world.chat.rooms) == ["lobby", "den"]
    assert world.chat.lobby is lobby
    (alice,) = world.people("alice")
    assert alice.asks("/history")[1] == "00:00 zoe: one"
    assert alice.asks("/join den")[-2:] == ["-- You are now in #Den.", "-- The topic is: tea"]
    assert alice.asks("/history")[1] == "00:00 zoe: two"
    world.end()


def test_a_lobby_that_was_not_kept_is_opened() -> None:
    world = World(Recording)
    ledger = world.ledger
    assert isinstance(ledger, Recording)
    world.chat.restore([StoredRoom("Den", "tea", [])])
    assert ledger.submitted == [("lobby", Opened(1_800_000_000.0, SERVER, "lobby"))]
    world.settle()
    assert list(world.chat.rooms) == ["lobby", "den"]
    world.end()


class Older:
    """A history that has three lines of the room from before its log, and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        self.asked.append((id, count))
        known = [Entry(room, number, Said(0.0, SERVER, "zoe", "old")) for number in (1, 2, 3)]
        return succeed([entry for entry in known if entry.id < id][-count:])


@pytest.mark.parametrize(
    ("before", "count", "ids", "asked"),
    [
        (99, 2, [11, 12], []),
        (99, 3, [10, 11, 12], []),
        (99, 4, [3, 10, 11, 12], [(10, 1)]),
        (12, 4, [2, 3, 10, 11], [(10, 2)]),
        (10, 2, [2, 3], [(10, 2)]),
        (3, 9, [1, 2], [(3, 9)]),
        (1, 9, [], [(1, 9)]),
    ],
)
def test_lines_come_from_the_log_and_what_it_has_not_from_the_history(
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    count: int,
    ids: list[int],
    asked: list[tuple[int, int]],
) -> None:
    chat = Chat(Clock())
    older = Older()
    monkeypatch.setattr(chat, "history", older)
    for number in (10, 11, 12):
        chat.lobby.append(number, Said(0.0, 1, "alice", "new"))
    found: list[list[Entry]] = []
    chat.lines_before(chat.lobby, before, count).addCallback(found.append)
    assert [entry.id for entry in found[0]] == ids
    assert {entry.room for entry in found[0]} <= {"lobby"}
    assert older.asked == asked


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        (Settings(), ["one", "two", "three"]),
        (Settings(keep_days=1.5), ["two", "three"]),
        (Settings(keep_days=0.5), ["three"]),
        (Settings(keep_lines=1), ["three"]),
        (Settings(keep_days=1.5, keep_lines=9), ["two", "three"]),
    ],
)
def test_lines_are_kept_as_long_as_the_settings_say(
    make_world: MakeWorld, settings: Settings, left: list[str]
) -> None:
    world = make_world(settings)
    alice, bob = world.people("alice", "bob")
    for text in ("one", "two", "three"):
        world.wait(DAY)
        alice.says(text)
    world.chat.expire()
    _ = bob.sees
    shown = bob.asks("/history")
    assert [line.partition(": ")[2] for line in shown if "alice" in line] == left


# -- the turn


def test_much_that_waits_does_not_wait_for_the_end_of_the_turn() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    for number in range(40):
        alice.types(f"{number} {'x' * 1900}")
        world.chat.flush_if_large()
    assert len(bob.sees) > 30
    world.settle()
    assert len(bob.sees) < 10
    world.end()


def test_little_that_waits_waits_for_the_end_of_the_turn(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("hi")
    world.chat.flush_if_large()
    assert bob.sees == []
    world.settle()
    assert bob.sees == ["alice: hi"]


def test_a_turn_is_ended_once_however_much_is_asked_for(world: World) -> None:
    (alice,) = world.people("alice")
    alice.types("one", "two", "/uptime", "/topic tea")
    assert len(world.pending) == 1


def test_closing_delivers_what_was_asked_for() -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    alice.types("last words")
    fired: list[None] = []
    world.chat.close().addCallback(fired.append)
    assert fired == [None]
    assert bob.sees == ["alice: last words"]
    world.end()


def test_what_is_refused_for_a_room_and_a_person_unknown_is_only_logged(world: World) -> None:
    world.chat.rejected("nowhere", Said(0.0, 99, "ghost", "boo"), "it is a test")
    world.chat.rejected("nowhere", Joined(0.0, 99, "ghost"), "it is a test")
    assert list(world.chat.rooms) == ["lobby"]


def test_input_that_fails_does_not_keep_others_from_going_on(
    world: World, strict: Strictness, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = world.people("alice", "bob")

    def fails() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(alice, "resume", fails)
    for person in (alice, bob):
        person.connection.gate.close(Reason.ANSWER)
    bob.types("hi", "/uptime")
    for person in (alice, bob):
        person.connection.gate.open(Reason.ANSWER)
    world.settle()
    assert alice.writer.aborted
    assert bob.sees != []
    assert strict.expected()


def test_who_is_held_again_before_the_turn_ends_does_not_go_on(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.connection.gate.close(Reason.ANSWER)
    alice.types("hi")
    alice.connection.gate.open(Reason.ANSWER)
    alice.connection.gate.close(Reason.ANSWER)
    world.settle()
    assert bob.sees == []
    alice.connection.gate.open(Reason.ANSWER)
    alice.connection.gate.open(Reason.ANSWER)
    world.settle()
    assert bob.sees == ["alice: hi"]


def test_nothing_is_left_of_a_hundred_who_came_and_went(world: World) -> None:
    people = [Person(world) for _ in range(100)]
    for number, person in enumerate(people):
        person.types(f"/nick n{number}", "/join den", "/topic x", "/join lobby")
    world.wait(3)
    for person in people:
        person.hangs_up()
    world.wait(5)
    chat = world.chat
    assert not chat.connections
    assert not chat.people
    assert list(chat.rooms) == list(chat._announcers) == ["lobby"]
    assert chat.lobby.deserted
    assert world.pending == []


class Looks:
    """Takes one look at the sockets after the other, rather than all at once."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put_off: list[Callable[[], object]] = []
        self._later = world.clock.callLater
        monkeypatch.setattr(world.clock, "callLater", self._put_off)

    def _put_off(self, delay: float, call: Callable[..., object], *args: object) -> object:
        if delay:
            return self._later(delay, call, *args)
        self.put_off.append(lambda: call(*args))
        return None

    def take(self) -> None:
        self.put_off.pop(0)()


def test_what_comes_in_while_others_are_read_goes_out_in_the_same_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    alice, bob, carol = world.people("alice", "bob", "carol")
    looks = Looks(world, monkeypatch)
    writes = carol.writer.writes
    alice.types("one")
    looks.take()
    bob.types("two")
    looks.take()
    assert carol.writer.writes == writes
    looks.take()
    assert carol.writer.writes == writes + 1
    assert carol.sees == ["alice: one", "bob: two"]
    assert not looks.put_off


def test_a_turn_ends_though_more_keeps_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    alice, bob = world.people("alice", "bob")
    looks = Looks(world, monkeypatch)
    for number in range(MAX_LOOKS + 1):
        assert bob.sees == []
        alice.types(f"line {number}")
        looks.take()
    assert len(bob.sees) == MAX_LOOKS + 1


def test_two_rooms_never_have_one_key(world: World) -> None:
    world.chat.open_room("den")
    hidden = world.chat.open_room("den", listed=False)
    with pytest.raises(names.NameRefused):
        names.check_room(hidden.key)
    for listed in (True, False):
        with pytest.raises(AssertionError):
            world.chat.open_room("den", listed=listed)
