"""The telnet door: telnet clients that find a terminal from the start.

Every client here is taken for a telnet client. It is the line door for those that cannot be taken
over, and until that is known nothing is shown but what telnet needs.
"""

from typing import Any

from chatroom.chat.gate import Reason
from chatroom.doors.state import State
from chatroom.doors.telnet.protocol import ChatFactory, ChatProtocol


class ConsoleProtocol(ChatProtocol):
    """One connection that is asked for keys instead of lines before it is greeted."""

    # Why it is no terminal.
    _why = ""

    def came(self) -> None:
        """Find out whether the client sends keys, and begin then."""
        self.factory.joined(self)
        self.connection.gate.close(Reason.ENTERING)
        self._telnet.evidence()
        self.ask_for_terminal()

    def _taken_over(self, why: str) -> None:
        if self.state is not State.ARRIVING:
            super()._taken_over(why)
            return
        self._why = why
        self.begin()
        self._conclude(why)

    @property
    def hint(self) -> str:
        """What the greeting says of this door."""
        return self._why or super().hint


class ConsoleFactory(ChatFactory):
    """Makes the connections of the telnet door."""

    protocol: Any = ConsoleProtocol
    door = "telnet"
