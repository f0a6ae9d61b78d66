"""Parse durations, times and time zones as users write them.

Input is never used as a path: only zones whose names are in the time zone database are opened.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import product
from zoneinfo import ZoneInfo, available_timezones

DAY = 24 * 60 * 60

#: The units of a duration by their first letter, in seconds.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_PART = re.compile(
    r"([0-9]{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)"
    r"(?![^\W\d_])\s*",
    re.IGNORECASE,
)
_SPAN = re.compile(rf"(?:{_PART.pattern})+(?:(?<=\s)|\Z)", re.IGNORECASE)
_MOMENT = re.compile(
    r"(?:(\d{4})-(\d{1,2})-(\d{1,2})|(today|yesterday))?(?:^|\s+|T|$)(?:(\d{1,2}):(\d\d))?",
    re.ASCII | re.IGNORECASE,
)
_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{1,2})(?::([0-5]\d))?", re.ASCII | re.IGNORECASE)

#: The greatest offset of a time zone from UTC.
MAX_OFFSET = timedelta(hours=14)

#: Entries of the time zone database that are not places.
_NO_PLACES = ("localtime", "Factory", "posixrules")


def span(text: str) -> float | None:
    """Parse a duration such as '30m', '1d12h' or '90 min' into seconds, or None."""
    length, rest = leading_span(text)
    return None if rest else length


def leading_span(text: str) -> tuple[float | None, str]:
    """Return the duration at the beginning of *text*, in seconds, and the rest.

    Returns None and *text* if there is no duration.
    """
    match = _SPAN.match(text)
    if match is None:
        return None, text
    parts = _PART.findall(match[0])
    length = sum(int(count) * _UNITS[unit[0].lower()] for count, unit in parts)
    return float(length), text[match.end() :]


@cache
def places() -> dict[str, str]:
    """Return the names of the time zone database by their lower case.

    The result is empty without a database. The first call takes some 10 ms, since it opens every
    file of the database.
    """
    return {name.lower(): name for name in sorted(available_timezones()) if name not in _NO_PLACES}


@cache
def cities() -> dict[str, str]:
    """Return the names by the last part in lower case ('berlin'); later names win."""
    return {lower.rpartition("/")[2]: name for lower, name in places().items()}


@cache
def _last_parts() -> dict[str, str]:
    return {name: lower.rpartition("/")[2] for lower, name in places().items()}


def places_called(city: str) -> list[str]:
    """Return the zones whose last part is *city*, or else those where it begins so."""
    key = city.strip().replace(" ", "_").lower()
    exact = [name for name, last in _last_parts().items() if last == key]
    return exact or [name for name, last in _last_parts().items() if key and last.startswith(key)]


def zone(text: str) -> tzinfo | None:
    """Parse a time zone: 'Europe/Berlin' in any case, 'UTC', '+2', '-03:30', 'UTC+5:30'.

    Returns None if *text* is no time zone, and the same object for the same zone. `str` of it is
    its normal form, such as 'UTC+05:30'.
    """
    text = text.strip()
    match = _OFFSET.fullmatch(text)
    if match is not None:
        sign, hours, minutes = match.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return _fixed(-offset if sign == "-" else offset) if offset <= MAX_OFFSET else None
    if text.upper() == "UTC":
        return UTC
    name = places().get(text.replace(" ", "_").lower())
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        # The database was changed after its names were read, or is damaged.
        return None


@cache
def _fixed(offset: timedelta) -> tzinfo:
    return timezone(offset) if offset else UTC


def local(time: float, zone: tzinfo) -> datetime:
    """Return the local date and time in *zone* at *time*, in seconds since the epoch."""
    return datetime.fromtimestamp(time, zone)


def day(time: float, zone: tzinfo) -> int:
    """Return the ordinal number of the day in *zone* at *time* (since the epoch)."""
    return local(time, zone).toordinal()


def moment(text: str, now: float, zone: tzinfo = UTC) -> float | None:
    """Parse a time into seconds since the epoch; return None if *text* is no time.

    A time is '2026-11-24', '2026-11-24 12:03', 'yesterday', 'yesterday 12:03', '12:03' (the last
    time the clock showed it), or a duration before *now*: '30m', '2h', '3d ago'.
    """
    ago = span(text.strip().lower().removesuffix(" ago"))
    if ago is not None:
        return now - ago
    match = _MOMENT.fullmatch(text.strip())
    if not text.strip() or match is None:
        return None
    year, month, number, word, hour, minute = match.groups()
    clock = (int(hour or 0), int(minute or 0))
    if clock[0] > 23 or clock[1] > 59:
        return None
    today = local(now, zone).date()
    if year:
        try:
            return _instant(date(int(year), int(month), int(number)), clock, zone)
        except (ValueError, OverflowError):
            return None
    yesterday = today - timedelta(days=1)
    if word:
        return _instant(yesterday if word.lower() == "yesterday" else today, clock, zone)
    # On the day on which clocks are set back, they show some times twice.
    shown = [
        _instant(day, clock, zone, again) for day, again in product((yesterday, today), (0, 1))
    ]
    return max(time for time in shown if time <= now)


def _instant(day: date, clock: tuple[int, int], zone: tzinfo, again: int = 0) -> float:
    """Return when clocks in *zone* show this time, in seconds since the epoch.

    again: 1 for the second of two such moments. A time that clocks skip is moved forward by as much
    as they skip.
    """
    hour, minute = clock
    shown = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    first = shown.timestamp()
    return max(first, shown.replace(fold=1).timestamp()) if again else first
