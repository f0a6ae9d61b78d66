"""Batches: the new events of one turn, encoded once for each format."""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate

from chatroom.chat.log import Row
from chatroom.chat.member import Member
from chatroom.chat.reader import Reader, hides
from chatroom.formats.format import Format, encode


class Batch:
    """The new events of one turn as one format shows them.

    data: the bytes of all of them, the same object for all members who are shown all of it.
    pieces: the bytes of each.
    named: the indexes of those that are marked for the members whom they name, by their origins.
    talk: whether all of them are lines that were said, so that they need no counting.
    """

    __slots__ = ("_format", "_own", "_rows", "_starts", "_users", "data", "named", "pieces", "talk")

    def __init__(
        self,
        format: Format,
        room: str,
        rows: Sequence[Row],
        own: dict[int, list[int]],
        named: dict[int, list[int]],
    ) -> None:
        self.pieces = [encode(format, row.event, room, row.id) for row in rows]
        self.data = b"".join(self.pieces)
        self.talk = rows[-1].line + rows[-1].event.line - rows[0].line == len(rows)
        self._rows = rows
        self._format = format
        self._own = own
        self.named = named if format.highlights else {}
        self._starts: list[int] | None = None
        self._users: frozenset[int] | None = None

    def left_out(self, reader: Reader, first: int, last: int) -> Sequence[int]:
        """Return the indexes from *first* up to *last* that *reader* is not shown, in order."""
        indexes: Sequence[int] = self._own.get(reader.origin, ())
        if reader.ignores is not None:
            if self._users is None:
                self._users = frozenset([row.event.user for row in self._rows])
            if not self._users.isdisjoint(reader.ignores):
                indexes = range(first, last)
        if not indexes:
            return ()
        return [
            index
            for index in indexes
            if first <= index < last and hides(reader, self._rows[index].event)
        ]

    def marked(self, reader: Reader) -> dict[int, bytes]:
        """Return the lines that name *reader*, marked, by their indexes."""
        name = reader.user.name if reader.user is not None else ""
        return {
            index: self._format.highlighted(self.pieces[index], name)
            for index in self.named.get(reader.origin, ())
        }

    def part(self, first: int, last: int, skip: Sequence[int], marked: dict[int, bytes]) -> bytes:
        """Return the bytes of the events from *first* up to *last*, but for the indexes *skip*.

        marked: what stands in the place of some of them.
        """
        if marked:
            return b"".join([piece for _, piece in self.places(0, first, last, skip, marked)])
        if self._starts is None:
            self._starts = [0, *accumulate(map(len, self.pieces))]
        starts, data = self._starts, self.data
        kept, place = [], starts[first]
        for index in skip:
            kept.append(data[place : starts[index]])
            place = starts[index + 1]
        kept.append(data[place : starts[last]])
        return b"".join(kept)

    def places(
        self, start: int, first: int, last: int, skip: Sequence[int], marked: dict[int, bytes]
    ) -> list[tuple[int, bytes]]:
        """Return the pieces that `part` joins, each after the cursor that follows it.

        start: the position at which the batch begins.
        """
        return [
            (start + index + 1, marked.get(index, self.pieces[index]))
            for index in range(first, last)
            if index not in skip
        ]


class Batches(dict[Format, Batch]):
    """The new events of one turn, by format; encoded when a format is first asked for.

    room: the name of the room.
    rows: the events.
    named: the indexes of those that name users, by the ids of these' connections.
    own: the indexes of those that a connection, or its user, has caused, by the connection's id.
    """

    __slots__ = ("named", "own", "room", "rows")

    def __init__(
        self,
        room: str,
        rows: Sequence[Row],
        named: dict[int, list[int]],
        members: Mapping[int, Member],
    ) -> None:
        super().__init__()
        self.room = room
        self.rows = rows
        self.named = named
        self.own: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            event = row.event
            self.own.setdefault(event.origin, []).append(index)
            if not event.line and (member := members.get(event.origin)) is not None:
                # What a user does, rather than says, comes from all of their connections.
                for one in member.user.connections:
                    if one.origin != event.origin:
                        self.own.setdefault(one.origin, []).append(index)

    def __missing__(self, format: Format) -> Batch:
        batch = self[format] = Batch(format, self.room, self.rows, self.own, self.named)
        return batch

    @property
    def differing(self) -> Collection[int]:
        """The origins whose members are not sent what everybody is."""
        return self.own.keys() | self.named.keys() if self.named else self.own

    @property
    def lines(self) -> int:
        """How many of the events are lines that were said."""
        first, last = self.rows[0], self.rows[-1]
        return last.line + last.event.line - first.line
