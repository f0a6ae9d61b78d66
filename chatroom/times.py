"""Times as people write them. Pure functions; all times are UTC."""

import re
from datetime import UTC, datetime

DAY = 24 * 60 * 60

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_SPAN = re.compile(r"(?:\d{1,6}[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+)([smhdw])", re.ASCII)
_MOMENT = re.compile(
    r"(?:(\d{4})-(\d{1,2})-(\d{1,2})|(today|yesterday))?(?:^|\s+|T|$)(?:(\d{1,2}):(\d\d))?",
    re.ASCII | re.IGNORECASE,
)


def span(text: str) -> float | None:
    """A span of time such as '30m', '12h', '7d' or '1d12h' in seconds; None if it is none."""
    if not _SPAN.fullmatch(text.lower()):
        return None
    return float(sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text.lower())))


def moment(text: str, now: float) -> float | None:
    """A moment in seconds since the epoch; None if *text* is none.

    '2026-11-24', '2026-11-24 12:03', 'yesterday', 'yesterday 12:03', '12:03' (the last time it was
    that), or how long ago: '30m', '2h', '3d ago'.
    """
    ago = span(text.strip().lower().removesuffix(" ago"))
    if ago is not None:
        return now - ago
    match = _MOMENT.fullmatch(text.strip())
    if not text.strip() or match is None:
        return None
    year, month, day, word, hour, minute = match.groups()
    clock = (int(hour) * 60 + int(minute)) * 60 if hour else 0
    if hour and (int(hour) > 23 or int(minute) > 59):
        return None
    today = now // DAY * DAY
    if year:
        try:
            begin = datetime(int(year), int(month), int(day), tzinfo=UTC)
        except ValueError:
            return None
        return begin.timestamp() + clock
    if word:
        return today - (DAY if word.lower() == "yesterday" else 0) + clock
    return today + clock if today + clock <= now else today + clock - DAY
