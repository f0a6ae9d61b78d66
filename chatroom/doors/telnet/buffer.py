"""From bytes to lines for clients that may speak telnet.

This is a pure object, and however the bytes are cut over reads, the same lines come out.
"""

import re
from typing import Final

from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.telnet.codes import IAC, Command
from chatroom.doors.telnet.parser import Telnet

#: What telnet's EC and EL (RFC 854) stand in a line as: the keys that they are sent for.
_ERASE: Final = b"\x7f"
_KILL: Final = b"\x15"

#: What is sent for the interrupting key (RFC 854; RFC 1184, section 2.5).
_INTERRUPTING: Final = (Command.INTERRUPT_PROCESS, Command.ABORT)

# A character of UTF-8 that is not complete (RFC 3629, section 4).
_BEGUN: Final = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)

#: What stands for the beginning of a line of which nothing is kept.
_UNKNOWN = b"?"


class TelnetLineBuffer(LineBuffer):
    """The lines of a connection, with telnet commands taken out.

    telnet: the parser of the commands.
    commanded: whether there were commands, or parts of some, in what came since this was cleared.
    asked: whether the client asked if somebody is there (RFC 854, AYT).
    interrupted: whether the client's interrupting key was hit.
    dropped: how many lines that waited it dropped.
    begun_before: how many of the lines that come next began before the client's BINARY was on.
    """

    __slots__ = ("asked", "begun_before", "commanded", "dropped", "interrupted", "telnet")

    def __init__(self, line_length: int) -> None:
        super().__init__(line_length)
        self.telnet = Telnet()
        self.commanded = False
        self.asked = False
        self.interrupted = False
        self.dropped = 0
        self.begun_before = 0

    def take(self, data: bytes) -> None:
        """Make lines of the bytes that came in."""
        if IAC not in data and not self.telnet.pending:
            LineBuffer.take(self, data)
            return
        self.commanded = True
        for part in self.telnet.receive(data):
            if isinstance(part, bytes):
                LineBuffer.take(self, part)
            elif part is Command.ERASE_CHARACTER:
                LineBuffer.take(self, _ERASE)
            elif part is Command.ERASE_LINE:
                LineBuffer.take(self, _KILL)
            elif part in _INTERRUPTING and not self._damaged:
                self.interrupted = True
                self.dropped += len(self.lines)
                self.clear()
            elif part is Command.OVERLONG:
                self._skip_line(_UNKNOWN)
            elif part is Command.ARE_YOU_THERE:
                self.asked = True
            elif part is Command.BINARY_ON:
                self.begun_before = len(self.lines) + bool(self.tail)

    def drop(self, count: int) -> None:
        """Forget the oldest *count* lines."""
        super().drop(count)
        self.begun_before = max(0, self.begun_before - count)

    def clear(self) -> None:
        """Forget all that came in."""
        super().clear()
        self.begun_before = 0

    @property
    def _damaged(self) -> bool:
        """Whether a command now would be a byte of the character before it, see `parser`."""
        return _BEGUN.search(self.tail) is not None
