"""The line door: whoever comes with telnet, netcat or anything else that sends lines.

The rule: nothing is sent that is not UTF-8 text in lines, and no telnet command to a client that
has not shown that it speaks telnet.
"""

import re
from typing import Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.chat import Chat
from chatroom.doors.door import DoorFactory, tune
from chatroom.doors.outlet import Outlet, Timers
from chatroom.doors.telnet import IAC, Command, Telnet
from chatroom.events import SERVER, Noticed
from chatroom.formats import PLAIN
from chatroom.limits import source_of
from chatroom.session import Session

log = Logger()

#: Bytes of one read, which is what one connection may do before the next has its turn.
READ_SIZE: Final = 8192

#: The longest line that is taken, in bytes.
LINE_LENGTH: Final = 2048

#: What the end-of-file key leaves in a line (ASCII EOT).
EOT: Final = "\x04"

#: A browser was tricked into posting to this port (RFC 9112, section 3).
HTTP: Final = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?")

#: How a TLS ClientHello begins: a handshake record of version 3 (RFC 8446, section 5.1).
TLS_HELLO: Final = b"\x16\x03"


@implementer(IHalfCloseableProtocol)
class ChatProtocol(LineReceiver):
    """One connection that sends lines ended by LF, CR LF or CR NUL.

    Lines wait in it while the session is held or the outlet is congested; meanwhile the
    connection is not read.
    """

    delimiter = b"\n"
    transport: Any
    factory: "ChatFactory"
    session: Session
    outlet: Outlet

    # What most connections never change stands here, not once for each of them.
    _tail = b""
    _reading = True
    _handing_in = False
    _first = True
    _skipping = False
    _ended = False
    _lost = False
    _withheld = False
    # How many of the lines that come next began before the client's BINARY was on.
    _begun_before = 0
    _told_utf8 = False

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        try:
            self._begin()
        except Exception:
            # Twisted would leave it open and served, half made.
            log.failure("A connection could not be served")
            self.transport.abortConnection()

    def _begin(self) -> None:
        factory, transport = self.factory, self.transport
        tune(transport)
        transport.bufferSize = READ_SIZE
        self._lines: list[bytes] = []
        self.telnet = Telnet()
        self.outlet = Outlet(transport, self, factory.later, factory.stall_timeout)
        source = source_of(getattr(transport.getPeer(), "host", None))
        self.session = Session(factory.chat, self, self.outlet, PLAIN, source)
        if factory.joined(self):
            self.session.open()
        else:
            self.dismiss()

    # -- from bytes to lines

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if IAC in data or self.telnet.pending:
            self._take_telnet(data)
        else:
            self._take(data)
        if self._first and self._tail.startswith(TLS_HELLO):
            self._refuse()
        self._hand_in()

    def _take_telnet(self, data: bytes) -> None:
        telnet = self.telnet
        asked = False
        for part in telnet.receive(data):
            if isinstance(part, bytes):
                self._take(part)
            elif part is Command.ERASE_CHARACTER:
                self._tail = self._tail.decode(errors="surrogateescape")[:-1].encode(
                    errors="surrogateescape"
                )
            elif part is Command.ERASE_LINE:
                self._tail = b""
            elif part is Command.OVERLONG:
                self._skip_line()
            elif part is Command.ARE_YOU_THERE:
                asked = True
            elif part is Command.BINARY_ON:
                self._begun_before = len(self._lines) + bool(self._tail)
        self._answer_telnet()
        if asked:
            self.session.notice(f"Yes, {self.factory.chat.settings.name} is here.")

    def _answer_telnet(self) -> None:
        answers = self.telnet.answers()
        if answers:
            self.outlet.insert(answers)

    def _take(self, data: bytes) -> None:
        data = self._tail + data
        if b"\0" in data:
            # RFC 854: a bare carriage return; Enter in character mode.
            data = data.replace(b"\r\0", b"\n")
        lines = data.split(b"\n")
        self._tail = lines.pop()
        if lines:
            if self._skipping:
                self._skipping = False
                del lines[0]
            self._lines += lines
        if len(self._tail) > self.factory.line_length or self._skipping:
            if not self._skipping:
                self._skip_line()
            self._tail = b""

    def _skip_line(self) -> None:
        """What came of this line, and what will, is not said."""
        self._skipping = True
        self._tail = b""
        self.session.notice(
            f"Not said: a line may have at most {self.factory.line_length:,} bytes."
        )

    def _hand_in(self) -> None:
        """Hand in the lines that wait, as far as they are taken."""
        if self._handing_in:
            return
        lines, session, outlet = self._lines, self.session, self.outlet
        self._handing_in = True
        done = 0
        try:
            for line in lines:
                if session.held or (outlet.congested and not self._lost):
                    break
                done += 1
                self.lineReceived(line)
        finally:
            self._handing_in = False
            del lines[:done]
        if self._ended:
            if not lines and not session.held:
                session.end()
        elif bool(lines or outlet.congested) is self._reading:
            self._reading = not self._reading
            if self._reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()
        self.factory.chat.relieve()

    # -- from lines to text

    def lineReceived(self, line: bytes) -> None:
        """One line, without its LF, that the session is ready for."""
        if self._first:
            self._first = False
            if HTTP.fullmatch(line) or line.startswith(TLS_HELLO):
                self._refuse()
                return
        if len(line) > self.factory.line_length:
            self.lineLengthExceeded(line)
            return
        ended_cr = line.endswith(b"\r")
        if ended_cr:
            line = line[:-1]
        if ended_cr and not self.telnet.spoken and not line.isascii():
            self.telnet.evidence()
            self._answer_telnet()
        may_be_damaged = self.telnet.spoken and (self._begun_before or not self.telnet.binary)
        if self._begun_before:
            self._begun_before -= 1
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
        """A line that came in whole was too long: it is refused and the connection lives."""
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
            self.session.notice(
                "Your line was not UTF-8; what could not be read was said as \ufffd."
            )
        return line.decode(errors="replace")

    def _refuse(self) -> None:
        """Whoever is there is not a person: no word."""
        self._first = False
        self._lines.clear()
        self._tail = b""
        self.session.end()
        self.outlet.close(b"")

    # -- what Twisted says of the connection

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more, but may still read."""
        self._ended = True
        self._end_of_input()

    def writeConnectionLost(self) -> None:
        """Twisted: our side is closed. Only we close it."""

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Twisted: the connection is gone."""
        self._ended = self._lost = True
        self.outlet.lost()
        self.factory.parted(self)
        if reason.check(ConnectionDone):
            self.session.closed = True
            self._end_of_input()
        else:
            self._lines.clear()
            self.session.lost()

    def _end_of_input(self) -> None:
        """What was sent counts, its last line even without an end."""
        tail, self._tail = self._tail, b""
        if tail and not self._skipping:
            self._lines.append(tail)
        self._hand_in()

    # -- what the session, the outlet and the factory say

    def resume(self) -> None:
        """The session: input may go on."""
        self._hand_in()

    def close(self, farewell: bytes) -> None:
        """The session: the conversation is over."""
        self.outlet.close(farewell)

    def stalled(self) -> None:
        """The outlet: read no further."""
        if self._reading and not self._ended:
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
        self.session.lost("not reading")

    def stop_reading(self) -> None:
        """The factory: the server stops."""
        self._ended = True
        self._lines.clear()
        self.transport.pauseProducing()

    def dismiss(self) -> None:
        """The factory: the server is gone in a moment."""
        text = "The server is shutting down."
        now = self.factory.chat.clock.seconds()
        self.outlet.close(PLAIN.encode(Noticed(now, SERVER, text), True))

    def drop(self) -> None:
        """The factory: time is up."""
        self.outlet.abort()


class ChatFactory(DoorFactory[ChatProtocol]):
    """Makes the connections of the line door. line_length: the longest line taken, in bytes."""

    protocol: Any = ChatProtocol

    def __init__(
        self,
        chat: Chat,
        later: Timers,
        *,
        line_length: int = LINE_LENGTH,
        stall_timeout: float = 30.0,
    ) -> None:
        super().__init__(chat, later, stall_timeout)
        self.line_length = line_length
