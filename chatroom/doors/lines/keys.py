"""The keys that are typed at a terminal, and the lines that are made of them."""

from collections.abc import Sequence
from typing import Final, Protocol

from chatroom.actions import strays
from chatroom.actions.rooms import unread
from chatroom.chat.connection import Connection
from chatroom.commands.completion import complete
from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.state import NOT_SERVED
from chatroom.doors.writer import Writer
from chatroom.model.clock import Timers
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import Kind, Terminal

#: Keys take longer than text, so that they are processed in pieces of so many bytes. The longest
#: line fits with its Enter, so that a line that comes all at once is not drawn before it is said.
PIECE_BYTES: Final = 2560

#: What one read of keys costs of the byte rate: keys that are typed come one in a read.
READ_COST: Final = 16

#: How many rooms a prompt names in which something is new.
MAX_NEWS: Final = 3

#: A connection is read while fewer bytes of keys wait.
MAX_WAITING_BYTES: Final = 4096


class Leaver(Protocol):
    """The connection at which the keys are typed."""

    def leave(self) -> None:
        """The user wants to leave, once the lines before that were taken."""


class KeyInput:
    """What is typed at one terminal.

    terminal: what draws on the client's screen, and makes lines of keys.
    hidden: whether the line that was handed in last was not shown.
    """

    __slots__ = ("_connection", "_leaver", "hidden", "terminal")

    def __init__(
        self,
        connection: Connection,
        leaver: Leaver,
        writer: Writer,
        buffer: LineBuffer,
        later: Timers,
        *,
        kind: Kind,
        size: tuple[int, int],
        no_color: bool,
    ) -> None:
        self._connection = connection
        self._leaver = leaver
        self.hidden = False
        self.terminal = Terminal(
            writer,
            self,
            buffer.lines,
            later,
            line_length=buffer.line_length,
            kind=kind,
            size=size,
            no_color=no_color,
            complete=self._complete,
            secret=strays.typed_in,
        )

    def release(self) -> None:
        """Drop what refers back: nothing is typed any more."""
        self._connection = self._leaver = self.terminal = NOT_SERVED

    def share(self, size: int) -> tuple[int, int]:
        """Return how many of *size* bytes are processed first, and what they cost."""
        size = min(size, PIECE_BYTES)
        return size, size + READ_COST

    @property
    def overfull(self) -> bool:
        """Whether more keys wait than should; however many lines do, Ctrl-C drops them."""
        return self.terminal.backlog > MAX_WAITING_BYTES

    def wanted(self, line: Line) -> bool:
        """Return whether *line*, which was typed, is to be interpreted."""
        asking = self._connection.asking
        if line.hidden and not asking:
            # Nothing asks for it any more, and it is nobody's business.
            return False
        if asking and not line.hidden:
            self.terminal.forget(line.text)
        self.hidden = line.hidden
        return True

    def _complete(self, before: str, after: str) -> Sequence[str]:
        """The terminal: what the word at the end of *before* may become."""
        return complete(self._connection, before, after)

    @property
    def prompt(self) -> Sequence[str]:
        """The terminal: what its prompt may say, the longest first; nothing if unknown."""
        connection = self._connection
        if connection.room is None:
            return ()
        name = connection.user.name
        prompts = (f"{name} #{connection.room.name}", name)
        news = sorted(unread(connection), key=lambda one: (-one.mentions, -one.lines))
        if not news:
            return prompts
        more = f", +{len(news) - MAX_NEWS}" if len(news) > MAX_NEWS else ""
        listed = ", ".join(one.short for one in news[:MAX_NEWS])
        return f"{prompts[0]} | {listed}{more}", f"{prompts[0]} | {news[0].short}", *prompts

    def told(self, text: str) -> None:
        """The terminal: the user is to know something."""
        self._connection.notice(text)

    def ended(self) -> None:
        """The terminal: the user wants to leave."""
        self._leaver.leave()

    def draw_later(self) -> None:
        """The terminal: it has to be drawn at the end of the turn."""
        self._connection.chat.draw_later(self.terminal.draw)
