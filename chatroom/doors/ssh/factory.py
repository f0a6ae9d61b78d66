"""The factory of the SSH door, and how many connections may be logging in.

Connections that are still logging in are few, and keep no other client out for long.
"""

from collections import Counter
from typing import Any, Final

from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import DISCONNECT_CONNECTION_LOST, DISCONNECT_TOO_MANY_CONNECTIONS
from twisted.python.failure import Failure

from chatroom.chat.chat import Chat
from chatroom.doors.factory import DoorFactory, TurnedAway
from chatroom.doors.ssh.connection import SshConnection
from chatroom.doors.ssh.transport import VERSION, SshViolation, disconnect_packet
from chatroom.doors.writer import close_writing
from chatroom.model.limits import LOCAL

#: How many connections may be logging in; the first of them has to go when one more comes.
MAX_ARRIVING: Final = 100

#: How many of one source may be; one more is refused. Loopback is exempt.
MAX_ARRIVING_PER_SOURCE: Final = 10

CROWDED: Final = "Too many are logging in just now. Please try again later."


class TurnedAwaySsh(TurnedAway):
    """A connection that is refused: it is told why in SSH, before there are keys."""

    def words(self, why: str) -> bytes:
        """Return what says *why* to a client of this door."""
        return VERSION + b"\r\n" + disconnect_packet(DISCONNECT_CONNECTION_LOST, why)

    def leave(self, transport: Any) -> None:
        """Close the writing side of *transport* only.

        If it were closed at once, with the client's first words unread, the client might not see
        why.
        """
        close_writing(transport)


class SshFactory(DoorFactory[SshConnection]):
    """Makes the connections of the SSH door.

    host_key: the key by which the server proves its identity.
    line_length: the longest line that is taken, in bytes.
    """

    protocol: Any = SshConnection
    door = "ssh"

    def __init__(self, chat: Chat, host_key: Key) -> None:
        super().__init__(chat)
        self.host_key = host_key
        self.line_length = chat.limits.line_length
        # The connections that are logging in, in the order in which they came, and how many they
        # are by their source.
        self._strangers: dict[SshConnection, None] = {}
        self._by_source: Counter[str] = Counter()

    def why_full(self, source: str) -> str | None:
        """Return why no further connection from *source* may log in, or None if it may."""
        if source != LOCAL and self._by_source[source] >= MAX_ARRIVING_PER_SOURCE:
            return "Too many connections from your address are logging in just now."
        if len(self._strangers) >= MAX_ARRIVING:
            # A client that means to log in has done so long before so many others have come, so
            # that clients that only fill the places keep no other out.
            first = next(iter(self._strangers))
            self.arrived(first)
            first.misbehaved(SshViolation(CROWDED, DISCONNECT_TOO_MANY_CONNECTIONS))
        return None

    def turned_away(self, why: str) -> TurnedAway:
        """Return what refuses a connection in the protocol of the door."""
        return TurnedAwaySsh(self.chat, why)

    def joined(self, client: SshConnection) -> None:
        """Add *client*, which is logging in."""
        self._strangers[client] = None
        self._by_source[client.source] += 1
        super().joined(client)

    def arrived(self, client: SshConnection) -> None:
        """Count *client* no longer as logging in: its user is known, or it goes."""
        if client in self._strangers:
            del self._strangers[client]
            self._by_source[client.source] -= 1
            if not self._by_source[client.source]:
                del self._by_source[client.source]

    def removed(self, client: SshConnection, source: str, reason: Failure) -> None:
        """Remove *client*, which is not connected any more."""
        self.arrived(client)
        super().removed(client, source, reason)

    def configure(self) -> None:
        """Hold the connections to the limits of the chat, which have changed."""
        self.line_length = self.chat.limits.line_length
        for client in self.clients:
            client.limit(self.line_length)
