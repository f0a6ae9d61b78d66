"""The log: from Twisted's log events to lines of text or of JSON.

The rule: every call of a logger in this package has a field ``event``, a name in snake case that
stays what it is, and stands in the table in docs/running.md. Whatever people put into names and
lines, an event is one line; only a line that begins with a tab goes on with the one before.
"""

import json
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from twisted.logger import (
    FileLogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEvent,
    formatTime,
)

from chatroom.logwriter import LogWriter

#: What ends lines, moves cursors, turns writing round, or is no character at all.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: What whoever asks for events of the old kind finds in them, and nobody put there.
_LEGACY = frozenset({"message", "time", "system", "format", "isError", "failure", "event"})

#: What comes first in an object of JSON, where it is there: filters are written for this order.
_FIRST = ("connection", "address", "source")


def escaped(text: str) -> str:
    """*text* on one line that does nothing to a terminal."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def as_text(event: LogEvent) -> str | None:
    """*event* as twistd writes it, in one line; a traceback follows in lines that have a tab."""
    text = eventAsText(event, includeTraceback=False, formatTime=formatTime)
    if not text:
        return None
    # Only what is not ours has line feeds that are meant.
    lines = [text] if "event" in event else text.split("\n")
    if event.get("log_failure") is not None:
        lines += event["log_failure"].getTraceback().rstrip().split("\n")
    return "\n\t".join(map(escaped, lines)) + "\n"


def as_json(event: LogEvent) -> str | None:
    """*event* as one object on one line."""
    message = formatEvent(event)
    if not message:
        return None
    when = datetime.fromtimestamp(event.get("log_time", 0), UTC)
    row: dict[str, Any] = {
        "time": when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z",
        "level": event.get("log_level", LogLevel.info).name,
        "event": event.get("event", "twisted"),
    }
    fields = {}
    if "event" in event:
        fields = {k: v for k, v in event.items() if k not in _LEGACY and not k.startswith("log_")}
    row |= {key: fields.pop(key) for key in _FIRST if key in fields}
    row |= {"message": message, "logger": event.get("log_namespace", "")} | fields
    if event.get("log_failure") is not None:
        row["traceback"] = event["log_failure"].getTraceback()
    text = json.dumps(row, ensure_ascii=False, default=str, allow_nan=False)
    # What is left of these stands within strings.
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


FORMATS = {"text": as_text, "json": as_json}


def observer(writer: LogWriter, format: str) -> FileLogObserver:
    """What writes the log in *format* with *writer*."""
    shown = FORMATS[format]

    def dropped(count: int) -> str:
        event = {
            "log_format": "{count} log lines were dropped: they were not taken in time.",
            "log_time": time.time(),
            "log_level": LogLevel.warn,
            "log_namespace": __name__,
            "event": "log_lines_dropped",
            "count": count,
        }
        return shown(event) or ""

    writer.dropped = dropped
    return FileLogObserver(cast(Any, writer), shown)


def heed_signals(writer: LogWriter | None, call: Callable[..., object]) -> None:
    """Open the file of *writer*, if there is one, again on SIGUSR1; nothing ends by SIGUSR1 or 2.

    call: `reactor.callFromThread`.
    """
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.SIG_IGN)
    if writer is not None and writer.path:
        signal.signal(signal.SIGUSR1, lambda *_: call(writer.reopen))
