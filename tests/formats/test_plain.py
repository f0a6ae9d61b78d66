"""How events look on a plain terminal and on the bare relay, and as somebody prefers them."""

import gc
import weakref
from datetime import UTC, tzinfo
from typing import Any

import pytest

from chatroom.formats.plain import PLAIN, RAW, plain, transcript
from chatroom.model.events import (
    SERVER,
    Announced,
    CrowdMoved,
    DayBegan,
    Emoted,
    Event,
    Found,
    Joined,
    Left,
    Noticed,
    Opened,
    Relayed,
    Removed,
    Renamed,
    Said,
    ScrollbackEnded,
    Skipped,
    Told,
    TookBack,
    TopicSet,
    Whispered,
)
from chatroom.model.preferences import BELLS, TIMESTAMPS, Preferences
from chatroom.text.prose import duration, enumerate_names
from chatroom.text.times import DAY, zone

#: Friday 15 January 2027, 08:00:05 UTC.
NOW = 1_800_000_005.0


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Said(NOW, 1, "alice", "hi"), "alice: hi"),
        (Said(NOW, 1, "小明", "你好"), "小明: 你好"),
        (Emoted(NOW, 1, "alice", "waves"), "* alice waves"),
        (Told(NOW, SERVER, "one\n\nthree"), "-- one\r\n--\r\n-- three"),
        (Whispered(NOW, 1, "alice", "bob", "psst", outgoing=True), "-> you to bob: psst"),
        (Whispered(NOW, 1, "alice", "bob", "psst", outgoing=False), "-> alice to you: psst"),
        (Announced(NOW, 1, "alice"), "-- alice joined."),
        (Left(NOW, 1, "alice", "", shown=True), "-- alice left."),
        (Left(NOW, 1, "alice", "not reading", shown=True), "-- alice left (not reading)."),
        (
            CrowdMoved(NOW, 0, ("alice", "bob"), 37, joined=True),
            "-- alice, bob and 35 others joined.",
        ),
        (CrowdMoved(NOW, 0, ("alice", "bob"), 2, joined=False), "-- alice and bob left."),
        (CrowdMoved(NOW, 0, ("alice",), 1, joined=False), "-- alice left."),
        (Renamed(NOW, 1, "guest1", "alice", shown=True), "-- guest1 is now alice."),
        (TopicSet(NOW, 1, "alice", "tea"), "-- alice set the topic: tea"),
        (TopicSet(NOW, 1, "alice", ""), "-- alice cleared the topic."),
        (Told(NOW, SERVER, "It is late."), "-- It is late."),
        (
            TookBack(NOW, 1, "alice", frozenset([-1]), NOW - 3600),
            "-- alice took back what they said in the last hour.",
        ),
    ],
)
def test_a_plain_terminal_shows(event: Event, shown: str) -> None:
    assert PLAIN.encode(event) == f"{shown}\r\n".encode()
    assert PLAIN.encode(event, live=False) == f"08:00 {shown}\r\n".encode()


@pytest.mark.parametrize(
    "event",
    [
        Joined(NOW, 1, "alice"),
        Left(NOW, 1, "alice", "", shown=False),
        Renamed(NOW, 1, "alice", "bob", shown=False),
        Relayed(NOW, 1, b"\x1b[2J"),
        Opened(NOW, SERVER, "den"),
        Removed(NOW, SERVER),
    ],
)
def test_a_plain_terminal_does_not_show(event: Event) -> None:
    assert PLAIN.encode(event) == PLAIN.encode(event, live=False) == b""


@pytest.mark.parametrize("live", [True, False])
def test_what_was_found_is_shown_with_its_day_and_its_room(live: bool) -> None:
    found = Found(NOW, 1, Emoted(NOW, 1, "alice", "waves"))
    assert PLAIN.encode(found, "den", live=live) == b"2027-01-15 08:00 #den * alice waves\r\n"


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Noticed(NOW, SERVER, "one\n\ntwo"), "-- one\r\n--\r\n-- two"),
        (Skipped(NOW, SERVER, 1), "-- You missed 1 line."),
        (Skipped(NOW, SERVER, 20), "-- You missed 20 lines."),
        (DayBegan(NOW, SERVER, 0, True), "-- Today (times are UTC)"),
        (DayBegan(NOW, SERVER, 1, False), "-- Yesterday"),
        (DayBegan(NOW, SERVER, 2, False), "-- Friday 15 January 2027"),
        (ScrollbackEnded(NOW, SERVER), "-- Now"),
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_what_stands_between_lines_has_no_time(event: Event, shown: str, live: bool) -> None:
    assert PLAIN.encode(event, live=live) == f"{shown}\r\n".encode()


def test_an_event_that_is_not_known_is_an_error() -> None:
    with pytest.raises(TypeError, match="Event"):
        PLAIN.encode(Event(NOW, 1))


def test_the_relay_passes_on_the_bytes_and_nothing_else() -> None:
    assert RAW.encode(Relayed(NOW, 1, b"\xff\x00\x1b\r")) == b"\xff\x00\x1b\r\n"
    assert RAW.encode(Said(NOW, 1, "alice", "hi")) == b""


@pytest.mark.parametrize(
    ("names", "count", "phrase"),
    [
        (["alice"], 1, "alice"),
        (["alice", "bob"], 2, "alice and bob"),
        (["alice", "bob", "carol"], 3, "alice, bob and carol"),
        (["alice"], 2, "alice and 1 other"),
        (["alice", "bob"], 14, "alice, bob and 12 others"),
    ],
)
def test_people_as_a_phrase(names: list[str], count: int, phrase: str) -> None:
    assert enumerate_names(names, count) == phrase


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 seconds"),
        (0, "0 seconds"),
        (0.9, "0 seconds"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (DAY - 1, "23 hours"),
        (DAY, "1 day"),
        (100 * DAY, "100 days"),
    ],
)
def test_a_span_of_time_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def labels(*times: float, now: float = NOW, where: tzinfo = UTC) -> list[str]:
    """The headings of days in a transcript of lines that were said at these *times*."""
    said: list[tuple[int, Event]] = [
        (number, Said(time, 1, "alice", "hi")) for number, time in enumerate(times, 1)
    ]
    shown = transcript(said, now, where)
    assert [line for line in shown if line[0]] == said
    format = plain(Preferences(timezone=str(where)))
    days = [format.encode(event, live=False).decode() for id, event in shown if not id]
    return [day.removeprefix("-- ").removesuffix("\r\n") for day in days]


def test_a_transcript_of_nothing_is_empty() -> None:
    assert transcript([], NOW) == []


def test_a_transcript_names_each_day_once() -> None:
    assert labels(NOW - 40 * DAY, NOW - DAY, NOW - DAY, NOW, NOW) == [
        "Sunday 06 December 2026 (times are UTC)",
        "Yesterday",
        "Today",
    ]


def test_a_transcript_names_a_day_before_its_first_line() -> None:
    kinds = [type(event) for _, event in transcript([(7, Said(NOW, 1, "alice", "hi"))], NOW)]
    assert kinds == [DayBegan, Said]


def test_the_first_day_of_the_epoch_is_a_day_too() -> None:
    assert labels(0.0, DAY, now=DAY) == ["Yesterday (times are UTC)", "Today"]


def test_a_transcript_begins_its_days_where_its_reader_is() -> None:
    tokyo = zone("Asia/Tokyo")
    assert tokyo is not None
    # 14:30 and 15:30 UTC are 23:30 and 00:30 in Tokyo.
    times = [NOW + hours * 3600 + 1800 for hours in (-18, -17)]
    assert labels(*times, where=tokyo) == ["Yesterday (times are Asia/Tokyo)", "Today"]
    assert labels(*times) == ["Yesterday (times are UTC)"]
    long_ago = NOW - 9 * DAY + 8 * 3600
    assert labels(long_ago, where=tokyo) == ["Thursday 07 January 2027 (times are Asia/Tokyo)"]


# -- as somebody prefers it


def shown(event: Event, *, live: bool = True, **preferences: Any) -> str:
    """What somebody with these preferences is shown of *event*."""
    return plain(Preferences(**preferences)).encode(event, "den", live=live).decode()


SAID = Said(NOW, 1, "alice", "hi")
EMOTED = Emoted(NOW, 1, "alice", "waves")
INCOMING = Whispered(NOW, 1, "alice", "bob", "psst", outgoing=False)
OUTGOING = Whispered(NOW, 1, "alice", "bob", "psst", outgoing=True)
MOVES = [
    Announced(NOW, 1, "alice"),
    Left(NOW, 1, "alice", "", shown=True),
    CrowdMoved(NOW, 0, ("alice", "bob"), 37, joined=True),
    CrowdMoved(NOW, 0, ("alice", "bob"), 2, joined=False),
    Renamed(NOW, 1, "guest1", "alice", shown=True),
]
CHANGES = [
    TopicSet(NOW, 1, "alice", "tea"),
    TopicSet(NOW, 1, "alice", ""),
    Told(NOW, SERVER, "It is late."),
    TookBack(NOW, 1, "alice", frozenset([-1]), NOW - 3600),
]
ANSWERS = [
    Noticed(NOW, SERVER, "one\ntwo"),
    Skipped(NOW, SERVER, 3),
    DayBegan(NOW, SERVER, 0, True),
    ScrollbackEnded(NOW, SERVER),
    Found(NOW, 1, SAID),
    Found(NOW, 1, INCOMING),
]


def test_what_nobody_chose_is_the_format_itself() -> None:
    assert plain(Preferences()) is PLAIN


def test_equal_preferences_share_one_format() -> None:
    styles = [
        Preferences(timestamps=timestamps, timezone=where, quiet=quiet, bell=bell)
        for timestamps in TIMESTAMPS
        for where in ("UTC", "Europe/Berlin", "UTC+05:30")
        for quiet in (False, True)
        for bell in BELLS
    ]
    made = [plain(style) for style in styles]
    assert len(set(made)) == len(styles)
    for style, format in zip(styles, made, strict=True):
        same = Preferences({7: "eve"}, *(style.timestamps, style.timezone.lower()))
        same = Preferences(same.ignores, same.timestamps, same.timezone, style.quiet, style.bell)
        assert plain(same) is format


def test_a_format_that_nobody_uses_is_forgotten() -> None:
    format = plain(Preferences(timezone="UTC-07:13"))
    kept = weakref.ref(format)
    del format
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("event", [SAID, EMOTED, INCOMING, OUTGOING, *MOVES, *CHANGES])
def test_live_events_have_their_time_when_wanted(event: Event) -> None:
    plain = shown(event)
    assert shown(event, timestamps="on") == f"08:00 {plain}"
    assert shown(event, timestamps="seconds") == f"08:00:05 {plain}"
    assert shown(event, timestamps="on", timezone="UTC+05:30") == f"13:30 {plain}"
    assert shown(event, timestamps="seconds", timezone="America/Caracas") == f"04:00:05 {plain}"


@pytest.mark.parametrize("timestamps", TIMESTAMPS)
def test_what_is_not_live_has_hours_and_minutes_where_its_reader_is(timestamps: str) -> None:
    assert shown(SAID, live=False, timestamps=timestamps) == "08:00 alice: hi\r\n"
    berlin = shown(SAID, live=False, timestamps=timestamps, timezone="Europe/Berlin")
    assert berlin == "09:00 alice: hi\r\n"


@pytest.mark.parametrize("event", ANSWERS)
def test_an_answer_of_the_server_has_no_time_and_rings_no_bell(event: Event) -> None:
    assert shown(event, timestamps="seconds", bell="on", quiet=True) == shown(event)


def test_what_was_found_has_the_time_where_its_reader_is() -> None:
    found = Found(NOW, 1, SAID)
    assert shown(found, timezone="UTC-09:00") == "2027-01-14 23:00 #den alice: hi\r\n"


def test_a_zone_that_is_not_there_any_more_is_utc() -> None:
    assert shown(SAID, live=False, timezone="Mars/Base") == "08:00 alice: hi\r\n"


@pytest.mark.parametrize("event", MOVES)
@pytest.mark.parametrize("live", [True, False])
def test_who_wants_quiet_is_not_shown_who_comes_and_goes(event: Event, live: bool) -> None:
    assert shown(event, live=live)
    assert shown(event, live=live, quiet=True, timestamps="on", bell="on") == ""


@pytest.mark.parametrize("event", [SAID, EMOTED, INCOMING, OUTGOING, *CHANGES, *ANSWERS])
def test_who_wants_quiet_is_shown_all_else(event: Event) -> None:
    assert shown(event, quiet=True) == shown(event) != ""


@pytest.mark.parametrize("live", [True, False])
def test_what_nobody_is_shown_has_no_time_and_no_bell_either(live: bool) -> None:
    for event in (Joined(NOW, 1, "alice"), Opened(NOW, SERVER, "den"), Removed(NOW, SERVER)):
        assert shown(event, live=live, timestamps="on", bell="on") == ""


@pytest.mark.parametrize(
    ("bell", "ringing"),
    [("off", []), ("mentions", [INCOMING]), ("on", [SAID, EMOTED, INCOMING])],
)
def test_the_bell_rings_for(bell: str, ringing: list[Event]) -> None:
    for event in (SAID, EMOTED, INCOMING, OUTGOING, *MOVES, *CHANGES, *ANSWERS):
        silent = shown(event)
        rung = silent.replace("\r\n", "\a\r\n") if event in ringing else silent
        assert shown(event, bell=bell) == rung
        assert "\a" not in shown(event, live=False, bell=bell)


def test_a_line_without_colours_is_the_same_for_whom_it_names() -> None:
    for format in (PLAIN, plain(Preferences(timestamps="on")), RAW):
        assert not format.highlights
        assert format.highlighted(b"alice: hi bob\r\n", "bob") == b"alice: hi bob\r\n"
