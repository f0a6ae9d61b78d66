"""The log: writes Twisted's log events as lines of text or of JSON.

Every log event of chatroom has a field ``event``, a stable name in snake case that is explained in
docs/running.md. A log event is one line, whatever users put into names and messages; only lines
that begin with a tab continue the line before.
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

#: Controls, line ends, marks that change the direction of text, and surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: The fields that Twisted's legacy log adds to events.
_LEGACY = frozenset({"message", "time", "system", "format", "isError", "failure", "event"})

#: The fields that come first in a JSON object; filters of fail2ban rely on this order.
_FIRST = ("connection", "address", "source")


def escaped(text: str) -> str:
    """Return *text* on one line without control characters."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def as_text(event: LogEvent) -> str | None:
    """Return *event* in one line as twistd writes it, then a traceback in lines with a tab."""
    text = eventAsText(event, includeTraceback=False, formatTime=formatTime)
    if not text:
        return None
    # Line feeds are intentional only in events of other libraries.
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
    # The unsafe characters that json.dumps leaves are within strings.
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


#: Events that clients can cause as often as they like; see Repeats.
REPEATED = frozenset(
    {
        *("connection_refused", "proxy_refused", "stranger_refused"),
        *("password_wrong", "code_wrong", "claim_wrong", "ssh_ended"),
        *("input_overlong", "input_not_utf8", "tls_not_agreed"),
    }
)

#: How many events of one kind from one source are logged one by one at first.
SINGLY = 10

#: For how long further ones are counted before they are logged together.
REPEATED_SECONDS = 60.0

#: For how many kinds and sources events are counted separately.
MAX_COUNTED = 1000

FORMATS = {"text": as_text, "json": as_json}


class Repeats:
    """Limits events that one source causes repeatedly, and passes others on to *observer*.

    The first SINGLY events of a kind from a source are passed on, so that fail2ban sees them. Then
    one a minute is, with the number of further ones, until there is a minute without any.
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
        if kind is None and len(self._kinds) >= MAX_COUNTED:
            # All further sources are counted together.
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
    """The events of one kind from one source.

    singly: how many more are passed on one by one.
    held: how many are held back.
    last: the last one that is held back.
    """

    def __init__(self) -> None:
        self.singly = SINGLY
        self.held = 0
        self.last: LogEvent = {}


def _repeated(event: LogEvent) -> tuple[str, str] | None:
    """Return the key to count *event* by, None if it is always passed on."""
    name = event.get("event", "")
    if name in REPEATED and "source" in event:
        return name, event["source"]
    # Twisted logs three lines for each connection for which there is no descriptor.
    if event.get("log_namespace") == "twisted.internet.tcp" and event.get("log_format"):
        return event["log_format"], ""
    return None


def observer(writer: LogWriter, format: str) -> FileLogObserver:
    """Return an observer that writes the log in *format* with *writer*."""
    shown = FORMATS[format]

    def dropped(count: int) -> str:
        event = {
            "log_format": "{count} log lines were dropped: they could not be written in time.",
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
