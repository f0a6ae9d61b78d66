"""A user's terminal: messages, and below them the input that the user edits.

A terminal wraps the writer of its connection, and is a writer itself: it shows what is written to
it above the input. All members of a room are sent the same bytes for an event; only the sequences
that remove the input and draw it again differ. While the writer is congested no key is processed,
since keys cause output.
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
from chatroom.terminal.editor import Complete, Editor
from chatroom.terminal.keys import Event, Key, Keys, Paste
from chatroom.terminal.screen import PlainScreen, Screen
from chatroom.text.cells import cells, graphemes

#: The assumed size of a terminal that does not report it, in cells and rows: that of a VT100.
DEFAULT_SIZE: Final = (80, 24)

#: While more lines than this wait, no further line is taken.
MAX_WAITING_LINES: Final = 64

#: The cost of keys in bytes of the byte rate, so that a user who types as fast as allowed uses no
#: more processor time than one who sends lines (see benchmarks/inputs.py). A key costs KEY_BYTES,
#: and one byte for each KEY_POINTS code points of the line. Drawing costs DRAW_BYTES, and one byte
#: for each DRAW_POINTS code points that are drawn.
KEY_BYTES: Final = 10
KEY_POINTS: Final = 6
DRAW_BYTES: Final = 32
DRAW_POINTS: Final = 2

#: Other connections get their turn after this cost (some milliseconds), or this much output.
TURN_COST: Final = 1024
TURN_OUTPUT_BYTES: Final = 4096

# Beginnings of terminal names (RFC 1091; TERM of terminfo). A VT52 has other control sequences.
_DUMB: Final = re.compile(r"DUMB|UNKNOWN|NETWORK|VT52|EMACS")
_MONOCHROME: Final = re.compile(r"VT[1-9]|.*-MONO|.*-M$")
_MANY: Final = re.compile(r".*256|.*DIRECT|XTERM|TMUX|PUTTY|ALACRITTY|FOOT|KITTY|WEZTERM|GHOSTTY")


class Kind(NamedTuple):
    """The capabilities of a terminal.

    draws: whether it obeys control sequences, and has no line editor of its own.
    colours: the colours that it can show.
    """

    draws: bool = True
    colours: Colours = Colours.FEW


def kind_of(names: Sequence[str], mtts: int = 0) -> Kind:
    """Return the capabilities of a terminal.

    names: its names, the best one first; empty if it has reported none.
    mtts: its bits of the Mud Terminal Type Standard, 0 for none. Clients that report them have a
        line editor, and take it for a password prompt if the server echoes.
    """
    name = names[0].upper() if names else ""
    colours = Colours.FEW
    if _MANY.match(name):
        colours = Colours.MANY
    elif _MONOCHROME.match(name):
        colours = Colours.NONE
    return Kind(not (mtts or _DUMB.match(name)), colours)


def not_said(count: int) -> str:
    """Return the notice for a user of whom *count* waiting lines are dropped."""
    return (
        f"{count:,} {'line that waited was' if count == 1 else 'lines that waited were'} not said."
    )


class Owner(Protocol):
    """The connection of a terminal."""

    @property
    def prompt(self) -> Sequence[str]:
        """Return what the prompt may say, the longest first; nothing before that is known."""

    def told(self, text: str) -> None:
        """Show a notice to the user."""

    def ended(self) -> None:
        """Disconnect the user after the lines that wait; the input has ended."""

    def draw_later(self) -> None:
        """Call `Terminal.draw` at the end of the turn."""


class Terminal:
    """The terminal of one connection.

    writer: the connection's writer.
    owner: the connection.
    lines: the queue to which lines are appended.
    later: delays calls.
    line_length: the greatest length of a line, in bytes.
    kind: its capabilities.
    size: in cells and rows, 0 for unknown.
    no_color: whether the user wants no colours (NO_COLOR).
    complete, secret: see Editor.

    Keys are processed in `work`, which the owner calls while the terminal is `ready`. It may become
    ready by any other call, and by a delayed call.
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
        # The keys that wait, oldest first.
        self._events: deque[Event] = deque()
        #: About how many bytes the waiting keys were.
        self.backlog = 0
        self._timer = Timer(later)
        self._prompted: Sequence[str] = ()
        # Output before and after a line that the writer took in part, which is still to be sent.
        self._owed = (b"", b"")
        # The new size that the screen does not have yet, or None.
        self._resized: tuple[int, int] | None = None
        # Output of keys that is to be sent before the input is drawn; None if the input is drawn.
        # A line often leads to messages in the same turn: they are sent together.
        self._undrawn: bytes | None = None
        # The cost since the last call of `spent`.
        self._cost = 0
        # Whether a hidden line waits. Until it is taken, the next line may be hidden or not.
        self._answered = False
        self._begun = self._over = False

    # -- for the session, as its writer

    @property
    def congested(self) -> bool:
        """See Writer."""
        return self._writer.congested

    def write(self, data: bytes) -> int:
        """Show *data*, whole lines and bells, above the input; see Writer.

        Returns how many bytes of *data* were taken, not counting other output.
        """
        if self._over or not data.rstrip(BELL):
            return self._writer.write(data)
        changed = self._resize()
        if self._undrawn is not None:
            changed += self._take_undrawn()
            before, after = self._screen.replaced(*self._view())
        else:
            before, after = self._screen.around()
            if self._prompted != self._owner.prompt:
                after += self._shown()
        before = changed + before
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
        """Whether users must be sent their own messages, as the input is removed on Enter."""
        return not isinstance(self._screen, PlainScreen)

    @property
    def height(self) -> int:
        """The height of the window in rows."""
        _, height = self._resized or (0, self._screen.height)
        return height

    def format_for(self, preferences: Preferences) -> Format:
        """Use these preferences from now on, and return the format for them."""
        reader = preferences.reader or not self._kind.draws
        screen = self._screen
        if reader is self.echo:
            self._send(self._removed())
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
        """End the use of the terminal, and return the last output: *farewell* and resets."""
        if self._over:
            return farewell
        self._over = True
        self._timer.stop()
        self._events.clear()
        if not self._begun:
            return farewell
        return self._removed() + farewell + self._screen.end()

    def resize(self, size: tuple[int, int]) -> None:
        """Use another *size*, as soon as the writer is not congested.

        The caller has to call `format_for` again.
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
        """Process keys to the end of a line, or for one turn.

        The result is drawn at once, or at the end of the turn if a line has ended.
        """
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
                shown.append(self._perform(actions))
                size += len(shown[-1])
            self._cost += KEY_BYTES + max(before, editor.size) // KEY_POINTS
            if self._cost >= TURN_COST or size >= TURN_OUTPUT_BYTES:
                break
        output = b"".join([resized, *shown])
        if len(self._lines) == waiting:
            self._draw(output)
            return
        if self._undrawn is None:
            self._undrawn = b""
            self._owner.draw_later()
        self._undrawn += output

    def draw(self) -> None:
        """Draw the input if it is not drawn yet."""
        if self._undrawn is not None:
            self._draw()

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
                # It cancels what waits, so it must not wait behind it.
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
        """Take an incomplete key, which will not be completed."""
        self._take(self._keys.expire())

    def _perform(self, actions: Sequence[Action]) -> bytes:
        """Perform the actions of a key, and return their output."""
        shown = []
        for action in actions:
            match action:
                case Bell():
                    shown.append(BELL)
                case Line():
                    if not (self.echo or action.hidden):
                        # The line stays where it was typed; pasted lines were not shown yet.
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
                    self._cost += self._editor.size // DRAW_POINTS
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

    def _view(self) -> tuple[str, Sequence[str], int]:
        """Return the arguments of `Screen.show` for the prompt and the line."""
        self._cost += DRAW_BYTES + self._editor.size // DRAW_POINTS
        self._prompted = self._owner.prompt
        return self._editor.view(self._prompt())

    def _shown(self) -> bytes:
        """Return the output that draws the prompt and the line."""
        resized = self._resize()
        return resized + self._screen.show(*self._view())

    def _removed(self) -> bytes:
        """Return the output that removes the prompt and the line."""
        before = self._resize() + self._take_undrawn()
        return before + self._screen.show("", (), 0) + self._screen.ended()

    def _take_undrawn(self) -> bytes:
        undrawn, self._undrawn = self._undrawn, None
        return undrawn or b""

    def _resize(self) -> bytes:
        """Return the output that fits the screen to the size of the terminal."""
        size, self._resized = self._resized, None
        if size is None:
            return b""
        self._cost += DRAW_BYTES + self._editor.size // DRAW_POINTS
        return self._screen.resize(*size)

    def _prompt(self) -> str:
        """Return the longest prompt that takes at most half of the width."""
        if self._editor.hidden:
            return "[not shown] "
        for text in self._prompted if self.echo else ():
            if 2 * cells(f"[{text}] ") <= self._screen.width:
                return f"[{text}] "
        return "> " if self._prompted and self.echo else ""

    def _draw(self, before: bytes = b"") -> None:
        """Send *before*, then the output that draws the prompt and the line."""
        if self._begun and not self._over:
            self._send(self._take_undrawn() + before + self._shown())

    def _send(self, data: bytes) -> None:
        if data and self._begun:
            self._writer.insert(data)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size without zeros, which clients send for unknown sizes (RFC 1073)."""
    return size[0] or DEFAULT_SIZE[0], size[1] or DEFAULT_SIZE[1]


def _weight(event: Event) -> int:
    """Return about how many bytes of input *event* was."""
    return 1 if isinstance(event, Key) else len(event.text)
