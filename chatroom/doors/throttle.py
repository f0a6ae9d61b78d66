"""Throttling of a connection's input: so many bytes a second, see `--byte-rate`.

A connection that has sent more than it may is not read until it may send again; the other
connections do not wait for it.
"""

from typing import Protocol

from chatroom.chat.chat import Chat
from chatroom.model.clock import Timer


class Throttled(Protocol):
    """A connection whose input is throttled."""

    def rested(self) -> None:
        """Go on with the input: the pause is over."""


class ByteThrottle:
    """What one connection has used of its byte rate.

    chat: has the rate, which may change, and the clock.
    owner: the connection, which drops its throttle when it is closed.
    pausing: whether no more input is to be processed until `rested` is called.
    """

    __slots__ = ("_chat", "_full_at", "_owner", "_timer", "pausing")

    def __init__(self, chat: Chat, owner: Throttled) -> None:
        self._chat = chat
        self._owner = owner
        self._full_at = 0.0
        # None until the first pause, which most connections never make.
        self._timer: Timer | None = None
        self.pausing = False

    def spend(self, cost: int) -> None:
        """Use *cost* bytes of the rate; if that is more than there are, pause."""
        pace = self._chat.byte_pace
        if pace.rate and cost:
            now = self._chat.clock.seconds()
            self._full_at = pace.spend(self._full_at, now, cost)
            wait = pace.wait(self._full_at, now)
            if wait > 0 and not self.pausing:
                self._pause(wait)

    def give_way(self) -> None:
        """Pause until the other connections have had their turn."""
        self._pause(0)

    def stop(self) -> None:
        """Pause no more; `rested` is not called."""
        self.pausing = False
        if self._timer is not None:
            self._timer.stop()

    def _pause(self, seconds: float) -> None:
        self.pausing = True
        if self._timer is None:
            self._timer = Timer(self._chat.call_later)
        self._timer.start(seconds, self._rested)

    def _rested(self) -> None:
        self.pausing = False
        self._owner.rested()
