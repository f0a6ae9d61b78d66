"""The line door: whoever comes with telnet, netcat or anything else that sends lines.

The rule: nothing is sent that is not UTF-8 text in lines, and no telnet command to a client that
has not shown that it speaks telnet.
"""

import re
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.chat import Chat
from chatroom.doors.door import DoorFactory, is_encrypted, peer_ended, tune
from chatroom.doors.intake import Intake
from chatroom.doors.outlet import Outlet
from chatroom.doors.telnet import IAC
from chatroom.events import SERVER, Noticed
from chatroom.formats import PLAIN
from chatroom.presence import Call
from chatroom.session import Session

log = Logger()

#: Bytes of one read, which is what one connection may do before the next has its turn.
READ_SIZE: Final = 8192

#: Bytes with telnet commands among them are looked at so many at a time, and a command costs as
#: much of the byte rate as so many bytes: it takes that much longer than text.
BITE: Final = 256
COMMAND_COST: Final = 32

#: A connection is read while fewer lines, and bytes in them, wait; so the end of a paste, and a
#: close, are seen at once.
WAITING_LINES: Final = 64
WAITING_BYTES: Final = 4096

#: How often, in seconds, a connection whose lines wait is asked whether its client has closed, and
#: for how long they may go on waiting then: a room must not be haunted.
LOOK: Final = 10.0
LINGER: Final = 300.0

#: What the end-of-file key leaves in a line (ASCII EOT).
EOT: Final = "\x04"

#: A browser was tricked into posting to this port (RFC 9112, section 3).
HTTP: Final = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?")

#: How a TLS ClientHello begins: a handshake record of version 3 (RFC 8446, section 5.1).
TLS_HELLO: Final = b"\x16\x03"

#: How either begins when its first line is too long to be looked at whole.
STRANGER: Final = re.compile(rb"[A-Z]+ /|\x16\x03")


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class ChatProtocol(LineReceiver):
    """One connection that sends lines ended by LF, CR LF or CR NUL.

    Lines wait in it while the session is held or the outlet is congested; meanwhile the
    connection is not read.
    """

    delimiter = b"\n"
    transport: Any
    factory: "ChatFactory"
    source: str
    address: str
    session: Session
    outlet: Outlet

    # What most connections never change stands here, not once for each of them.
    _begun = False
    _raw = b""
    _bytes_full_at = 0.0
    _rest: Call | None = None
    _reading = True
    _handing_in = False
    _first = True
    _ended = False
    _lost = False
    _stopped = False
    _withheld = False
    _ended_cr = False
    _told_utf8 = False
    _overlong = False
    _look_at = 0.0
    _seen_ended = 0.0
    #: Why the server closes the connection, see door.Connected.
    closing = ""

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        try:
            self._begin()
        except Exception:
            # Twisted would leave it open and served, half made.
            log.failure("A connection could not be served", event="connection_failed")
            self.transport.abortConnection()

    def _begin(self) -> None:
        self.transport.bufferSize = READ_SIZE
        self.intake = self.make_intake()
        tune(self.transport, self.factory.chat.limits)
        self.outlet = self.make_outlet()
        self.session = self.make_session()
        self.came()
        self._begun = True

    # -- what is otherwise where there is more under the lines than a socket

    def make_intake(self) -> Intake:
        """What makes lines of bytes."""
        return Intake(self.factory.line_length)

    def make_outlet(self) -> Outlet:
        """The writing side."""
        chat = self.factory.chat
        return Outlet(self.transport, self, chat.clock.callLater, chat.limits.stall_timeout)

    def make_session(self) -> Session:
        """The conversation, which is not open yet."""
        return Session(self.factory.chat, self, self.outlet, PLAIN, self.source)

    def came(self) -> None:
        """All is made: tell the factory, and begin."""
        self.factory.joined(self)
        self.session.open()

    def went(self, reason: Failure) -> None:
        """The connection is gone: tell the factory."""
        self.factory.parted(self, self.source, reason)

    # -- from bytes to lines

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self.transport.disconnecting:
            return
        self._raw = self._raw + data if self._raw else data
        if self._rest is None:
            self._digest()
        self._hand_in()

    def _digest(self) -> None:
        """Make lines of what came in, as far as the byte rate allows."""
        chat = self.factory.chat
        pace = chat.byte_pace
        while self._raw:
            data, self._raw = self._raw, b""
            cost = len(data)
            if IAC in data:
                data, self._raw = data[:BITE], data[BITE:]
                cost = len(data) + COMMAND_COST * data.count(IAC)
            self._take(data)
            if pace.rate:
                now = chat.clock.seconds()
                self._bytes_full_at = pace.spend(self._bytes_full_at, now, cost)
                wait = pace.wait(self._bytes_full_at, now)
                if wait > 0:
                    self._rest = chat.clock.callLater(wait, self._rested)
                    break

    def _rested(self) -> None:
        """There is a place for more bytes."""
        self._rest = None
        try:
            self._digest()
            self._hand_in()
        except Exception:
            # The reactor would only log it.
            log.failure(
                "Input of connection {connection} failed",
                event="input_failed",
                connection=self.origin,
            )
            self.outlet.abort()

    def _take(self, data: bytes) -> None:
        """Make lines of *data*, and say what there is to say about it."""
        intake = self.intake
        intake.take(data)
        if intake.overlong:
            beginning, intake.overlong = intake.overlong, b""
            if self._first and not intake.lines and STRANGER.match(beginning):
                self._refuse()
            else:
                self.lineLengthExceeded(beginning)
        if self._first and intake.tail.startswith(TLS_HELLO):
            self._refuse()
        self._answer_telnet()
        if intake.asked:
            intake.asked = False
            self.session.notice(f"Yes, {self.factory.chat.settings.name} is here.")

    def _answer_telnet(self) -> None:
        answers = self.intake.telnet.answers()
        if answers:
            self.outlet.insert(answers)

    def _hand_in(self) -> None:
        """Hand in the lines that wait, as far as they are taken."""
        if self._handing_in or self._stopped:
            return
        lines, session, outlet = self.intake.lines, self.session, self.outlet
        self._handing_in = True
        done = 0
        try:
            for line in lines:
                if session.held or (outlet.congested and not self._lost):
                    break
                done += 1
                self.lineReceived(line)
        except Exception:
            # Of a connection that is gone already Twisted would not tell once more.
            lines.clear()
            session.lost()
            raise
        finally:
            self._handing_in = False
            del lines[:done]
        if self._ended:
            # Whoever reads on gets all there is before they go.
            if not lines and not session.held and (self._lost or not outlet.congested):
                session.end()
        elif not self.transport.disconnecting:
            stop = (outlet.congested and not outlet.shaking_hands) or self._rest is not None
            if lines and not stop:
                stop = len(lines) > WAITING_LINES or sum(map(len, lines)) > WAITING_BYTES
                if stop:
                    self._look()
            if stop is self._reading:
                self._reading = not self._reading
                if self._reading:
                    self.transport.resumeProducing()
                else:
                    self.transport.pauseProducing()
        self.factory.chat.relieve()

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
        if self._first:
            self._first = False
            if HTTP.fullmatch(line) or line.startswith(TLS_HELLO):
                self._refuse()
                return
        intake, telnet = self.intake, self.intake.telnet
        begun_before = intake.begun_before
        if begun_before:
            intake.begun_before -= 1
        ended_cr = self._ended_cr = line.endswith(b"\r")
        if ended_cr:
            line = line[:-1]
        if len(line) > self.factory.line_length:
            self.lineLengthExceeded(line)
            return
        if ended_cr and not telnet.spoken and not line.isascii():
            telnet.evidence()
            self._answer_telnet()
        may_be_damaged = telnet.spoken and (begun_before or not telnet.binary)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            if may_be_damaged and not self._withheld:
                self._withhold()
                return
            text = self._replaced(line)
        # ^D on an empty line of stock telnet: a key, not text.
        self.session.received(text.lstrip(EOT))

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long, of which *line* is the beginning: the connection lives."""
        if not self._overlong:
            self._overlong = True
            self._log_input("sent a line that is too long", "input_overlong")
        self.session.notice(
            f"Not said: a line may have at most {self.factory.line_length:,} bytes."
        )

    def _withhold(self) -> None:
        """Stock telnet strips the eighth bit to look for control keys until BINARY is on."""
        self._withheld = True
        self.session.notice(
            "Not said: your line arrived damaged. That is cured; please send it again."
        )

    def _replaced(self, line: bytes) -> str:
        if not self._told_utf8:
            self._told_utf8 = True
            self._log_input("sent what is not UTF-8", "input_not_utf8")
            self.session.notice(
                "Your line was not UTF-8; what could not be read was said as \ufffd."
            )
        return line.decode(errors="replace")

    def _refuse(self) -> None:
        """Whoever is there is not a person: no word."""
        self._log_input("speaks HTTP or TLS", "stranger_refused")
        self.closing = "not a person"
        self._first = False
        self.intake.clear()
        self._raw = b""
        self.session.end()
        self.outlet.close(b"")

    def _log_input(self, what: str, event: str) -> None:
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
        self.outlet.agreed()

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more, but may still read."""
        self._ended = True
        self._end_of_input()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        self._ended = self._lost = True
        self.went(reason)
        if hasattr(self, "outlet"):
            self.outlet.lost()
        if not self._begun:
            return
        self._stop_rest()
        if reason.check(ConnectionDone):
            self.session.closed = True
            self._end_of_input()
        else:
            self.intake.clear()
            self.session.lost()

    def _end_of_input(self) -> None:
        """What was sent counts, its last line even without an end."""
        self._stop_rest()
        raw, self._raw = self._raw, b""
        if raw:
            self._take(raw)
        self.intake.end()
        self._hand_in()

    def _stop_rest(self) -> None:
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        self._rest = None

    # -- what the session, the outlet and the factory say

    def resume(self) -> None:
        """The session: input may go on."""
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
        """For the session: whether the client does not show what is typed."""
        return self.intake.telnet.hidden

    def hide_input(self) -> bool:
        """The session: what is typed next is not to be shown."""
        telnet = self.intake.telnet
        if not telnet.spoken and self._ended_cr:
            # netcat ends lines with LF alone: whoever asks to be asked for a password, in a line
            # that ends in CR LF, has telnet, and has had no other occasion to show it.
            telnet.evidence()
        if not telnet.spoken:
            return False
        telnet.hide()
        self._answer_telnet()
        return True

    def show_input(self) -> None:
        """The session: what is typed may be shown again."""
        self.intake.telnet.show()
        self._answer_telnet()

    def close(self, farewell: bytes) -> None:
        """The session: the conversation is over."""
        if not self.closing:
            self.closing = "closed by the client" if self._ended else "left"
        self.outlet.close(farewell)

    def stalled(self) -> None:
        """The outlet: read no further."""
        if self._reading and not self._ended and not self.outlet.shaking_hands:
            self._reading = False
            self.transport.pauseProducing()

    def drained(self) -> bool:
        """The outlet: it can take more."""
        return self.session.drained()

    def flowing(self) -> None:
        """The outlet: it is not congested any more."""
        self._hand_in()

    def cut(self) -> None:
        """The outlet: nothing was read for too long."""
        self.factory.chat.counters.cut += 1
        self.closing = "not reading"
        self.session.lost("not reading")

    def stop_reading(self) -> None:
        """The factory: the server stops."""
        self._stopped = True
        self._stop_rest()
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """The factory: the server is gone in a moment."""
        self.closing = "the server stops"
        text = "The server is shutting down."
        now = self.factory.chat.clock.seconds()
        self.outlet.close(PLAIN.encode(Noticed(now, SERVER, text), True))

    def drop(self) -> None:
        """The factory: time is up."""
        self.outlet.abort()


class ChatFactory(DoorFactory[ChatProtocol]):
    """Makes the connections of the line door."""

    protocol: Any = ChatProtocol
    door = "line"

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        #: The longest line taken, in bytes.
        self.line_length = chat.limits.line_length

    def configure(self) -> None:
        """The limits of the chat are other ones."""
        self.line_length = self.chat.limits.line_length
        for client in self.clients:
            client.intake.line_length = self.line_length
