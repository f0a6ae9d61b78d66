"""Times as people write them."""

import pytest

from chatroom.times import DAY, moment, span

#: Friday 15 January 2027, 08:00:05 UTC, and the midnight before.
NOW = 1_800_000_005.0
TODAY = NOW - 8 * 3600 - 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("12H", 12 * 3600),
        ("7d", 7 * DAY),
        ("2w", 14 * DAY),
        ("1d12h", 1.5 * DAY),
        ("0s", 0),
    ],
)
def test_a_span_of_time_is_read(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "5x", "1.5h", "٣m", "5m ", "9999999s"]
)
def test_what_is_no_span_of_time_is_none(text: str) -> None:
    assert span(text) is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-24", 1_795_478_400),
        ("2026-11-24 12:03", 1_795_478_400 + 12 * 3600 + 180),
        ("2026-11-24T12:03", 1_795_478_400 + 12 * 3600 + 180),
        ("2026-1-2", 1_767_312_000),
        ("1970-01-01", 0),
        ("2028-02-29", 1_835_395_200),
        ("today", TODAY),
        ("Today 7:30", TODAY + 7.5 * 3600),
        ("yesterday", TODAY - DAY),
        ("YESTERDAY  23:59", TODAY - 60),
        # The last time it was that.
        ("07:59", TODAY + 8 * 3600 - 60),
        ("8:00", TODAY + 8 * 3600),
        ("08:01", TODAY - DAY + 8 * 3600 + 60),
        ("0:00", TODAY),
        ("30m", NOW - 1800),
        ("30m ago", NOW - 1800),
        (" 3D AGO ", NOW - 3 * DAY),
    ],
)
def test_a_moment_is_read(text: str, time: float) -> None:
    assert moment(text, NOW) == time


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "  ",
            "noon",
            "ago",
            "tomorrow",
            "24:00",
            "12:60",
            "12:3",
            "12",
            "1203",
            "12:03 today",
        ),
        *("2026-13-01", "2026-00-01", "2026-02-29", "2026-01-00", "2026-01-32", "0000-01-01"),
        *("26-11-24", "2026-11", "2026-11-2412:03", "yesterday12:03", "2026-11-24 25:00", "١٢:٠٣"),
    ],
)
def test_what_is_no_moment_is_none(text: str) -> None:
    assert moment(text, NOW) is None
