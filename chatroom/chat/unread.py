"""Unread: what one connection has not been shown of the rooms that its user reads.

What was shown is not shown again, unless somebody asks for it with /history or /search.
Lines are told apart by their ids, which grow. Of each room that the connection has been in it is
known from which line on it was shown, and which lines since then were not: those that were said
while it was elsewhere.
"""

from collections.abc import Mapping
from typing import Final

from chatroom.model.history import MAX_ID, Gap

#: How many gaps of one room are kept: whoever comes and goes more often loses the oldest.
MAX_GAPS: Final = 20


class Unread:
    """The gaps in what one connection was shown, by the keys of the rooms.

    The last gap of a room is open (it ends with LAST) while the connection is elsewhere.
    """

    __slots__ = ("_first", "_gaps", "_named")

    def __init__(self) -> None:
        # The id of the first line that was shown, of each room in which the connection has been.
        self._first: dict[str, int] = {}
        self._gaps: dict[str, list[Gap]] = {}
        # How many lines in each room have named the user since it was shown.
        self._named: dict[str, int] = {}

    @property
    def gaps(self) -> list[tuple[str, Gap]]:
        """All gaps, each with the key of its room, those of one room in their order."""
        return [(room, gap) for room, gaps in self._gaps.items() for gap in gaps]

    def mark(self, room: str) -> int | None:
        """The id after which lines are new in the room, None where that is not known."""
        gaps = self._gaps.get(room)
        return gaps[-1].after if gaps and gaps[-1].before == MAX_ID else None

    def has_been_in(self, room: str) -> bool:
        """Whether the connection was shown what was said in the room up to the mark."""
        return room in self._first

    def mention(self, room: str) -> None:
        """A line in the room, which the connection does not show, names the user."""
        self._named[room] = self._named.get(room, 0) + 1

    def mentions(self, room: str) -> int:
        """Return how many lines have named the user since the room was shown."""
        return self._named.get(room, 0)

    def drop(self, room: str) -> None:
        """Forget the room: the user is not in it any more."""
        for known in (self._first, self._gaps, self._named):
            known.pop(room, None)

    def enter(self, room: str, first: int, *, complete: bool) -> None:
        """The connection is shown the room from the line with the id *first* on.

        complete: that is all that is new.
        """
        self._named.pop(room, None)
        gaps = self._gaps.get(room)
        if gaps and gaps[-1].before == MAX_ID:
            after = gaps.pop().after
            if not complete:
                gaps.append(Gap(after, first))

    def leave(self, room: str, first: int, last: int) -> None:
        """The connection has been shown the room from the id *first* to the id *last*."""
        self._first.setdefault(room, first)
        self._keep(room, [*self._gaps.get(room, ()), Gap(last)])

    def log_in(self, places: Mapping[str, int], here: str, first: int) -> None:
        """The user has read, on other connections, each room up to an id.

        here: the key of the room where the connection is, which it was shown from *first* on.
        """
        for room, place in places.items():
            unseen = [Gap(0)]
            if room == here or room in self._first:
                shown_from = self._first.get(room, first)
                unseen = [Gap(0, shown_from), *self._gaps.get(room, ())]
            self._keep(room, [Gap(max(gap.after, place), gap.before) for gap in unseen])

    def read(self, room: str, gap: Gap, last: int) -> None:
        """The lines of *gap* up to the id *last* have been shown."""
        gaps = self._gaps.get(room, [])
        # Its end tells it from others: its beginning may have been out of sight.
        before = gap.before
        self._keep(room, [Gap(last, before) if one.before == before else one for one in gaps])
        if gap.before == MAX_ID:
            self._first.setdefault(room, gap.after + 1)

    def sort(self, rooms: list[str]) -> None:
        """Have the gaps of *rooms* come first, in this order."""
        first = {room: self._gaps.pop(room) for room in rooms if room in self._gaps}
        self._gaps = first | self._gaps

    def _keep(self, room: str, gaps: list[Gap]) -> None:
        self._gaps[room] = [gap for gap in gaps if gap.after + 1 < gap.before][-MAX_GAPS:]
