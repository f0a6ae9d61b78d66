"""The line door: clients that send lines, such as telnet and netcat.

Nothing is sent that is not UTF-8 text in lines, and no telnet command to a client that has not
shown that it speaks telnet; until a user asks for a terminal, and the client agrees.
"""

from typing import Any, Final

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from chatroom.doors import openings
from chatroom.doors.lines.factory import LineFactory
from chatroom.doors.lines.keys import KeyInput
from chatroom.doors.lines.protocol import TERMINAL_HINT, LineProtocol
from chatroom.doors.telnet.buffer import TelnetLineBuffer
from chatroom.doors.telnet.charmode import CharacterMode
from chatroom.doors.telnet.codes import IAC, Command
from chatroom.doors.telnet.parser import Telnet
from chatroom.model.refused import Code, Refused
from chatroom.terminal.keys import Key
from chatroom.terminal.terminal import DEFAULT_SIZE, Kind, not_said

#: Commands take longer than text, so that they are processed in pieces of so many bytes.
PIECE_BYTES: Final = 1024

#: A telnet command costs as much of the byte rate as so many bytes: it takes that much longer.
COMMAND_COST: Final = 32

#: What the keys are for which telnet has commands of its own (RFC 854; RFC 1184, section 2.5).
KEYS: Final = {
    Command.INTERRUPT_PROCESS: Key.INTERRUPT,
    Command.ABORT: Key.INTERRUPT,
    Command.END_OF_FILE: Key.END_OF_FILE,
    Command.ERASE_CHARACTER: Key.BACKSPACE,
    Command.ERASE_LINE: Key.KILL_TO_START,
}

#: What is said of terminals to users who may have one.
TELNET_HINT: Final = "/terminal keeps what you type apart from what arrives."

#: What the end-of-file key leaves in a line (ASCII EOT).
EOT: Final = b"\x04"


class ChatProtocol(LineProtocol):
    """One connection at the line door, which may speak telnet."""

    buffer: TelnetLineBuffer

    # Whether the first line has still to show what kind of client this is.
    _first = True
    # Whether a damaged line was not said.
    _withheld = False
    # Whether the last line ended in CR LF.
    _ended_cr = False
    # Whether the user was told of terminals.
    _hinted = False
    # The attempt at a terminal that goes on; None for none.
    _takeover: CharacterMode | None = None

    def make_buffer(self) -> TelnetLineBuffer:
        """Return what makes lines of bytes, and knows telnet."""
        return TelnetLineBuffer(self.factory.line_length)

    def readConnectionLost(self) -> None:
        """Twisted: the client will send nothing more, but may still read."""
        # First, so that the connection has begun that the end of the input ends.
        if self._takeover is not None:
            self._takeover.ended()
        super().readConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        self._give_up_takeover()
        super().connectionLost(reason)

    # -- from bytes to lines

    def share(self, data: bytes) -> tuple[int, int]:
        """Return how many bytes of *data* are processed first, and what they cost."""
        if IAC not in data:
            return LineProtocol.share(self, data)
        _, cost = LineProtocol.share(self, data[:PIECE_BYTES])
        return PIECE_BYTES, cost + COMMAND_COST * data.count(IAC, 0, PIECE_BYTES)

    def take_text(self, data: bytes) -> None:
        """Make lines of *data*, and obey the telnet commands in it."""
        buffer = self.buffer
        buffer.take(data)
        if buffer.overlong:
            beginning, buffer.overlong = buffer.overlong, b""
            if self._first and not buffer.lines:
                opening = openings.recognised_early(beginning, long=True)
                if opening is not None:
                    self._turn_away(opening)
                    return
            self.lineLengthExceeded(beginning)
        if self._first and (opening := openings.recognised_early(buffer.tail)) is not None:
            self._turn_away(opening)
            return
        if buffer.commanded:
            self._commanded(buffer)

    def _commanded(self, buffer: TelnetLineBuffer) -> None:
        """Obey the telnet commands that came with text."""
        buffer.commanded = False
        self._answer_telnet()
        if buffer.interrupted:
            self._interrupted()
        if buffer.asked:
            buffer.asked = False
            self._say_yes()
        if self._takeover is not None:
            self._takeover.look()

    def take_keys(self, keys: KeyInput, data: bytes) -> None:
        """Make keys of *data*."""
        telnet, terminal = self.buffer.telnet, keys.terminal
        size = telnet.size
        parts: list[bytes | Command] = [data]
        if IAC in data or telnet.pending:
            parts = telnet.receive(data)
        for part in parts:
            if isinstance(part, bytes):
                terminal.receive(part)
            elif part in KEYS:
                terminal.press(KEYS[part])
            elif part is Command.ARE_YOU_THERE:
                self._say_yes()
        if telnet.size is not None and telnet.size != size:
            self.resized(*telnet.size)
        self._answer_telnet()
        if telnet.spoken and telnet.character_mode is False:
            # It has taken its word back.
            self.take_lines()

    def _interrupted(self) -> None:
        """Say nothing of what waited before the interrupting key."""
        buffer = self.buffer
        dropped, buffer.dropped, buffer.interrupted = buffer.dropped, 0, False
        if self.connection.asking:
            # A question for a secret is answered with an empty line, as at a terminal.
            buffer.lines.insert(0, b"")
        if dropped:
            self.connection.notice(not_said(dropped))

    @property
    def by_hand(self) -> bool:
        """Whether a user types here, as far as that is known."""
        return super().by_hand or self._spoken

    @property
    def _telnet(self) -> Telnet:
        """The parser of what the client sends."""
        _ = self.intake
        return self.buffer.telnet

    @property
    def _spoken(self) -> bool:
        """Whether the client has shown that it speaks telnet."""
        return self._intake is not None and self.buffer.telnet.spoken

    def _say_yes(self) -> None:
        """Answer AYT with something visible (RFC 854)."""
        self.connection.notice(f"Yes, {self.factory.chat.settings.name} is here.")

    def _answer_telnet(self) -> None:
        """Send what telnet has to say."""
        answers = self.buffer.telnet.answers()
        if answers:
            self.writer.insert(answers)

    # -- from lines to text

    def lineReceived(self, line: bytes) -> None:
        """Interpret one line, without its LF."""
        if self._first:
            # It is taken off the lines that wait when all have been handed in that can be.
            following = [other for other in self.buffer.lines[1:2] if isinstance(other, bytes)]
            opening = openings.recognised(line, *following)
            if opening is not None:
                self._turn_away(opening)
                return
            self._first = openings.goes_on(line)
        buffer, telnet = self.buffer, self.buffer.telnet
        begun_before = buffer.begun_before
        if begun_before:
            buffer.begun_before -= 1
        self._ended_cr = line.endswith(b"\r")
        if self._ended_cr and not telnet.spoken and not line.isascii():
            telnet.evidence()
            self._answer_telnet()
        if telnet.spoken and (begun_before or not telnet.binary) and self._withhold(line):
            return
        # ^D on an empty line of stock telnet: a key, not text.
        LineProtocol.lineReceived(self, line.lstrip(EOT))
        connection = self.connection
        # Not while something is asked, or a step goes on that may ask: the two belong together.
        if telnet.spoken and not self._hinted and connection.gate.is_open and not connection.asking:
            self._hinted = True
            connection.notice(TELNET_HINT)

    def _withhold(self, line: bytes) -> bool:
        """Return whether *line* is the first to arrive damaged, and is not said.

        Stock telnet strips the eighth bit to look for control keys until BINARY is on.
        """
        if self._withheld or _is_utf8(line):
            return False
        self._withheld = True
        self.connection.notice(
            "Not said: your line arrived damaged. That is cured; please send it again."
        )
        return True

    def _turn_away(self, opening: openings.Opening) -> None:
        """Close: the client looks for another kind of server."""
        self.log_input(opening.what, "stranger_refused")
        self.closing = "not a person"
        self._first = False
        self.intake.clear()
        if self.in_chat:
            self.connection.end()
        self.close(opening.answer)

    # -- what the connection says

    @property
    def hidden(self) -> bool:
        """Whether the client did not show what was typed."""
        return super().hidden if self.keys is not None else self._telnet.hidden

    @property
    def hint(self) -> str:
        """What the greeting says of this door."""
        if self.keys is not None:
            return super().hint
        if not self._spoken:
            return ""
        self._hinted = True
        return TELNET_HINT

    def hide_input(self) -> bool:
        """Have the client not show what is typed next; return whether it can be asked to."""
        if super().hide_input():
            return True
        if not self._speaks_telnet():
            return False
        self._telnet.hide()
        self._answer_telnet()
        return True

    def show_input(self) -> None:
        """Let what is typed be shown again."""
        super().show_input()
        if self.keys is None and self._spoken:
            self._telnet.show()
            self._answer_telnet()

    def _speaks_telnet(self) -> bool:
        """Return whether the client speaks telnet, when its user asks for a feature of it.

        netcat ends lines with LF alone: a user who asks in a line that ends in CR LF has telnet,
        and has had no other occasion to show it.
        """
        telnet = self._telnet
        if not telnet.spoken and self._ended_cr:
            telnet.evidence()
        return telnet.spoken

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close."""
        self._give_up_takeover()
        super().close(farewell)

    def stop_reading(self) -> None:
        """Take no more input: the server stops."""
        self._give_up_takeover()
        super().stop_reading()

    # -- the terminal

    def ask_for_terminal(self) -> None:
        """Ask the client to send keys. Raises Refused."""
        super().ask_for_terminal()
        if not self._speaks_telnet():
            raise Refused(
                Code.WRONG_CONNECTION,
                "That needs a telnet client, which yours does not seem to be.",
            )
        self._hinted = True
        if self._takeover is None:
            self._takeover = CharacterMode(
                self._telnet, self._answer_telnet, self.later, self._taken_over
            )
            self._takeover.begin()

    def _give_up_takeover(self) -> None:
        """Ask for no terminal any more, whether the client agrees or not."""
        takeover, self._takeover = self._takeover, None
        if takeover is not None:
            takeover.stop()

    def _taken_over(self, why: str) -> None:
        """Tell the user whether the client sends keys from here on; if not, *why*."""
        self._conclude(why)
        self.connection.notice(why or f"{TERMINAL_HINT} /terminal off goes back.")

    def _conclude(self, why: str) -> None:
        """Take the terminal, if there is no reason why not."""
        takeover, self._takeover = self._takeover, None
        assert takeover is not None
        telnet = self.buffer.telnet
        if not why:
            self.take_terminal(takeover.kind, telnet.size or DEFAULT_SIZE, telnet.no_color)

    def take_terminal(self, kind: Kind, size: tuple[int, int], no_color: bool) -> None:
        """Take what comes from here on for keys, and draw on a screen of that *size*."""
        # From here on it is the terminal that hides a secret, and not the client.
        self.buffer.telnet.show()
        super().take_terminal(kind, size, no_color)

    def take_lines(self) -> None:
        """Take what comes from here on for lines. Raises Refused."""
        super().take_lines()
        telnet = self.buffer.telnet
        if self.connection.asking:
            telnet.hide()
        telnet.give_back()
        self._answer_telnet()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class ChatFactory(LineFactory):
    """Makes the connections of the line door."""

    protocol: Any = ChatProtocol
    door = "line"
