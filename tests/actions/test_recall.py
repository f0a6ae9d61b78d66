"""What people look up: pages of history, of a search, of what they missed; and taking back."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from chatroom.actions.pager import FOUND, LOOKING, MISSED, SEARCHING, TOO_LONG, pager_of
from chatroom.actions.steps import PATIENCE
from chatroom.chat.unread import Unread
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Emoted, Said, TookBack
from chatroom.model.history import Gap, Query, UnreadSummary
from chatroom.text.words import Phrase
from tests.conftest import Strictness
from tests.support.accounts import owner
from tests.support.doubles import FailingLedger
from tests.support.world import Person, World

TODAY = "-- Today (times are UTC)"
MORE = "-- /more shows what was said before."
LATER = "-- That cannot be looked up just now. Please try again later."


class LateHistory:
    """A history that answers when a test says so, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.answers: list[Deferred[Any]] = []

    def _ask(self, *question: object) -> Deferred[Any]:
        self.asked.append(question)
        self.answers.append(Deferred())
        return self.answers[-1]

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return self._ask("before", room, id, count)

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return self._ask("after", room, id, count)

    def place(self, room: str, time: float) -> Deferred[int]:
        return self._ask("place", room, time)

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        return self._ask("search", query, count)

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[UnreadSummary]]:
        return self._ask("missed", gaps, name, own)


@pytest.fixture
def late(world: World) -> LateHistory:
    """The history of *world* answers late."""
    history = LateHistory()
    world.chat.history = history
    return history


def at(world: World, hours: int, minutes: int = 0) -> None:
    """Wait for this time of the first day, which begins at 08:00."""
    world.wait(1_800_000_000 + ((hours - 8) * 60 + minutes) * 60 - world.clock.seconds())


def said(shown: Sequence[str]) -> list[str]:
    """The lines that somebody said, without what stands before them."""
    return [line.rpartition(": ")[2] for line in shown if not line.startswith("--")]


def numbers(*span: int) -> list[str]:
    return [str(number) for number in range(*span)]


# -- history


def test_history_is_paged_back_to_its_beginning(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(25))
    shown = bob.asks("/history 10")
    assert (shown[0], said(shown), shown[-1]) == (TODAY, numbers(15, 25), MORE)
    shown = bob.asks("/more")
    assert (shown[0], said(shown), shown[-1]) == (TODAY, numbers(5, 15), MORE)
    assert bob.asks("/more") == [TODAY, *[f"08:00 alice: {number}" for number in range(5)]]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_a_page_that_ends_with_the_first_line_has_nothing_before_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two")
    assert bob.asks("/history 2")[-1] == MORE
    assert bob.asks("/more") == ["-- Nothing earlier has been said here."]


def test_what_is_said_meanwhile_does_not_move_the_pages(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(6))
    assert said(bob.asks("/history 2")) == ["4", "5"]
    alice.says("6", "7")
    assert said(bob.asks("/more")) == ["2", "3"]


def test_more_stays_in_the_room_that_was_asked_for(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(4))
    bob.says("/history 2", "/join den")
    assert said(bob.asks("/more")) == ["0", "1"]


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("/history before 12:03", ["one", "two"]),
        ("/history 1 before 12:03", ["two"]),
        ("/history before 10:00", ["one"]),
        ("/history before 2h", ["one", "two"]),
        ("/history before 5h ago", ["one"]),
        ("/history before 2027-01-16", ["one", "two", "three"]),
        ("/history before yesterday", []),
    ],
)
def test_history_before_a_time(world: World, typed: str, lines: list[str]) -> None:
    alice, bob = world.people("alice", "bob")
    for hour, text in ((9, "one"), (12, "two"), (13, "three")):
        at(world, hour)
        alice.says(text)
    at(world, 14, 30)
    _ = bob.sees
    assert said(bob.asks(typed)) == lines


def test_a_page_of_the_ignored_goes_on_all_the_same(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("hi")
    alice.says(*numbers(4))
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/history 4") == [MORE]
    assert bob.asks("/more") == [TODAY, "08:00 carol: hi"]


def test_history_of_nobody_but_the_ignored_is_nothing(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/history") == ["-- Nothing has been said here."]


def test_history_goes_on_where_the_log_ends(world: World, late: LateHistory) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("new")
    room = world.chat.lobby
    _ = bob.sees
    assert bob.asks("/history 3") == []
    assert late.asked == [("before", "lobby", room.log.first_id, 2)]
    old = [Entry("lobby", id, Said(id * 1.0, SERVER, "zoe", "old")) for id in (1, 2)]
    late.answers[0].callback(old)
    world.settle()
    assert bob.sees == [
        "-- Thursday 01 January 1970 (times are UTC)",
        *["00:00 zoe: old"] * 2,
        "-- Today",
        "08:00 alice: new",
        MORE,
    ]
    bob.says("/more")
    assert late.asked[1:] == [("before", "lobby", 1, 3)]
    late.answers[1].callback([])
    world.settle()
    assert bob.sees == ["-- Nothing earlier has been said here."]


# -- search


def test_a_search_shows_the_newest_first_with_day_and_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("green tea", "coffee", "/join den", "/me makes tea")
    assert bob.asks("/search TEA") == [
        "2027-01-15 08:00 #den * alice makes tea",
        "2027-01-15 08:00 #lobby alice: green tea",
    ]


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("/search tea", ["no tea in mirror", "black tea", "green tea"]),
        ("/find tea", ["no tea in mirror", "black tea", "green tea"]),
        ("/search tea in den", ["no tea in mirror"]),
        ("/search tea in #DEN", ["no tea in mirror"]),
        ("/search tea from Bob", ["black tea"]),
        ("/search tea from bob in lobby", ["black tea"]),
        ("/search tea IN lobby FROM alice", ["green tea"]),
        ("/search tea from zoe", []),
        ("/search green tea", ["green tea"]),
        ('/search "green tea"', ["green tea"]),
        ('/search "tea green"', []),
        ('/search "tea in mirror"', ["no tea in mirror"]),
        ("/search tea in den in den", []),
        ("/search tea in mirror in den", ["no tea in mirror"]),
        ("/search in den", []),
        ("/search umbr*", ["my umbrella"]),
        ("/search umbr", []),
        ("/search cafe", ["au café"]),
        ("/search 好", ["你好吗"]),
        ("/search 吗", ["你好吗"]),
        ("/search 你好", ["你好吗"]),
        ("/search 你吗", []),
    ],
)
def test_a_search_finds(world: World, typed: str, lines: list[str]) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("green tea")
    bob.says("black tea", "my umbrella", "au café", "你好吗")
    alice.says("/join den", "no tea in mirror")
    _ = carol.sees
    shown = carol.asks(typed)
    assert said(shown) == lines
    assert lines or shown == ["-- Nothing was found."]


def test_a_search_is_paged(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*[f"tea {number}" for number in range(2 * FOUND + 3)])
    _ = bob.sees
    shown = bob.asks("/search tea")
    assert said(shown) == [f"tea {number}" for number in range(22, 12, -1)]
    assert shown[-1] == "-- These are the newest. /more shows older ones."
    shown = bob.asks("/more")
    assert said(shown) == [f"tea {number}" for number in range(12, 2, -1)]
    assert shown[-1] == "-- /more shows older ones."
    shown = bob.asks("/more")
    assert (len(shown), said(shown)) == (3, ["tea 2", "tea 1", "tea 0"])
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_a_search_says_when_nothing_is_left(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*["tea"] * FOUND)
    bob.says("/search tea")
    _ = bob.sees
    assert bob.asks("/more") == ["-- That is all."]


def test_a_search_leaves_out_the_ignored_and_hidden_rooms(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    hidden = world.chat.open_room("hidden", listed=False)
    world.chat.submit(hidden, Said(world.clock.seconds(), 99, "dave", "tea"))
    alice.says("tea")
    carol.says("/me drinks tea")
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/search tea") == ["2027-01-15 08:00 #lobby * carol drinks tea"]
    bob.says("/ignore carol")
    _ = bob.sees
    assert bob.asks("/search tea") == ["-- Nothing was found."]


def test_what_was_found_in_a_room_that_is_gone_is_not_shown(
    world: World, late: LateHistory
) -> None:
    (alice,) = world.people("alice")
    alice.says("/search tea")
    (asked,) = late.asked
    assert asked == ("search", Query([Phrase(("tea",))], {"lobby"}), FOUND)
    found = [Entry(room, 1, Emoted(0.0, 9, "zoe", "has tea")) for room in ("den", "lobby")]
    late.answers[0].callback(found)
    world.settle()
    assert alice.sees == ["1970-01-01 00:00 #lobby * zoe has tea"]


# -- answers that take their time


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
    alice.session.unread = unread({"lobby": 0})
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
    assert alice.session.gate.is_open


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


# -- what was missed


def unread(seen: Mapping[str, int]) -> Unread:
    """What somebody has not been shown who has read each room up to an id."""
    made = Unread()
    made.log_in(seen, "", 0)
    return made


def back(world: World, person: Person, seen: Mapping[str, int]) -> list[str]:
    """What *person*, who comes back, is told first."""
    _ = person.sees
    person.session.unread = unread(seen)
    pager_of(person.session).returned(seen, person.name)
    world.settle()
    return person.sees


def last_id(world: World, room: str = "lobby") -> int:
    return world.chat.rooms[room].log.before(2**63 - 1, 1)[0][0]


def test_who_comes_back_is_told_what_they_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("seen")
    seen = last_id(world)
    at(world, 12, 3)
    alice.says(*numbers(12), "bob, are you there?", "/me waves to BOB")
    at(world, 13)
    assert back(world, bob, {"lobby": seen}) == [
        "-- You missed 14 lines since 12:03, 2 of them name you. /missed shows them."
    ]
    assert bob.asks("/missed") == [
        "-- In #lobby:",
        TODAY,
        *[f"12:03 alice: {number}" for number in range(12)],
        "12:03 alice: bob, are you there?",
        "12:03 * alice waves to BOB",
        "-- That is all that you missed.",
    ]
    assert bob.asks("/missed") == ["-- You missed nothing."]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["hi"], "You missed 1 line since 08:00. /missed shows it."),
        (["hi bob"], "You missed 1 line since 08:00, which names you. /missed shows it."),
        (["a", "bob"], "You missed 2 lines since 08:00, 1 of them names you. /missed shows them."),
        (["a", "bobby"], "You missed 2 lines since 08:00. /missed shows them."),
    ],
)
def test_what_was_missed_in_words(world: World, lines: list[str], told: str) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*lines)
    assert back(world, bob, {"lobby": 0}) == [f"-- {told}"]


def test_what_was_missed_on_another_day_has_its_day(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    at(world, 24 + 9)
    assert back(world, bob, {"lobby": 0}) == [
        "-- You missed 1 line since Friday 15 January 08:00. /missed shows it."
    ]


def test_who_missed_nothing_is_told_nothing(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("seen")
    assert back(world, bob, {"lobby": last_id(world), "den": 0}) == []
    assert bob.asks("/missed") == ["-- You missed nothing."]


def test_what_was_missed_is_paged_room_by_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/join den", *numbers(MISSED + 2))
    world.wait(60)
    alice.says("/join lobby", "hi")
    # The room where it began comes first, whatever the order in which they are asked for.
    told = back(world, bob, {"lobby": 0, "den": 0})
    assert told == ["-- You missed 53 lines since 08:00. /missed shows them."]
    shown = bob.asks("/missed")
    assert shown[0] == "-- In #den:"
    assert said(shown) == numbers(MISSED)
    assert shown[-1] == "-- /more goes on."
    shown = bob.asks("/more")
    assert (shown[0], said(shown)) == ("-- In #den:", numbers(MISSED, MISSED + 2))
    assert shown[-1] == "-- /more goes on."
    assert bob.asks("/missed") == [
        "-- In #lobby:",
        TODAY,
        "08:01 alice: hi",
        "-- That is all that you missed.",
    ]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_long_lines_that_were_missed_are_not_passed_over(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    for number in range(45):
        alice.types(f"{'x' * 1900}: {number}")
    world.settle()
    back(world, bob, {"lobby": 0})
    pages = [bob.asks("/missed")]
    while pages[-1][-1] == "-- /more goes on.":
        pages.append(bob.asks("/more"))
    assert len(pages) == 2
    assert [text for page in pages for text in said(page)] == numbers(45)


def test_a_line_larger_than_a_send_queue_does_not_stand_in_the_way(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "x" * 70_000, "two")
    back(world, bob, {"lobby": 0})
    assert said(bob.asks("/missed")) == ["one"]
    assert said(bob.asks("/more")) == ["two"]
    assert bob.asks("/more") == ["-- There is no more: /history, /search, /missed."]


def test_what_the_ignored_said_was_not_missed(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("hi")
    back(world, bob, {"lobby": 0})
    bob.says("/ignore alice")
    _ = bob.sees
    assert bob.asks("/missed") == ["-- You missed nothing."]


def test_what_was_missed_in_a_room_that_is_gone_is_nothing(world: World, late: LateHistory) -> None:
    (alice,) = world.people("alice")
    alice.says("hi")
    alice.session.unread = unread({"den": 5, "lobby": 7})
    alice.says("/missed")
    assert late.asked == [("after", "lobby", 7, MISSED)]
    late.answers[0].callback([])
    world.settle()
    assert alice.sees == ["-- You missed nothing."]


def test_more_of_what_was_missed_ends_with_its_rooms(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*numbers(MISSED))
    back(world, bob, {"lobby": 0})
    assert bob.asks("/missed")[-1] == "-- /more goes on."
    bob.session.unread = None
    assert bob.asks("/more", "/more") == [
        "-- That is all that you missed.",
        "-- There is no more: /history, /search, /missed.",
    ]


def test_who_pages_through_a_room_does_not_wait_for_who_searches(
    world: World, late: LateHistory
) -> None:
    searching = [world.person(source=f"192.0.2.{number}") for number in range(3)]
    reading = world.person(source="198.51.100.1")
    for person in searching:
        person.types("/search tea")
    reading.types("/history before 1h")
    # The searches wait for one another.
    assert [kind for kind, *_ in late.asked] == ["search", "place"]


# -- what is not shown


def test_what_is_taken_back_is_not_found_in_a_file_that_cannot_be_written(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    bob.says("tea", "green tea")
    rows = [row for row in world.chat.lobby.log.between() if row.event.line]
    bob.says("/forget")
    _ = alice.sees
    alice.says("/search tea")
    late.answers[0].callback([Entry("lobby", row.id, row.event) for row in rows])
    world.settle()
    assert said(alice.sees) == ["tea"]


def test_who_is_not_here_can_be_ignored_if_they_are_registered(world: World) -> None:
    owner(world, "bob").says("tea", "/quit")
    alice = world.person("alice")
    assert said(alice.asks("/search tea")) == ["tea"]
    assert alice.asks("/ignore bob") == ["-- You ignore bob. /unignore bob ends it."]
    assert alice.asks("/search tea") == ["-- Nothing was found."]
    assert alice.asks("/ignore nobody")[0].startswith("-- Nobody here is called nobody.")


def test_what_a_guest_said_in_an_earlier_run_is_not_shown_to_who_ignores_that_name(
    world: World, late: LateHistory
) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("/ignore bob", "/ignore guest2")
    rob = bob.session.origin
    for origin, name in ((SERVER, "Bob"), (SERVER, "zoe"), (rob, "rob"), (99, "bob")):
        late.answers.clear()
        alice.says("/search tea")
        late.answers[0].callback([Entry("lobby", 1, Said(0.0, origin, name, "tea"))])
        world.settle()
    assert said(alice.sees) == ["tea", "tea"]


# -- taking back

TAKEN = "-- alice took back what they said in the last hour."
ONE = "-- alice took back a line."
ALL = (
    "-- This takes back all that you said in the last hour, in all rooms. To do it, type /forget "
    "hour once more."
)
NOTHING = (
    "-- You have said nothing on this connection in the last hour. What you said as a guest on an "
    "earlier one only an operator can remove: /ops lists them."
)


def test_who_takes_back_what_they_said_has_not_said_it(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    carol.says("/join den")
    alice.says("one", "/me waves", "/join den", "two", "/join lobby", "three")
    bob.says("four")
    carol.says("five")
    _ = alice.sees, bob.sees, carol.sees
    assert alice.asks("/forget hour") == [ALL]
    assert alice.asks("/forget HOUR") == [TAKEN, "-- What you said in #den is removed."]
    # Each room is told, in one line.
    assert bob.sees == carol.sees == [TAKEN]
    assert bob.asks("/history") == [TODAY, "08:00 bob: four"]
    assert carol.asks("/history") == [TODAY, "08:00 carol: five"]
    assert bob.asks("/search one") == ["-- Nothing was found."]
    shown = Person(world)
    world.settle()
    assert "08:00 bob: four" in shown.sees
    assert not any("alice:" in line or "waves" in line for line in shown.sees)
    assert alice.asks("/forget") == [NOTHING]


def test_a_newcomer_is_not_shown_what_was_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    bob.says("two")
    # The scrollback has been made before.
    world.person("carol")
    alice.says("/forget")
    dave = Person(world)
    world.settle()
    assert said(dave.sees)[-1:] == ["two"]


def test_what_is_still_on_its_way_is_taken_back_too(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.types("oops", "/forget")
    world.settle()
    assert bob.sees == ["alice: oops", ONE]
    assert bob.asks("/history") == ["-- Nothing has been said here."]


def test_who_is_behind_is_not_shown_what_was_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    bob.writer.stall(5)
    alice.says("one", "two")
    alice.says("/forget hour", "/forget hour")
    bob.writer.drain()
    world.settle()
    assert bob.sees == ["alice: one", TAKEN]


def test_what_is_older_than_an_hour_stays(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    world.wait(3000)
    alice.says("two")
    world.wait(1000)
    _ = bob.sees
    assert alice.asks("/forget hour") == [ALL]
    assert alice.asks("/forget hour") == [TAKEN]
    assert said(bob.asks("/history")) == ["one"]


def test_who_has_said_nothing_for_an_hour_has_nothing_to_take_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    world.wait(3700)
    bob.says("two")
    _ = alice.sees, bob.sees
    assert alice.asks("/forget") == [NOTHING]
    assert bob.sees == []


def test_what_was_taken_back_already_is_not_taken_back_again(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "/forget")
    _ = alice.sees, bob.sees
    assert alice.asks("/forget hour") == [NOTHING]
    assert bob.sees == []


def test_a_name_that_changed_hands_takes_nothing_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "/quit")
    bob.says("/nick alice")
    _ = bob.sees
    assert bob.asks("/forget") == [NOTHING]
    assert said(bob.asks("/history")) == ["one"]


def test_what_was_said_in_a_hidden_room_is_not_taken_back(world: World) -> None:
    (alice,) = world.people("alice")
    alice.session.move(world.chat.open_room("hidden", listed=False))
    world.settle()
    alice.says("one")
    assert alice.asks("/forget")[-1] == NOTHING


def test_taking_back_that_is_refused_can_be_asked_for_again(failing: World) -> None:
    alice, bob = failing.people("alice", "bob")
    assert isinstance(failing.ledger, FailingLedger)
    alice.says("one")
    failing.ledger.refuses = lambda event: isinstance(event, TookBack)
    _ = bob.sees
    assert alice.asks("/forget") == [
        "-- Your lines in #lobby were not taken back: the disk is full."
    ]
    assert said(bob.asks("/history")) == ["one"]
    failing.ledger.refuses = lambda event: False
    assert alice.asks("/forget") == [ONE]
    assert bob.asks("/history")[-1] == "-- Nothing has been said here."


def test_what_was_never_said_in_a_room_that_is_gone_is_nothing(failing: World) -> None:
    (alice,) = failing.people("alice")
    assert isinstance(failing.ledger, FailingLedger)
    failing.ledger.refuses = lambda event: isinstance(event, Said)
    alice.says("/join den", "hi", "/join lobby")
    assert list(failing.chat.rooms) == ["lobby"]
    assert alice.asks("/forget")[-1] == NOTHING


def test_the_last_line_is_taken_back_and_then_the_one_before_it(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two", "three")
    bob.says("four")
    assert alice.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["one", "two", "four"]
    assert alice.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["one", "four"]


def test_the_last_lines_are_taken_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(*"abcde")
    _ = bob.sees
    assert alice.asks("/forget 3") == ["-- alice took back 3 lines."]
    assert bob.sees == ["-- alice took back 3 lines."]
    assert said(bob.asks("/history")) == ["a", "b"]
    assert alice.asks("/forget 99") == ["-- alice took back 2 lines."]
    assert alice.asks("/forget 1") == [NOTHING]


@pytest.mark.parametrize("number", ["²", "③"])
def test_what_is_no_number_is_nobodys_name_either(world: World, number: str) -> None:
    (alice,) = world.people("alice")
    alice.says("one")
    assert not any("took back" in line for line in alice.asks(f"/forget {number}"))
    assert alice.asks("/forget") == [ONE]


@pytest.mark.parametrize("number", ["0", "101", "9" * 2000])
def test_only_so_many_lines_are_taken_back_at_once(world: World, number: str) -> None:
    (alice,) = world.people("alice")
    alice.says("one")
    assert alice.asks(f"/forget {number}") == [
        "-- /forget N takes back from 1 to 100 lines, /forget hour what you said in the last hour."
    ]


def test_the_last_line_may_be_in_another_room(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one", "two", "/join den")
    _ = bob.sees
    assert alice.asks("/forget") == ["-- What you said in #lobby is removed."]
    assert bob.sees == [ONE]
    assert said(bob.asks("/history")) == ["one"]


def test_who_thinks_better_of_it_takes_nothing_back(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    assert alice.asks("/forget hour") == [ALL]
    world.wait(100)
    assert alice.asks("/forget hour") == [ALL]
    assert said(bob.asks("/history")) == ["one"]


def test_who_has_logged_in_again_takes_back_what_they_said_before(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("as a guest", "/register kohlrabi77", "one", "two")
    alice.hangs_up()
    world.settle()
    again = world.person()
    again.says("/login alice kohlrabi77")
    assert again.asks("/forget") == [ONE]
    assert said(bob.asks("/history")) == ["as a guest", "one"]
    # What was said under that name before it was registered may be somebody else's.
    assert again.asks("/forget 9") == [ONE]
    assert said(bob.asks("/history")) == ["as a guest"]
    assert again.asks("/forget") == ["-- You have said nothing in the last hour."]


def test_a_guest_who_came_again_is_told_who_can_remove_what_they_said(world: World) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says("one")
    alice.hangs_up()
    world.settle()
    again = world.person("alice")
    assert again.asks("/forget") == again.asks("/forget hour") == [NOTHING]
    assert said(bob.asks("/history")) == ["one"]


# -- what a search is about


def found(lines: list[str]) -> list[str]:
    return [line.partition(": ")[2] for line in lines if not line.startswith("-- ")]


def test_a_search_may_be_for_all_that_somebody_said(world: World) -> None:
    alice, bob, carol = world.people("alice", "bob", "carol")
    alice.says("one", "/join den", "two")
    bob.says("three")
    assert found(carol.asks("/search from alice")) == ["two", "one"]
    assert found(carol.asks("/search from ALICE in lobby")) == ["one"]
    assert found(carol.asks("/search in lobby from alice")) == ["one"]


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("do you believe in magic", "/search believe in magic"),
        ("a letter from home", "/search letter from home"),
        ("a letter from home in may", "/search letter from home in may"),
        ("all in lobbying", "/search in lobbying"),
    ],
)
def test_what_is_no_room_and_nobody_is_looked_for(world: World, said: str, asked: str) -> None:
    alice, bob = world.people("alice", "bob")
    alice.says(said, "home", "magic")
    assert found(bob.asks(asked)) == [said]
