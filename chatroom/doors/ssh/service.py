"""The service of an SSH connection in which channels are opened: one session.

A message that a client must not send ends its connection, before Conch makes anything of it.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from twisted.conch.error import ConchError
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_REQUEST_FAILURE,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    OPEN_UNKNOWN_CHANNEL_TYPE,
    messages,
)

from chatroom.doors.ssh.channel import (
    MAX_WINDOW_BYTES,
    MIN_DATA_BYTES,
    SessionChannel,
    SessionRequest,
    Talker,
)
from chatroom.doors.ssh.conch import ConchConnection
from chatroom.doors.ssh.transport import SshViolation

#: What a client may send of the connection protocol. All else answers questions of the server,
#: which asks none: Conch would look for the question.
ASKED: Final = frozenset(
    {
        MSG_GLOBAL_REQUEST,
        MSG_CHANNEL_OPEN,
        MSG_CHANNEL_WINDOW_ADJUST,
        MSG_CHANNEL_DATA,
        MSG_CHANNEL_EXTENDED_DATA,
        MSG_CHANNEL_EOF,
        MSG_CHANNEL_CLOSE,
        MSG_CHANNEL_REQUEST,
    }
)

#: The messages of authentication (RFC 4250, section 4.1.2).
AUTHENTICATION: Final = range(50, 80)


class SessionService(ConchConnection):
    """The service `ssh-connection` (RFC 4254): one session, and nothing else.

    start: see SessionChannel.
    """

    transport: Any

    def __init__(self, start: Callable[[SessionRequest], Talker | None]) -> None:
        super().__init__()
        self._start = start
        self.session: SessionChannel | None = None
        self._after_reply: Callable[[], None] | None = None

    def serviceStarted(self) -> None:
        """Conch: it begins."""

    def serviceStopped(self) -> None:
        """Conch: the connection is over."""
        session, self.session = self.session, None
        if session is not None:
            session.lose()
        # No reference cycle, see LineProtocol.release.
        self.channels.clear()
        self.channelsToRemoteChannel.clear()

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """Conch: a packet came in."""
        if messageNum in messages and messageNum not in ASKED:
            raise SshViolation("nothing was asked")
        # A client that authenticates once more is not answered (RFC 4252, section 5.3).
        if messageNum not in AUTHENTICATION:
            super().packetReceived(messageNum, packet)

    def ssh_GLOBAL_REQUEST(self, packet: bytes) -> None:
        """Conch: refuse; some clients ask only to see whether the server is there."""
        _, rest = getNS(packet)
        if rest[:1] != b"\0":
            self.transport.sendPacket(MSG_REQUEST_FAILURE, b"")

    def getChannel(
        self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes
    ) -> SessionChannel:
        """Conch: the client opens a channel. Raises ConchError."""
        if channelType != b"session":
            raise ConchError("nothing is forwarded here", OPEN_UNKNOWN_CHANNEL_TYPE)
        if self.session is not None:
            raise ConchError("one session for each connection", OPEN_ADMINISTRATIVELY_PROHIBITED)
        if maxPacket < MIN_DATA_BYTES:
            raise ConchError("packets are too small", OPEN_RESOURCE_SHORTAGE)
        self.session = SessionChannel(windowSize, maxPacket, self._start)
        self.session.conn = self
        return self.session

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        """Conch: the client opens a channel; Conch would take any error for a refusal."""
        _, rest = getNS(packet)
        if len(rest) < 12:
            raise SshViolation("bad packet")
        super().ssh_CHANNEL_OPEN(packet)

    def ssh_CHANNEL_DATA(self, packet: bytes) -> None:
        """Conch: data of a channel, not more than its window takes."""
        data, _ = getNS(packet[4:])
        channel = self._channel_of(packet)
        channel.use_window(len(data))
        channel.received(data)

    def ssh_CHANNEL_EXTENDED_DATA(self, packet: bytes) -> None:
        """Conch: data beside the data, such as errors, which nothing here reads."""
        data, _ = getNS(packet[8:])
        channel = self._channel_of(packet)
        channel.use_window(len(data))
        channel.consume(len(data))

    def _channel_of(self, packet: bytes) -> SessionChannel:
        (number,) = struct.unpack(">L", packet[:4])
        channel: SessionChannel = self.channels[number]
        return channel

    def ssh_CHANNEL_WINDOW_ADJUST(self, packet: bytes) -> None:
        """Conch: the client reads more."""
        number, count = struct.unpack(">2L", packet[:8])
        channel: SessionChannel = self.channels[number]
        channel.remoteWindowLeft = min(channel.remoteWindowLeft + count, MAX_WINDOW_BYTES)
        channel.push()

    def ssh_CHANNEL_REQUEST(self, packet: bytes) -> None:
        """Conch: the client asks something of a channel."""
        (number,) = struct.unpack(">L", packet[:4])
        kind, rest = getNS(packet[4:])
        channel: SessionChannel = self.channels[number]
        done = channel.requestReceived(kind, rest[1:])
        if rest[:1] != b"\0":
            answer = MSG_CHANNEL_SUCCESS if done else MSG_CHANNEL_FAILURE
            remote = struct.pack(">L", self.localToRemoteChannel[number])
            self.transport.sendPacket(answer, remote)
        after, self._after_reply = self._after_reply, None
        if after is not None:
            after()

    def after_reply(self, call: Callable[[], None]) -> None:
        """Do *call* when the request that is being processed was answered."""
        self._after_reply = call
