"""The screen: draws the prompt and the input below the messages.

A screen does no input or output: its methods return the bytes to send. It knows where the cursor is
from what it has returned before, and never asks the terminal. It moves the cursor only within rows
that it has drawn, and draws only printable characters. Messages scroll up as in any shell.

The sequences are ECMA-48's CUU, CUD, CHA and ED, and DECAWM of xterm's ctlseqs ("DEC Private Mode
Set"). xterm, the Linux console, PuTTY, Windows Terminal, screen and tmux have all of them. A row
ends with CR LF, never by wrapping, so it makes no difference where the terminal puts the cursor
after a full row (xenl). Terminals disagree about the width of emoji and of sequences: the column is
set after each of them, with wrapping switched off.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from chatroom.text.cells import columns, doubtful, graphemes, visible

MIN_WIDTH: Final = 4
MAX_WIDTH: Final = 500
MIN_HEIGHT: Final = 2
MAX_HEIGHT: Final = 500

_ERASE_BELOW: Final = "\x1b[J"
_CLEAR: Final = "\x1b[H\x1b[2J"
_WRAP_OFF: Final = "\x1b[?7l"
_WRAP_ON: Final = "\x1b[?7h"

#: Bracketed paste (ctlseqs, "Bracketed Paste Mode") on and off.
_BEGIN: Final = b"\x1b[?2004h"
_END: Final = b"\x1b[?2004l"


#: A row: graphemes as they are shown, each with its width in cells (see cells.visible).
Row = list[tuple[str, int]]


class _Laid(NamedTuple):
    """Graphemes laid out in rows, and the index of the first grapheme in each row."""

    shown: list[str]
    rows: list[Row]
    starts: list[int]

    def kept(self, shown: list[str]) -> int:
        """Return how many rows a layout of these graphemes has in common with this one."""
        ends = [*self.starts[1:], len(self.shown)]
        same = 0
        for start, end in zip(self.starts, ends, strict=True):
            if self.shown[start:end] != shown[start:end]:
                break
            same += 1
        # The end of a row depends on what follows it.
        return max(0, same - 1)


def bounded(width: int, height: int) -> tuple[int, int]:
    """Return the size that a client reports, in cells and rows, within sensible bounds."""
    return (
        min(max(width, MIN_WIDTH), MAX_WIDTH),
        min(max(height, MIN_HEIGHT), MAX_HEIGHT),
    )


class Screen:
    """A terminal that is *width* cells wide and *height* rows high.

    All methods return the bytes to send now. Before the first `show`, and after `keep`, the cursor
    is at the beginning of an empty row.
    """

    __slots__ = ("_cursor", "_erase", "_input", "_laid", "_redraw", "_rows", "height", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = bounded(width, height)
        self._input: tuple[str, list[str], int] = ("", [], 0)
        self._laid = _Laid([], [[]], [0])
        # The rows that are drawn, and the row and column of the cursor in them.
        self._rows: list[Row] = [[]]
        self._cursor = (0, 0)
        # Output that removes all rows and draws them again; None until a message needs it.
        self._erase: bytes | None = None
        self._redraw = b""

    def begin(self) -> bytes:
        """Return what to send first: it switches bracketed paste on."""
        return _BEGIN

    def end(self) -> bytes:
        """Restore the terminal's modes, with the cursor below everything."""
        return self.keep() + _END

    def show(self, prompt: str, text: Sequence[str], cursor: int) -> bytes:
        """Draw the prompt and the input; only what has changed is sent.

        text: the graphemes of the input.
        cursor: how many of them are before the cursor.
        """
        self._input = (prompt, list(text), cursor)
        rows, place = self._layout()
        drawn = self._change(rows, place)
        if drawn:
            self._erase = None
        return drawn.encode()

    def above(self, lines: bytes) -> bytes:
        """Show *lines* above the input, which is removed and drawn again once.

        lines: rows that fit the width, each ended by CR LF.
        """
        before, after = self.around()
        return before + lines + after

    def around(self) -> tuple[bytes, bytes]:
        """Return what `above` sends before the lines and after them."""
        if self._erase is None:
            self._prepare()
        return self._erase or b"", self._redraw

    def replaced(self, prompt: str, text: Sequence[str], cursor: int) -> tuple[bytes, bytes]:
        """Return the same as `around`, with another input after the lines (see `show`)."""
        erase = self._erased()
        self._rows, self._cursor = [[]], (0, 0)
        redraw = self.show(prompt, text, cursor)
        self._erase = None
        return erase, redraw

    def choices(self, choices: Sequence[str]) -> bytes:
        """Show words to choose from, in columns above the input."""
        clean = ["".join(visible(one)[0] for one in graphemes(text)) for text in choices]
        return self.above("".join(f"{row}\r\n" for row in columns(clean, self.width)).encode())

    def ended(self) -> bytes:
        """Begin a new row where necessary, after Enter."""
        return b""

    def clear(self) -> bytes:
        """Clear the screen, and draw the input at the top."""
        self._prepare()
        return _CLEAR.encode() + self._redraw

    def keep(self) -> bytes:
        """Leave the input as a part of the scrolling text, and go on with an empty one."""
        kept = self._to_end()
        self._input = ("", [], 0)
        self._rows, self._cursor = [[]], (0, 0)
        self._erase = None
        return kept.encode()

    def resize(self, width: int, height: int) -> bytes:
        """Draw the input for another size of the terminal.

        If the terminal has broken a drawn row in two, a part of the old input stays above: erasing
        more rows could erase a message.
        """
        erase = self._to_start() + _ERASE_BELOW
        self.width, self.height = bounded(width, height)
        self._laid = _Laid([], [[]], [0])
        self._rows, self._cursor = [[]], (0, 0)
        self._erase = None
        rows, place = self._layout()
        return (erase + self._change(rows, place)).encode()

    # -- layout

    def _layout(self) -> tuple[list[Row], tuple[int, int]]:
        """Return the rows to draw, as many as fit, and the row and column of the cursor."""
        prompt, text, cursor = self._input
        shown = [*graphemes(prompt), *text]
        # The index of the grapheme after the cursor. It is always in a row, never after a full one.
        target = len(shown) - len(text) + cursor
        # One row is left for messages; the others are the rows around the cursor.
        most = self.height - 1
        laid = self._laid = self._lay(shown, target, most)
        row = bisect_right(laid.starts, target) - 1
        place = (row, _end(laid.rows[row][: target - laid.starts[row]]))
        first = max(0, min(row - most // 2, len(laid.rows) - most))
        return laid.rows[first : first + most], (place[0] - first, place[1])

    def _lay(self, shown: list[str], target: int, more: int) -> _Laid:
        """Lay out these graphemes, as far as *more* rows below that of the *target*.

        Rows that have not changed are used again, so that a key does not take longer in a long
        line.
        """
        kept = self._laid.kept(shown)
        rows, starts = [*self._laid.rows[:kept], []], self._laid.starts[: kept + 1]
        column = below = 0
        for index in range(starts[-1], len(shown)):
            unit = visible(shown[index])
            if unit[1] > self.width:
                unit = visible("\ufffd")
            if column + unit[1] > self.width:
                below += index > target
                if below > more:
                    return _Laid(shown[:index], rows, starts)
                rows.append([])
                starts.append(index)
                column = 0
            rows[-1].append(unit)
            column += unit[1]
        if column == self.width:
            rows.append([])
            starts.append(len(shown))
        return _Laid(shown, rows, starts)

    def _prepare(self) -> None:
        """Prepare the output that removes the input and draws it again."""
        self._erase = self._erased()
        rows, place = self._rows, self._cursor
        self._rows, self._cursor = [[]], (0, 0)
        self._redraw = self._change(rows, place).encode()

    # -- output

    def _erased(self) -> bytes:
        """Return the output that removes the input."""
        return (self._to_start() + _ERASE_BELOW).encode() if self._rows != [[]] else b""

    def _change(self, rows: list[Row], place: tuple[int, int]) -> str:
        """Return the output that changes what is drawn to *rows* and the cursor to *place*."""
        drawn = self._rows
        row = 0
        while row < min(len(rows), len(drawn)) - 1 and rows[row] == drawn[row]:
            row += 1
        same = 0
        for one, other in zip(rows[row], drawn[row], strict=False):
            if one != other:
                break
            same += 1
        parts: list[str] = []
        at = self._cursor
        if rows[row:] != drawn[row:]:
            # The part that stays never fills its row: after a full row comes another one in both
            # layouts, except at the end of the window, where both rows are equal.
            column = _end(rows[row][:same])
            parts.append(_move(at, (row, column)))
            if len(drawn) > row + 1 or len(drawn[row]) > same:
                parts.append(_ERASE_BELOW)
            parts.append(_written(rows[row][same:], column))
            for following in rows[row + 1 :]:
                parts += ["\r\n", _written(following, 0)]
            at = (len(rows) - 1, _end(rows[-1]))
        parts.append(_move(at, place))
        self._rows, self._cursor = rows, place
        return "".join(parts)

    def _to_start(self) -> str:
        return "\r" + _up(self._cursor[0])

    def _to_end(self) -> str:
        if self._rows == [[]]:
            return ""
        empty = not self._rows[-1]
        return f"\r{_down(len(self._rows) - 1 - self._cursor[0])}" + ("" if empty else "\r\n")


class PlainScreen(Screen):
    """A terminal for users of a screen reader: nothing is drawn again.

    Typed characters are echoed. A message begins a new row, and the input follows it with the next
    key. A change in the middle of the input begins a new row, too, since a screen reader reads that
    out.
    """

    __slots__ = ("_at", "_shown")

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        # The graphemes in the last row, and the number of them before the cursor.
        self._shown: list[str] = []
        self._at = 0

    def show(self, prompt: str, text: Sequence[str], cursor: int) -> bytes:
        before = graphemes(prompt)
        wanted = [visible(one)[0] for one in (*before, *text)]
        place = len(before) + cursor
        shown, at = self._shown, self._at
        parts: list[str] = []
        if wanted == shown:
            # Only the cursor moves; BS moves it one cell to the left.
            parts += wanted[at:place] if place > at else _back(wanted[place:at])
        elif wanted == shown[:-1] and at == len(shown) and place == len(wanted):
            back = _back(shown[-1:])
            parts += [*back, " " * len(back[0]), *back]
        else:
            follows = at == len(shown) and wanted[:at] == shown
            parts += wanted[at:] if follows else ["\r\n" if shown else "", *wanted]
            parts += _back(wanted[place:])
        self._shown, self._at = wanted, place
        return "".join(parts).encode()

    def around(self) -> tuple[bytes, bytes]:
        return self.ended(), b""

    def replaced(self, prompt: str, text: Sequence[str], cursor: int) -> tuple[bytes, bytes]:
        return self.ended(), self.show(prompt, text, cursor)

    def choices(self, choices: Sequence[str]) -> bytes:
        words = ["".join(visible(one)[0] for one in graphemes(text)) for text in choices]
        return self.above(", ".join(word.strip(" :") for word in words).encode() + b"\r\n")

    def ended(self) -> bytes:
        new = b"\r\n" if self._shown else b""
        self._shown, self._at = [], 0
        return new

    def clear(self) -> bytes:
        return self.ended()

    def keep(self) -> bytes:
        return self.ended()

    def resize(self, width: int, height: int) -> bytes:
        self.width, self.height = bounded(width, height)
        return b""


def _written(row: Row, column: int) -> str:
    """Return the output for the rest of a row from *column* on."""
    text = []
    doubts = False
    for shown, width in row:
        text.append(shown)
        column += width
        if doubtful(shown):
            doubts = True
            text.append(f"\x1b[{column + 1}G")
    return "".join([_WRAP_OFF, *text, _WRAP_ON] if doubts else text)


def _end(row: Row) -> int:
    """Return the column after these cells at the beginning of a row."""
    return sum([width for _, width in row])


def _move(at: tuple[int, int], to: tuple[int, int]) -> str:
    """Return the output that moves the cursor from one row and column to another.

    at: may be after the last cell of a full row.
    """
    if at == to:
        return ""
    rows = _up(at[0] - to[0]) if at[0] > to[0] else _down(to[0] - at[0])
    if at[1] == to[1]:
        return rows
    return "\r" + rows if to[1] == 0 else rows + f"\x1b[{to[1] + 1}G"


def _back(shown: list[str]) -> list[str]:
    return ["\b" * sum(visible(grapheme)[1] for grapheme in shown)]


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows else ""


def _down(rows: int) -> str:
    return f"\x1b[{rows}B" if rows else ""
