"""The line protocol: a user sends lines over a connection, or keys at a terminal.

A `LineProtocol` joins parts that know nothing of one another, and is what Twisted, the factory, the
writer and the connection see of the connection:

    state, connection, writer  how it begins and ends  doors/connection.py
    intake                  what comes in, and waits lines/intake.py
    buffer                  lines made of bytes     lines/buffer.py
    keys                    lines made of keys      lines/keys.py

Most connections of a large room never send a byte: their way in is made with the first one.
"""

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver

from chatroom.actions.handler import TEXT
from chatroom.chat.connection import Connection
from chatroom.commands.interpreter import Interpreter
from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.lines.commands import COMMANDS
from chatroom.doors.lines.intake import Intake
from chatroom.doors.lines.keys import KeyInput
from chatroom.doors.protocol import DoorProtocol
from chatroom.doors.state import NOT_SERVED, State
from chatroom.doors.throttle import ByteThrottle
from chatroom.doors.writer import Writer
from chatroom.formats.format import Format
from chatroom.formats.plain import plain
from chatroom.model.clock import Call
from chatroom.model.preferences import Preferences
from chatroom.model.refused import Code, Refused
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import Kind

log = Logger()

#: What is said of a terminal to users who have one.
TERMINAL_HINT: Final = "Tab completes, the arrow keys edit. For screen readers: /reader on."


class LineProtocol(DoorProtocol, LineReceiver):
    """One connection, and the parts that it is made of."""

    delimiter = b"\n"
    # From the first input until `release`.
    buffer: LineBuffer = NOT_SERVED
    interpreter: Interpreter = NOT_SERVED
    _intake: Intake | None = None
    #: What makes lines of keys; None while the client sends lines.
    keys: KeyInput | None = None
    # What most connections never change stands here, not once for each of them.
    _told_utf8 = False
    _told_overlong = False

    def make_writer(self) -> Writer:
        """Return the writing side."""
        chat = self.factory.chat
        return Writer(self.transport, self, chat.call_later, chat.limits.stall_timeout)

    def make_connection(self) -> Connection:
        """Return the connection, which is not open yet."""
        return Connection(self.factory.chat, self, self.writer, TEXT, COMMANDS, self.source)

    # -- the way in

    def make_buffer(self) -> LineBuffer:
        """Return what makes lines of bytes."""
        return LineBuffer(self.factory.line_length)

    @property
    def intake(self) -> Intake:
        """What waits to be interpreted; made when it is first asked for."""
        if self._intake is None:
            connection = self.connection
            throttle = ByteThrottle(self.factory.chat, self)
            self.buffer = self.make_buffer()
            self.interpreter = Interpreter(connection)
            self._intake = Intake(self, self.buffer, throttle, connection, self.writer)
        return self._intake

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if not self.state.reads:
            return
        (self._intake or self.intake).receive(data)

    def share(self, data: bytes) -> tuple[int, int]:
        """Return how many bytes of *data* are processed first, and what they cost."""
        size = len(data)
        return (size, size) if self.keys is None else self.keys.share(size)

    def take(self, data: bytes) -> None:
        """Make lines of *data*, or keys."""
        if self.keys is None:
            self.take_text(data)
        else:
            self.take_keys(self.keys, data)

    def take_text(self, data: bytes) -> None:
        """Make lines of *data*."""
        buffer = self.buffer
        buffer.take(data)
        if buffer.overlong:
            beginning, buffer.overlong = buffer.overlong, b""
            self.lineLengthExceeded(beginning)

    def take_keys(self, keys: KeyInput, data: bytes) -> None:
        """Make keys of *data*."""
        keys.terminal.receive(data)

    def rested(self) -> None:
        """Process more bytes; for the throttle."""
        intake = self.intake
        intake.guarded(intake.digest)

    def later(self, delay: float, callable: Callable[..., object]) -> Call:
        """Do something about the input in *delay* seconds, and go on with it."""
        call: Call = self.factory.chat.clock.callLater(delay, self.intake.guarded, callable)
        return call

    def proceeded(self) -> None:
        """Do what is to be done after input was handed in."""
        self.factory.chat.flush_if_large()
        if self.state.lost:
            self._release_if_over()

    @property
    def by_hand(self) -> bool:
        """Whether a user types here, as far as that is known; else it may be a script."""
        return self.keys is not None

    # -- from lines to text

    def lineReceived(self, line: bytes) -> None:
        """Interpret one line, without its LF."""
        line = line.removesuffix(b"\r")
        if len(line) > self.factory.line_length:
            self.lineLengthExceeded(line)
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = self._replaced(line)
        self.interpreter.received(text)

    def typed(self, line: Line) -> None:
        """Interpret one line that was typed at the terminal."""
        if self.keys is None or self.keys.wanted(line):
            self.interpreter.received(line.text, blank=line.pasted)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is too long and begins with *line*; the connection lives."""
        if not self._told_overlong:
            self._told_overlong = True
            self.log_input("sent a line that is too long", "input_overlong")
        self.connection.refuse(
            f"Not said: a line may have at most {self.factory.line_length:,} bytes."
        )

    def _replaced(self, line: bytes) -> str:
        """Return what can be read of *line*, which is not UTF-8, and tell the user once."""
        if not self._told_utf8:
            self._told_utf8 = True
            self.log_input("sent what is not UTF-8", "input_not_utf8")
            self.connection.notice(
                "Your line was not UTF-8; what could not be read was said as \ufffd."
            )
        return line.decode(errors="replace")

    def log_input(self, what: str, event: str) -> None:
        """Log *what* the client does wrong."""
        log.info(
            "Connection {connection} from {address} {what}",
            event=event,
            connection=self.origin,
            address=self.address,
            source=self.source,
            what=what,
        )

    # -- the end, see DoorConnection

    def end_input(self) -> None:
        """Interpret what has come in: there will be no more."""
        self.intake.end()

    def drop_input(self) -> None:
        """Forget what has come in."""
        if self._intake is not None:
            self._intake.stop()

    @property
    def busy(self) -> bool:
        """Whether lines are being handed in."""
        return self._intake is not None and self._intake.handing_in

    def end_output(self, farewell: bytes) -> bytes:
        """Return what leaves the terminal as it was, below *farewell*."""
        return farewell if self.keys is None else self.keys.terminal.end(farewell)

    def release(self) -> None:
        """Drop the parts: the connection does nothing from here on."""
        super().release()
        self.drop_input()
        if self.keys is not None:
            self.keys.release()
        self._intake = self.keys = None
        self.interpreter = self.buffer = NOT_SERVED

    # -- what the connection asks and says

    def resume(self) -> None:
        """Go on with the input: the gate of the connection is open again."""
        intake = self._intake
        if intake is None:
            return
        lines = self.buffer.lines
        self.interpreter.resume()
        if self.state is State.CLOSED or not self.connection.gate.is_open:
            return
        intake.proceed()
        if lines:
            self.connection.waiting(len(lines))

    @property
    def hidden(self) -> bool:
        """Whether the client did not show what was typed."""
        return self.keys is not None and self.keys.hidden

    @property
    def echo(self) -> bool:
        """Whether the user's own lines are to be sent to it."""
        return self.keys is not None and self.keys.terminal.echo

    @property
    def hint(self) -> str:
        """What the greeting says of this door."""
        return "" if self.keys is None else TERMINAL_HINT

    @property
    def height(self) -> int:
        """How many rows the window has, 0 for unknown."""
        return 0 if self.keys is None else self.keys.terminal.height

    def format_for(self, preferences: Preferences) -> Format:
        """Return the format for these *preferences*, and draw by them from here on."""
        keys = self.keys
        return plain(preferences) if keys is None else keys.terminal.format_for(preferences)

    def hide_input(self) -> bool:
        """Have the client not show what is typed next; return whether it can be asked to."""
        if self.keys is not None:
            self.keys.terminal.hide()
        return self.keys is not None

    def show_input(self) -> None:
        """Let what is typed be shown again."""
        if self.keys is not None:
            self.keys.terminal.unhide()

    # -- the terminal

    def ask_for_terminal(self) -> None:
        """Ask the client to send keys. Raises Refused."""
        if self.keys is not None:
            raise Refused(Code.ALREADY, "It is a terminal already. /terminal off ends that.")

    def take_terminal(self, kind: Kind, size: tuple[int, int], no_color: bool) -> None:
        """Take what comes from here on for keys, and draw on a screen of that *size*."""
        _ = self.intake
        buffer, connection = self.buffer, self.connection
        self.keys = KeyInput(
            connection,
            self,
            self.writer,
            buffer,
            self.later,
            kind=kind,
            size=size,
            no_color=no_color,
        )
        terminal = self.keys.terminal
        connection.write_to(terminal)
        connection.use_preferences(connection.user.preferences)
        if connection.asking:
            terminal.hide()
        terminal.begin()
        tail, buffer.tail = buffer.tail, b""
        terminal.receive(tail)

    def take_lines(self) -> None:
        """Take what comes from here on for lines. Raises Refused."""
        if self.keys is None:
            raise Refused(Code.ALREADY, "It is no terminal. /terminal makes it one.")
        keys, self.keys = self.keys, None
        self.writer.insert(keys.terminal.end())
        keys.release()
        self.connection.write_to(self.writer)
        self.connection.use_preferences(self.connection.user.preferences)

    def resized(self, width: int, height: int) -> None:
        """Draw on a terminal of another size, in cells and rows, 0 for unknown."""
        if self.keys is not None:
            self.keys.terminal.resize((width, height))
            self.connection.use_preferences(self.connection.user.preferences)

    def leave(self) -> None:
        """End the connection once the lines that wait were taken; for the keys."""
        self.state = self.state.leave()

    # -- what the writer says

    def stalled(self) -> None:
        """Read no further: the writer is congested."""
        if not self.state.reads:
            return
        if self._intake is not None:
            self._intake.pause()
        else:
            self.transport.pauseProducing()

    def flowing(self) -> None:
        """Go on with the input: the writer is not congested any more."""
        if self._intake is not None:
            self._intake.proceed()
        elif self.state.reads:
            self.transport.resumeProducing()

    # -- what the factory says

    def limit(self, line_length: int) -> None:
        """Let a line have so many bytes from here on."""
        if self._intake is not None:
            self.buffer.line_length = line_length
        if self.keys is not None:
            self.keys.terminal.limit(line_length)

    def stop_reading(self) -> None:
        """Take no more input: the server stops."""
        self.state = self.state.stop()
        if self._intake is not None:
            self._intake.throttle.stop()
        self.transport.pauseProducing()
