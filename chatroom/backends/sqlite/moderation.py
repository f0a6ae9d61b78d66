"""What operators have decided and done, in the store's file.

The rule: each method of `ModerationTables` is one transaction, or one look-up.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatroom.backends.sqlite.database import transaction
from chatroom.model.sanctions import AuditEntry, Report
from chatroom.text import names


class ModerationTables:
    """The orders, actions and reports over one connection, for the thread that has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self) -> list[tuple[str, str, str]]:
        """All orders: kind, key and value; none about accounts that are gone."""
        # They may have been removed while no server ran.
        with transaction(self._connection):
            self._connection.execute(
                "DELETE FROM orders WHERE kind IN ('operator', 'ban account', 'mute account') "
                "AND CAST(key AS INTEGER) NOT IN (SELECT id FROM accounts)"
            )
        return self._connection.execute("SELECT kind, key, value FROM orders").fetchall()

    def set(self, kind: str, key: str, value: str | None) -> None:
        """See interfaces.ModerationStore."""
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
    # Line by line: the ends of lines are its own.
    shown = "\r\n".join(names.clean(line) for line in evidence.split("\r\n"))
    return Report(time, by, about, why, room, shown, id)


#: Has a method of a `ModerationTables` called with these arguments, in the thread that has it.
CallInWorker = Callable[..., "Deferred[Any]"]


class StoredModeration:
    """See interfaces.ModerationStore. write, read: hand work to the writing or reading thread."""

    lasting = True

    def __init__(self, write: CallInWorker, read: CallInWorker) -> None:
        self._write = write
        self._read = read

    def set(self, kind: str, key: str, value: str | None) -> "Deferred[None]":
        return self._write(ModerationTables.set, kind, key, value)

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
