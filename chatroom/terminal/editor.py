"""The line editor: keys become a line, and actions for the door.

The editor is a pure object of limited size. The cursor stands between graphemes (UAX 29), the text
contains only printable characters, and hidden input is never shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import regex

from chatroom.terminal.keys import Event, Key, Paste, Text
from chatroom.text.cells import common_prefix, graphemes
from chatroom.text.names import fold

#: Lines that the history holds, and their bytes in all.
MAX_HISTORY: Final = 100
MAX_HISTORY_BYTES: Final = 16 * 1024

#: A paste of so many lines is asked about.
ASKED_LINES: Final = 3

#: More are not taken: at two lines a second these take minutes.
MAX_LINES: Final = 500

# A word of any script begins and ends at a boundary of UAX 29, which makes one of each ideograph.
_WORD: Final = regex.compile(r"\b\w(?:.*?\w)??\b", regex.V1 | regex.WORD | regex.DOTALL)

#: So many graphemes on either side of the cursor a word is looked for.
REACH: Final = 100

#: So many code points of ASCII on either side are looked at first, of which the outermost only say
#: what is a word: the rules of UAX 29 look no further.
NEAR_WORD: Final = 16
WORD_CONTEXT: Final = 3

#: A tab in a paste goes to the next multiple of so many columns.
TAB_COLUMNS: Final = 4

#: How many times as long as a line may be the text may get, so that it can be shortened.
SPARE: Final = 4

#: How many graphemes behind a change are looked at first. Few changes reach beyond the next one.
NEAR: Final = 4

_CONTROL: Final = regex.compile(r"[\p{Cc}\p{Cs}]")


@dataclass(frozen=True, slots=True)
class Line:
    """A line was ended.

    hidden: it was not shown, and is nobody's business. pasted: it stood among others in a paste,
    where an empty line counts.
    """

    text: str
    hidden: bool = False
    pasted: bool = False

    def __len__(self) -> int:
        return len(self.text)

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Eof:
    """The end of the input: Ctrl-D on an empty line."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """What was typed, or asked, is dropped. text: what there was of the line, if not hidden."""

    text: str


@dataclass(frozen=True, slots=True)
class Redraw:
    """Clear the screen and draw everything again."""


@dataclass(frozen=True, slots=True)
class Bell:
    """The key cannot do anything here: ring the bell."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The possible completions of the word before the cursor."""

    choices: Sequence[str]


@dataclass(frozen=True, slots=True)
class Unsent:
    """Input was too long and is dropped; has a sentence that tells the user so."""

    sentence: str


Action = Line | Eof | Interrupt | Redraw | Bell | Choices | Unsent

#: What stands before the cursor and what after it, to the words that the one which ends at the
#: cursor may be completed to; with a blank or a colon behind, if it is to be put there.
Complete = Callable[[str, str], Sequence[str]]


def _complete_nothing(before: str, after: str) -> Sequence[str]:
    return ()


def _no_secret(text: str) -> bool:
    return False


def _meeting(anew: Sequence[str], near: Sequence[str], least: int) -> tuple[int, int] | None:
    """How many of *anew* and of *near* end at the same place, from *least* code points on; or None.

    Both end together, *near* begins at *least*. Their common end does not count: what comes behind
    it could belong to the last of them.
    """
    ends = {end: count for count, end in enumerate(accumulate(map(len, anew)), 1)}
    places = accumulate(map(len, near), initial=least)
    for count, place in enumerate(places):
        if place in ends and count < len(near):
            return ends[place], count
    return None


def _grapheme_at(graphemes: Sequence[str], index: int) -> int:
    """How many *graphemes* there are up to this code point, counting one that it is within."""
    end = 0
    for count, grapheme in enumerate(graphemes):
        if end >= index:
            return count
        end += len(grapheme)
    return len(graphemes)


class Editor:
    """The line that one person types.

    line_length: the longest line, in bytes. secret: whether a line is not to be brought back. After
    each key the door shows `view`.
    """

    __slots__ = (
        "_asked",
        "_asked_rest",
        "_complete",
        "_draft",
        "_graphemes",
        "_hidden",
        "_history",
        "_history_size",
        "_killed",
        "_place",
        "_secret",
        "_tabbed",
        "cursor",
        "line_length",
        "size",
    )

    def __init__(
        self,
        line_length: int,
        complete: Complete = _complete_nothing,
        secret: Callable[[str], bool] = _no_secret,
    ) -> None:
        #: As above; it may change.
        self.line_length = line_length
        self._complete = complete
        self._secret = secret
        self._graphemes: list[str] = []
        #: How many graphemes stand before the cursor, and how many code points there are in all.
        self.cursor = self.size = 0
        self._hidden = False
        self._killed = ""
        # Lines that were ended, oldest first, where in them this one is from, and what it was
        # before; at the end of them it is none of them.
        self._history: deque[str] = deque()
        self._history_size = 0
        self._place = 0
        self._draft = ""
        # The lines of a paste that wait for an answer, and what is in the editor after them: the
        # text before and after the cursor.
        self._asked: list[str] = []
        self._asked_rest = ("", "")
        self._tabbed = False

    # -- what there is

    @property
    def text(self) -> str:
        """The text of the line."""
        return "".join(self._graphemes)

    @property
    def hidden(self) -> bool:
        """Whether the input is hidden."""
        return self._hidden

    @property
    def question(self) -> str:
        """The question that the next key answers, or ''."""
        return f"Send {len(self._asked)} lines? y/n " if self._asked else ""

    def view(self, prompt: str) -> tuple[str, Sequence[str], int]:
        """What `Screen.show` takes: the prompt, the graphemes behind it, and the cursor."""
        if self._asked:
            return self.question, (), 0
        return (prompt, (), 0) if self._hidden else (prompt, self._graphemes, self.cursor)

    # -- what the door says

    def hide(self) -> None:
        """Hide the input from now on."""
        self._hidden = True
        self._place, self._draft = len(self._history), ""

    def unhide(self) -> None:
        """Show the input again, and drop what was typed hidden."""
        if self._hidden:
            self._hidden = False
            self._set("")

    def forget(self, text: str) -> None:
        """Remove the last line, *text*, from the history of lines."""
        if self._history and self._history[-1] == text:
            self._history_size -= len(self._history.pop().encode())
            self._place = min(self._place, len(self._history))

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
        self._set("")
        return [line]

    def _end_of_file(self) -> list[Action]:
        return self._delete() if self._graphemes else [Eof()]

    def _interrupt(self) -> list[Action]:
        text = "" if self._hidden else self.text
        self._place, self._draft = len(self._history), ""
        self._set("")
        return [Interrupt(text)]

    def _redraw(self) -> list[Action]:
        return [Redraw()]

    def _nothing(self) -> list[Action]:
        return []

    def _move(self, cursor: int) -> list[Action]:
        if not 0 <= cursor <= len(self._graphemes):
            return [Bell()]
        self.cursor = cursor
        return []

    def _left(self) -> list[Action]:
        return self._move(self.cursor - 1)

    def _right(self) -> list[Action]:
        return self._move(self.cursor + 1)

    def _start(self) -> list[Action]:
        return self._move(0)

    def _end(self) -> list[Action]:
        return self._move(len(self._graphemes))

    def _word_left(self) -> list[Action]:
        return self._move(self._word_before())

    def _word_right(self) -> list[Action]:
        return self._move(self._word_after())

    def _backspace(self) -> list[Action]:
        return self._take_out(self.cursor - 1, self.cursor)

    def _delete(self) -> list[Action]:
        return self._take_out(self.cursor, self.cursor + 1)

    def _kill_to_start(self) -> list[Action]:
        return self._kill(0, self.cursor)

    def _kill_to_end(self) -> list[Action]:
        return self._kill(self.cursor, len(self._graphemes))

    def _kill_word_left(self) -> list[Action]:
        return self._kill(self._word_before(), self.cursor)

    def _kill_word_right(self) -> list[Action]:
        return self._kill(self.cursor, self._word_after())

    def _yank(self) -> list[Action]:
        return self._insert(self._killed) if self._killed else [Bell()]

    def _transpose(self) -> list[Action]:
        """The grapheme before the cursor changes places with that at it, or before it at the end.

        As in Emacs, the cursor goes on.
        """
        place = min(self.cursor, len(self._graphemes) - 1)
        if place < 1:
            return [Bell()]
        before, at = self._graphemes[place - 1 : place + 1]
        self._replace(place - 1, place + 1, at + before)
        return []

    def _up(self) -> list[Action]:
        return self._recall(self._place - 1)

    def _down(self) -> list[Action]:
        return self._recall(self._place + 1)

    def _recall(self, place: int) -> list[Action]:
        """Show the line at *place* of the history, to be changed and sent again."""
        end = len(self._history)
        if self._hidden or not 0 <= place <= end:
            return [Bell()]
        if self._place == end:
            self._draft = self.text
        self._place = place
        self._set(self._draft if place == end else self._history[place])
        return []

    def _remember(self, text: str) -> None:
        history = self._history
        wanted = text.strip() and not self._hidden and not self._secret(text)
        if wanted and not (history and history[-1] == text):
            history.append(text)
            self._history_size += len(text.encode())
            while len(history) > MAX_HISTORY or self._history_size > MAX_HISTORY_BYTES:
                self._history_size -= len(history.popleft().encode())
        self._place, self._draft = len(history), ""

    # -- the text

    def _set(self, text: str, cursor: int | None = None) -> None:
        """The text is another. cursor: in code points; the end if it is left out.

        Within a grapheme, which it may be since neighbours can become one, it goes to its end.
        """
        self._graphemes = split = graphemes(text)
        self.size = len(text)
        self.cursor = len(split)
        if cursor is not None:
            self.cursor = _grapheme_at(split, cursor)

    def _replace(self, start: int, end: int, text: str) -> None:
        """*text* stands in place of the graphemes from *start* to *end*, the cursor behind it.

        As in `_set`, but only what is near is taken apart anew: where a grapheme begins as it did
        before, all that follow do, too.
        """
        split = self._graphemes
        first = max(0, start - 1)
        before = "".join(split[first:start]) + text
        reach = NEAR
        while True:
            near = split[end : end + reach]
            anew = graphemes(before + "".join(near))
            last = end + reach >= len(split)
            kept = (len(anew), len(near)) if last else _meeting(anew, near, len(before))
            if kept is not None:
                break
            reach *= 2
        self.size += len(text) - sum(map(len, split[start:end]))
        self._graphemes = [*split[:first], *anew[: kept[0]], *split[end + kept[1] :]]
        # Where all of it is new, which a pasted line is, nothing has to be counted.
        self.cursor = first + (_grapheme_at(anew, len(before)) if near else len(anew))

    def _halves(self) -> tuple[str, str]:
        split = self._graphemes
        return "".join(split[: self.cursor]), "".join(split[self.cursor :])

    def _insert(self, text: str) -> list[Action]:
        """Put *text* in, all of it or nothing: whether it can be sent is asked at Enter."""
        text = _printable(text)
        if len((self.text + text).encode()) > SPARE * self.line_length:
            if len(graphemes(text)) == 1:
                return [Bell()]
            return [Unsent("That is longer than can be edited; nothing of it was taken.")]
        self._replace(self.cursor, self.cursor, text)
        return []

    def _take_out(self, start: int, end: int) -> list[Action]:
        split = self._graphemes
        if start < 0 or end > len(split) or start == end:
            return [Bell()]
        self._replace(start, end, "")
        return []

    def _kill(self, start: int, end: int) -> list[Action]:
        """Cut text that `_yank` can insert again; hidden text is not kept."""
        killed = "".join(self._graphemes[start:end])
        if killed and not self._hidden:
            self._killed = killed
        return self._take_out(start, end)

    def _around(self, reach: int) -> tuple[list[str], list[str]]:
        """Return up to *reach* graphemes before the cursor and behind it."""
        first = max(0, self.cursor - reach)
        return self._graphemes[first : self.cursor], self._graphemes[self.cursor :][:reach]

    def _word_before(self) -> int:
        before, after = self._around(NEAR_WORD)
        near = "".join([*before, *after])
        if len(before) == NEAR_WORD and near.isascii():
            size = sum(map(len, before))
            start = _word_start(near, size)
            if start >= WORD_CONTEXT:
                return self.cursor - len(before) + _grapheme_at(before, start)
        before, after = self._around(REACH)
        start = _word_start("".join([*before, *after]), sum(map(len, before)))
        return self.cursor - len(before) + _grapheme_at(before, start)

    def _word_after(self) -> int:
        before, after = self._around(REACH)
        size = sum(map(len, before))
        ends = [match.end() for match in _WORD.finditer("".join([*before, *after]))]
        end = min((at for at in ends if at > size), default=size + sum(map(len, after)))
        return self.cursor + _grapheme_at(after, end - size)

    # -- pastes

    def _paste(self, paste: Paste) -> list[Action]:
        """Put a line in; send whole lines, after a question if they are some, and keep the rest.

        The first begins with what stands before the cursor. Empty lines around them are left out.
        """
        if not paste.ended:
            return [Unsent("The end of what you pasted is missing; nothing of it was sent.")]
        if not paste.whole:
            return [Unsent("That is more than can be pasted at once; nothing of it was sent.")]
        *lines, rest = [line.expandtabs(TAB_COLUMNS) for line in paste.text.split("\n")]
        if len(lines) + bool(rest) <= 1:
            # Who marked a line with its end has still not ended theirs.
            return self._insert(lines[0] if lines else rest)
        if self._hidden:
            return [Bell()]
        before, after = self._halves()
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
                # What was typed on at once.
                return actions + self.receive(Text(rest)) if rest else actions
        elif event in (Key.INTERRUPT, Key.ESCAPE, Key.END_OF_FILE):
            return self._drop()
        return [Redraw()] if event is Key.REDRAW else [Bell()]

    def _send(self) -> list[Action]:
        lines, (rest, after) = self._asked, self._asked_rest
        self._drop()
        for line in lines:
            self._remember(line)
        self._set(rest + after, len(rest))
        return [Line(line, pasted=True) for line in lines]

    def _drop(self) -> list[Action]:
        self._asked, self._asked_rest = [], ("", "")
        return []

    # -- completion

    def _tab(self, again: bool) -> list[Action]:
        """Complete the word before the cursor as far as it is clear. again: show the choices."""
        if self._hidden:
            return [Bell()]
        before, after = self._halves()
        choices = list(self._complete(before, after))
        if not choices:
            return [Bell()]
        start, blank, word = before.rpartition(" ")
        prefix = _printable(common_prefix(choices))
        if len(choices) == 1:
            # Which may begin otherwise: a city becomes its time zone.
            longer = prefix != word
        else:
            key, former = fold(prefix), fold(word)
            longer = key != former and key.startswith(former)
        if longer:
            completed = start + blank + prefix
            if len((completed + after).encode()) > self.line_length:
                return [Bell()]
            self._set(completed + after, len(completed))
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


def _word_start(text: str, end: int) -> int:
    """Return where the last word begins that begins before *end*, or 0."""
    start = 0
    for match in _WORD.finditer(text):
        if match.start() >= end:
            break
        start = match.start()
    return start


def _printable(text: str) -> str:
    """Return *text* without control characters; what others see is cleaned elsewhere."""
    text = text.replace("\t", " ")
    return text if text.isprintable() else _CONTROL.sub("\ufffd", text)


def _between_blanks(lines: list[str]) -> list[str]:
    """Return *lines* without the blank ones at both ends."""
    full = [index for index, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []
