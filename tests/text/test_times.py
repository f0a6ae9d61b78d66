"""Times as people write them, and the zones in which they do."""

import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.text.times import DAY, day, leading_span, local, moment, places, span, zone

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
        ("1hour", 3600),
        ("90 min", 5400),
        ("2 Days", 2 * DAY),
        ("1 week 3 hrs", 7 * DAY + 3 * 3600),
        ("1h30m", 5400),
        ("1 H 30 minutes", 5400),
    ],
)
def test_a_span_of_time_is_read(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "-5m", "5x", "1.5h", "٣m", "9999999s", "1h30", "5 months", "1houring", "2 h,"],
)
def test_what_is_no_span_of_time_is_none(text: str) -> None:
    assert span(text) is None


@pytest.mark.parametrize(
    ("text", "seconds", "rest"),
    [
        ("1h flooding", 3600, "flooding"),
        ("90 min  and more", 5400, "and more"),
        ("1h30m", 5400, ""),
        ("2 days 3rd time", 2 * DAY, "3rd time"),
        ("5 m guys", 300, "guys"),
        ("2 women", None, "2 women"),
        ("1h30 x", None, "1h30 x"),
        ("spam 1h", None, "spam 1h"),
    ],
)
def test_a_text_may_begin_with_a_span_of_time(text: str, seconds: float | None, rest: str) -> None:
    assert leading_span(text) == (seconds, rest)


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
        ("2 days ago", NOW - 2 * DAY),
        ("90 min", NOW - 5400),
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


# -- zones


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (" europe/BERLIN ", "Europe/Berlin"),
        ("america/new york", "America/New_York"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("utc", "UTC"),
        ("+0", "UTC"),
        ("-00:00", "UTC"),
        ("+2", "UTC+02:00"),
        ("+02", "UTC+02:00"),
        ("-03:30", "UTC-03:30"),
        ("-0:30", "UTC-00:30"),
        ("UTC+5:30", "UTC+05:30"),
        ("utc-12", "UTC-12:00"),
        ("+14:00", "UTC+14:00"),
    ],
)
def test_a_zone_is_read_and_its_label_is_the_same_zone(text: str, label: str) -> None:
    found = zone(text)
    assert str(found) == label
    assert zone(label) is found


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "Europe", "Europe/", "Berlin", "Europe/Berlin/", "/Europe/Berlin", "Mars/Base"),
        *("../../etc/passwd", "../zoneinfo/Europe/Berlin", "/etc/passwd", "/etc/localtime", "."),
        *("localtime", "Factory", "zone.tab", "tzdata.zi", "posixrules", "Europe/Berlin\0"),
        *("+15", "-14:01", "+2:60", "+2:5", "+", "2", "+123", "UTC+", "UTC2", "+٢", "--2"),
    ],
)
def test_what_is_no_zone_is_none(text: str) -> None:
    assert zone(text) is None


@given(st.text() | st.from_regex(r"(\.\./|/|Europe|UTC|[+-]|\d|:|\0){1,8}", fullmatch=True))
def test_whatever_is_typed_is_a_zone_or_none(text: str) -> None:
    found = zone(text)
    assert found is None or zone(str(found)) is found


@pytest.fixture
def no_database() -> Iterator[None]:
    """As on a machine without a time zone database."""
    zoneinfo.reset_tzpath(to=())
    places.cache_clear()
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    places.cache_clear()


@pytest.mark.usefixtures("no_database")
def test_without_a_database_there_are_offsets_still(monkeypatch: pytest.MonkeyPatch) -> None:
    # The package tzdata would stand in for it.
    monkeypatch.setitem(sys.modules, "tzdata", None)
    assert zone("Europe/Berlin") is None
    assert (str(zone("UTC")), str(zone("+1"))) == ("UTC", "UTC+01:00")


def test_a_damaged_database_has_no_zones(tmp_path: Path, no_database: None) -> None:
    (tmp_path / "Broken").write_bytes(b"TZif and no more")
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    assert places()["broken"] == "Broken"
    assert zone("broken") is None


def test_a_day_begins_where_the_zone_is() -> None:
    berlin, tokyo = zone("Europe/Berlin"), zone("Asia/Tokyo")
    assert berlin is not None
    assert tokyo is not None
    # 23:30 in Berlin and 07:30 of the next day in Tokyo.
    late = TODAY - 90 * 60
    assert day(late + 3600, UTC) == day(late, UTC) == day(TODAY, UTC) - 1
    assert day(late + 3600, berlin) == day(late, berlin) + 1
    assert day(late, tokyo) == day(late, berlin) + 1
    assert f"{local(late, tokyo):%H:%M}" == "07:30"


# -- moments elsewhere


def at(text: str) -> float:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("where", "now", "text", "time"),
    [
        ("+5:30", "2027-01-15 20:00", "today", "2027-01-15 18:30"),
        ("-3:30", "2027-01-15 02:00", "today", "2027-01-14 03:30"),
        ("Asia/Tokyo", "2027-01-15 20:00", "yesterday 23:00", "2027-01-15 14:00"),
        ("Asia/Tokyo", "2027-01-15 20:00", "5:00", "2027-01-15 20:00"),
        ("Asia/Tokyo", "2027-01-15 20:00", "5:01", "2027-01-14 20:01"),
        ("Europe/Berlin", "2027-01-15 08:00", "2026-07-01 12:00", "2026-07-01 10:00"),
        ("Europe/Berlin", "2027-01-15 08:00", "2026-12-01", "2026-11-30 23:00"),
        ("Europe/Berlin", "2027-01-15 08:00", "30m", "2027-01-15 07:30"),
        # The clocks go forward on 28 March 2027 at 02:00 in Berlin: the day has 23 hours.
        ("Europe/Berlin", "2027-03-28 12:00", "today", "2027-03-27 23:00"),
        ("Europe/Berlin", "2027-03-28 12:00", "01:30", "2027-03-28 00:30"),
        ("Europe/Berlin", "2027-03-28 12:00", "03:30", "2027-03-28 01:30"),
        ("Europe/Berlin", "2027-03-29 12:00", "yesterday", "2027-03-27 23:00"),
        ("Europe/Berlin", "2027-03-28 12:00", "yesterday 12:00", "2027-03-27 11:00"),
        # What is skipped is as much later.
        ("Europe/Berlin", "2027-03-28 12:00", "02:30", "2027-03-28 01:30"),
        ("Europe/Berlin", "2027-03-28 01:15", "02:30", "2027-03-27 01:30"),
        # And back on 25 October 2026 at 03:00: the day has 25.
        ("Europe/Berlin", "2026-10-25 12:00", "today", "2026-10-24 22:00"),
        ("Europe/Berlin", "2026-10-25 12:00", "04:00", "2026-10-25 03:00"),
        ("Europe/Berlin", "2026-10-26 12:00", "yesterday 12:00", "2026-10-25 11:00"),
        # 02:30 was twice; the last time is what is asked for.
        ("Europe/Berlin", "2026-10-25 12:00", "02:30", "2026-10-25 01:30"),
        ("Europe/Berlin", "2026-10-25 01:15", "02:30", "2026-10-25 00:30"),
        ("Europe/Berlin", "2026-10-25 12:00", "2026-10-25 02:30", "2026-10-25 00:30"),
        # In Cairo the clocks go forward at midnight: the day begins at 01:00.
        ("Africa/Cairo", "2026-04-24 12:00", "today", "2026-04-23 22:00"),
    ],
)
def test_a_moment_is_read_where_somebody_is(where: str, now: str, text: str, time: str) -> None:
    there = zone(where)
    assert there is not None
    assert moment(text, at(now), there) == at(time)


@given(
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "+14", "-12", "Australia/Lord_Howe"]),
    st.floats(0, 4e9),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_a_time_of_the_day_is_the_last_one(where: str, now: float, hour: int, minute: int) -> None:
    there = zone(where)
    assert there is not None
    time = moment(f"{hour}:{minute:02}", now, there)
    assert time is not None
    # A day and the hour by which the clock is set back.
    assert now - DAY - 3600 - 60 < time <= now
    shown = local(time, there)
    assert (shown.hour, shown.minute) == (hour, minute) or shown.utcoffset() != local(
        time - DAY, there
    ).utcoffset()


@given(st.sampled_from(["Europe/Berlin", "+14", "-14"]), st.integers(0, 9999), st.integers(0, 13))
def test_any_date_is_a_moment_or_none(where: str, year: int, month: int) -> None:
    there = zone(where)
    assert there is not None
    found = moment(f"{year:04}-{month}-1 00:00", NOW, there)
    assert (found is not None) == (year > 0 and 1 <= month <= 12)
    assert moment("9999-12-31 23:59", NOW, there) is not None


def test_the_offset_of_a_zone_may_be_anything() -> None:
    for minutes in range(-14 * 60, 14 * 60 + 1, 7):
        sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
        found = zone(f"{sign}{hours}:{rest:02}")
        assert found is not None
        assert found.utcoffset(None) == timedelta(minutes=minutes)
