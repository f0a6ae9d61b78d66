"""The log of a room: everything that happened there, in order, as far back as memory goes.

An event has an id, which it keeps for good, and a position, which counts all events of this run.
Cursors are positions: what leaves the log, at its beginning, or is removed from it, moves no other.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from operator import attrgetter
from sys import maxsize
from typing import NamedTuple

from chatroom.model.events import SERVER, Emoted, Event, Removed, Said
from chatroom.text import names

#: About what an event costs in memory beside its text, in bytes: the row, the event, its numbers.
EVENT_BYTES = 320


class Row(NamedTuple):
    """One event in the log.

    line, weight: running totals before this row, so that differences give the line and byte counts
        of any slice.
    """

    id: int
    event: Event
    line: int
    weight: int


class Log:
    """The events of one room.

    rows: those that are left, oldest first; for reading only.
    base: the position of the first of them.
    lines: how many lines were ever said.
    spoken: when something was last said, in seconds since the epoch; 0 for never.
    max_events, max_bytes: the log keeps the larger of so many events and so many bytes.
    """

    def __init__(self, *, max_events: int = 1000, max_bytes: int = 4 * 1024 * 1024) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.rows: list[Row] = []
        self.base = 0
        self.lines = 0
        self.spoken = 0.0
        self._weight = 0
        # Whether more was said before the log than it ever had.
        self._restored = False
        # Whether lines were removed since, which `Row.line` counts all the same.
        self._holes = False

    @property
    def end(self) -> int:
        """The position after the last event."""
        return self.base + len(self.rows)

    @property
    def size(self) -> int:
        """About how many bytes of memory the log takes."""
        return self._weight - self.rows[0].weight if self.rows else 0

    def append(self, id: int, event: Event) -> None:
        """Add *event*, which is committed."""
        self.rows.append(Row(id, event, self.lines, self._weight))
        self._weight += EVENT_BYTES + event.size()
        if event.line:
            self.lines += 1
            self.spoken = event.time

    def restore(self, lines: Sequence[tuple[int, Event]], *, whole: bool) -> None:
        """Begin with the last lines that a store has kept, with their ids.

        whole: whether these are all lines that there are.
        """
        self._restored = not whole
        for id, event in lines:
            self.append(id, event)

    def trim(self) -> None:
        """Cut the log to its size."""
        most = len(self.rows) - self.max_events
        if most > 0:
            oldest = self._weight - self.max_bytes
            drop = bisect_left(self.rows, oldest, 0, most, key=attrgetter("weight"))
            del self.rows[:drop]
            self.base += drop

    def replace(self, condition: Callable[[Row], bool]) -> bool:
        """Replace the lines that fulfil *condition* by events that nobody is shown.

        They keep their places, since cursors count them. Returns whether there were any.
        """
        indexes = [
            index for index, row in enumerate(self.rows) if row.event.line and condition(row)
        ]
        for index in indexes:
            row = self.rows[index]
            self.rows[index] = row._replace(event=Removed(row.event.time, SERVER))
        if indexes:
            self._holes = True
            left = (row.event.time for row in reversed(self.rows) if row.event.line)
            self.spoken = next(left, 0.0)
        return bool(indexes)

    # -- by position

    def since(self, position: int) -> list[Row]:
        """Return the rows from *position* on; a copy."""
        return self.rows[position - self.base :]

    def lines_before(self, position: int) -> int:
        """Return how many lines had been said before the event at *position*."""
        index = position - self.base
        return self.rows[index].line if index < len(self.rows) else self.lines

    def id_before(self, position: int) -> int:
        """Return the id of the event before *position*; 0 if the log does not go back so far."""
        index = position - self.base
        return self.rows[index - 1].id if index > 0 else 0

    # -- by id and time

    def recent(self, count: int) -> list[Event]:
        """The last *count* lines that were said, oldest first, as far as the log goes back."""
        return [event for _, event in self.before(maxsize, count)]

    def before(self, id: int, count: int) -> list[tuple[int, Event]]:
        """The last *count* lines with smaller ids than *id*, and their ids, oldest first."""
        rows = self.rows[: bisect_left(self.rows, id, key=attrgetter("id"))]
        said = ((row.id, row.event) for row in reversed(rows) if row.event.line)
        return list(islice(said, count))[::-1]

    def between(self, first: int = 0, end: int = maxsize) -> Sequence[Row]:
        """What is in the log with ids from *first* up to *end*; a copy, which does not change."""
        start = bisect_left(self.rows, first, key=attrgetter("id"))
        return self.rows[start : bisect_left(self.rows, end, key=attrgetter("id"))]

    def place(self, time: float) -> int:
        """The id after that of the latest line from before *time*; 0 if the log has none.

        time: in seconds since the epoch.
        """
        lines = (row for row in reversed(self.rows) if row.event.line and row.event.time < time)
        last = next(lines, None)
        return last.id + 1 if last is not None else 0

    def has_line(self, id: int) -> bool:
        """Whether the log has a line with this id."""
        at = bisect_left(self.rows, id, key=attrgetter("id"))
        return at < len(self.rows) and self.rows[at].id == id and self.rows[at].event.line

    def lines_between(self, after: int, before: int) -> int | None:
        """How many lines were said between two ids; None if the log does not go back so far."""
        if (self.base or self._restored) and self.first_id > after + 1:
            return None
        start, end = (
            bisect_left(self.rows, id, key=attrgetter("id")) for id in (after + 1, before)
        )
        if self._holes:
            return sum(row.event.line for row in self.rows[start:end])
        lines = [
            self.rows[place].line if place < len(self.rows) else self.lines
            for place in (start, max(start, end))
        ]
        return lines[1] - lines[0]

    def last_ids(self, condition: Callable[[Event], bool], since: float, count: int) -> list[int]:
        """The ids of the last *count* lines that fulfil *condition* and were said since then."""
        recent = takewhile(lambda row: row.event.time >= since, reversed(self.rows))
        found = (row.id for row in recent if row.event.line and condition(row.event))
        return list(islice(found, count))

    def may_have(self, condition: Callable[[Event], bool], since: float) -> bool:
        """Whether a line that fulfils *condition* was said since then, as far as the log knows."""
        return self.has(condition, since) or not self.goes_back_to(since)

    def has(self, condition: Callable[[Event], bool], since: float) -> bool:
        """Whether the log has a line that fulfils *condition* and was said since then."""
        said = (row.event for row in self.rows if row.event.line and row.event.time >= since)
        return any(map(condition, said))

    @property
    def used(self) -> bool:
        """Whether there is a line that was said here, as far as the log knows."""
        return bool(self.spoken or self.base or self._restored)

    def goes_back_to(self, since: float) -> bool:
        """Whether the log has all that was said since then, in seconds since the epoch."""
        cut = bool(self.base) or self._restored
        return not cut or (bool(self.rows) and self.rows[0].event.time < since)

    @property
    def first_id(self) -> int:
        """The id of the first event of the log; what is older is in a store, or nowhere."""
        return self.rows[0].id if self.rows else maxsize

    @property
    def last_id(self) -> int:
        """The id of the last event of the log; 0 for none."""
        return self.rows[-1].id if self.rows else 0


def said_by(event: Event, key: str) -> bool:
    """Return whether *event* is a line that was said under the name with this *key*."""
    return isinstance(event, Said | Emoted) and names.fold(event.name) == key
