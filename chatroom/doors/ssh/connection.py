"""The connections of the SSH door, each with one session.

Until the user is known, a connection costs little and has little time; from then on it is held to
what holds at the line door.
"""

from functools import partial
from typing import Any, Final

from twisted.conch.ssh.transport import (
    DISCONNECT_BY_APPLICATION,
)
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatroom.actions.authenticate import PendingConnection
from chatroom.chat.chat import Chat
from chatroom.doors.factory import FAREWELL_SECONDS
from chatroom.doors.protocol import READ_BYTES
from chatroom.doors.sockets import tune
from chatroom.doors.ssh.algorithms import signatures_of
from chatroom.doors.ssh.auth import Authentication
from chatroom.doors.ssh.channel import SessionRequest, Talker
from chatroom.doors.ssh.service import SessionService
from chatroom.doors.ssh.session import NoProgram, SshProtocol, asks_for_program
from chatroom.doors.ssh.transport import (
    BoundedTransport,
    SshViolation,
)
from chatroom.doors.state import NOT_SERVED, State
from chatroom.doors.throttle import ByteThrottle
from chatroom.doors.writer import Writer
from chatroom.model.clock import Timer
from chatroom.model.identity import Identity

log = Logger()

#: How long a client has to log in, and then to ask for its session.
LOGIN_SECONDS: Final = 30.0

#: An exchange of keys, or a signature to be verified, costs as much of the byte rate as so many
#: bytes: it takes that much longer than text.
CRYPTO_BYTES: Final = 4096


@implementer(IHandshakeListener)
class SshConnection(BoundedTransport):
    """One connection to the SSH door, from its first byte on.

    source, address: see factory.DoorFactory.
    state: how far the connection has come: it is ARRIVING while the user logs in.
    origin: the id of the connection.
    opened: when it came, by `Clock.seconds`.
    closing: why the server closes it, see factory.Connected.
    said: how many lines were said in a session that is over.
    """

    transport: Any
    # mypy: conch's has the type of its own factory.
    factory: Any
    state = State.HANDSHAKE
    source: str
    address: str
    # From `serve` until the connection is gone.
    writer: Writer = NOT_SERVED
    throttle: ByteThrottle = NOT_SERVED
    origin = 0
    opened = 0.0
    closing = ""
    said = 0

    _stranger: PendingConnection
    _connection: SessionService | None = None
    _talker: SshProtocol | None = None
    # Whether what is sent piles up.
    _full = False
    # Whether the socket is read.
    _reading = True
    # Whether the client has asked for the service of authentication.
    _asked = False

    # -- the connection

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.connected(self)

    def serve(self) -> None:
        """Begin with a connection that can be used; for the factory."""
        factory, transport = self.factory, self.transport
        chat: Chat = factory.chat
        self.clock = chat.clock
        self.host_key = factory.host_key
        self.supportedPublicKeys = signatures_of(self.host_key)
        transport.bufferSize = READ_BYTES
        tune(transport, chat.limits)
        # A client that does not read is cut by the session, or has not much time yet.
        self.writer = Writer(transport, self, chat.call_later, stall_timeout=0)
        self._timer = Timer(chat.call_later)
        self.throttle = ByteThrottle(chat, self)
        self.origin = chat.next_origin()
        self.opened = chat.clock.seconds()
        self._stranger = PendingConnection(self.origin, self.address, self.source, self.opened)
        self.state = self.state.serve()
        factory.joined(self)
        self._timer.start(LOGIN_SECONDS, self._late)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self.over:
            return
        self._spend(len(data))
        super().dataReceived(data)

    def _spend(self, cost: int) -> None:
        self.throttle.spend(cost)
        if self.throttle.pausing:
            self._read_or_not()

    def charge_crypto(self) -> None:
        """Charge the client for a key exchange, or for a signature to be verified."""
        self._spend(CRYPTO_BYTES)

    def hold(self) -> None:
        """Take no further packet until `go_on`."""
        super().hold()
        self._read_or_not()

    def go_on(self) -> None:
        """Take packets again."""
        super().go_on()
        self._read_or_not()

    def rested(self) -> None:
        """Read on; for the throttle."""
        self._read_or_not()

    def _read_or_not(self) -> None:
        """Read from the socket, or leave it to the kernel to stop the client."""
        if self.over:
            return
        reading = not (self.throttle.pausing or self.holding or self._full)
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        """Twisted: the connection is gone."""
        before = self.state
        self.over = True
        self.state = before.lose(properly=False).release()
        if before is not State.HANDSHAKE:
            self.end_timers()
            self._stranger.over = True
            self.writer.lost()
        # First, as at the other doors: that the user has left the room comes after it in the log.
        self.factory.removed(self, self.source, reason or connectionDone)
        service, self.service = self.service, None
        if service is not None:
            service.serviceStopped()
        # No reference cycle, see LineProtocol.release.
        self._connection = self._talker = None
        self.writer = self.throttle = NOT_SERVED

    # -- who it is, and what it wants

    def service_for(self, name: bytes) -> Any:
        """Return the service that the client may ask for first, once."""
        if name != b"ssh-userauth" or self._asked:
            return None
        self._asked = True
        return Authentication(self.factory.chat, self._stranger, self._arrived)

    def _arrived(self, identity: Identity) -> None:
        self.state = self.state.begin()
        self.factory.arrived(self)
        self._connection = SessionService(partial(self._start, identity))
        self.setService(self._connection)
        self._timer.start(LOGIN_SECONDS, self._late)

    def _start(self, identity: Identity, requested: SessionRequest) -> Talker:
        self._timer.stop()
        if requested.command is not None and asks_for_program(requested.command):
            return NoProgram()
        return SshProtocol(self, identity, requested)

    def session_started(self, talker: SshProtocol) -> None:
        """Note that *talker* is the line protocol of the session."""
        self._talker = talker

    def session_ended(self, spoken: int) -> None:
        """Note that the session is over, in which *spoken* lines were said."""
        if self._talker is not None:
            self._talker, self.said = None, spoken

    def _late(self) -> None:
        arriving = self.state is State.ARRIVING
        missing = "Nobody has logged in" if arriving else "No session was opened"
        self.misbehaved(SshViolation(f"{missing} in time.", DISCONNECT_BY_APPLICATION))

    # -- the end

    def misbehaved(self, why: SshViolation) -> None:
        """End the connection, and tell the client and the log why."""
        if self.over:
            return
        log.info(
            "Connection {connection} from {address} was ended: {why}",
            event="ssh_ended",
            connection=self.origin,
            address=self.address,
            source=self.source,
            why=str(why),
        )
        arriving = self.state is State.ARRIVING
        self._end("not let in" if arriving else "no proper SSH", why.code, str(why))

    def _end(self, closing: str, code: int, text: str) -> None:
        """Tell the client why, and close when that is sent."""
        self.closing = self.closing or closing
        if self.over:
            return
        self.over = True
        self.state = self.state.close()
        self.say_why(code, text)
        self.writer.half_close()
        # It is read on, and thrown away: of a socket that is closed with something unread in it
        # the client might not see what was sent last.
        self.transport.resumeProducing()
        self._timer.start(FAREWELL_SECONDS, self.abort)

    def session_over(self) -> None:
        """Make the client leave if it does not; for the channel, which is closed."""
        if not self.over:
            self._timer.start(FAREWELL_SECONDS, self._leave)

    def _leave(self) -> None:
        self._end("left", DISCONNECT_BY_APPLICATION, "The session is over.")

    def abort(self) -> None:
        """Drop the connection and whatever was to be sent on it."""
        self.over = True
        self.transport.abortConnection()

    def ssh_DISCONNECT(self, packet: bytes) -> None:
        """Conch: the client leaves."""
        self.over = True
        self.state = self.state.close()
        self.writer.close(b"")
        self._timer.start(FAREWELL_SECONDS, self.abort)

    # -- what is sent

    def send(self, data: bytes) -> None:
        """Send whole packets: at once, if nothing waits."""
        self.writer.insert(data)

    @property
    def writable(self) -> bool:
        """Whether data may be sent now."""
        return not (self.over or self._full or self.exchanging)

    def unblocked(self) -> None:
        """Send data again: keys are agreed on."""
        self._push()

    def sendKexInit(self) -> None:
        """Conch: keys are to be agreed on, and no data goes out until they are."""
        super().sendKexInit()
        self._push()

    def stalled(self) -> None:
        """Read no further: a client that does not read may not ask for more."""
        self._full = True
        self._read_or_not()
        self._push()

    def drained(self) -> bool:
        """Return that nothing is left; what the session has to send comes in `flowing`."""
        return True

    def flowing(self) -> None:
        """Read on, and send more: the writer is not congested any more."""
        self._full = False
        self._read_or_not()
        self._push()

    def cut(self) -> None:
        """Do nothing: the writer has no such limit here, see `serve`."""

    def end_timers(self) -> None:
        """Stop what would be done later: the connection is over."""
        super().end_timers()
        self._timer.stop()
        self.throttle.stop()

    def handshakeCompleted(self) -> None:
        """Twisted: TLS is agreed on."""
        self.factory.agreed(self)

    def _push(self) -> None:
        if self._connection is not None and self._connection.session is not None:
            self._connection.session.push()

    # -- what the factory asks and says

    @property
    def spoken(self) -> int:
        """How many lines were said over it."""
        talker = self._talker
        return talker.spoken if talker is not None else self.said

    def limit(self, line_length: int) -> None:
        """Let a line have so many bytes from here on."""
        if self._talker is not None:
            self._talker.limit(line_length)

    def expel(self, told: str, what: str, why: str) -> None:
        """End the connection for an operator."""
        if self._talker is not None:
            self._talker.expel(told, what, why)
        else:
            self._end(what, DISCONNECT_BY_APPLICATION, told)

    def stop_reading(self) -> None:
        """Take no more input: the server stops.

        What is no input, such as window adjustments, is still read.
        """
        if self._talker is not None:
            self._talker.stop_reading()
        else:
            # There would be no place any more for a user who logs in now.
            self.dismiss()

    def dismiss(self) -> None:
        """Say that the server stops, and close."""
        self.closing = "the server stops"
        if self._talker is not None:
            self._talker.dismiss()
        else:
            self._end(self.closing, DISCONNECT_BY_APPLICATION, "The server is shutting down.")

    def drop(self) -> None:
        """Close without sending anything more."""
        self.abort()
