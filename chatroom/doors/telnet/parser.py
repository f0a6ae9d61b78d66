"""The telnet protocol's bytes, shared by the doors that speak it.

The rule here: nothing is sent to a client that has not shown that it speaks telnet, and
an answer is never answered. There is no transport in this module: bytes come in through
`Telnet.receive`, what must go back is taken out of `Telnet.answers`.

Why BINARY is asked for: in line mode inetutils' client looks for its control keys in the low
seven bits, so it takes bytes out of UTF-8 characters: silently (0x85), for a command (0x83 IP,
0x8F AO, 0x9A SUSP, 0x9C BRK), or with the rest of the line (0x9D, its escape key). The first
byte of a character is never one of these, so what arrives damaged is not valid UTF-8, provided
that the plain bytes on both sides of a command are still put together.

Clients take ECHO and SUPPRESS-GO-AHEAD together on this side for "character at a time", and their
absence for "line by line" (RFC 858, section 6); with one alone some do a bit of both, so the two
are said together. Which options there are is in this module, how one is agreed on in `negotiation`,
and what a client tells of its terminal in `subnegotiation`.

Line ends are not looked at. CR LF and CR NUL (RFC 854, "The NVT printer and keyboard") come
out as they came in; the NUL, too, is for whoever splits lines.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from chatroom.doors.telnet.negotiation import Negotiation
from chatroom.doors.telnet.subnegotiation import NAWS, NEW_ENVIRON, TTYPE, Description

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

# An honest one is shorter; without a bound a lost IAC SE would swallow everything a person says
# from then on.
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
    RESIZED = SB + NAWS
    """`Telnet.size` has changed."""
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

# An option on one side is named by what we say to have it on.
_OUR_BINARY: Final = WILL + BINARY
_OUR_ECHO: Final = WILL + ECHO
_OUR_SUPPRESS_GO_AHEAD: Final = WILL + SUPPRESS_GO_AHEAD
_THEIR_BINARY: Final = DO + BINARY
_THEIR_SUPPRESS_GO_AHEAD: Final = DO + SUPPRESS_GO_AHEAD
_OFF: Final = {WILL: WONT, DO: DONT}
_ON: Final = {DO: WILL, DONT: WILL, WILL: DO, WONT: DO}

_ALWAYS_WELCOME: Final = frozenset({_OUR_BINARY, _THEIR_BINARY})
_CHARACTER_MODE: Final = frozenset({_OUR_ECHO, _OUR_SUPPRESS_GO_AHEAD, _THEIR_SUPPRESS_GO_AHEAD})
_TOLD: Final = (DO + TTYPE, DO + NAWS, DO + NEW_ENVIRON)


class Telnet:
    """One connection's side of the telnet protocol.

    After `receive`, and after whatever asks the client for something, `answers` must be called
    and what it returns sent. A chunk without an IAC need not be given to `receive` while
    `pending` is false. What asks is only for a client that has shown that it speaks telnet.
    """

    __slots__ = (
        "_answers",
        "_description",
        "_hiding",
        "_length",
        "_negotiations",
        "_state",
        "_subnegotiation",
        "_taken_over",
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
        self._hiding = False
        self._taken_over = False
        # The byte the unfinished sequence waits after, empty outside of one. Inside a
        # subnegotiation it is SB, and SE after an IAC in there.
        self._state = b""
        self._length = 0
        # These are made when there is something for them: most connections are netcat or idle.
        self._answers: bytearray | None = None
        self._negotiations: dict[bytes, Negotiation] | None = None
        self._description: Description | None = None
        # What there is of a subnegotiation, if it can be one that was asked for.
        self._subnegotiation: bytearray | None = None

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
                self._take_byte(state, byte, received, plain)
        _flush(received, plain)
        return received

    def _take_byte(
        self, state: bytes, byte: bytes, received: list[bytes | Command], plain: bytearray
    ) -> None:
        """Take one byte after an IAC, in *state*."""
        if state in _NEGOTIATIONS:
            self._state = b""
            binary = self.binary
            self._negotiate(state, byte)
            if self.binary != binary:
                _flush(received, plain)
                received.append(_ACTED_ON[state + byte])
        elif state == SE and byte == SE:
            self._state = b""
            if self._take_told():
                _flush(received, plain)
                received.append(Command.RESIZED)
            self.evidence()
        elif EOF <= byte < IAC:
            # Any command ends a subnegotiation: after a lost IAC SE nothing else would.
            self._command(byte, received, plain)
        elif state == IAC:
            self._state = b""
            plain += IAC if byte == IAC else IAC + byte
        else:
            self._state = SB
            self._length += 1
            if self._subnegotiation is not None:
                self._subnegotiation += IAC if byte == IAC else IAC + byte
            if self._length >= MAX_SUBNEGOTIATION:
                self._give_up(received, plain)

    def answers(self) -> bytes:
        """Take out what must be sent now, whole commands: never more bytes than were received,
        and for what we ask three for `evidence`, `hide` and `show`, 51 for `ask_kind`, 15 for
        `take_over`, and 12 for `give_back`."""
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
        self._say(_THEIR_BINARY, True)

    @property
    def hidden(self) -> bool:
        """The client does not show what is typed."""
        echo = self._known(_OUR_ECHO)
        return echo is not None and echo.agreed

    def hide(self) -> None:
        """Ask the client not to show what is typed, until `show` (RFC 857).

        We say that we echo, and do not.
        """
        self._hiding = True
        self._say(_OUR_ECHO, True)

    def show(self) -> None:
        """What is typed may be shown again: by the client, unless it is taken over."""
        self._hiding = False
        if not self._taken_over:
            self._say(_OUR_ECHO, False)

    def take_over(self) -> None:
        """Ask the client to send each character as it is typed and to show none of them, until
        `give_back` (RFC 857; RFC 858, section 6), with all eight bits both ways (RFC 856).

        The answers may come late or not at all: see `character_mode`. Once more, it asks again for
        what was refused.
        """
        self._taken_over = True
        self._say(_OUR_ECHO, True)
        self._say(_OUR_SUPPRESS_GO_AHEAD, True)
        self._say(_THEIR_SUPPRESS_GO_AHEAD, True)
        self._say(_OUR_BINARY, True)
        self._say(_THEIR_BINARY, True)

    def give_back(self) -> None:
        """The client is to send lines again, and to show what is typed unless that is hidden.

        BINARY stays on its side: without it stock telnet damages UTF-8 in lines.
        """
        if not self._taken_over:
            return
        self._taken_over = False
        if not self._hiding:
            self._say(_OUR_ECHO, False)
        self._say(_OUR_SUPPRESS_GO_AHEAD, False)
        self._say(_THEIR_SUPPRESS_GO_AHEAD, False)
        binary = self._known(_OUR_BINARY)
        if binary is not None and not binary.offered:
            self._say(_OUR_BINARY, False)

    @property
    def character_mode(self) -> bool | None:
        """Whether the client sends each character as it is typed and shows none of them.

        True once it has agreed to both in `take_over`. False if it has refused or taken back
        either, and without `take_over`. None while an answer is missing.
        """
        if not self._taken_over or self._negotiations is None:
            return False
        both = [self._negotiations[key] for key in (_OUR_ECHO, _OUR_SUPPRESS_GO_AHEAD)]
        if not all(one.wanted for one in both):
            return False
        return True if all(one.agreed for one in both) else None

    def ask_kind(self) -> None:
        """Ask the client what it and its terminal are, once.

        It may never answer: how long to wait for `kind_known` is for the caller to say.
        """
        if self._description is None:
            self._description = Description()
            for key in _TOLD:
                self._say(key, True)

    @property
    def kind_known(self) -> bool:
        """All that `ask_kind` asked is answered or refused."""
        return self._description is not None and self._description.known

    @property
    def kinds(self) -> list[str]:
        """Names of the client and its terminal in upper case, such as "XTERM-256COLOR"
        (RFC 1091): at most 3, each of 1 to 40 printable ASCII characters."""
        return [] if self._description is None else self._description.kinds

    @property
    def mtts(self) -> int:
        """What the client says that it can do, the bits of MTTS; 0 for nothing said."""
        return 0 if self._description is None else self._description.mtts

    @property
    def no_color(self) -> bool:
        """The client has told that NO_COLOR is set and not empty (RFC 1572)."""
        return self._description is not None and self._description.no_color

    @property
    def size(self) -> tuple[int, int] | None:
        """Columns and rows as last told (RFC 1073), 0 for unknown; None if nothing was told."""
        return None if self._description is None else self._description.size

    def _skip(self, data: bytes, position: int) -> int:
        """Pass over a subnegotiation up to its next IAC, its bound, or the end of *data*."""
        end = min(len(data), position + MAX_SUBNEGOTIATION - self._length)
        found = data.find(IAC, position, end)
        if found >= 0:
            end = found + 1
            self._state = SE
        self._length += end - position
        if self._subnegotiation is not None:
            self._subnegotiation += data[position : end - (found >= 0)]
        return end

    def _give_up(self, received: list[bytes | Command], plain: bytearray) -> None:
        self._state = b""
        self._subnegotiation = None
        _flush(received, plain)
        received.append(Command.OVERLONG)

    def _command(self, byte: bytes, received: list[bytes | Command], plain: bytearray) -> None:
        # What it broke into is not going to be whole.
        self._subnegotiation = None
        if byte in _NEGOTIATIONS:
            self._state = byte
            return
        if byte == SB:
            self._state = SB
            self._length = 0
            if self._description is not None:
                self._subnegotiation = bytearray()
        else:
            self._state = b""
            command = _ACTED_ON.get(byte)
            if command is not None:
                _flush(received, plain)
                received.append(command)
        self.evidence()

    def _take_told(self) -> bool:
        """A subnegotiation is whole. Returns whether the size has changed."""
        told, self._subnegotiation = self._subnegotiation, None
        if told is None or self._description is None:
            return False
        if not self._wanted(DO + told[:1]):
            return False
        size = self._description.size
        self._ask(self._description.take(bytes(told)))
        return self._description.size != size

    def _negotiate(self, verb: bytes, option: bytes) -> None:
        """Answer a request; take an answer."""
        on = verb in (DO, WILL)
        side = _ON[verb]
        key = side + option
        negotiation = self._known(key)
        welcome = self._welcome(key)
        if on and welcome and negotiation is None:
            negotiation = self._negotiation(key)
        if negotiation is not None:
            if negotiation.hear(on, welcome):
                self._answer(side if negotiation.wanted else _OFF[side], option)
            if key == _THEIR_BINARY:
                self.binary = negotiation.agreed
            elif key in _TOLD and self._description is not None:
                if negotiation.agreed:
                    self._ask(self._description.agree(option))
                elif not negotiation.wanted:
                    self._description.refuse(option)
        elif on:
            # RFC 860: a mark is asked for again each time, and clients show nothing until then.
            self._answer(WILL if verb + option == DO + TIMING_MARK else _OFF[side], option)
        # Nothing was asked before, so a refusal is no telnet: UTF-16 text begins with FF FE.
        if on:
            # Only now, so that what the client says first is not taken for its answer.
            self.evidence()

    def _welcome(self, key: bytes) -> bool:
        """Whether it is agreed to if the client asks for it by itself."""
        if key in _CHARACTER_MODE:
            return self._taken_over
        if key in _TOLD:
            return self._description is not None
        return key in _ALWAYS_WELCOME

    def _negotiation(self, key: bytes) -> Negotiation:
        if self._negotiations is None:
            self._negotiations = {}
        return self._negotiations.setdefault(key, Negotiation())

    def _known(self, key: bytes) -> Negotiation | None:
        return None if self._negotiations is None else self._negotiations.get(key)

    def _wanted(self, key: bytes) -> bool:
        negotiation = self._known(key)
        return negotiation is not None and negotiation.wanted

    def _say(self, key: bytes, wanted: bool) -> None:
        """Have an option on or off, and tell the client if that is new."""
        if wanted is not self._wanted(key):
            self._negotiation(key).say(wanted)
            self._answer(key[:1] if wanted else _OFF[key[:1]], key[1:])

    def _ask(self, question: bytes) -> None:
        if question:
            self._put(IAC + SB + question + IAC + SE)

    def _answer(self, verb: bytes, option: bytes) -> None:
        self._put(IAC + verb + option)

    def _put(self, answer: bytes) -> None:
        if self._answers is None:
            self._answers = bytearray()
        self._answers += answer


def _flush(received: list[bytes | Command], plain: bytearray) -> None:
    if plain:
        received.append(bytes(plain))
        plain.clear()
