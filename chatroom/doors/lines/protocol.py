"""The line protocol: a connection over which a user sends lines, or keys at a terminal.

A `LineProtocol` joins parts that know nothing of one another, and is what Twisted, the factory, the
writer and the session see of the connection:

    state       how far the connection has come             lines/state.py
    intake      bytes and lines that wait, and the throttle lines/intake.py
    buffer      lines made of bytes                         lines/buffer.py
    keys        lines made of keys, and the screen          lines/keys.py
    writer      what is sent                                doors/writer.py
    session     the user's part in the chat                 chat/session.py

Most connections of a large room never send a byte: their way in is made with the first one.
"""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.actions import login
from chatroom.actions.handler import TEXT
from chatroom.chat.session import Session
from chatroom.commands.interpreter import Interpreter
from chatroom.doors.factory import NOT_SERVED, is_encrypted, tune
from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.lines.commands import COMMANDS
from chatroom.doors.lines.intake import Intake
from chatroom.doors.lines.keys import KeyInput
from chatroom.doors.lines.state import State
from chatroom.doors.throttle import ByteThrottle
from chatroom.doors.writer import Writer
from chatroom.formats.format import Format
from chatroom.formats.plain import PLAIN, plain
from chatroom.model.clock import Call
from chatroom.model.events import SERVER, Noticed
from chatroom.model.identity import Identity
from chatroom.model.preferences import Preferences
from chatroom.model.refused import Code, Refused
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import Kind

log = Logger()

#: Bytes of one read, which is what one connection may do before the next has its turn.
READ_BYTES: Final = 8192

#: What is said of a terminal to users who have one.
TERMINAL_HINT: Final = "Tab completes, the arrow keys edit. For screen readers: /reader on."


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class LineProtocol(LineReceiver):
    """One connection, and the parts that it is made of.

    source, address: see factory.DoorFactory.
    """

    delimiter = b"\n"
    transport: Any
    factory: Any
    source: str
    address: str
    state = State.HANDSHAKE
    # From `serve` until `release`.
    session: Session = NOT_SERVED
    writer: Writer = NOT_SERVED
    # From the first input until `release`.
    buffer: LineBuffer = NOT_SERVED
    interpreter: Interpreter = NOT_SERVED
    _intake: Intake | None = None
    #: What makes lines of keys; None while the client sends lines.
    keys: KeyInput | None = None
    #: Why the server closes the connection, see factory.Connected.
    closing = ""

    # What most connections never change stands here, not once for each of them.
    _told_utf8 = False
    _told_overlong = False

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def serve(self) -> None:
        """Begin with a connection that can be used; for the factory."""
        self.transport.bufferSize = READ_BYTES
        tune(self.transport, self.factory.chat.limits)
        self.writer = self.make_writer()
        self.session = self.make_session()
        self.state = self.state.serve()
        self.came()

    def begin(self, identity: Identity | None = None) -> None:
        """Open the session, for the user with this *identity* or for a guest."""
        login.open_session(self.session, identity)
        self.state = self.state.begin()

    # -- what differs where there is more under the lines than a socket

    def make_buffer(self) -> LineBuffer:
        """Return what makes lines of bytes."""
        return LineBuffer(self.factory.line_length)

    def make_writer(self) -> Writer:
        """Return the writing side."""
        chat = self.factory.chat
        return Writer(self.transport, self, chat.call_later, chat.limits.stall_timeout)

    def make_session(self) -> Session:
        """Return the session, which is not open yet."""
        return Session(self.factory.chat, self, self.writer, TEXT, COMMANDS, self.source)

    def came(self) -> None:
        """Tell the factory that all is made, and begin."""
        self.factory.joined(self)
        self.begin()

    def went(self, reason: Failure) -> None:
        """Tell the factory that the connection is gone."""
        self.factory.removed(self, self.source, reason)

    # -- the way in

    @property
    def intake(self) -> Intake:
        """What waits to be interpreted; made when it is asked for, see the top of the module."""
        if self._intake is None:
            session = self.session
            throttle = ByteThrottle(self.factory.chat, self)
            self.buffer = self.make_buffer()
            self.interpreter = Interpreter(session)
            self._intake = Intake(self, self.buffer, throttle, session, self.writer)
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
        self.session.refuse(
            f"Not said: a line may have at most {self.factory.line_length:,} bytes."
        )

    def _replaced(self, line: bytes) -> str:
        """Return what can be read of *line*, which is not UTF-8, and tell the user once."""
        if not self._told_utf8:
            self._told_utf8 = True
            self.log_input("sent what is not UTF-8", "input_not_utf8")
            self.session.notice(
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

    # -- what Twisted says of the connection

    def handshakeCompleted(self) -> None:
        """Twisted: TLS is agreed on."""
        self.factory.agreed(self)

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more, but may still read."""
        self.state = self.state.end_input()
        if self.state.takes_lines:
            self.intake.end()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        before = self.state
        properly = bool(reason.check(ConnectionDone))
        self.state = before.lose(properly=properly)
        if before is State.HANDSHAKE:
            self.went(reason)
            return
        if self.keys is not None:
            self.keys.terminal.end()
        self.went(reason)
        self.writer.lost()
        if self.state is State.DRAINING:
            self.session.disconnected()
            self.intake.end()
        else:
            if self._intake is not None:
                self._intake.stop()
            if not self.in_chat:
                pass
            elif before is State.STOPPED and properly:
                # The server has ended it, and not the user: nobody is to see them leave.
                self.session.disconnected()
            else:
                self.session.lost()
        self._release_if_over()

    # -- the end

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close; for the session, whose user has left."""
        if not self.closing:
            self.closing = "closed by the client" if self.state.left_by_client else "left"
        self.state = self.state.close()
        if self.keys is not None:
            farewell = self.keys.terminal.end(farewell)
        self.writer.close(farewell)
        self._release_if_over()

    @property
    def in_chat(self) -> bool:
        """Whether the session is open and not over."""
        return self.session.origin in self.factory.chat.sessions

    def _release_if_over(self) -> None:
        """Release the parts once connection and session are both over.

        While lines are handed in they are still needed: `proceeded` asks again when they are.
        """
        handing_in = self._intake is not None and self._intake.handing_in
        served = self.state is not State.CLOSED
        if self.state.lost and served and not (handing_in or self.in_chat):
            self.release()

    def release(self) -> None:
        """Drop the parts: the connection does nothing from here on.

        Reference cycles would wait for the garbage collector, which runs seldom and then delays
        everybody, the longer the more connections have gone meanwhile.
        """
        self.state = self.state.release()
        if self._intake is not None:
            self._intake.stop()
        if self.keys is not None:
            self.keys.release()
        self._intake = self.keys = None
        self.session = self.interpreter = self.writer = self.buffer = NOT_SERVED

    # -- what the session asks and says

    def resume(self) -> None:
        """Go on with the input: the gate of the session is open again."""
        if self._intake is None:
            return
        self.interpreter.resume()
        if not self.session.gate.is_open:
            return
        self._intake.proceed()
        if self.state is not State.CLOSED and self.buffer.lines:
            self.session.waiting(len(self.buffer.lines))

    @property
    def origin(self) -> int:
        """The id of the connection."""
        return self.session.origin

    @property
    def opened(self) -> float:
        """When the connection came, by `Clock.seconds`."""
        return self.session.opened

    @property
    def spoken(self) -> int:
        """How many lines were said over it."""
        return self.session.spoken

    @property
    def place(self) -> str:
        """Where the other end is, in words."""
        return f"{self.address} ({'an encrypted' if self.encrypted else 'a plain'} line)"

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read along."""
        return is_encrypted(self.transport)

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

    def expelled(self, what: str) -> None:
        """Note why the session ends: an operator has *what* its user, 'kicked'."""
        self.closing = what

    # -- the terminal

    def ask_for_terminal(self) -> None:
        """Ask the client to send keys. Raises Refused."""
        if self.keys is not None:
            raise Refused(Code.ALREADY, "It is a terminal already. /terminal off ends that.")

    def take_terminal(self, kind: Kind, size: tuple[int, int], no_color: bool) -> None:
        """Take what comes from here on for keys, and draw on a screen of that *size*."""
        _ = self.intake
        buffer, session = self.buffer, self.session
        self.keys = KeyInput(
            session,
            self,
            self.writer,
            buffer,
            self.later,
            kind=kind,
            size=size,
            no_color=no_color,
        )
        terminal = self.keys.terminal
        session.write_to(terminal)
        session.use_preferences(session.user.preferences)
        if session.asking:
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
        self.session.write_to(self.writer)
        self.session.use_preferences(self.session.user.preferences)

    def resized(self, width: int, height: int) -> None:
        """Draw on a terminal of another size, in cells and rows, 0 for unknown."""
        if self.keys is not None:
            self.keys.terminal.resize((width, height))
            self.session.use_preferences(self.session.user.preferences)

    def leave(self) -> None:
        """End the session once the lines that wait were taken; for the keys."""
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

    def drained(self) -> bool:
        """Write what there is; return whether nothing is left."""
        return self.session.drained()

    def flowing(self) -> None:
        """Go on with the input: the writer is not congested any more."""
        if self._intake is not None:
            self._intake.proceed()
        elif self.state.reads:
            self.transport.resumeProducing()

    def cut(self) -> None:
        """End the session of a client that has read nothing for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"
        if self.in_chat:
            self.session.lost("not reading")

    # -- what the factory says

    def limit(self, line_length: int) -> None:
        """Let a line have so many bytes from here on."""
        if self._intake is not None:
            self.buffer.line_length = line_length
        if self.keys is not None:
            self.keys.terminal.limit(line_length)

    def expel(self, told: str, what: str, why: str) -> None:
        """End the session for an operator, see Session.expel."""
        self.session.expel(told, what, why)

    def stop_reading(self) -> None:
        """Take no more input: the server stops."""
        self.state = self.state.stop()
        if self._intake is not None:
            self._intake.throttle.stop()
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """Say that the server stops, and close."""
        self.closing = "the server stops"
        now = self.factory.chat.clock.time()
        self.close(PLAIN.encode(Noticed(now, SERVER, "The server is shutting down.")))

    def drop(self) -> None:
        """Close without sending anything more."""
        self.writer.abort()
