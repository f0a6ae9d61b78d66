"""The codes of the telnet protocol, and the commands that a door acts on."""

from enum import Enum
from typing import Final

from chatroom.doors.telnet.subnegotiation import NAWS, NEW_ENVIRON, TTYPE

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


# An option on one side is named by what the server says to have it on.
OUR_BINARY: Final = WILL + BINARY
OUR_ECHO: Final = WILL + ECHO
OUR_SUPPRESS_GO_AHEAD: Final = WILL + SUPPRESS_GO_AHEAD
THEIR_BINARY: Final = DO + BINARY
THEIR_SUPPRESS_GO_AHEAD: Final = DO + SUPPRESS_GO_AHEAD
OFF: Final = {WILL: WONT, DO: DONT}
ON: Final = {DO: WILL, DONT: WILL, WILL: DO, WONT: DO}

ALWAYS_WELCOME: Final = frozenset({OUR_BINARY, THEIR_BINARY})
CHARACTER_MODE: Final = frozenset({OUR_ECHO, OUR_SUPPRESS_GO_AHEAD, THEIR_SUPPRESS_GO_AHEAD})
TOLD: Final = (DO + TTYPE, DO + NAWS, DO + NEW_ENVIRON)


class Command(Enum):
    """Something that a door must act on; the value stands for it on the wire."""

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
