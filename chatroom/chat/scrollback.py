"""What newcomers are shown of a room, encoded once for all of them."""

from sys import maxsize

from chatroom.chat.log import Log
from chatroom.formats.format import Format, encode
from chatroom.formats.plain import transcript
from chatroom.model.events import SERVER, ScrollbackEnded
from chatroom.text.times import day

#: Of how many formats a room keeps what newcomers are shown.
MAX_FORMATS = 16


class Scrollback:
    """The last lines of one room, as formats show them.

    log: the room's. name: that of the room.
    """

    __slots__ = ("_log", "_made", "_name")

    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name
        self._made: dict[Format, tuple[tuple[int, int, int], bytes]] = {}

    def __len__(self) -> int:
        """How many formats it is kept for."""
        return len(self._made)

    def clear(self) -> None:
        """Encode anew: lines were removed."""
        self._made.clear()

    def encoded(self, format: Format, count: int, now: float) -> bytes:
        """Return the last *count* lines as a newcomer is shown them; empty for none.

        Until something is said all newcomers of a day share the same bytes.
        """
        state = (self._log.lines, count, day(now, format.zone))
        known, data = self._made.get(format, (None, b""))
        if known != state:
            shown = transcript(self._log.before(maxsize, count), now, format.zone)
            if shown:
                shown.append((0, ScrollbackEnded(now, SERVER)))
            data = b"".join(
                [encode(format, event, self._name, id, live=False) for id, event in shown]
            )
            if known is None and len(self._made) >= MAX_FORMATS:
                del self._made[next(iter(self._made))]
            self._made[format] = (state, data)
        return data
