"""Conversations: what all doors have in common that lead to a session.

The rule: bytes come in as fast as they may, and no faster than what they lead to goes out. While
the gate is closed, or the writer congested, lines wait here; when enough of them do, the
connection is not read.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom import commands
from chatroom.actions import login, strays
from chatroom.actions.handler import TEXT
from chatroom.chat.chat import Chat
from chatroom.chat.session import Session
from chatroom.commands import command
from chatroom.commands.completion import complete
from chatroom.commands.interpreter import Interpreter
from chatroom.doors.factory import NOT_SERVED, DoorFactory, is_encrypted, peer_ended, tune
from chatroom.doors.lines.buffer import Lines
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
from chatroom.terminal.terminal import TURN_COST, Kind, Terminal, not_said

log = Logger()

#: Bytes of one read, which is what one connection may do before the next has its turn.
READ_SIZE: Final = 8192

#: What takes longer than text is looked at in pieces of so many bytes.
BITE: Final = 1024

#: The same for keys. The longest line fits with its Enter, so that a line that comes all at once is
#: not drawn before it is said.
KEYS_BITE: Final = 2560

#: What one read of keys costs of the byte rate: whoever types sends each by itself.
KEYS_COST: Final = 16

#: A connection is read while fewer lines, and bytes in them, wait; so what stops a paste, and a
#: close, are seen at once.
WAITING_LINES: Final = 256
WAITING_BYTES: Final = 16 * 1024

#: The same at a terminal, of keys.
WAITING_KEYS: Final = 4096

#: How often, in seconds, a connection whose lines wait is asked whether its client has closed, and
#: for how long they may go on waiting then: a room must not be haunted.
LOOK: Final = 10.0
LINGER: Final = 300.0

#: What is said of a terminal to those who have one.
TERMINAL_HINT: Final = "Tab completes, the arrow keys edit. For screen readers: /reader on."

#: What can be typed at these doors: the slash commands, and one that is theirs.
COMMANDS = dict(commands.COMMANDS)


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class LineProtocol(LineReceiver):
    """One connection, what comes in over it, and its session."""

    delimiter = b"\n"
    transport: Any
    factory: Any
    source: str
    address: str
    intake: Lines
    # From `serve` until `release`.
    session: Session = NOT_SERVED
    interpreter: Interpreter = NOT_SERVED
    writer: Writer = NOT_SERVED
    throttle: ByteThrottle = NOT_SERVED

    # What most connections never change stands here, not once for each of them.
    #: Whether there are a session, a writer and a throttle: from `serve` until `release`.
    _served = False
    _begun = False
    _raw = b""
    _reading = True
    _handing_in = False
    _ended = False
    _leaving = False
    _lost = False
    _stopped = False
    _told_utf8 = False
    _overlong = False
    _look_at = 0.0
    _seen_ended = 0.0
    _typed_hidden = False
    #: What draws on the other end's screen; None while that sends lines.
    terminal: Terminal | None = None
    #: Why the server closes the connection, see factory.Connected.
    closing = ""

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def serve(self) -> None:
        """The factory: the connection can be used."""
        self.transport.bufferSize = READ_SIZE
        self.intake = self.make_intake()
        self.throttle = ByteThrottle(self.factory.chat, self)
        tune(self.transport, self.factory.chat.limits)
        self.writer = self.make_writer()
        self.session = self.make_session()
        self.interpreter = Interpreter(self.session)
        self._served = True
        self.came()

    def begin(self, identity: Identity | None = None) -> None:
        """Let the conversation begin."""
        login.open_session(self.session, identity)
        self._begun = True

    # -- what is otherwise where there is more under the lines than a socket

    def make_intake(self) -> Lines:
        """What makes lines of bytes."""
        return Lines(self.factory.line_length)

    def make_writer(self) -> Writer:
        """The writing side."""
        chat = self.factory.chat
        return Writer(self.transport, self, chat.call_later, chat.limits.stall_timeout)

    def make_session(self) -> Session:
        """The conversation, which is not open yet."""
        return Session(self.factory.chat, self, self.writer, TEXT, COMMANDS, self.source)

    def came(self) -> None:
        """All is made: tell the factory, and begin."""
        self.factory.joined(self)
        self.begin()

    def went(self, reason: Failure) -> None:
        """The connection is gone: tell the factory."""
        self.factory.removed(self, self.source, reason)

    # -- from bytes to lines

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self.transport.disconnecting:
            return
        self._raw = self._raw + data if self._raw else data
        if not self.throttle.pausing:
            self._digest()
        self._hand_in()
        if self.intake.lines and data.startswith(b"/") and data.find(b"\n") == len(data) - 1:
            # A line that came by itself: a script may end with /quit what it sends in one go.
            self._overtake(len(self.intake.lines) - 1)

    def _digest(self) -> None:
        """Make lines of what came in, or some keys, as far as the byte rate allows."""
        throttle = self.throttle
        while self._raw and not throttle.pausing:
            data = self._raw
            share, cost = self.share(data)
            if share < len(data):
                data, self._raw = data[:share], data[share:]
            else:
                self._raw = b""
            self._take(data)
            throttle.spend(cost)
            if self.terminal is not None:
                # What comes of it is first.
                throttle.spend(self.terminal.spent())
                break

    def share(self, data: bytes) -> tuple[int, int]:
        """How much of *data* is looked at before anything else is, and what of the byte rate that
        costs beside what it leads to; both in bytes.
        """
        size = len(data)
        if self.terminal is None:
            return size, size
        size = min(size, KEYS_BITE)
        return size, size + KEYS_COST

    def rested(self) -> None:
        """The throttle: more bytes may be dealt with."""
        self._guarded(self._digest)

    def _guarded(self, call: Callable[[], object]) -> None:
        """Do what there is to do after some time, and go on with the input."""
        origin = self.origin
        try:
            call()
            self._hand_in()
        except Exception:
            # The reactor would only log it.
            log.failure(
                "Input of connection {connection} failed",
                event="input_failed",
                connection=origin,
            )
            if self._served:
                self.writer.abort()

    def _later(self, delay: float, callable: Callable[..., object]) -> Call:
        """Do something about the input in *delay* seconds."""
        call: Call = self.factory.chat.clock.callLater(delay, self._guarded, callable)
        return call

    def _take(self, data: bytes) -> None:
        if self.terminal is None:
            self.take_text(data)
        else:
            self.take_keys(self.terminal, data)

    def take_text(self, data: bytes) -> None:
        """Make lines of *data*."""
        intake = self.intake
        intake.take(data)
        if intake.overlong:
            beginning, intake.overlong = intake.overlong, b""
            self.lineLengthExceeded(beginning)

    def take_keys(self, terminal: Terminal, data: bytes) -> None:
        """Make keys of *data*."""
        terminal.receive(data)

    def _hand_in(self) -> None:
        """Hand in the lines that wait, as far as they are taken."""
        if self._handing_in or self._stopped:
            return
        lines, session = self.intake.lines, self.session
        writer, throttle = self.writer, self.throttle
        self._handing_in = True
        try:
            self._hand_in_waiting(lines, writer)
        except Exception:
            # Of a connection that is gone already Twisted would not tell once more.
            self._handing_in = False
            lines.clear()
            session.lost()
            raise
        self._handing_in = False
        pausing = throttle.pausing
        if self.terminal is not None and not pausing and (self._keys_wait or self._raw):
            throttle.give_way()
            pausing = True
        if lines and self.by_hand:
            self._overtake(0)
        if (self._ended or self._leaving) and not (lines or pausing):
            self._end_if_done()
        if not self._ended and not self.transport.disconnecting:
            stop = writer.congested or pausing
            if not stop and (lines or self.terminal is not None) and self._overfull():
                stop = True
                self._look()
            if stop is self._reading:
                self._read_on(not stop)
        self.factory.chat.flush_if_large()
        if self._lost:
            self._release_if_over()

    def _hand_in_waiting(self, lines: list[Any], writer: Writer) -> None:
        """Hand in *lines*, and what keys make of them, until something has to wait."""
        gate = self.session.gate
        done = spent = 0
        try:
            while True:
                if done < len(lines) and gate.is_open and (self._lost or not writer.congested):
                    line = lines[done]
                    done += 1
                    if isinstance(line, bytes):
                        self.lineReceived(line)
                    else:
                        self._typed(line)
                elif self.terminal is not None and self._keys_wait and spent < TURN_COST:
                    # Only now: what a line leads to decides whether the next one is shown.
                    self.terminal.work()
                    cost = self.terminal.spent()
                    self.throttle.spend(cost)
                    spent += cost
                else:
                    break
        finally:
            del lines[:done]

    def _end_if_done(self) -> None:
        """End the conversation: nothing that came in waits, and no more will come."""
        # A client that reads on gets all there is before it goes.
        if self.session.gate.is_open and (self._lost or not self.writer.congested):
            self.session.end()

    def _read_on(self, reading: bool) -> None:
        """Read from the socket, or leave it to the kernel to stop the client."""
        self._reading = reading
        if reading:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    @property
    def by_hand(self) -> bool:
        """Whether somebody types here, as far as that is known; else it may be a script."""
        return self.terminal is not None

    def _overtake(self, first: int) -> None:
        """Drop the lines that wait before a /quit, looked for from the *first* of them on, or all
        where the end of the input was typed.
        """
        lines = self.intake.lines
        if self.session.asking:
            return
        places = (place for place in range(first, len(lines)) if self._quits(lines[place]))
        place = len(lines) if self._leaving else next(places, 0)
        if place:
            self.intake.drop(place)
            self.session.notice(not_said(place))

    def _quits(self, line: bytes | Line) -> bool:
        """Whether *line*, which waits, is a /quit."""
        text = line.decode(errors="replace") if isinstance(line, bytes) else line.text
        if not text.startswith("/"):
            return False
        try:
            return commands.look_up(self.session, text[1:].split(maxsplit=1)[0]).name == "quit"
        except (Refused, IndexError):
            return False

    @property
    def _keys_wait(self) -> bool:
        """Whether there are keys that can be dealt with now."""
        return self.terminal is not None and not self.throttle.pausing and self.terminal.ready

    def _overfull(self) -> bool:
        """Whether more waits than should."""
        if self.terminal is not None:
            # However many lines wait, ^C drops them.
            return self.terminal.backlog > WAITING_KEYS
        lines = self.intake.lines
        return len(lines) > WAITING_LINES or sum(map(len, lines)) > WAITING_BYTES

    def _look(self) -> None:
        """A close is not seen while nothing is read: look for it, and do not wait for ever."""
        now = self.factory.chat.clock.seconds()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        if not peer_ended(self.transport):
            self._seen_ended = 0.0
        elif not self._seen_ended:
            self._seen_ended = now
        elif now - self._seen_ended > LINGER:
            self.intake.clear()
            self.session.end()

    # -- from lines to text

    def lineReceived(self, line: bytes) -> None:
        """One line, without its LF, that the session is ready for."""
        line = line.removesuffix(b"\r")
        if len(line) > self.factory.line_length:
            self.lineLengthExceeded(line)
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = self._replaced(line)
        self.interpreter.received(text)

    def _typed(self, line: Line) -> None:
        """One line from the terminal, that the session is ready for."""
        session = self.session
        if line.hidden and not session.asking:
            # Nobody asks for it any more, and it is nobody's business.
            return
        if session.asking and not line.hidden and self.terminal is not None:
            self.terminal.forget(line.text)
        self._typed_hidden = line.hidden
        self.interpreter.received(line.text, blank=line.pasted)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long, of which *line* is the beginning: the connection lives."""
        if not self._overlong:
            self._overlong = True
            self.log_input("sent a line that is too long", "input_overlong")
        self.session.refuse(
            f"Not said: a line may have at most {self.factory.line_length:,} bytes."
        )

    def _replaced(self, line: bytes) -> str:
        if not self._told_utf8:
            self._told_utf8 = True
            self.log_input("sent what is not UTF-8", "input_not_utf8")
            self.session.notice(
                "Your line was not UTF-8; what could not be read was said as \ufffd."
            )
        return line.decode(errors="replace")

    def log_input(self, what: str, event: str) -> None:
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
        self._ended = True
        self._end_of_input()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        self._ended = self._lost = True
        if not self._served:
            self.went(reason)
            return
        self.throttle.stop()
        if self.terminal is not None:
            self.terminal.end()
        self.went(reason)
        self.writer.lost()
        if self._begun:
            if reason.check(ConnectionDone):
                self.session.disconnected()
                self._end_of_input()
            else:
                self._raw = b""
                self.intake.clear()
                self.session.lost()
        self._release_if_over()

    def _release_if_over(self) -> None:
        """Release what was served, once connection and conversation are both over.

        While lines are handed in it is still needed: `_hand_in` asks again when they are.
        """
        if not self._served or not self._lost or self._handing_in:
            return
        if self.session.origin not in self.factory.chat.sessions:
            self.release()

    def release(self) -> None:
        """Drop what was served: the connection does nothing from here on.

        Reference cycles would wait for the garbage collector, which runs seldom and then delays
        everybody, the longer the more connections have gone meanwhile.
        """
        self._served = False
        self._stopped = True
        self.throttle.stop()
        self.intake.clear()
        self.terminal = None
        self.session = self.interpreter = self.writer = self.throttle = NOT_SERVED

    def _end_of_input(self) -> None:
        """What a script sent counts, its last line even without an end.

        What somebody typed, or pasted, who has gone while it waits does not.
        """
        if self._stopped:
            return
        self.throttle.stop()
        if self.by_hand:
            self._raw = b""
            self.intake.clear()
        raw, self._raw = self._raw, b""
        if raw:
            self._take(raw)
        self.intake.end()
        self._hand_in()

    # -- what the session says

    def resume(self) -> None:
        """The session: input may go on."""
        self.interpreter.resume()
        if not self._served or not self.session.gate.is_open:
            return
        self._hand_in()
        if self.intake.lines:
            self.session.waiting(len(self.intake.lines))

    @property
    def origin(self) -> int:
        """For the factory: the connection's number."""
        return self.session.origin

    @property
    def opened(self) -> float:
        """For the factory: when it came."""
        return self.session.opened

    @property
    def spoken(self) -> int:
        """For the factory: how many lines were said over it."""
        return self.session.spoken

    @property
    def place(self) -> str:
        """For the session: where the other end is."""
        return f"{self.address} ({'an encrypted' if self.encrypted else 'a plain'} line)"

    @property
    def encrypted(self) -> bool:
        """For the session: whether nobody on the way can read along."""
        return is_encrypted(self.transport)

    @property
    def hidden(self) -> bool:
        """For the session: whether the client did not show what was typed."""
        return self.terminal is not None and self._typed_hidden

    @property
    def echo(self) -> bool:
        """For the session: whether its own lines are to be sent to it."""
        return self.terminal is not None and self.terminal.echo

    @property
    def hint(self) -> str:
        """For the session: what its greeting says of this door."""
        return "" if self.terminal is None else TERMINAL_HINT

    @property
    def height(self) -> int:
        """For the session: how many rows the window has, 0 for unknown."""
        return 0 if self.terminal is None else self.terminal.height

    def format_for(self, preferences: Preferences) -> Format:
        """The session: show things like that."""
        return (
            plain(preferences) if self.terminal is None else self.terminal.format_for(preferences)
        )

    def hide_input(self) -> bool:
        """The session: what is typed next is not to be shown."""
        if self.terminal is not None:
            self.terminal.hide()
        return self.terminal is not None

    def show_input(self) -> None:
        """The session: what is typed may be shown again."""
        if self.terminal is not None:
            self.terminal.unhide()

    def expelled(self, what: str) -> None:
        """The session: an operator ends it, who has *what* them."""
        self.closing = what

    def close(self, farewell: bytes) -> None:
        """The session: the conversation is over."""
        if not self.closing:
            gone = self._ended or self._leaving
            self.closing = "closed by the client" if gone else "left"
        self.take_leave(farewell)
        self._release_if_over()

    def take_leave(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close."""
        if self.terminal is not None:
            farewell = self.terminal.end(farewell)
        self.writer.close(farewell)

    # -- the terminal

    def ask_for_terminal(self) -> None:
        """Somebody wants a terminal. Raises Refused."""
        if self.terminal is not None:
            raise Refused(Code.ALREADY, "It is a terminal already. /terminal off ends that.")

    def take_terminal(self, kind: Kind, size: tuple[int, int], no_color: bool) -> None:
        """What comes from here on are keys, and there is a screen of that *size* to draw on."""
        intake = self.intake
        self.terminal = Terminal(
            self.writer,
            self,
            intake.lines,
            self._later,
            line_length=intake.line_length,
            kind=kind,
            size=size,
            no_color=no_color,
            complete=self._complete,
            secret=strays.typed_in,
        )
        self.session.write_to(self.terminal)
        self.session.use_preferences(self.session.user.preferences)
        if self.session.asking:
            self.terminal.hide()
        self.terminal.begin()
        tail, intake.tail = intake.tail, b""
        self.terminal.receive(tail)

    def take_lines(self) -> None:
        """What comes from here on are lines. Raises Refused."""
        if self.terminal is None:
            raise Refused(Code.ALREADY, "It is no terminal. /terminal makes it one.")
        self.writer.insert(self.terminal.end())
        self.terminal = None
        self.session.write_to(self.writer)
        self.session.use_preferences(self.session.user.preferences)

    def limit(self, line_length: int) -> None:
        """The factory: a line may have so many bytes from here on."""
        self.intake.line_length = line_length
        if self.terminal is not None:
            self.terminal.limit(line_length)

    def resized(self, width: int, height: int) -> None:
        """The terminal has another size, in cells and rows, 0 for unknown."""
        if self.terminal is not None:
            self.terminal.resize((width, height))
            self.session.use_preferences(self.session.user.preferences)

    def _complete(self, before: str, after: str) -> Sequence[str]:
        """The terminal: what the word at the end of *before* may become."""
        return complete(self.session, before, after)

    @property
    def prompt(self) -> tuple[str, str]:
        """For the terminal: the names that its prompt shows, empty before they are known."""
        session = self.session
        return ("", "") if session.arriving else (session.user.name, session.room.name)

    def told(self, text: str) -> None:
        """The terminal: this person is to know something."""
        self.session.notice(text)

    def ended(self) -> None:
        """The terminal: they want to leave."""
        self._leaving = True

    def draw_later(self) -> None:
        """The terminal: it has to be drawn at the end of the turn."""
        if self.terminal is not None:
            self.factory.chat.draw_later(self.terminal.draw)

    # -- what the writer and the factory say

    def stalled(self) -> None:
        """The writer: read no further."""
        if self._reading and not self._ended:
            self._read_on(False)

    def drained(self) -> bool:
        """The writer: it can take more."""
        return self.session.drained()

    def flowing(self) -> None:
        """The writer: it is not congested any more."""
        self._hand_in()

    def cut(self) -> None:
        """The writer: nothing was read for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"
        if self._begun:
            self.session.lost("not reading")

    def expel(self, told: str, what: str, why: str) -> None:
        """The factory: an operator ends it."""
        self.session.expel(told, what, why)

    def stop_reading(self) -> None:
        """The factory: the server stops."""
        self._stopped = True
        self.throttle.stop()
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """The factory: the server is gone in a moment."""
        self.closing = "the server stops"
        text = "The server is shutting down."
        now = self.factory.chat.clock.time()
        self.take_leave(PLAIN.encode(Noticed(now, SERVER, text)))

    def drop(self) -> None:
        """The factory: time is up."""
        self.writer.abort()


@command("terminal", usage="[on|off]", into=COMMANDS, group="preferences")
def terminal(session: Session, rest: str) -> None:
    """edit lines here, apart from what arrives

    For telnet clients: Tab completes, the arrow keys edit and bring lines back,
    and what arrives is shown above what you type. /terminal off goes back to
    plain lines.
    """
    connection = session.connection
    assert isinstance(connection, LineProtocol)
    if rest.lower() in ("", "on"):
        connection.ask_for_terminal()
    elif rest.lower() == "off":
        connection.take_lines()
        session.notice("Back to plain lines.")
    else:
        raise Refused(Code.USAGE, "It can be on or off: /terminal on, /terminal off.")


class ConversationFactory(DoorFactory[Any]):
    """Makes the connections of a door that leads to sessions."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        #: The longest line taken, in bytes.
        self.line_length = chat.limits.line_length

    def configure(self) -> None:
        """The limits of the chat are other ones."""
        self.line_length = self.chat.limits.line_length
        for client in self.clients:
            client.limit(self.line_length)
