"""How events look on a plain terminal and on the bare relay."""

import pytest

from chatroom.events import (
    SERVER,
    Announced,
    CrowdMoved,
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
    Told,
    TookBack,
    TopicSet,
    Whispered,
)
from chatroom.formats import PLAIN, RAW, duration, enumerate_names, transcript
from chatroom.times import DAY

#: Friday 15 January 2027, 08:00:05 UTC.
NOW = 1_800_000_005.0


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Said(NOW, 1, "alice", "hi"), "alice: hi"),
        (Said(NOW, 1, "小明", "你好"), "小明: 你好"),
        (Emoted(NOW, 1, "alice", "waves"), "* alice waves"),
        (Noticed(NOW, SERVER, "Good-bye."), "-- Good-bye."),
        (Noticed(NOW, SERVER, "one\n\nthree"), "-- one\r\n--\r\n-- three"),
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
            TookBack(NOW, 1, "alice", 1, NOW - 3600),
            "-- alice took back what they said in the last hour.",
        ),
    ],
)
def test_a_plain_terminal_shows(event: Event, shown: str) -> None:
    assert PLAIN.encode(event, True) == f"{shown}\r\n".encode()
    assert PLAIN.encode(event, False) == f"08:00 {shown}\r\n".encode()


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
    assert PLAIN.encode(event, True) == PLAIN.encode(event, False) == b""


@pytest.mark.parametrize("live", [True, False])
def test_what_was_found_is_shown_with_its_day_and_its_room(live: bool) -> None:
    found = Found(NOW, 1, "den", Emoted(NOW, 1, "alice", "waves"))
    assert PLAIN.encode(found, live) == b"2027-01-15 08:00 #den * alice waves\r\n"


def test_an_event_that_is_not_known_is_an_error() -> None:
    with pytest.raises(TypeError, match="Event"):
        PLAIN.encode(Event(NOW, 1), True)


def test_the_relay_passes_on_the_bytes_and_nothing_else() -> None:
    assert RAW.encode(Relayed(NOW, 1, b"\xff\x00\x1b\r"), True) == b"\xff\x00\x1b\r\n"
    assert RAW.encode(Said(NOW, 1, "alice", "hi"), True) == b""


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


def labels(*times: float, now: float = NOW) -> list[str]:
    events = [Said(time, 1, "alice", "hi") for time in times]
    shown = transcript(events, now)
    assert [event for event in shown if isinstance(event, Said)] == events
    return [event.text for event in shown if isinstance(event, Noticed)]


def test_a_transcript_of_nothing_is_empty() -> None:
    assert transcript([], NOW) == []


def test_a_transcript_names_each_day_once() -> None:
    assert labels(NOW - 40 * DAY, NOW - DAY, NOW - DAY, NOW, NOW) == [
        "Sunday 06 December 2026 (times are UTC)",
        "Yesterday",
        "Today",
    ]


def test_a_transcript_names_a_day_before_its_first_line() -> None:
    kinds = [type(event) for event in transcript([Said(NOW, 1, "alice", "hi")], NOW)]
    assert kinds == [Noticed, Said]


def test_the_first_day_of_the_epoch_is_a_day_too() -> None:
    assert labels(0.0, DAY, now=DAY) == ["Yesterday (times are UTC)", "Today"]
