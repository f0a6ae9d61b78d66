"""What a client tells of its terminal when it is asked, in telnet subnegotiations.

These are pure functions and an object that never raise; what is malformed is passed over and counts
as an answer. Which options are agreed on is not known here, nor how subnegotiations are framed:
what comes in and goes out stands between IAC SB and IAC SE, with no IAC doubled.

TTYPE is RFC 1091: a client that is asked again tells another name, and the last one twice. On top
of it, MTTS (https://mudhalla.net/tintin/protocols/mtts/): first the client, then the terminal, then
what that can do. NAWS is RFC 1073. NEW-ENVIRON is RFC 1572, of which NO_COLOR alone is asked for
(https://no-color.org). inetutils' client tells what is exported (`environ export NO_COLOR`), PuTTY
all that it is configured to tell, whatever it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

TTYPE: Final = b"\x18"  # RFC 1091
NAWS: Final = b"\x1f"  # RFC 1073
NEW_ENVIRON: Final = b"\x27"  # RFC 1572

#: RFC 1091, section 2; RFC 1572, section 1.
_IS: Final = b"\x00"
_SEND: Final = b"\x01"
_INFO: Final = b"\x02"
#: RFC 1572, section 1.
_VAR: Final = 0
_VALUE: Final = 1
_ESC: Final = 2
_USERVAR: Final = 3

MAX_KINDS: Final = 3
"""How many answers to TTYPE are taken: MTTS has no more, and a list of aliases says nothing new."""
MAX_KIND_LENGTH: Final = 40
"""Characters of one name (RFC 1091, section 7)."""

_NO_COLOR: Final = b"NO_COLOR"
_MTTS: Final = re.compile(r"MTTS (\d{1,9})")

#: What is asked as soon as an option is agreed on.
QUESTIONS: Final = {
    TTYPE: TTYPE + _SEND,
    # It may be known as the one or the other: inetutils answers USERVAR to both.
    NEW_ENVIRON: NEW_ENVIRON + _SEND + bytes([_VAR]) + _NO_COLOR + bytes([_USERVAR]) + _NO_COLOR,
}


class Description:
    """The terminal of one client, as far as the client has told."""

    __slots__ = ("_awaited", "_taken", "_unasked", "kinds", "mtts", "no_color", "size")

    kinds: list[str]
    """Names of the client and its terminal, in upper case, in the order in which they came."""
    mtts: int
    """The bits of MTTS; 0 for none."""
    no_color: bool
    """Whether NO_COLOR is set and not empty."""
    size: tuple[int, int] | None
    """Columns and rows as last told, each 0 to 65,535; 0 stands for unknown (RFC 1073)."""

    def __init__(self) -> None:
        self.kinds = []
        self.mtts = 0
        self.no_color = False
        self.size = None
        self._unasked = {TTYPE, NAWS, NEW_ENVIRON}
        self._awaited = set(self._unasked)
        # How many answers to TTYPE have been taken.
        self._taken = 0

    @property
    def known(self) -> bool:
        """Whether all that was asked is answered or refused; there may be changes."""
        return not self._awaited

    def agree(self, option: bytes) -> bytes:
        """Note that the client agrees to tell *option*; return what to ask it, or nothing."""
        if option not in self._unasked:
            return b""
        self._unasked.remove(option)
        # Again, if it was refused before: some clients answer WONT even to the refusal of what
        # they had offered before they were asked.
        self._awaited.add(option)
        return QUESTIONS.get(option, b"")

    def refuse(self, option: bytes) -> None:
        """Note that the client does not tell *option*."""
        self._awaited.discard(option)

    def take(self, told: bytes) -> bytes:
        """Take a subnegotiation; return what to ask then, or nothing."""
        option, told = told[:1], told[1:]
        if option == TTYPE:
            return self._take_kind(told)
        if option == NAWS:
            if len(told) == 4:
                self.size = (int.from_bytes(told[:2], "big"), int.from_bytes(told[2:], "big"))
            self._awaited.discard(NAWS)
        elif option == NEW_ENVIRON and told[:1] in (_IS, _INFO):
            values = [value for name, value in _variables(told[1:]) if name == _NO_COLOR]
            # INFO tells what has changed; IS is the answer, and what is not in it is not set.
            if values or told[:1] == _IS:
                self.no_color = any(values)
            if told[:1] == _IS:
                self._awaited.discard(NEW_ENVIRON)
        return b""

    def _take_kind(self, told: bytes) -> bytes:
        """Take an answer to TTYPE; return what to ask then, or nothing."""
        if TTYPE not in self._awaited or told[:1] != _IS:
            return b""
        text = told[1:].decode("ascii", "ignore")
        kind = "".join(filter(str.isprintable, text)).strip().upper()[:MAX_KIND_LENGTH]
        self._taken += 1
        found = _MTTS.fullmatch(kind)
        if found:
            self.mtts = int(found[1])
        elif kind and kind not in self.kinds:
            self.kinds.append(kind)
            if self._taken < MAX_KINDS:
                return QUESTIONS[TTYPE]
        # The last one was repeated (RFC 1091, section 2), or nothing comes after it.
        self._awaited.discard(TTYPE)
        return b""


def _variables(told: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the value of each variable, empty if it is not set."""
    # After the type of a variable its name, then perhaps VALUE and its value, both with ESC.
    parts: list[bytearray] = []
    told_bytes = iter(told)
    for byte in told_bytes:
        if byte in (_VAR, _USERVAR):
            yield from _pair(parts)
            parts = [bytearray()]
        elif not parts:
            continue
        elif byte == _VALUE:
            parts.append(bytearray())
        else:
            if byte == _ESC:
                byte = next(told_bytes, _ESC)
            parts[-1].append(byte)
    yield from _pair(parts)


def _pair(parts: list[bytearray]) -> Iterator[tuple[bytes, bytes]]:
    if parts:
        yield bytes(parts[0]), bytes(parts[1]) if len(parts) > 1 else b""
