"""The log: from Twisted's log events to lines of text or of JSON.

Every call of a logger in this package has a field ``event``: a stable name in snake case, which is
in the table in docs/running.md. An event is one line, whatever users put into names and messages;
only lines that begin with a tab continue the line before.
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

from chatroom.model.clock import Clock
from chatroom.server.logwriter import LogWriter

#: What ends lines, moves cursors, turns writing round, or is no character at all.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: The fields that Twisted's legacy log adds to events, which no caller has put there.
_LEGACY = frozenset({"message", "time", "system", "format", "isError", "failure", "event"})

#: What comes first in an object of JSON, where it is there: filters are written for this order.
_FIRST = ("connection", "address", "source")


def escaped(text: str) -> str:
    """Return *text* on one line without control characters."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def as_text(event: LogEvent) -> str | None:
    """Return *event* as twistd writes it, in one line; a traceback follows in lines with a tab."""
    text = eventAsText(event, includeTraceback=False, formatTime=formatTime)
    if not text:
        return None
    # Only what is not ours has line feeds that are meant.
    lines = [text] if "event" in event else text.split("\n")
    if event.get("log_failure") is not None:
        lines += event["log_failure"].getTraceback().rstrip().split("\n")
    return "\n\t".join(map(escaped, lines)) + "\n"


def as_json(event: LogEvent) -> str | None:
    """Return *event* as one JSON object on one line."""
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


#: What strangers can cause as often as they like; see Repeats.
REPEATED = frozenset(
    {
        *("connection_refused", "proxy_refused", "stranger_refused"),
        *("password_wrong", "code_wrong", "claim_wrong", "ssh_ended"),
        *("input_overlong", "input_not_utf8", "tls_not_agreed"),
    }
)

#: How many of them are a line of their own first, for how long, in seconds, the others are counted,
#: and of how many kinds and sources at most.
SINGLY = 10
REPEATED_SECONDS = 60.0
MOST_SOURCES = 1000

FORMATS = {"text": as_text, "json": as_json}


class Repeats:
    """Passes events on to *observer*; what one source causes again and again is one line a minute.

    The first SINGLY of a kind from a source are passed on, which fail2ban has to see. From then on
    one for each minute is, with how many more there were, until there is none for a minute.
    """

    def __init__(self, observer: Callable[[LogEvent], None], clock: Clock) -> None:
        self._observer = observer
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def __call__(self, event: LogEvent) -> None:
        """See ILogObserver."""
        key = _repeated(event)
        if key is None:
            self._observer(event)
            return
        kind = self._kinds.get(key)
        if kind is None and len(self._kinds) >= MOST_SOURCES:
            # Of so many sources the others are one.
            key = (key[0], "")
            kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind()
            self._clock.callLater(REPEATED_SECONDS, self._later, key)
        if kind.singly:
            kind.singly -= 1
            self._observer(event)
        else:
            kind.held += 1
            kind.last = event

    def _later(self, key: tuple[str, str]) -> None:
        """Report the events that were held back in the last minute."""
        if self._kinds[key].held:
            self._tell(self._kinds[key])
            self._clock.callLater(REPEATED_SECONDS, self._later, key)
        else:
            del self._kinds[key]

    def flush(self) -> None:
        """Report all events that were held back, as the server stops."""
        for kind in self._kinds.values():
            if kind.held:
                self._tell(kind)

    def _tell(self, kind: "_Kind") -> None:
        event, more = dict(kind.last), kind.held - 1
        kind.held, kind.last = 0, {}
        if more:
            event["more"] = more
            event["log_format"] += " ({more} more like it within a minute)"
        self._observer(event)


class _Kind:
    """One kind of event from one source. held: how many of them were not passed on."""

    def __init__(self) -> None:
        self.singly = SINGLY
        self.held = 0
        self.last: LogEvent = {}


def _repeated(event: LogEvent) -> tuple[str, str] | None:
    """Return the key to count *event* by, None if sources cannot cause it repeatedly."""
    name = event.get("event", "")
    if name in REPEATED and "source" in event:
        return name, event["source"]
    # Three lines for each connection for which there was no descriptor.
    if event.get("log_namespace") == "twisted.internet.tcp" and event.get("log_format"):
        return event["log_format"], ""
    return None


def observer(writer: LogWriter, format: str) -> FileLogObserver:
    """Return an observer that writes the log in *format* with *writer*."""
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
    """Reopen the file of *writer* on SIGUSR1; neither SIGUSR1 nor SIGUSR2 ends the process.

    call: `reactor.callFromThread`.
    """
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.SIG_IGN)
    if writer is not None and writer.path:
        signal.signal(signal.SIGUSR1, lambda *_: call(writer.reopen))
