"""The screen: the prompt and the input at the bottom, and above it what arrives.

A screen is a pure object: its methods return the bytes to send. It knows where the terminal's
cursor is from what it has sent before, and never asks the terminal. It moves the cursor only within
rows that it has drawn, and draws only printable characters. Messages scroll up as in any shell.

The sequences are ECMA-48's CUU, CUD, CHA, ED and EL, and DECAWM of xterm's ctlseqs ("DEC Private
Mode Set"); they are known to xterm, the Linux console, PuTTY, Windows Terminal, screen and tmux.
A row is ended with CR LF, never by the terminal's own wrapping, so it makes no difference whether
a full row has its cursor behind its last cell (xenl) or not. Terminals disagree about the width of
emoji and of sequences: behind each the column is said anew, and nothing wraps meanwhile.
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


#: What is in a row: visible graphemes, each with the cells that it takes (cells.visible).
Row = list[tuple[str, int]]


class _Laid(NamedTuple):
    """Graphemes laid out in rows, and the index of the first grapheme in each row."""

    shown: list[str]
    rows: list[Row]
    starts: list[int]

    def kept(self, shown: list[str]) -> int:
        """Return how many rows are the same for these graphemes, whatever follows in them."""
        ends = [*self.starts[1:], len(self.shown)]
        same = 0
        for start, end in zip(self.starts, ends, strict=True):
            if self.shown[start:end] != shown[start:end]:
                break
            same += 1
        # Where a row ends depends on what comes next.
        return max(0, same - 1)


def bounded(width: int, height: int) -> tuple[int, int]:
    """A size in cells and rows as a client says it, within what there is."""
    return (
        min(max(width, MIN_WIDTH), MAX_WIDTH),
        min(max(height, MIN_HEIGHT), MAX_HEIGHT),
    )


class Screen:
    """The terminal of one person, *width* cells wide and *height* rows high.

    Everything returns the bytes to send now. Until something is shown, and after `keep`, the
    terminal's cursor is at the beginning of an empty row.
    """

    __slots__ = ("_cursor", "_erase", "_input", "_laid", "_redraw", "_rows", "height", "width")

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = bounded(width, height)
        self._input: tuple[str, list[str], int] = ("", [], 0)
        self._laid = _Laid([], [[]], [0])
        # What is drawn, and in which of these rows and at which column the cursor is.
        self._rows: list[Row] = [[]]
        self._cursor = (0, 0)
        # What takes all rows away and draws them again, made when a message needs it.
        self._erase: bytes | None = None
        self._redraw = b""

    def begin(self) -> bytes:
        """Return what to send first: it makes the terminal mark pastes."""
        return _BEGIN

    def end(self) -> bytes:
        """Restore the terminal's modes, with the cursor below everything."""
        return self.keep() + _END

    def show(self, prompt: str, text: Sequence[str], cursor: int) -> bytes:
        """The prompt, the graphemes of what was typed, and how many of them are before the cursor.

        Only what has changed is sent.
        """
        self._input = (prompt, list(text), cursor)
        rows, place = self._layout()
        drawn = self._change(rows, place)
        if drawn:
            self._erase = None
        return drawn.encode()

    def above(self, lines: bytes) -> bytes:
        """*lines* above the input: whole ones for this width, each ended by CR LF.

        However many they are, the input is taken away and drawn again once.
        """
        before, after = self.around()
        return before + lines + after

    def around(self) -> tuple[bytes, bytes]:
        """Return what `above` sends before the lines and after them."""
        if self._erase is None:
            self._prepare()
        return self._erase or b"", self._redraw

    def choices(self, choices: Sequence[str]) -> bytes:
        """Show words to choose from, in columns above the input."""
        clean = ["".join(visible(one)[0] for one in graphemes(text)) for text in choices]
        return self.above("".join(f"{row}\r\n" for row in columns(clean, self.width)).encode())

    def ended(self) -> bytes:
        """Take the input away after Enter, before the result of the line is shown."""
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
        """The terminal has another size now, and has kept its cursor's place in the rows.

        A terminal that has broken a drawn row in two keeps what it made of the first ones: rows
        are not told apart from messages by looking, and a message must not be lost.
        """
        erase = self._to_start() + _ERASE_BELOW
        self.width, self.height = bounded(width, height)
        self._laid = _Laid([], [[]], [0])
        self._rows, self._cursor = [[]], (0, 0)
        self._erase = None
        rows, place = self._layout()
        return (erase + self._change(rows, place)).encode()

    # -- where everything is

    def _layout(self) -> tuple[list[Row], tuple[int, int]]:
        """Return the rows to draw, as many as there is room for, and the cursor's place."""
        prompt, text, cursor = self._input
        shown = [*graphemes(prompt), *text]
        # The cursor is before this one; always within a row, never behind a full one.
        target = len(shown) - len(text) + cursor
        # One row is left for what arrives; of the others those around the cursor.
        most = self.height - 1
        laid = self._laid = self._lay(shown, target, most)
        row = bisect_right(laid.starts, target) - 1
        place = (row, _end(laid.rows[row][: target - laid.starts[row]]))
        first = max(0, min(row - most // 2, len(laid.rows) - most))
        return laid.rows[first : first + most], (place[0] - first, place[1])

    def _lay(self, shown: list[str], target: int, more: int) -> _Laid:
        """Lay out these graphemes, at least to so many rows below that of the *target*.

        The rows that are as they were are kept, so that a key costs no more in a long line.
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
        """Prepare the output that takes the input away and draws it again."""
        self._erase = (self._to_start() + _ERASE_BELOW).encode() if self._rows != [[]] else b""
        rows, place = self._rows, self._cursor
        self._rows, self._cursor = [[]], (0, 0)
        self._redraw = self._change(rows, place).encode()

    # -- what to send

    def _change(self, rows: list[Row], place: tuple[int, int]) -> str:
        """Return the output from what is drawn to these *rows* with the cursor at *place*."""
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
            # What stays never fills its row: a full one is followed by another in both, but where
            # the window ends, and then it is the same.
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
    """For who listens to a screen reader: what was sent once is not drawn again.

    What is typed is echoed; messages begin a row of their own, and what there is of a line follows
    with the next key. A change in the middle of it is a new row, since a reader reads those out.
    """

    __slots__ = ("_at", "_shown")

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        # The graphemes in the last row, and how many of them are before the cursor.
        self._shown: list[str] = []
        self._at = 0

    def show(self, prompt: str, text: Sequence[str], cursor: int) -> bytes:
        before = graphemes(prompt)
        wanted = [visible(one)[0] for one in (*before, *text)]
        place = len(before) + cursor
        shown, at = self._shown, self._at
        parts: list[str] = []
        if wanted == shown:
            # The cursor alone moves; BS takes it one cell to the left.
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
    """Return the column after these cells, which begin a row."""
    return sum([width for _, width in row])


def _move(at: tuple[int, int], to: tuple[int, int]) -> str:
    """The cursor's way from one row and column to another; the first may be behind a full row."""
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
