"""The line editor: turns keys into lines and other actions.

The editor does no input or output, and its size is limited. The cursor stands between graphemes
(UAX 29), the text contains only printable characters, and hidden input is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import regex

from chatroom.terminal.editactions import (
    Action,
    Bell,
    Choices,
    Eof,
    Interrupt,
    Line,
    Redraw,
    Unsent,
)
from chatroom.terminal.keys import Event, Key, Paste, Text
from chatroom.terminal.linehistory import LineHistory
from chatroom.terminal.textbuffer import TextBuffer
from chatroom.text.cells import common_prefix, graphemes
from chatroom.text.names import fold

#: From how many lines on a paste is sent only after a question.
ASKED_LINES: Final = 3

#: How many lines a paste may have; at two lines a second these take minutes.
MAX_LINES: Final = 500

#: A tab in a paste goes to the next multiple of this many columns.
TAB_COLUMNS: Final = 4

#: How many times as long as a line the text may become, so that users can shorten a long paste.
SPARE_FACTOR: Final = 4

_CONTROL: Final = regex.compile(r"[\p{Cc}\p{Cs}]")


#: Returns the possible completions of the word before the cursor, with a blank or colon after a
#: word if that belongs there. The arguments are the text before the cursor and the text after it.
Complete = Callable[[str, str], Sequence[str]]


def _complete_nothing(before: str, after: str) -> Sequence[str]:
    return ()


def _no_secret(text: str) -> bool:
    return False


class Editor:
    """The line that one user types.

    line_length: the greatest length of a line, in bytes.
    complete: see Complete.
    secret: returns whether a line must not be stored in the history.

    After each key the terminal shows `view`.
    """

    __slots__ = (
        "_asked",
        "_asked_rest",
        "_buffer",
        "_complete",
        "_hidden",
        "_history",
        "_killed",
        "_secret",
        "_tabbed",
        "line_length",
    )

    def __init__(
        self,
        line_length: int,
        complete: Complete = _complete_nothing,
        secret: Callable[[str], bool] = _no_secret,
    ) -> None:
        #: The greatest length of a line, in bytes; it may change.
        self.line_length = line_length
        self._complete = complete
        self._secret = secret
        self._buffer = TextBuffer()
        self._history = LineHistory()
        self._hidden = False
        self._killed = ""
        # The lines of a paste that is asked about, and the text before and after the cursor when
        # they have been sent.
        self._asked: list[str] = []
        self._asked_rest = ("", "")
        # Whether the last key was a Tab that did not complete the word.
        self._tabbed = False

    # -- the state

    @property
    def text(self) -> str:
        """The text of the line."""
        return self._buffer.text

    @property
    def cursor(self) -> int:
        """The number of graphemes before the cursor."""
        return self._buffer.cursor

    @property
    def size(self) -> int:
        """The number of code points of the text."""
        return self._buffer.size

    @property
    def hidden(self) -> bool:
        """Whether the input is hidden."""
        return self._hidden

    @property
    def question(self) -> str:
        """The question that the next key answers, or ''."""
        return f"Send {len(self._asked)} lines? y/n " if self._asked else ""

    def view(self, prompt: str) -> tuple[str, Sequence[str], int]:
        """Return the arguments of `Screen.show`: the prompt, the graphemes, the cursor."""
        if self._asked:
            return self.question, (), 0
        return (prompt, (), 0) if self._hidden else (prompt, self._buffer.graphemes, self.cursor)

    # -- changes by the server

    def hide(self) -> None:
        """Hide the input from now on."""
        self._hidden = True
        self._history.leave()

    def unhide(self) -> None:
        """Show the input again, and drop hidden text."""
        if self._hidden:
            self._hidden = False
            self._buffer.set("")

    def forget(self, text: str) -> None:
        """Remove the last line, *text*, from the history."""
        self._history.forget(text)

    def receive(self, event: Event) -> list[Action]:
        """Process a key or a paste."""
        tabbed, self._tabbed = self._tabbed, False
        if self._asked:
            return self._answer(event)
        if isinstance(event, Text):
            return self._insert(event.text)
        if isinstance(event, Paste):
            return self._paste(event)
        if event is Key.TAB:
            return self._tab(tabbed)
        return _KEYS[event](self)

    # -- keys

    def _enter(self) -> list[Action]:
        size = len(self.text.encode())
        if size > self.line_length:
            return [
                Unsent(
                    f"Not said: a line may have at most {self.line_length:,} bytes, and this one "
                    f"has {size:,}."
                )
            ]
        line = Line(self.text, self._hidden)
        self._remember(line.text)
        self._buffer.set("")
        return [line]

    def _end_of_file(self) -> list[Action]:
        return self._delete() if self._buffer.graphemes else [Eof()]

    def _interrupt(self) -> list[Action]:
        text = "" if self._hidden else self.text
        self._history.leave()
        self._buffer.set("")
        return [Interrupt(text)]

    def _redraw(self) -> list[Action]:
        return [Redraw()]

    def _nothing(self) -> list[Action]:
        return []

    def _move(self, cursor: int) -> list[Action]:
        if not 0 <= cursor <= len(self._buffer.graphemes):
            return [Bell()]
        self._buffer.cursor = cursor
        return []

    def _left(self) -> list[Action]:
        return self._move(self.cursor - 1)

    def _right(self) -> list[Action]:
        return self._move(self.cursor + 1)

    def _start(self) -> list[Action]:
        return self._move(0)

    def _end(self) -> list[Action]:
        return self._move(len(self._buffer.graphemes))

    def _word_left(self) -> list[Action]:
        return self._move(self._buffer.word_before())

    def _word_right(self) -> list[Action]:
        return self._move(self._buffer.word_after())

    def _backspace(self) -> list[Action]:
        return self._take_out(self.cursor - 1, self.cursor)

    def _delete(self) -> list[Action]:
        return self._take_out(self.cursor, self.cursor + 1)

    def _kill_to_start(self) -> list[Action]:
        return self._kill(0, self.cursor)

    def _kill_to_end(self) -> list[Action]:
        return self._kill(self.cursor, len(self._buffer.graphemes))

    def _kill_word_left(self) -> list[Action]:
        return self._kill(self._buffer.word_before(), self.cursor)

    def _kill_word_right(self) -> list[Action]:
        return self._kill(self.cursor, self._buffer.word_after())

    def _yank(self) -> list[Action]:
        return self._insert(self._killed) if self._killed else [Bell()]

    def _transpose(self) -> list[Action]:
        """Exchange the graphemes before and after the cursor; at the end, the last two.

        As in Emacs, the cursor moves on.
        """
        place = min(self.cursor, len(self._buffer.graphemes) - 1)
        if place < 1:
            return [Bell()]
        before, at = self._buffer.graphemes[place - 1 : place + 1]
        self._buffer.replace(place - 1, place + 1, at + before)
        return []

    def _up(self) -> list[Action]:
        return self._recall(-1)

    def _down(self) -> list[Action]:
        return self._recall(1)

    def _recall(self, step: int) -> list[Action]:
        """Show another line of the history, which can be edited and sent again."""
        text = None if self._hidden else self._history.move(step, self._buffer)
        if text is None:
            return [Bell()]
        self._buffer.set(text)
        return []

    def _remember(self, text: str) -> None:
        """Add a line to the history unless it is secret, and go to the end of the history."""
        if text.strip() and not self._hidden and not self._secret(text):
            self._history.add(text)
        self._history.leave()

    # -- the text

    def _insert(self, text: str) -> list[Action]:
        """Insert all of *text*, or nothing. It may become too long to send, see `_enter`."""
        text = _printable(text)
        if len((self.text + text).encode()) > SPARE_FACTOR * self.line_length:
            if len(graphemes(text)) == 1:
                return [Bell()]
            return [Unsent("That is longer than can be edited; nothing of it was taken.")]
        self._buffer.replace(self.cursor, self.cursor, text)
        return []

    def _take_out(self, start: int, end: int) -> list[Action]:
        split = self._buffer.graphemes
        if start < 0 or end > len(split) or start == end:
            return [Bell()]
        self._buffer.replace(start, end, "")
        return []

    def _kill(self, start: int, end: int) -> list[Action]:
        """Cut text that `_yank` can insert again; hidden text is not kept."""
        killed = "".join(self._buffer.graphemes[start:end])
        if killed and not self._hidden:
            self._killed = killed
        return self._take_out(start, end)

    # -- pastes

    def _paste(self, paste: Paste) -> list[Action]:
        """Insert a pasted line, or send several lines, after a question if there are many.

        The first line begins with the text before the cursor. Text after the last line end stays in
        the editor. Empty lines at the beginning and the end are dropped.
        """
        if not paste.ended:
            return [Unsent("The end of what you pasted is missing; nothing of it was sent.")]
        if not paste.whole:
            return [Unsent("That is more than can be pasted at once; nothing of it was sent.")]
        *lines, rest = [line.expandtabs(TAB_COLUMNS) for line in paste.text.split("\n")]
        if len(lines) + bool(rest) <= 1:
            # Users often copy one line with its end, and do not mean to send it.
            return self._insert(lines[0] if lines else rest)
        if self._hidden:
            return [Bell()]
        before, after = self._buffer.halves()
        lines = _between_blanks([_printable(line) for line in [before + lines[0], *lines[1:]]])
        longest = max((len(line.encode()) for line in lines), default=0)
        if len(lines) > MAX_LINES:
            return [Unsent(f"That is more than {MAX_LINES} lines; nothing of it was sent.")]
        if max(longest, len((rest + after).encode())) > self.line_length:
            return [
                Unsent(
                    f"A line of that is longer than {self.line_length:,} bytes; nothing was sent."
                )
            ]
        self._asked, self._asked_rest = lines, (_printable(rest), after)
        return [] if len(lines) + bool(rest) >= ASKED_LINES else self._send()

    def _answer(self, event: Event) -> list[Action]:
        """Take the answer to the question about a paste."""
        if isinstance(event, Text):
            letter, rest = event.text[0].lower(), event.text[1:]
            if letter in "yn":
                actions = self._send() if letter == "y" else self._drop()
                # The user has typed more than the answer.
                return actions + self.receive(Text(rest)) if rest else actions
        elif event in (Key.INTERRUPT, Key.ESCAPE, Key.END_OF_FILE):
            return self._drop()
        return [Redraw()] if event is Key.REDRAW else [Bell()]

    def _send(self) -> list[Action]:
        lines, (rest, after) = self._asked, self._asked_rest
        self._drop()
        for line in lines:
            self._remember(line)
        self._buffer.set(rest + after, len(rest))
        return [Line(line, pasted=True) for line in lines]

    def _drop(self) -> list[Action]:
        self._asked, self._asked_rest = [], ("", "")
        return []

    # -- completion

    def _tab(self, again: bool) -> list[Action]:
        """Complete the word before the cursor as far as it is unambiguous.

        again: whether the key before was a Tab, too; then the choices are shown.
        """
        if self._hidden:
            return [Bell()]
        before, after = self._buffer.halves()
        choices = list(self._complete(before, after))
        if not choices:
            return [Bell()]
        start, blank, word = before.rpartition(" ")
        prefix = _printable(common_prefix(choices))
        if len(choices) == 1:
            # It need not begin with the word: a city is completed to its time zone.
            longer = prefix != word
        else:
            key, former = fold(prefix), fold(word)
            longer = key != former and key.startswith(former)
        if longer:
            completed = start + blank + prefix
            if len((completed + after).encode()) > self.line_length:
                return [Bell()]
            self._buffer.set(completed + after, len(completed))
            return []
        if len(choices) == 1:
            return []
        self._tabbed = True
        return [Choices(choices)] if again else [Bell()]


_KEYS: Final[dict[Key, Callable[[Editor], list[Action]]]] = {
    Key.LEFT: Editor._left,
    Key.RIGHT: Editor._right,
    Key.UP: Editor._up,
    Key.DOWN: Editor._down,
    Key.START: Editor._start,
    Key.END: Editor._end,
    Key.WORD_LEFT: Editor._word_left,
    Key.WORD_RIGHT: Editor._word_right,
    Key.BACKSPACE: Editor._backspace,
    Key.DELETE: Editor._delete,
    Key.KILL_TO_START: Editor._kill_to_start,
    Key.KILL_TO_END: Editor._kill_to_end,
    Key.KILL_WORD_LEFT: Editor._kill_word_left,
    Key.KILL_WORD_RIGHT: Editor._kill_word_right,
    Key.YANK: Editor._yank,
    Key.TRANSPOSE: Editor._transpose,
    Key.ENTER: Editor._enter,
    Key.REDRAW: Editor._redraw,
    Key.INTERRUPT: Editor._interrupt,
    Key.END_OF_FILE: Editor._end_of_file,
    Key.ESCAPE: Editor._nothing,
}


def _printable(text: str) -> str:
    """Return *text* without control characters. (Sent lines are cleaned by names.clean.)"""
    text = text.replace("\t", " ")
    return text if text.isprintable() else _CONTROL.sub("\ufffd", text)


def _between_blanks(lines: list[str]) -> list[str]:
    """Return *lines* without the blank ones at both ends."""
    full = [index for index, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []
