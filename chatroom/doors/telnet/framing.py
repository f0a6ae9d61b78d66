"""Telnet commands and plain bytes, told apart.

RFC 854, "TELNET command structure", has the framing. This is a pure object. However the bytes are
cut over reads, the same tokens come out, but for where runs of plain bytes end.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from chatroom.doors.telnet.codes import DO, DONT, EOF, IAC, SB, SE, WILL, WONT

#: The longest subnegotiation that is taken, after its IAC SB. An honest one is shorter; without a
#: bound a lost IAC SE would swallow everything that the user says from then on.
MAX_SUBNEGOTIATION_BYTES: Final = 4096

_VERBS: Final = (DO, DONT, WILL, WONT)


class Code(NamedTuple):
    """A command of one byte, or the beginning of a subnegotiation."""

    byte: bytes


class Request(NamedTuple):
    """A command that negotiates an option, or answers one that does."""

    verb: bytes
    option: bytes


class Subnegotiation(NamedTuple):
    """What stood in a whole subnegotiation, IAC not doubled; None if it was not kept."""

    content: bytes | None


class Overlong(NamedTuple):
    """A subnegotiation was given up: the bytes up to the next line end are not text."""


# Each is made once: a client may send many.
_CODES: Final = {bytes([byte]): Code(bytes([byte])) for byte in range(EOF[0], IAC[0])}

Token = bytes | Code | Request | Subnegotiation | Overlong


class Framer:
    """What comes in on one connection, made into tokens.

    keeps: whether the content of subnegotiations is wanted.
    """

    __slots__ = ("_content", "_length", "_state", "keeps")

    def __init__(self) -> None:
        self.keeps = False
        # The byte the unfinished sequence waits after, empty outside of one. Inside a
        # subnegotiation it is SB, and SE after an IAC in there.
        self._state = b""
        # How many bytes of a subnegotiation have come, and which, if they are kept.
        self._length = 0
        self._content: bytearray | None = None

    @property
    def pending(self) -> bool:
        """Whether the bytes so far end within a sequence."""
        return bool(self._state)

    def receive(self, data: bytes) -> Iterator[Token]:
        """Yield the tokens of *data*; to be exhausted before the next call. Never raises.

        An IAC followed by a byte that is no command (below 236) is not telnet but text in some
        other encoding: both bytes are plain. IAC IAC is a plain 0xFF.
        """
        position, size = 0, len(data)
        while position < size:
            state = self._state
            if not state:
                found = data.find(IAC, position)
                end = size if found < 0 else found
                if end > position:
                    yield data[position:end]
                if found < 0:
                    return
                self._state = IAC
                position = found + 1
            elif state == SB:
                position = self._skip(data, position)
                if self._length >= MAX_SUBNEGOTIATION_BYTES and self._state == SB:
                    yield self._give_up()
            else:
                token = self._take_byte(state, data[position : position + 1])
                position += 1
                if token is not None:
                    yield token

    def _take_byte(self, state: bytes, byte: bytes) -> Token | None:
        """Take one byte after an IAC, in *state*; return the token that it ends."""
        if state in _VERBS:
            self._state = b""
            return Request(state, byte)
        if state == SE and byte == SE:
            self._state = b""
            content, self._content = self._content, None
            return Subnegotiation(None if content is None else bytes(content))
        if EOF <= byte < IAC:
            # Any command ends a subnegotiation: after a lost IAC SE nothing else would.
            return self._command(byte)
        if state == IAC:
            self._state = b""
            return IAC if byte == IAC else IAC + byte
        self._state = SB
        self._length += 1
        if self._content is not None:
            self._content += IAC if byte == IAC else IAC + byte
        return self._give_up() if self._length >= MAX_SUBNEGOTIATION_BYTES else None

    def _command(self, byte: bytes) -> Code | None:
        """Take the byte of a command after an IAC; return the command if it is whole."""
        # A subnegotiation that it broke into is not going to be whole.
        self._content = None
        if byte in _VERBS:
            self._state = byte
            return None
        self._state = b""
        if byte == SB:
            self._state = SB
            self._length = 0
            if self.keeps:
                self._content = bytearray()
        return _CODES[byte]

    def _skip(self, data: bytes, position: int) -> int:
        """Pass over a subnegotiation up to its next IAC, its bound, or the end of *data*."""
        end = min(len(data), position + MAX_SUBNEGOTIATION_BYTES - self._length)
        found = data.find(IAC, position, end)
        if found >= 0:
            end = found + 1
            self._state = SE
        self._length += end - position
        if self._content is not None:
            self._content += data[position : end - (found >= 0)]
        return end

    def _give_up(self) -> Overlong:
        """Take no more of a subnegotiation that is too long."""
        self._state = b""
        self._content = None
        return Overlong()
