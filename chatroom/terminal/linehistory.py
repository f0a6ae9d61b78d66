"""The history of an editor: earlier lines, which the user can send again."""

from collections import deque
from typing import Final

from chatroom.terminal.textbuffer import TextBuffer

#: How many lines the history has, and how many bytes in all.
MAX_HISTORY: Final = 100
MAX_HISTORY_BYTES: Final = 16 * 1024


class LineHistory:
    """Earlier lines, one of which may be shown in place of a new line."""

    __slots__ = ("_draft", "_lines", "_place", "size")

    def __init__(self) -> None:
        # Oldest first.
        self._lines: deque[str] = deque()
        #: How many bytes the lines have in all.
        self.size = 0
        # The index of the line that is shown, or the number of lines if that is a new line.
        self._place = 0
        # The text of the new line while an earlier one is shown.
        self._draft = ""

    def __len__(self) -> int:
        return len(self._lines)

    def move(self, step: int, buffer: TextBuffer) -> str | None:
        """Return the line that is *step* lines later than the one shown, or None.

        buffer: has what is shown now; if it is a new line, it can be shown again.
        """
        place, end = self._place + step, len(self._lines)
        if not 0 <= place <= end:
            return None
        if self._place == end:
            self._draft = buffer.text
        self._place = place
        return self._draft if place == end else self._lines[place]

    def leave(self) -> None:
        """Go to a new, empty line."""
        self._place, self._draft = len(self._lines), ""

    def add(self, text: str) -> None:
        """Add a line, unless it equals the last one, and drop the oldest ones if necessary."""
        if self._lines and self._lines[-1] == text:
            return
        self._lines.append(text)
        self.size += len(text.encode())
        while len(self._lines) > MAX_HISTORY or self.size > MAX_HISTORY_BYTES:
            self.size -= len(self._lines.popleft().encode())

    def forget(self, text: str) -> None:
        """Remove the last line if it is *text*."""
        if self._lines and self._lines[-1] == text:
            self.size -= len(self._lines.pop().encode())
            self._place = min(self._place, len(self._lines))
