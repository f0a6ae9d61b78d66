"""The telnet door: whoever comes with telnet, and finds a terminal from the start.

The rule: it is the line door for those who cannot be taken over, and until that is known nothing is
shown but what telnet needs. Everybody here is taken for a telnet client.
"""

from typing import Any

from chatroom.doors.line import ChatFactory, ChatProtocol
from chatroom.flow import ENTERING


class ConsoleProtocol(ChatProtocol):
    """One connection that is asked for keys instead of lines before it is greeted."""

    def _open(self) -> None:
        self.session.hold(ENTERING)
        self.intake.telnet.evidence()
        self.ask_for_terminal()

    def _taken_over(self, why: str) -> None:
        if self._begun:
            super()._taken_over(why)
            return
        super()._open()
        self._conclude(why)
        if why:
            self.session.notice(why)


class ConsoleFactory(ChatFactory):
    """Makes the connections of the telnet door."""

    protocol: Any = ConsoleProtocol
    door = "telnet"
