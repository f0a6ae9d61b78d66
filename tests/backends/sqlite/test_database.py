"""What is kept in the file, what is found in it, and what is not left in it."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.backends import codec
from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.database import SLICE_LINES, connect
from chatroom.backends.sqlite.kept import is_kept
from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.entry import Entry
from chatroom.model.events import (
    Announced,
    Closed,
    CrowdMoved,
    Emoted,
    Event,
    Joined,
    Left,
    Opened,
    Renamed,
    Said,
    Told,
    TookBack,
    TopicSet,
)
from chatroom.model.history import Gap, Query, UnreadSummary
from chatroom.text.words import Phrase, phrases


class Store:
    """A file, who writes it and who reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "chatroom.sqlite"
        self.time = 1_800_000_000.0
        self.open()

    def open(self) -> None:
        self.writer, self.reader = Writer(self.path), Reader(self.path)
        self.next = max(self.writer.last_id + 1, int(self.time * 1e6))

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def entry(self, event: Event, room: str = "lobby") -> Entry:
        self.next += 1_000_000
        return Entry(room, self.next, event)

    def say(
        self,
        *texts: str,
        name: str = "alice",
        room: str = "lobby",
        origin: int = 1,
        user: int | None = None,
    ) -> None:
        for text in texts:
            self.time += 1
            event = Said(self.time, origin, name, text, user=-origin if user is None else user)
            self.writer.commit([self.entry(event, room)])

    def index(self) -> None:
        while self.writer.index():
            pass

    def finds(
        self, text: str, *rooms: str, name: str = "", count: int = 10, before: int = 2**63 - 1
    ) -> list[str]:
        query = Query(phrases(text), rooms or ("lobby", "den"), name, before)
        return _texts(self.reader.search(query, count))

    def clean(self) -> None:
        self.writer.begin_merge()
        while self.writer.merge():
            pass
        assert self.writer.empty_log()

    def unclean(self) -> bool:
        return self.writer.unclean

    def holds(self, text: str) -> bool:
        """Whether *text* is anywhere in the bytes of the files."""
        files = self.path.parent.glob("chatroom.sqlite*")
        return any(text.encode() in file.read_bytes() for file in files)


def _texts(entries: list[Entry]) -> list[str]:
    return [entry.event.text for entry in entries if isinstance(entry.event, Said | Emoted)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


SHOWN: list[Event] = [
    Said(1.0, 0, "alice", "hi"),
    Emoted(1.0, 0, "alice", "waves"),
    Announced(1.0, 0, "alice"),
    Left(1.0, 0, "alice", "lunch", True),
    Renamed(1.0, 0, "alice", "bob", True),
    TopicSet(1.0, 0, "alice", "tea"),
    CrowdMoved(1.0, 0, ("alice", "bob"), 37, True),
    Told(1.0, 0, "news"),
    TookBack(1.0, 0, "alice"),
    TookBack(1.0, 0, "olga", said_as="alice"),
    TookBack(1.0, 0, "alice", count=3),
]


@pytest.mark.parametrize("event", SHOWN)
def test_what_was_shown_is_kept(event: Event) -> None:
    assert is_kept(event)
    assert (codec.encode(event).kind < schema.LINES_BELOW) is event.line
    assert codec.encode(event).kind < len(codec.KINDS)


def test_what_nobody_was_shown_is_not_kept(store: Store) -> None:
    for event in (
        Joined(1.0, 1, "alice"),
        Left(1.0, 1, "alice", "", False),
        Renamed(1.0, 1, "alice", "bob", False),
    ):
        assert not is_kept(event)
        store.writer.commit([store.entry(event)])
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_kind_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="kind 99"):
        codec.decode(99, 0.0, "", "")


def test_lines_come_back_in_their_order_and_room(store: Store) -> None:
    store.say(*"abcde")
    store.say("x", room="den")
    entries = store.reader.before("lobby", 2**63 - 1, 3)
    assert _texts(entries) == ["c", "d", "e"]
    assert _texts(store.reader.before("lobby", entries[0].id, 3)) == ["a", "b"]
    assert _texts(store.reader.after("lobby", entries[0].id, 1)) == ["d"]
    assert store.reader.before("nowhere", 2**63 - 1, 3) == []


def test_what_is_written_twice_is_kept_once(store: Store) -> None:
    entries = [store.entry(Said(1.0, 1, "alice", "once"))]
    store.writer.commit(entries)
    store.writer.commit(entries)
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == ["once"]


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    bad = Said(1.0, 1, "alice", "\ud800")  # cannot be written as UTF-8
    with pytest.raises(UnicodeEncodeError):
        store.writer.commit([store.entry(Said(1.0, 1, "alice", "good")), store.entry(bad, "new")])
    assert store.reader.before("lobby", 2**63 - 1, 10) == []
    store.say("later", room="new")
    assert _texts(store.reader.before("new", 2**63 - 1, 10)) == ["later"]


def test_rooms_their_topics_and_last_lines_are_there_after_a_restart(store: Store) -> None:
    store.writer.commit([store.entry(Opened(1.0, 0, "Den"), "den")])
    store.say("one", "two", "three", room="den")
    store.writer.commit([store.entry(TopicSet(1.0, 1, "alice", "tea"), "den")])
    store.close()
    store.open()
    (room,) = store.writer.load(2)
    assert (room.name, room.topic) == ("Den", "tea")
    assert [event for _, event in room.lines] == [
        Said(1_800_000_002.0, 0, "alice", "two"),
        Said(1_800_000_003.0, 0, "alice", "three"),
    ]
    assert store.writer.last_id == store.next - 1


def test_a_room_is_loaded_with_a_line_at_least(store: Store) -> None:
    store.say("one", "two")
    (room,) = store.writer.load(0)
    assert len(room.lines) == 1


def test_a_room_in_which_nothing_was_said_is_forgotten_but_for_the_lobby(store: Store) -> None:
    for name in ("Lobby", "Den"):
        key = name.lower()
        store.writer.commit(
            [
                store.entry(Opened(1.0, 0, name), key),
                store.entry(TopicSet(1.0, 1, "alice", "tea"), key),
            ]
        )
    assert [room.name for room in store.writer.load(5, "lobby")] == ["Lobby"]
    store.say("afterwards", room="den")
    assert _texts(store.reader.before("den", 2**63 - 1, 5)) == ["afterwards"]


def made(store: Store, name: str = "den") -> Entry:
    return store.entry(Opened(store.time, 0, name), name)


def test_nothing_of_a_former_room_is_that_of_the_room_that_is_made_in_its_place(
    store: Store,
) -> None:
    topic = store.entry(TopicSet(1.0, 1, "alice", "secret plans"), "den")
    store.writer.commit([made(store), topic])
    store.say("of the former", room="den")
    store.index()
    # It is shown while a server runs, which has not told that the room is gone.
    store.writer.commit([store.entry(Left(1.0, 1, "alice", "bye", True), "den"), made(store)])
    store.say("of the new one", room="den")
    store.index()
    for _ in range(2):
        assert _texts(store.reader.before("den", 2**63 - 1, 10)) == ["of the new one"]
        assert store.finds("former") == []
        assert store.finds("new") == ["of the new one"]
        (room,) = store.writer.load(5)
        assert (room.topic, [getattr(event, "text", "") for _, event in room.lines]) == (
            "",
            ["of the new one"],
        )
        store.close()
        store.open()
    # It is deleted bit by bit, and forgotten at the next start.
    expired = store.reader.expired(0.0, 0)
    assert len(expired) == 4 - 1
    store.writer.delete(expired)
    assert store.reader.expired(0.0, 0) == []
    store.writer.load(5)
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT key FROM rooms").fetchall() == [("den",)]
    store.clean()
    assert not store.holds("secret plans")
    assert not store.holds("of the former")


def test_of_a_room_that_is_closed_nothing_comes_back(store: Store) -> None:
    store.say("among us", room="den")
    store.index()
    closed = [store.entry(Said(1.0, 1, "alice", "last"), "den"), store.entry(Closed(1.0, 0), "den")]
    for _ in range(2):
        store.writer.commit(closed)
    assert store.reader.before("den", 2**63 - 1, 10) == []
    assert store.finds("among") == []
    store.writer.commit([made(store)])
    store.say("hello", room="den")
    store.writer.commit(closed)
    assert _texts(store.reader.before("den", 2**63 - 1, 10)) == ["hello"]
    store.close()
    store.open()
    (room,) = store.writer.load(5)
    assert len(room.lines) == 1


def test_a_room_that_is_made_in_a_batch_that_comes_twice_is_made_once(store: Store) -> None:
    store.say("of the former", room="den")
    batch = [made(store), store.entry(Said(1.0, 1, "alice", "of the new one"), "den")]
    for _ in range(2):
        store.writer.commit(batch)
        assert _texts(store.reader.before("den", 2**63 - 1, 10)) == ["of the new one"]


def test_words_are_found_newest_last_and_page_by_page(store: Store) -> None:
    store.say(*(f"tea number {number}" for number in range(7)), "coffee")
    store.index()
    assert store.finds("tea", count=3) == [f"tea number {number}" for number in (4, 5, 6)]
    before = store.reader.search(Query(phrases("tea"), ["lobby"]), 3)[0].id
    found = store.finds("TEA", count=10, before=before)
    assert found == [f"tea number {number}" for number in range(4)]
    assert store.finds("tea coffee") == []
    assert store.finds("absent") == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("好", "你好吗"),
        ("吗", "你好吗"),
        ("你好", "你好吗"),
        ("好吗", "我说你好吗iPhone"),
        ("手机", "iPhone手机"),
        ('"你好iphone"', "你好iPhone手机"),
        ("cafe", "Le Café"),
        ("иду", "я ИДУ"),
        ('"two words"', "in two words"),
        ("umbr*", "my umbrella"),
        ("ok", "ok"),
        ("🤖", "the 🤖 says"),
        ("AND OR NOT NEAR(", "and or not near"),
        ('text:secret^2 "', "text secret 2"),
        ("it's", "it's"),
    ],
)
def test_a_line_is_found_by_its_words_alone(store: Store, query: str, text: str) -> None:
    store.say("something else", text, "别的话")
    store.index()
    assert store.finds(query) == [text]


def test_a_search_keeps_to_its_rooms_and_its_name(store: Store) -> None:
    for room in ("lobby", "den", "secret"):
        store.say(f"tea in {room}", room=room)
    store.say("tea by x_y", name="x_y")
    store.say("tea by x-y", name="x-y")
    store.index()
    assert store.finds("tea", "den") == ["tea in den"]
    assert store.finds("tea", "lobby", "den") == [
        "tea in lobby",
        "tea in den",
        "tea by x_y",
        "tea by x-y",
    ]
    assert store.finds("tea", name="x_y") == ["tea by x_y"]
    assert store.finds("tea", name="x") == []
    assert store.finds("", name="x_y") == ["tea by x_y"]
    # What a name or a room is in the index is no word of the text.
    assert store.finds("alice") == []
    assert store.finds("r1") == []
    assert store.finds("tea", "nowhere") == []


def test_the_index_goes_on_where_it_was_when_the_server_was_killed(store: Store) -> None:
    store.say("early")
    store.index()
    store.say(*(f"late {number}" for number in range(SLICE_LINES + 5)))
    # What is not indexed yet is found all the same.
    assert store.finds("late 25*", "early") == []
    assert store.finds("late", count=2) == [f"late {SLICE_LINES + 3}", f"late {SLICE_LINES + 4}"]
    store.close()
    store.open()
    assert store.writer.index() is True
    assert store.writer.index() is False
    assert len(store.finds("late", count=1000)) == SLICE_LINES + 5
    assert store.finds("early") == ["early"]


def test_what_was_missed_is_counted_room_by_room(store: Store) -> None:
    store.say("old alice")
    seen = {"lobby": store.next, "den": 0, "quiet": 0}
    store.say("hello", "where is 王明?", "王明你好")
    store.say("nobody here", room="den")
    store.index()
    gaps = [(room, Gap(id)) for room, id in seen.items()]
    missed = store.reader.missed(gaps, phrases('"王明"')[0], "bob")
    assert sorted(missed) == [
        UnreadSummary("den", 1, 0, 1_800_000_005.0),
        UnreadSummary("lobby", 3, 2, 1_800_000_002.0),
    ]


def test_what_is_taken_back_is_what_that_connection_said_there_in_this_run(store: Store) -> None:
    store.say("of an earlier run")
    store.close()
    store.open()
    store.say("mine 1", "mine 2")
    store.say("theirs", origin=2)
    store.say("mine elsewhere", room="den")
    store.index()
    store.say("mine 3")
    back = TookBack(store.time, 1, "alice", frozenset([-1]), store.time - 3600)
    store.writer.commit(
        [
            store.entry(Said(store.time, 1, "alice", "mine 4", user=-1)),
            store.entry(back),
            store.entry(Said(store.time, 1, "alice", "mine 5", user=-1)),
        ]
    )
    left = _texts(store.reader.before("lobby", 2**63 - 1, 10))
    assert left == ["of an earlier run", "theirs", "mine 5"]
    store.index()
    assert store.finds("mine") == ["mine elsewhere", "mine 5"]


def test_single_lines_are_taken_back_by_their_ids(store: Store) -> None:
    store.say("mine 1", "mine 2", "mine 3")
    store.index()
    ids = [entry.id for entry in store.reader.before("lobby", 2**63 - 1, 10)]
    back = TookBack(store.time, 1, "alice", ids=frozenset(ids[1:]), count=2)
    store.writer.commit([store.entry(back)])
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == ["mine 1"]
    assert store.finds("mine") == ["mine 1"]


def test_what_an_account_takes_back_is_what_was_said_by_it_in_earlier_runs_too(
    store: Store,
) -> None:
    store.say("of an earlier run", origin=9, user=5)
    store.say("of a guest of an earlier run")
    store.close()
    store.open()
    store.say("mine", user=5)
    store.say("as a guest", name="guest1")
    store.say("theirs", name="bob", origin=2)
    back = TookBack(store.time, 1, "alice", frozenset([5, -1]), store.time - 3600)
    store.writer.commit([store.entry(back)])
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == [
        *("of a guest of an earlier run", "theirs"),
    ]


def test_what_was_said_too_long_ago_stays(store: Store) -> None:
    store.say("old")
    store.time += 4000
    store.next += 4_000_000_000
    store.writer.last_id = 0
    store.say("new")
    back = TookBack(store.time, 1, "alice", frozenset([-1]), store.time - 3600)
    store.writer.commit([store.entry(back)])
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == ["old"]


def test_what_was_deleted_is_in_no_byte_of_the_files(store: Store) -> None:
    # Enough for several segments of the index.
    for number in range(12):
        store.say(*(f"filler {number} {other}" for other in range(30)))
        store.index()
    store.say("zanzibar 罕见", name="xerxes", origin=7)
    store.index()
    store.say("afterwards")
    store.index()
    assert store.holds("zanzibar")
    assert store.holds("罕见")
    back = TookBack(store.time, 7, "somebody", frozenset([-7]), store.time - 3600)
    store.writer.commit([store.entry(back)])
    assert store.unclean()
    store.clean()
    assert not store.unclean()
    for trace in ("zanzibar", "罕见", "xerxes"):
        assert not store.holds(trace)
    assert store.finds("zanzibar") == []
    assert store.finds("afterwards") == ["afterwards"]
    assert len(store.finds("filler", count=1000)) == 360


def test_what_is_deleted_while_it_is_cleaned_makes_it_unclean_again(store: Store) -> None:
    store.say("one")
    store.say("two")
    ids = [entry.id for entry in store.reader.before("lobby", 2**63 - 1, 2)]
    store.writer.delete(ids[:1])
    store.writer.begin_merge()
    store.writer.delete(ids[1:])
    while store.writer.merge():
        pass
    assert store.unclean()


def test_the_log_is_not_emptied_under_a_reader(store: Store) -> None:
    store.say("one")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM events").fetchall()
        store.say("two")
        assert store.writer.empty_log() is False
        other.execute("COMMIT")
    assert store.writer.empty_log() is True


def test_old_lines_and_all_but_the_last_are_named_for_deleting(store: Store) -> None:
    store.say(*(f"old {number}" for number in range(3)))
    boundary = store.time + 1
    store.say(*(f"new {number}" for number in range(5)))
    store.say("den 1", "den 2", room="den")
    store.writer.commit([store.entry(Announced(store.time, 1, "alice"))])
    assert store.reader.expired(0.0, 0) == []
    ids = store.reader.expired(boundary, 0)
    assert len(ids) == 3
    store.writer.delete(ids)
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == [f"new {n}" for n in range(5)]
    early = Entry("lobby", store.reader.before("lobby", 2**63 - 1, 9)[0].id + 1, Told(1.0, 0, "x"))
    store.writer.commit([early])
    assert early.id in store.reader.expired(0.0, 2)
    assert store.next not in store.reader.expired(0.0, 2)
    store.writer.delete(store.reader.expired(0.0, 2))
    assert _texts(store.reader.before("lobby", 2**63 - 1, 10)) == ["new 3", "new 4"]
    assert _texts(store.reader.before("den", 2**63 - 1, 10)) == ["den 1", "den 2"]
    assert store.reader.expired(0.0, 2) == []


def test_only_so_many_are_named_at_once(store: Store) -> None:
    store.writer.commit(
        [store.entry(Said(1.0, 1, "alice", "x"), room) for room in "ab" for _ in range(SLICE_LINES)]
    )
    assert len(store.reader.expired(2.0, 0)) == SLICE_LINES
    assert len(store.reader.expired(2.0, 1)) == SLICE_LINES
    assert len(store.reader.expired(0.0, 1)) == SLICE_LINES


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.reader._connection.execute("DELETE FROM rooms")


def test_a_phrase_with_quotes_is_text(store: Store) -> None:
    store.say('say "cheese"')
    store.index()
    query = Query([Phrase(('che"ese',))], ["lobby"])
    assert store.reader.search(query, 5) == []


def test_another_programs_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE things (x)")
        other.commit()
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(schema.SchemaError, match="not a file of chatroom's"):
            schema.migrate(connection)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("things",)]


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        schema.migrate(connection)
        assert schema.version(connection) == len(schema.MIGRATIONS)
        schema.migrate(connection)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
        with pytest.raises(schema.SchemaError, match="newer chatroom"):
            schema.migrate(connection)


# -- a clock that was once ahead


def test_a_time_has_its_place_where_the_clock_was_once_ahead(store: Store) -> None:
    store.say("early")
    store.time += 31 * 24 * 3600
    store.next += 31 * 24 * 3600 * 10**6
    store.say("ahead")
    store.time -= 31 * 24 * 3600
    store.say("right", "late")
    # Ids are greater than the time from here on.
    assert store.next > (store.time + 3600) * 1e6
    place = store.reader.place("lobby", store.time + 60)
    assert _texts(store.reader.before("lobby", place, 1)) == ["late"]
    place = store.reader.place("lobby", store.time)
    assert _texts(store.reader.before("lobby", place, 1)) == ["right"]
    assert store.reader.place("lobby", 0.0) == store.reader.place("nowhere", store.time) == 0


def test_what_is_too_old_is_found_by_its_time(store: Store) -> None:
    store.say("old")
    store.next += 31 * 24 * 3600 * 10**6
    store.say("old", room="den")
    before = store.time + 0.5
    store.say("new")
    ids = store.reader.expired(before, 0)
    assert len(ids) == 2
    store.writer.delete(ids)
    assert _texts(store.reader.before("lobby", 2**63 - 1, 9)) == ["new"]
    assert store.reader.before("den", 2**63 - 1, 9) == []
    plan = store.reader.connection.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM events WHERE room = 1 AND time < 2 LIMIT 3"
    ).fetchall()
    assert "USING COVERING INDEX times" in plan[0][-1]


# -- whose lines they are


def test_whose_lines_they_are_is_known_of_this_run(store: Store) -> None:
    store.say("then", origin=7)
    store.close()
    store.open()
    store.reader.close()
    store.reader = Reader(store.path, store.writer.last_id)
    store.say("now", origin=7)
    store.index()
    query = Query(phrases("then"), ["lobby"])
    assert [entry.event.origin for entry in store.reader.search(query, 9)] == [0]
    query = Query(phrases("now"), ["lobby"])
    assert [entry.event.origin for entry in store.reader.search(query, 9)] == [7]
    entries = store.reader.before("lobby", 2**63 - 1, 9)
    assert [entry.event.origin for entry in entries] == [0, 7]


def test_the_documents_have_every_table_and_every_column(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    with closing(connect(tmp_path / "chatroom.sqlite")) as connection:
        schema.migrate(connection)
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'words!_%' ESCAPE '!'"
        ).fetchall()
        for (table,) in tables:
            (row,) = re.findall(rf"^\| `{table}` \| (.*) \|$", manual, re.MULTILINE)
            for _, column, *_ in connection.execute(f"PRAGMA table_info({table})"):
                assert f"`{column}`" in row, f"{table}.{column}"
    assert set(re.findall(r"[Vv]ersion (\d+)\b", manual)) == {str(len(schema.MIGRATIONS))}
