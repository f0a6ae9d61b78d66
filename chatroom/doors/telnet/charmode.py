"""Asking a telnet client to send single keys, if it is a terminal.

It is asked what it is before anything is changed, so that a client that cannot be taken over (a MUD
client, a dumb terminal) does not notice; a client that does not answer is treated as one that
refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chatroom.doors.telnet.parser import Telnet
from chatroom.model.clock import Timer, Timers
from chatroom.terminal.terminal import Kind, kind_of

#: How long a client has to answer, first what it is and then whether it agrees.
ANSWER_SECONDS: Final = 3.0

REFUSED: Final = "Your telnet sends whole lines, and did not agree to send keys. Lines it is."
EDITS: Final = "Your client is no terminal, or edits lines by itself. Lines it is."


class CharacterMode:
    """One attempt at taking a client over; call `look` after each of its commands.

    telnet: the protocol of the connection.
    send: sends the answers of *telnet*.
    later: delays calls.
    done: called with a sentence why the client does not agree, which is empty if it does.
    kind: what the client is, as far as it has said.
    """

    def __init__(
        self, telnet: Telnet, send: Callable[[], None], later: Timers, done: Callable[[str], None]
    ) -> None:
        self._telnet = telnet
        self._send = send
        self._timer = Timer(later)
        self._done = done
        self._asking = True
        self.kind = Kind()

    def begin(self) -> None:
        """Ask the client what it is, unless it has said it before."""
        self._telnet.ask_kind()
        self._timer.start(ANSWER_SECONDS, self._overdue)
        self._send()
        self.look()

    def look(self) -> None:
        """Go on if the client has answered."""
        telnet = self._telnet
        if self._asking:
            if telnet.kind_known:
                self._offer()
        elif telnet.character_mode is not None:
            self._end("" if telnet.character_mode else REFUSED)

    def ended(self) -> None:
        """Give up: the client sends nothing more, so that it will not agree."""
        self._end(REFUSED)

    def stop(self) -> None:
        """Stop waiting, and tell nobody."""
        self._timer.stop()

    def _offer(self) -> None:
        """Ask the client to send keys, if it is a terminal."""
        telnet = self._telnet
        self.kind = kind_of(telnet.kinds, telnet.mtts)
        self.stop()
        self._asking = False
        if self.kind.draws:
            telnet.take_over()
            self._timer.start(ANSWER_SECONDS, self._overdue)
            self._send()
        else:
            self._end(EDITS)

    def _overdue(self) -> None:
        """Go on with what the client has answered in time."""
        telnet = self._telnet
        # Some clients leave out one answer. One that has given none will not agree to anything.
        if self._asking and (telnet.kinds or telnet.size is not None):
            self._offer()
        else:
            self._end(REFUSED)

    def _end(self, why: str) -> None:
        self.stop()
        if why:
            self._telnet.give_back()
            self._send()
        self._done(why)
