"""A batch: the new events of one turn as one format writes them, shared by all who have it."""

from collections.abc import Sequence
from itertools import accumulate

from chatroom.chat.log import Row
from chatroom.chat.member import Member, hides
from chatroom.formats.format import Format, encode


class Batch:
    """The new events of one turn as one format writes them.

    own: the indexes of *rows* by the origin of their events. named: the indexes of those that name
    somebody, by the origins of these.
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
        #: Whether all of it are lines that were said, so that they need no counting.
        self.talk = rows[-1].line + rows[-1].event.line - rows[0].line == len(rows)
        self._rows = rows
        self._format = format
        self._own = own
        self.named = named if format.highlights else {}
        self._starts: list[int] | None = None
        self._users: frozenset[int] | None = None

    def left_out(self, member: Member, first: int, last: int) -> Sequence[int]:
        """The indexes from *first* up to *last* that *member* is not shown, in order."""
        indexes: Sequence[int] = self._own.get(member.origin, ())
        if member.ignores is not None:
            if self._users is None:
                self._users = frozenset([row.event.user for row in self._rows])
            if not self._users.isdisjoint(member.ignores):
                indexes = range(first, last)
        if not indexes:
            return ()
        return [
            index
            for index in indexes
            if first <= index < last and hides(member, self._rows[index].event)
        ]

    def marked(self, member: Member) -> dict[int, bytes]:
        """What *member* is shown otherwise, by its index, since it names them."""
        return {
            index: self._format.highlighted(self.pieces[index], member.name)
            for index in self.named.get(member.origin, ())
        }

    def part(self, first: int, last: int, skip: Sequence[int], marked: dict[int, bytes]) -> bytes:
        """The bytes of the events from *first* up to *last*, but for the indexes *skip*.

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
        """What `part` joins, each piece with the cursor after it; the batch begins at *start*."""
        return [
            (start + index + 1, marked.get(index, self.pieces[index]))
            for index in range(first, last)
            if index not in skip
        ]
