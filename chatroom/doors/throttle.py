"""Throttling of a connection's input: so many bytes a second, see `--byte-rate`.

The rule: what a connection has overdrawn it waits for, unread; the other connections do not.
"""

from collections.abc import Callable

from chatroom.chat.chat import Chat
from chatroom.model.clock import Timer


class ByteThrottle:
    """What one connection has used of its byte rate.

    chat: has the rate, which may change, and the clock.
    rested: called when the connection may go on after a pause.

    It refers to its connection by *rested*: the connection drops it when it is closed.
    """

    __slots__ = ("_chat", "_full_at", "_rested", "_timer")

    def __init__(self, chat: Chat, rested: Callable[[], object]) -> None:
        self._chat = chat
        self._rested = rested
        self._full_at = 0.0
        self._timer = Timer(chat.clock.callLater)

    @property
    def pausing(self) -> bool:
        """Whether no more input is to be dealt with until `rested` is called."""
        return self._timer.running

    def spend(self, cost: int) -> None:
        """Use *cost* bytes of the rate; if that is more than there are, pause."""
        pace = self._chat.byte_pace
        if pace.rate and cost:
            now = self._chat.clock.seconds()
            self._full_at = pace.spend(self._full_at, now, cost)
            wait = pace.wait(self._full_at, now)
            if wait > 0 and not self._timer.running:
                self._timer.start(wait, self._rested)

    def give_way(self) -> None:
        """Pause until the other connections have had their turn."""
        self._timer.start(0, self._rested)

    def stop(self) -> None:
        """Pause no more; `rested` is not called."""
        self._timer.stop()
