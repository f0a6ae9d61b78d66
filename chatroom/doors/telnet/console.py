"""The telnet door: whoever comes with telnet, and finds a terminal from the start.

The rule: it is the line door for those who cannot be taken over, and until that is known nothing is
shown but what telnet needs. Everybody here is taken for a telnet client.
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
        """All is made: find out what there is to begin with."""
        self.factory.joined(self)
        self.session.gate.close(Reason.ENTERING)
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
        """For the session: what its greeting says of this door."""
        return self._why or super().hint


class ConsoleFactory(ChatFactory):
    """Makes the connections of the telnet door."""

    protocol: Any = ConsoleProtocol
    door = "telnet"
