"""The actions of the line editor: what a key or a paste leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line was ended.

    hidden: whether it was hidden input, such as a password.
    pasted: whether it was one of several pasted lines, of which empty ones are sent, too.
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
    """The line, or a question, was cancelled.

    text: the text of the line, empty for hidden input.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Redraw:
    """The user asked to clear the screen and draw it again."""


@dataclass(frozen=True, slots=True)
class Bell:
    """The key had no effect: ring the bell."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The possible completions of the word before the cursor."""

    choices: Sequence[str]


@dataclass(frozen=True, slots=True)
class Unsent:
    """Input was too long and was dropped.

    sentence: tells the user so.
    """

    sentence: str


Action = Line | Eof | Interrupt | Redraw | Bell | Choices | Unsent
