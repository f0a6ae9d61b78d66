"""The rules, the audit and the reports in the store's database."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.backends.sqlite.database import transaction
from chatroom.model.sanctions import (
    AuditEntry,
    Operator,
    Report,
    RoomAccess,
    Rule,
    RuleKey,
    RuleKind,
    Sanction,
)
from chatroom.text import names

log = Logger()

#: A time that is too great for a date, in seconds since the epoch.
END_OF_TIME = 250_000_000_000

#: For each kind of rule: its name in a row, the type of its keys there, and that of its rules.
ROWS: dict[RuleKind, tuple[str, Callable[[str], RuleKey], type[Rule]]] = {
    RuleKind.ACCOUNT_BAN: ("ban account", int, Sanction),
    RuleKind.NETWORK_BAN: ("ban network", ip_network, Sanction),
    RuleKind.ACCOUNT_MUTE: ("mute account", int, Sanction),
    RuleKind.SOURCE_MUTE: ("mute source", str, Sanction),
    RuleKind.OPERATOR: ("operator", int, Operator),
    RuleKind.ROOM: ("room", str, RoomAccess),
    RuleKind.LOCKDOWN: ("lockdown", str, Sanction),
}

_KINDS = {name: kind for kind, (name, _, _) in ROWS.items()}


def dump(rule: Rule) -> str:
    """Return the rule as the value of a row."""
    fields = asdict(rule)
    # Guests' invitations end with their connections.
    fields.pop("guests", None)
    return json.dumps(fields, ensure_ascii=False)


def load(kind: str, key: str, value: str) -> tuple[RuleKind, RuleKey, Rule]:
    """Return the rule of a row. Raises ValueError, TypeError, AttributeError or KeyError."""
    found = _KINDS[kind]
    _, read_key, type_ = ROWS[found]
    fields = {name: _safe(field) for name, field in json.loads(value).items()}
    if type_ is RoomAccess:
        fields["owner"] = int(fields["owner"])
        fields["invited"] = tuple((int(a), str(b), int(c)) for a, b, c in fields["invited"])
        if "guests" in fields:
            raise ValueError("invitations of guests are not stored")
    rule = type_(**fields)
    if isinstance(rule, Sanction) and not 0 <= float(rule.until) < END_OF_TIME:
        raise ValueError("there is no such time")
    return found, read_key(key), rule


def load_all(rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[RuleKind, RuleKey, Rule]]:
    """Yield the rules of the rows; logs and skips those that are not understood."""
    for kind, key, value in rows:
        try:
            yield load(kind, key, value)
        except (AttributeError, KeyError, TypeError, ValueError):
            log.error(
                "A stored rule is invalid and does not hold: {kind} {key}. Set it again.",
                event="order_unknown",
                kind=kind,
                key=key,
            )


def _safe(value: Any) -> Any:
    """Return *value* without anything that could harm a terminal."""
    if isinstance(value, str):
        return names.clean(value)
    return [_safe(item) for item in value] if isinstance(value, list) else value


class ModerationTables:
    """The tables of moderation, for the thread that has the connection to the database.

    Each method is one transaction or one lookup.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self) -> list[tuple[str, str, str]]:
        """Return the rows of all rules: kind, key and value.

        Rules about accounts that do not exist any more are deleted.
        """
        # `chatroom-data` may have removed accounts while no server ran.
        with transaction(self._connection):
            self._connection.execute(
                "DELETE FROM orders WHERE kind IN ('operator', 'ban account', 'mute account') "
                "AND CAST(key AS INTEGER) NOT IN (SELECT id FROM accounts)"
            )
        return self._connection.execute("SELECT kind, key, value FROM orders").fetchall()

    def set(self, kind: str, key: str, value: str | None) -> None:
        """Replace the value of a row, or delete the row if *value* is None."""
        with transaction(self._connection):
            if value is None:
                self._connection.execute(
                    "DELETE FROM orders WHERE kind = ? AND key = ?", (kind, key)
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO orders (kind, key, value) VALUES (?, ?, ?)",
                    (kind, key, value),
                )

    def record(self, action: AuditEntry) -> None:
        """See interfaces.ModerationStore."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO actions (time, operator, what, target, why) VALUES (?, ?, ?, ?, ?)",
                action,
            )

    def actions(self, count: int) -> Sequence[AuditEntry]:
        """See interfaces.ModerationStore."""
        rows = self._connection.execute(
            "SELECT time, operator, what, target, why FROM actions ORDER BY id DESC LIMIT ?",
            (count,),
        ).fetchall()
        return [AuditEntry(row[0], *map(names.clean, row[1:])) for row in reversed(rows)]

    def report(self, report: Report) -> int:
        """See interfaces.ModerationStore."""
        with transaction(self._connection):
            (id,) = self._connection.execute(
                "INSERT INTO reports (time, reporter, about, why, room, evidence) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                report[:-1],
            ).fetchone()
        return int(id)

    def reports(self, count: int) -> Sequence[Report]:
        """See interfaces.ModerationStore."""
        rows = self._connection.execute(
            "SELECT time, reporter, about, why, room, evidence, id FROM reports "
            "ORDER BY id DESC LIMIT ?",
            (count,),
        ).fetchall()
        return [_report(row) for row in reversed(rows)]

    def find_report(self, id: int) -> Report | None:
        """See interfaces.ModerationStore."""
        row = self._connection.execute(
            "SELECT time, reporter, about, why, room, evidence, id FROM reports WHERE id = ?",
            (id,),
        ).fetchone()
        return None if row is None else _report(row)


def _report(row: Sequence[Any]) -> Report:
    time, by, about, why, room, evidence, id = row
    by, about, why, room = map(names.clean, (by, about, why, room))
    # Line by line, since cleaning removes line ends.
    shown = "\r\n".join(names.clean(line) for line in evidence.split("\r\n"))
    return Report(time, by, about, why, room, shown, id)


#: Calls a method of `ModerationTables` in a thread. Fires with its result, or fails.
CallInWorker = Callable[..., "Deferred[Any]"]


class StoredModeration:
    """Rules, audit and reports in the store; see interfaces.ModerationStore.

    write: calls a method of `ModerationTables` in the thread that writes.
    read: calls one in the thread that only reads.
    """

    lasting = True

    def __init__(self, write: CallInWorker, read: CallInWorker) -> None:
        self._write = write
        self._read = read

    def set(self, kind: RuleKind, key: RuleKey, rule: Rule | None) -> "Deferred[None]":
        value = None if rule is None else dump(rule)
        return self._write(ModerationTables.set, ROWS[kind][0], str(key), value)

    def record(self, action: AuditEntry) -> "Deferred[None]":
        return self._write(ModerationTables.record, action)

    def actions(self, count: int) -> "Deferred[Sequence[AuditEntry]]":
        return self._read(ModerationTables.actions, count)

    def report(self, report: Report) -> "Deferred[int]":
        return self._write(ModerationTables.report, report)

    def reports(self, count: int) -> "Deferred[Sequence[Report]]":
        return self._read(ModerationTables.reports, count)

    def find_report(self, id: int) -> "Deferred[Report | None]":
        return self._read(ModerationTables.find_report, id)
