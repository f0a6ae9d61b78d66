"""A terminal to look at: pyte's, where it does as terminals do, with its scrollback.

pyte stops drawing at a zero-width joiner, takes every code point for itself, draws half of a wide
character into the last column, and shrinks a screen from its top even where there is nothing at
its bottom. These are its faults, so they are mended here.
"""

from collections.abc import Sequence
from typing import Any

import pyte
from pyte import modes
from wcwidth import wcswidth, wcwidth

from chatroom.text.cells import graphemes, visible


class Terminal(pyte.Screen):
    """Rows that scroll off the top are kept, and what a narrower width hides is there still."""

    def __init__(self, width: int, height: int) -> None:
        self.scrolled: list[str] = []
        self.rung = 0
        super().__init__(width, height)
        self.stream = pyte.ByteStream(self)

    def feed(self, data: bytes) -> None:
        self.stream.feed(data)

    def bell(self, *args: Any) -> None:
        self.rung += 1

    def row(self, y: int) -> str:
        """What is in one row, without the blanks at its end."""
        line = self.buffer[y]
        return "".join(line[x].data for x in range(max(line, default=-1) + 1)).rstrip()

    @property
    def rows(self) -> list[str]:
        """The scrollback and the screen."""
        return self.scrolled + [self.row(y) for y in range(self.lines)]

    @property
    def above(self) -> int:
        """In which of `rows` the cursor is."""
        return len(self.scrolled) + self.cursor.y

    def draw(self, data: str) -> None:
        for text, width in self.measured(data):
            if width == 0:
                # Drawn over what is before it, or not at all: there is nothing to be seen.
                continue
            if self.cursor.x + width > self.columns:
                # Deferred wrap: only now that something follows the last column.
                if modes.DECAWM in self.mode:
                    self.carriage_return()
                    self.linefeed()
                else:
                    self.cursor.x = self.columns - width
            line = self.buffer[self.cursor.y]
            line[self.cursor.x] = self.cursor.attrs._replace(data=text)
            for stub in range(1, width):
                line[self.cursor.x + stub] = self.cursor.attrs._replace(data="")
            self.cursor.x += width

    def measured(self, data: str) -> list[tuple[str, int]]:
        """What is drawn as one, and its width."""
        return [(grapheme, max(0, wcswidth(grapheme))) for grapheme in graphemes(data)]

    def index(self) -> None:
        if self.cursor.y == self.lines - 1:
            self.scrolled.append(self.row(0))
        super().index()

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        line = self.buffer[self.cursor.y]
        assert how == 0
        for x in [x for x in line if x >= self.cursor.x]:
            del line[x]

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """As xterm does it: what is below the cursor goes first, then the top scrolls off."""
        assert lines is not None
        assert columns is not None
        for y in range(self.cursor.y + 1, self.lines):
            if y >= lines:
                self.buffer.pop(y, None)
        while self.cursor.y > lines - 1:
            self.scrolled.append(self.row(0))
            for y in range(self.cursor.y):
                self.buffer[y] = self.buffer[y + 1]
            self.buffer.pop(self.cursor.y, None)
            self.cursor.y -= 1
        self.lines, self.columns = lines, columns
        self.cursor.x = min(self.cursor.x, columns - 1)


class OldTerminal(Terminal):
    """One that knows of no graphemes: every code point is as wide as it is alone."""

    def measured(self, data: str) -> list[tuple[str, int]]:
        return [(character, max(0, wcwidth(character))) for character in data]


def filled(line: str, width: int) -> list[str]:
    """The rows that a terminal makes of a line that is too long, of what takes room in it."""
    rows, column = [""], 0
    for grapheme in graphemes(line):
        size = max(0, wcswidth(grapheme))
        if column + size > width:
            rows.append("")
            column = 0
        if size:
            rows[-1] += grapheme
        column += size
    return rows


def expected(
    prompt: str, text: Sequence[str], cursor: int, width: int
) -> tuple[list[str], tuple[int, int]]:
    """The rows of the input, and the row and column of the cursor, the simplest way."""
    before = [visible(one)[0] for one in [*graphemes(prompt), *text[:cursor]]]
    after = [visible(one)[0] for one in text[cursor:]]
    # A mark for the cursor takes the room of what it stands before, or one cell at the end.
    rows = [[""]]
    place = (0, 0)
    column = 0
    for index, one in enumerate([*before, *after, None]):
        size = 1 if one is None else visible(one)[1]
        if column + size > width:
            rows.append([])
            column = 0
        if index == len(before):
            place = (len(rows) - 1, column)
        if one is not None:
            rows[-1].append(one)
            column += size
    return ["".join(row) for row in rows], place
