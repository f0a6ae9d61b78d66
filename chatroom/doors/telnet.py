"""The telnet protocol's bytes, shared by the doors that speak it.

The rule here: nothing is sent to a client that has not shown that it speaks telnet, and
an answer is never answered. There is no transport in this module: bytes come in through
`Telnet.receive`, what must go back is taken out of `Telnet.answers`.

Why BINARY is asked for: in line mode inetutils' client looks for its control keys in the low
seven bits, so it takes bytes out of UTF-8 characters: silently (0x85), for a command (0x83 IP,
0x8F AO, 0x9A SUSP, 0x9C BRK), or with the rest of the line (0x9D, its escape key). The first
byte of a character is never one of these, so what arrives damaged is not valid UTF-8, provided
that the plain bytes on both sides of a command are still put together.

Line ends are not looked at. CR LF and CR NUL (RFC 854, "The NVT printer and keyboard") come
out as they came in; the NUL, too, is for whoever splits lines.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

# RFC 854, "TELNET command structure".
IAC: Final = b"\xff"
DONT: Final = b"\xfe"
DO: Final = b"\xfd"
WONT: Final = b"\xfc"
WILL: Final = b"\xfb"
SB: Final = b"\xfa"
GA: Final = b"\xf9"
EL: Final = b"\xf8"
EC: Final = b"\xf7"
AYT: Final = b"\xf6"
AO: Final = b"\xf5"
IP: Final = b"\xf4"
BRK: Final = b"\xf3"
DM: Final = b"\xf2"
NOP: Final = b"\xf1"
SE: Final = b"\xf0"
# RFC 885.
EOR: Final = b"\xef"
# RFC 1184, section 2.5: sent for the control keys without LINEMODE being agreed, too.
ABORT: Final = b"\xee"
SUSP: Final = b"\xed"
EOF: Final = b"\xec"

BINARY: Final = b"\x00"  # RFC 856
ECHO: Final = b"\x01"  # RFC 857
SUPPRESS_GO_AHEAD: Final = b"\x03"  # RFC 858
TIMING_MARK: Final = b"\x06"  # RFC 860
LINEMODE: Final = b"\x22"  # RFC 1184

# No option that has subnegotiations is ever agreed to, so an honest one is short and rare;
# without a bound a lost IAC SE would swallow everything a person says from then on.
MAX_SUBNEGOTIATION: Final = 4096
"""Bytes of a subnegotiation, counted after IAC SB, before it is given up."""


class Command(Enum):
    """What a client sent that a door must act on; the value stands for it on the wire."""

    END_OF_FILE = EOF
    SUSPEND = SUSP
    ABORT = ABORT
    BREAK = BRK
    INTERRUPT_PROCESS = IP
    ABORT_OUTPUT = AO
    ARE_YOU_THERE = AYT
    ERASE_CHARACTER = EC
    ERASE_LINE = EL
    BINARY_ON = WILL + BINARY
    """What follows is 8-bit clean; the line this falls into may have been damaged before."""
    BINARY_OFF = WONT + BINARY
    """What follows is no longer 8-bit clean."""
    OVERLONG = SB
    """A subnegotiation was given up: the bytes up to the next line end are not text."""

    @property
    def interrupts(self) -> bool:
        """Whether this is sent for an interrupting key, or for a byte mistaken for one."""
        return self in _INTERRUPTS


_INTERRUPTS: Final = frozenset(
    {
        Command.END_OF_FILE,
        Command.SUSPEND,
        Command.ABORT,
        Command.BREAK,
        Command.INTERRUPT_PROCESS,
        Command.ABORT_OUTPUT,
    }
)
_ACTED_ON: Final = {command.value: command for command in Command}
_NEGOTIATIONS: Final = (DO, DONT, WILL, WONT)


class Telnet:
    """One connection's side of the telnet protocol.

    After `receive` and after `evidence`, `answers` must be called and what it returns sent.
    A chunk without an IAC need not be given to `receive` while `pending` is false.
    """

    __slots__ = (
        "_answers",
        "_asking",
        "_echo_agreed",
        "_echo_asked",
        "_echoes",
        "_length",
        "_sends_binary",
        "_state",
        "binary",
        "spoken",
    )

    spoken: bool
    """The client has shown that it speaks telnet: from now on it may be sent an IAC."""
    binary: bool
    """What the client sends next is 8-bit clean: its WILL BINARY is agreed (RFC 856)."""

    def __init__(self) -> None:
        self.spoken = False
        self.binary = False
        # Our DO BINARY is not answered yet (WANTYES in RFC 1143, section 7).
        self._asking = False
        self._sends_binary = False
        # We have said WILL ECHO, the client has said DO ECHO to it, and so many of our WILL and
        # WONT ECHO are not answered yet.
        self._echoes = False
        self._echo_agreed = False
        self._echo_asked = 0
        # The byte the unfinished sequence waits after, empty outside of one. Inside a
        # subnegotiation it is SB, and SE after an IAC in there.
        self._state = b""
        self._length = 0
        # Made when there is something to answer: most connections are netcat or idle.
        self._answers: bytearray | None = None

    @property
    def pending(self) -> bool:
        """Whether the bytes so far end within a telnet sequence."""
        return bool(self._state)

    def receive(self, data: bytes) -> list[bytes | Command]:
        """Take the telnet commands out of *data*.

        Returns the plain bytes, in runs that are never empty and never adjacent, and between
        them, in order, the commands a door must act on. Sequences may be split over calls
        anywhere. Any command shows that the client speaks telnet, save a refusal.

        An IAC followed by a byte that is no command (below 236) is not telnet but text in some
        other encoding: both bytes are plain. IAC IAC is a plain 0xFF. Never raises.
        """
        received: list[bytes | Command] = []
        plain = bytearray()
        position = 0
        size = len(data)
        while position < size:
            state = self._state
            if not state:
                found = data.find(IAC, position)
                if found < 0:
                    plain += data[position:]
                    break
                plain += data[position:found]
                self._state = IAC
                position = found + 1
            elif state == SB:
                position = self._skip(data, position)
                if self._length >= MAX_SUBNEGOTIATION and self._state == SB:
                    self._give_up(received, plain)
            else:
                byte = data[position : position + 1]
                position += 1
                if state in _NEGOTIATIONS:
                    self._state = b""
                    binary = self.binary
                    self._negotiate(state, byte)
                    if self.binary != binary:
                        _flush(received, plain)
                        received.append(_ACTED_ON[state + byte])
                elif EOF <= byte < IAC:
                    # Any command ends a subnegotiation: after a lost IAC SE nothing else would.
                    self._command(byte, received, plain)
                elif state == IAC:
                    self._state = b""
                    plain += IAC if byte == IAC else IAC + byte
                else:
                    self._state = SB
                    self._length += 1
                    if self._length >= MAX_SUBNEGOTIATION:
                        self._give_up(received, plain)
        _flush(received, plain)
        return received

    def answers(self) -> bytes:
        """Take out what must be sent now: whole commands, never more bytes than were
        received, and three for the question that `evidence` asks."""
        if self._answers is None:
            return b""
        answers = bytes(self._answers)
        self._answers = None
        return answers

    def evidence(self) -> None:
        """The client has shown that it speaks telnet: ask it for BINARY, once.

        A door calls this for what is no command and yet a sign, such as a line that is not
        ASCII and ends in CR LF.
        """
        if self.spoken:
            return
        self.spoken = True
        if not self.binary:
            self._asking = True
            self._answer(DO, BINARY)

    @property
    def hidden(self) -> bool:
        """The client does not show what is typed."""
        return self._echoes and self._echo_agreed

    def hide(self) -> None:
        """Ask the client not to show what is typed, until `show` (RFC 857).

        We say that we echo, and do not. Only for a client that has shown that it speaks telnet.
        """
        if not self._echoes:
            self._echoes = True
            self._echo_agreed = False
            self._echo_asked += 1
            self._answer(WILL, ECHO)

    def show(self) -> None:
        """What is typed may be shown again."""
        if self._echoes:
            self._echoes = False
            self._echo_asked += 1
            self._answer(WONT, ECHO)

    def _skip(self, data: bytes, position: int) -> int:
        """Pass over a subnegotiation up to its next IAC, its bound, or the end of *data*."""
        end = min(len(data), position + MAX_SUBNEGOTIATION - self._length)
        found = data.find(IAC, position, end)
        if found >= 0:
            end = found + 1
            self._state = SE
        self._length += end - position
        return end

    def _give_up(self, received: list[bytes | Command], plain: bytearray) -> None:
        self._state = b""
        _flush(received, plain)
        received.append(Command.OVERLONG)

    def _command(self, byte: bytes, received: list[bytes | Command], plain: bytearray) -> None:
        if byte in _NEGOTIATIONS:
            self._state = byte
            return
        if byte == SB:
            self._state = SB
            self._length = 0
        else:
            self._state = b""
            command = _ACTED_ON.get(byte)
            if command is not None:
                _flush(received, plain)
                received.append(command)
        self.evidence()

    def _negotiate(self, verb: bytes, option: bytes) -> None:
        """Answer a request; take an answer (RFC 1143, section 7, for an option that is never
        switched off from this side, so its WANTNO states do not come up)."""
        if option == BINARY:
            if verb in (WILL, WONT):
                self._peer_binary(verb == WILL)
            else:
                self._own_binary(verb == DO)
        elif option == ECHO and verb in (DO, DONT):
            self._own_echo(verb == DO)
        elif verb == DO:
            # RFC 860: a mark is asked for again each time, and clients show nothing until then.
            self._answer(WILL if option == TIMING_MARK else WONT, option)
        elif verb == WILL:
            self._answer(DONT, option)
        # Nothing was asked before, so a refusal is no telnet: UTF-16 text begins with FF FE.
        if verb in (DO, WILL):
            # Only now, so that what the client says first is not taken for its answer.
            self.evidence()

    def _peer_binary(self, wanted: bool) -> None:
        asked, self._asking = self._asking, False
        if wanted != self.binary:
            self.binary = wanted
            if not asked:
                self._answer(DO if wanted else DONT, BINARY)

    def _own_binary(self, wanted: bool) -> None:
        if wanted != self._sends_binary:
            self._sends_binary = wanted
            self._answer(WILL if wanted else WONT, BINARY)

    def _own_echo(self, wanted: bool) -> None:
        """Take an answer to what was last said of ECHO, or what the client asks by itself."""
        if self._echo_asked:
            # They alternate, and the last one is how it is now.
            oldest_is_will = (self._echo_asked % 2 == 1) is self._echoes
            # To a WONT some answer nothing, all if they have refused the WILL before it.
            answers = 1 if wanted is oldest_is_will else 2
            self._echo_asked = max(0, self._echo_asked - answers)
            if self._echo_asked:
                # There is another answer to come, to what was said later.
                return
        elif wanted is not self._echoes:
            # Asked for while nothing is hidden, or forbidden while something is.
            self._answer(WONT, ECHO)
        if self._echoes:
            self._echoes = self._echo_agreed = wanted

    def _answer(self, verb: bytes, option: bytes) -> None:
        if self._answers is None:
            self._answers = bytearray()
        self._answers += IAC + verb + option


def _flush(received: list[bytes | Command], plain: bytearray) -> None:
    if plain:
        received.append(bytes(plain))
        plain.clear()
