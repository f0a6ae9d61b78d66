"""Finding out that a client has closed while it is not read.

A close is not seen while nothing is read. The lines that wait of a client that has closed still
count, but a room must not be haunted for long.
"""

from typing import Any, Final

from chatroom.doors.sockets import peer_ended
from chatroom.model.clock import Clock

#: How often the kernel is asked whether the client has closed.
LOOK_SECONDS: Final = 10.0

#: How long lines may wait after their client has closed.
LINGER_SECONDS: Final = 300.0


class CloseWatch:
    """Looks whether the client at *transport* has closed."""

    __slots__ = ("_clock", "_closed_at", "_look_at", "_transport")

    def __init__(self, transport: Any, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._look_at = 0.0
        # When the close was seen; None for not closed.
        self._closed_at: float | None = None

    def abandoned(self) -> bool:
        """Return whether the client has closed LINGER_SECONDS ago; to be asked often."""
        now = self._clock.seconds()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        if not peer_ended(self._transport):
            self._closed_at = None
        elif self._closed_at is None:
            self._closed_at = now
        return self._closed_at is not None and now - self._closed_at > LINGER_SECONDS
