"""The terminal of one user: the input in the last rows, and above it what arrives.

A terminal stands between the writer of its connection and the code that writes to it, and is an
writer itself. It puts what is written to it above the input. All members of a room are sent the
same bytes for an event; only the sequences that take away the input and draw it again differ. While
the writer is congested, no key is processed, since keys lead to output.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from chatroom.formats.ansi import Colours, terminal
from chatroom.formats.format import Format
from chatroom.formats.plain import BELL, plain
from chatroom.model.clock import Timer, Timers
from chatroom.model.output import TerminalWriter
from chatroom.model.preferences import Preferences
from chatroom.terminal.editor import (
    Action,
    Bell,
    Choices,
    Complete,
    Editor,
    Eof,
    Interrupt,
    Line,
    Redraw,
    Unsent,
)
from chatroom.terminal.keys import Event, Key, Keys, Paste
from chatroom.terminal.screen import PlainScreen, Screen
from chatroom.text.cells import cells, graphemes

#: The assumed size of a terminal that does not say it, in cells and rows (that of a VT100).
DEFAULT_SIZE: Final = (80, 24)

#: No further line is taken while more lines than this wait.
MAX_WAITING_LINES: Final = 64

#: The cost of keys in bytes of the byte rate, so that a user who types as fast as allowed uses no
#: more processor time than one who sends lines (see benchmarks/inputs.py). A key costs KEY_COST
#: bytes, and one byte for each KEY_SIZE code points of the line that it is typed into. Drawing
#: costs SHOWN_COST bytes, and one byte for each SHOWN_SIZE code points that are drawn again.
KEY_COST: Final = 8
KEY_SIZE: Final = 6
SHOWN_SIZE: Final = 2
SHOWN_COST: Final = 32

#: Other connections have their turn after this cost (some milliseconds), or after this many bytes
#: of output.
TURN_COST: Final = 1024
TURN_SIZE: Final = 4096

# By how a terminal's name (RFC 1091; the TERM of terminfo) begins. A VT52 has other sequences.
_DUMB: Final = re.compile(r"DUMB|UNKNOWN|NETWORK|VT52|EMACS")
_MONOCHROME: Final = re.compile(r"VT[1-9]|.*-MONO|.*-M$")
_MANY: Final = re.compile(r".*256|.*DIRECT|XTERM|TMUX|PUTTY|ALACRITTY|FOOT|KITTY|WEZTERM|GHOSTTY")


class Kind(NamedTuple):
    """The capabilities of a terminal.

    draws: it moves its cursor where it is told to, and has no line editor of its own.
    """

    draws: bool = True
    colours: Colours = Colours.FEW


def kind_of(names: Sequence[str], mtts: int = 0) -> Kind:
    """What to think of a terminal that calls itself so, with the best name first; none for unsaid.

    mtts: what it says of itself by the Mud Terminal Type Standard, 0 for nothing. Clients that do
    have a line editor of their own, most of them show lines only, and those that could draw take it
    for a question for a password when somebody else echoes.
    """
    name = names[0].upper() if names else ""
    colours = Colours.FEW
    if _MANY.match(name):
        colours = Colours.MANY
    elif _MONOCHROME.match(name):
        colours = Colours.NONE
    return Kind(not (mtts or _DUMB.match(name)), colours)


def not_said(count: int) -> str:
    """What somebody is told of whose lines so many are dropped."""
    return (
        f"{count:,} {'line that waited was' if count == 1 else 'lines that waited were'} not said."
    )


class Owner(Protocol):
    """The connection whose terminal it is."""

    @property
    def prompt(self) -> tuple[str, str]:
        """Return the name of the user and of their room, empty before they are known."""

    def told(self, text: str) -> None:
        """Show a notice to the user."""

    def ended(self) -> None:
        """Note that the user wants to leave, after the lines before that were taken."""


class Terminal:
    """One person's terminal.

    writer: the connection's. lines: where the lines that were typed are to wait. kind, size: what
    is known of it; the size is in cells and rows. What keys lead to happens in `work`, to be called
    while it is `ready`, which it may be after any other call, and after what was called `later`.
    """

    def __init__(
        self,
        writer: TerminalWriter,
        owner: Owner,
        lines: list[bytes | Line],
        later: Timers,
        *,
        line_length: int,
        kind: Kind,
        size: tuple[int, int],
        no_color: bool,
        complete: Complete,
        secret: Callable[[str], bool],
    ) -> None:
        self._writer = writer
        self._owner = owner
        self._lines = lines
        self._kind = kind
        self._no_color = no_color
        self._keys = Keys()
        self._editor = Editor(line_length, complete, secret)
        self._screen = Screen(*_size(size))
        # Keys that were not dealt with yet, oldest first, and about how many bytes they were.
        self._events: deque[Event] = deque()
        self.backlog = 0
        self._timer = Timer(later)
        self._prompted = ("", "")
        # What of the input is still to be sent around a line that the writer took in part.
        self._owed = (b"", b"")
        # The size that the screen is to have, None for the one that it has.
        self._resized: tuple[int, int] | None = None
        # What was done since `spent` was asked for.
        self._cost = 0
        # A hidden line waits: only when that was taken it is known whether the next is hidden.
        self._answered = False
        self._begun = self._over = False

    # -- for the session, as its writer

    @property
    def congested(self) -> bool:
        """See Writer."""
        return self._writer.congested

    def write(self, data: bytes) -> int:
        """Show *data*, whole lines with bells between and after them; see Writer.

        Returns how many bytes of *data* itself were taken.
        """
        if self._over or not data.rstrip(BELL):
            return self._writer.write(data)
        resized = self._resize()
        before, after = self._screen.around()
        before = resized + before
        if self._prompted != self._owner.prompt:
            after += self._shown()
        whole = before + data + after
        taken = self._writer.write(whole)
        if taken == len(whole):
            return len(data)
        taken -= len(before)
        if taken >= len(data):
            self._writer.finish(after[taken - len(data) :])
            return len(data)
        self._owed = (before[taken:] if taken < 0 else b"", after)
        return max(0, taken)

    def finish(self, rest: bytes) -> None:
        """See Writer."""
        before, after = self._owed
        self._owed = (b"", b"")
        self._writer.finish(before + rest + after)

    def abort(self) -> None:
        """See Writer."""
        self._writer.abort()

    # -- for the door

    @property
    def echo(self) -> bool:
        """Whether users must be sent their own messages: the client does not show the input."""
        return not isinstance(self._screen, PlainScreen)

    @property
    def height(self) -> int:
        """The height of the window in rows."""
        _, height = self._resized or (0, self._screen.height)
        return height

    def format_for(self, preferences: Preferences) -> Format:
        """Use these preferences from now on; returns the format for them."""
        reader = preferences.reader or not self._kind.draws
        screen = self._screen
        if reader is self.echo:
            self._send(self._resize() + screen.show("", (), 0) + screen.ended())
            self._screen = (PlainScreen if reader else Screen)(screen.width, screen.height)
            self._draw()
        if reader:
            return plain(preferences)
        colours = self._kind.colours
        if preferences.color == "on":
            colours = colours if colours is not Colours.NONE else Colours.FEW
        elif preferences.color == "off" or self._no_color:
            colours = Colours.NONE
        width, _ = self._resized or (self._screen.width, 0)
        return terminal(width, colours, preferences)

    def begin(self) -> None:
        """Begin to draw the prompt and the input, in a row of their own."""
        self._begun = True
        self._send(b"\r\x1b[J" * self.echo + self._screen.begin())
        self._draw()

    def end(self, farewell: bytes = b"") -> bytes:
        """It is left as it was, below *farewell*; returns what has still to be sent for that."""
        if self._over:
            return farewell
        self._over = True
        self._timer.stop()
        self._events.clear()
        if not self._begun:
            return farewell
        taken_away = self._resize() + self._screen.show("", (), 0) + self._screen.ended()
        return taken_away + farewell + self._screen.end()

    def resize(self, size: tuple[int, int]) -> None:
        """The terminal has another *size*; its format has to be asked for again.

        It is drawn anew when that can be sent: however often it changes, nothing piles up.
        """
        self._resized = _size(size)
        if not self._writer.congested:
            self._draw()

    def receive(self, data: bytes) -> None:
        """Take bytes that were typed."""
        self._timer.stop()
        self._take(self._keys.receive(data))

    def press(self, key: Key) -> None:
        """Take a *key* that did not come as bytes; it ends an unfinished sequence of bytes."""
        self._timer.stop()
        self._take([key, *self._keys.expire()])

    def limit(self, line_length: int) -> None:
        """Set the greatest length of a line in bytes."""
        self._editor.line_length = line_length

    def hide(self) -> None:
        """Do not show what is typed from now on."""
        self._answered = False
        self._editor.hide()
        self._draw()

    def unhide(self) -> None:
        """Show again what is typed; input that waits is dropped."""
        self._answered = False
        if self._editor.hidden:
            self._events.clear()
            self.backlog = 0
        self._editor.unhide()
        self._draw()

    def forget(self, text: str) -> None:
        """Remove the last line, *text*, from the history of lines."""
        self._editor.forget(text)

    @property
    def ready(self) -> bool:
        """Whether there are keys that can be processed now."""
        if self._over or self._writer.congested:
            return False
        if self._resized is not None:
            return True
        if not self._events or self._answered:
            return False
        event = self._events[0]
        ends_line = event is Key.ENTER or isinstance(event, Paste)
        return len(self._lines) <= MAX_WAITING_LINES or not ends_line

    def work(self) -> None:
        """Process keys up to the end of a line, or until the turn is over, and draw the result."""
        if self._over or self._writer.congested:
            return
        editor = self._editor
        waiting = len(self._lines)
        shown: list[bytes] = []
        size = 0
        resized = self._resize()
        while self.ready and len(self._lines) == waiting:
            event = self._events.popleft()
            self.backlog -= _weight(event)
            before = editor.size
            actions = editor.receive(event)
            if actions:
                shown.append(self._dealt(actions))
                size += len(shown[-1])
            self._cost += KEY_COST + max(before, editor.size) // KEY_SIZE
            if self._cost >= TURN_COST or size >= TURN_SIZE:
                break
        self._draw(b"".join([resized, *shown]))

    def spent(self) -> int:
        """Return the cost of the work since the last call, in bytes of the byte rate."""
        cost, self._cost = self._cost, 0
        return cost

    # -- keys

    def _take(self, events: Sequence[Event]) -> None:
        if self._over:
            return
        for event in events:
            if event is Key.INTERRUPT:
                # It is not to wait behind what it is for.
                self._drop()
            self._events.append(event)
            self.backlog += _weight(event)
        if self._keys.patience:
            self._timer.start(self._keys.patience, self._expire)

    def _drop(self) -> None:
        """Drop the keys and lines that wait."""
        self._events.clear()
        self.backlog = 0
        self._answered = False
        dropped = len(self._lines)
        if dropped:
            self._lines.clear()
            self._owner.told(not_said(dropped))

    def _expire(self) -> None:
        """Process an unfinished key, which will not be completed."""
        self._take(self._keys.expire())

    def _dealt(self, actions: Sequence[Action]) -> bytes:
        """Do what a key leads to; returns output for it beside the line."""
        shown = []
        for action in actions:
            match action:
                case Line():
                    if not (self.echo or action.hidden):
                        # It stays where it was typed; of what came all at once nothing is there.
                        text = graphemes(action.text)
                        shown.append(self._screen.show("", text, len(text)))
                    shown.append(self._screen.ended())
                    if action.hidden or action.pasted or action.text.strip():
                        self._lines.append(action)
                    self._answered = action.hidden
                case Choices():
                    shown.append(self._screen.choices(action.choices))
                case Redraw():
                    shown.append(self._screen.clear())
                    self._cost += self._editor.size // SHOWN_SIZE
                case Bell():
                    shown.append(BELL)
                case Interrupt():
                    shown.append(self._screen.ended())
                    if self._editor.hidden:
                        # An interrupted question for a secret is answered with an empty line.
                        self._lines.append(Line("", hidden=True))
                        self._answered = True
                case Unsent():
                    self._owner.told(action.sentence)
                case Eof():
                    self._owner.ended()
        return b"".join(shown)

    # -- the screen

    def _shown(self) -> bytes:
        """Return the output that draws the prompt and the line."""
        resized = self._resize()
        self._cost += SHOWN_COST + self._editor.size // SHOWN_SIZE
        self._prompted = self._owner.prompt
        if self._editor.hidden:
            prompt = "[not shown] "
        else:
            prompt = self._prompt(*self._prompted) if self.echo else ""
        return resized + self._screen.show(*self._editor.view(prompt))

    def _resize(self) -> bytes:
        """Return the output that fits the screen to the size of the terminal."""
        size, self._resized = self._resized, None
        if size is None:
            return b""
        self._cost += SHOWN_COST + self._editor.size // SHOWN_SIZE
        return self._screen.resize(*size)

    def _prompt(self, name: str, room: str) -> str:
        """As much as leaves room for what is typed."""
        if not name:
            return ""
        for prompt in (f"[{name} #{room}] ", f"[{name}] "):
            if 2 * cells(prompt) <= self._screen.width:
                return prompt
        return "> "

    def _draw(self, before: bytes = b"") -> None:
        """Send *before*, then the output that draws the prompt and the line."""
        if self._begun and not self._over:
            self._send(before + self._shown())

    def _send(self, data: bytes) -> None:
        if data and self._begun:
            self._writer.insert(data)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size without zeros, which clients send for unknown sizes (RFC 1073)."""
    return size[0] or DEFAULT_SIZE[0], size[1] or DEFAULT_SIZE[1]


def _weight(event: Event) -> int:
    """Return about how many bytes a key was."""
    return 1 if isinstance(event, Key) else len(event.text)
