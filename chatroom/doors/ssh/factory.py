"""The SSH door's factory: which connections may be logging in, and how others are turned away.

The rule: connections that are still logging in are few, and keep no other client out for long.
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

#: How many connections may be logging in, of which the first has to go when one more comes, and how
#: many of one source, which gets no further; loopback is exempt from the second.
ARRIVING: Final = 100
ARRIVING_PER_SOURCE: Final = 10

CROWDED: Final = "Too many are logging in just now. Please try again later."


class TurnedAwaySsh(TurnedAway):
    """A connection that may not stay: it is told why in SSH, before there are keys."""

    def words(self, why: str) -> bytes:
        """What says *why* to a client of this door."""
        return VERSION + b"\r\n" + disconnect_packet(DISCONNECT_CONNECTION_LOST, why)

    def leave(self, transport: Any) -> None:
        """Closed at once, with the client's first words unread, the client might not see it."""
        close_writing(transport)


class SshFactory(DoorFactory[SshConnection]):
    """Makes the connections of the SSH door.

    host_key: what it proves to be itself with.
    """

    protocol: Any = SshConnection
    door = "ssh"

    def __init__(self, chat: Chat, host_key: Key) -> None:
        super().__init__(chat)
        self.host_key = host_key
        self.line_length = chat.limits.line_length
        # Those of whom it is not known yet who they are, in the order in which they came, and how
        # many they are by their source.
        self._strangers: dict[SshConnection, None] = {}
        self._by_source: Counter[str] = Counter()

    def why_full(self, source: str) -> str | None:
        """Why there may be no further stranger from *source*, None if there may."""
        if source != LOCAL and self._by_source[source] >= ARRIVING_PER_SOURCE:
            return "Too many connections from your address are logging in just now."
        if len(self._strangers) >= ARRIVING:
            # Whoever means to come in is done long before so many others have come: those who only
            # fill the places keep nobody out.
            first = next(iter(self._strangers))
            self.arrived(first)
            first.misbehaved(SshViolation(CROWDED, DISCONNECT_TOO_MANY_CONNECTIONS))
        return None

    def turned_away(self, why: str) -> TurnedAway:
        """What tells somebody that they may not stay."""
        return TurnedAwaySsh(self.chat, why)

    def joined(self, client: SshConnection) -> None:
        """*client* is connected."""
        self._strangers[client] = None
        self._by_source[client.source] += 1
        super().joined(client)

    def arrived(self, client: SshConnection) -> None:
        """It is known who *client* is, or it goes."""
        if client in self._strangers:
            del self._strangers[client]
            self._by_source[client.source] -= 1
            if not self._by_source[client.source]:
                del self._by_source[client.source]

    def removed(self, client: SshConnection, source: str, reason: Failure) -> None:
        """*client* is not connected any more."""
        self.arrived(client)
        super().removed(client, source, reason)

    def configure(self) -> None:
        """The limits of the chat are other ones."""
        self.line_length = self.chat.limits.line_length
        for client in self.clients:
            client.limit(self.line_length)
