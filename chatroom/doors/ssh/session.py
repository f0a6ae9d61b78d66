"""The line protocol in the connection of an SSH connection.

It takes lines, keys of a terminal, or one command, of which only the answer is sent. What SSH is
about belongs to the connection and the channel.
"""

import re
from typing import Any, Final, Protocol

from twisted.python.failure import Failure

from chatroom.actions.handler import TEXT
from chatroom.chat.connection import Connection
from chatroom.doors.lines.commands import COMMANDS
from chatroom.doors.lines.protocol import LineProtocol
from chatroom.doors.ssh.channel import SessionRequest
from chatroom.doors.state import State
from chatroom.doors.writer import Writer
from chatroom.formats.plain import PLAIN
from chatroom.model.events import SERVER, Noticed
from chatroom.model.identity import Identity
from chatroom.model.refused import Code, Refused
from chatroom.terminal.terminal import kind_of

# What programs ask a server to run: those that bring and fetch files, and shells for others to use.
# With nothing behind their names, or an option, as no sentence goes on; and what people run on
# other servers, with an option.
_PROGRAM: Final = re.compile(
    rb"""(?:exec\s+)?(?:\S*/)?(?:
        git-\S+(?:\s.*)? | git\s+(?:upload-pack|receive-pack|upload-archive)\b.*
      | (?:sftp-server|internal-sftp)(?:\s.*)? | cat\s*>.*
      | (?:scp|sftp|rsync|rclone|unison|hg|svnserve|cvs|bzr|borg|mosh-server|(?:ba|da|z|k|a|fi)?sh)
        (?:\s+(?:-|serve\b|server\b|new\b).*)?
      | (?:awk|cat|chmod|cp|curl|date|df|docker|du|echo|env|find|free|grep|head|id|ifconfig|ip|kill
        |last|ln|ls|lscpu|mkdir|mv|nc|netstat|nproc|ping|ps|python3?|rm|sed|ss|ssh|stat|sudo|tail
        |tar|top|touch|uname|uptime|w|wc|wget|who)
        \s+-[-A-Za-z0-9].*
    )\s*""",
    re.VERBOSE | re.DOTALL,
)

NO_PROGRAMS: Final = "There are no files and no programs here, only people. /say says anything."


def asks_for_program(command: bytes) -> bool:
    """Return whether *command* is what programs such as `scp` and `git` ask for."""
    return _PROGRAM.fullmatch(command) is not None


class NoProgram:
    """A protocol that says on standard error that there are no programs here."""

    def makeConnection(self, transport: Any) -> None:
        """The channel is there."""
        transport.write_stderr(PLAIN.encode(Noticed(0, SERVER, NO_PROGRAMS)))
        transport.status = 1
        transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Nothing is read."""

    def readConnectionLost(self) -> None:
        """Nothing is waited for."""

    def connectionLost(self, reason: Failure) -> None:
        """It is over."""

    def resized(self, width: int, height: int) -> None:
        """Nothing is drawn."""


class Carrier(Protocol):
    """The connection that a connection is in.

    origin: its id.
    source, address: as at the other doors.
    factory: its door.
    closing: why the server closes it, see factory.Connected.
    """

    origin: int
    source: str
    address: str
    factory: Any
    closing: str

    def session_started(self, talker: "SshProtocol") -> None:
        """Note that *talker* is the line protocol of the connection."""

    def session_ended(self, spoken: int) -> None:
        """Note that the connection is over, in which *spoken* lines were said."""


class MutedWriter(Writer):
    """A writer that sends nothing while it is `muted`."""

    __slots__ = ("muted",)

    muted: bool

    def write(self, data: bytes) -> int:
        """Send *data*, or take it and send nothing."""
        return len(data) if self.muted else super().write(data)


class SshProtocol(LineProtocol):
    """The line protocol in the connection of an SSH connection.

    connection: the SSH connection.
    identity: who its user is.
    requested: what the client has asked of its connection; with a terminal it sends keys.
    """

    def __init__(self, carrier: Carrier, identity: Identity, requested: SessionRequest) -> None:
        self.carrier = carrier
        self.identity = identity
        self.requested = requested
        self.factory = carrier.factory
        self.source = carrier.source
        self.address = carrier.address
        # A command that was not begun yet.
        self._command = requested.command

    def make_writer(self) -> Writer:
        """Return the writing side, which sends nothing before the command is run."""
        if self._command is None:
            return super().make_writer()
        chat = self.factory.chat
        writer = MutedWriter(self.transport, self, chat.call_later, chat.limits.stall_timeout)
        writer.muted = True
        return writer

    def make_connection(self) -> Connection:
        """Return the connection, which has the id of the connection."""
        chat, origin = self.factory.chat, self.carrier.origin
        connection = Connection(chat, self, self.writer, TEXT, COMMANDS, self.source, origin)
        connection.one_shot = self._command is not None
        connection.replaces = self.requested.terminal is not None
        return connection

    def came(self) -> None:
        """Tell the connection that all is made, and begin."""
        self.carrier.session_started(self)
        self.begin(self.identity)
        requested = self.requested
        if requested.terminal is not None and self._command is None:
            kind = kind_of([requested.terminal] if requested.terminal else [])
            self.take_terminal(kind, (requested.width, requested.height), requested.no_color)

    def went(self, reason: Failure) -> None:
        """Do nothing: the connection tells the factory when it is gone, too."""

    def release(self) -> None:
        """Drop the parts, and tell the connection."""
        spoken = self.spoken
        super().release()
        self.carrier.session_ended(spoken)

    def connectionMade(self) -> None:
        """The channel is there."""
        super().connectionMade()
        if self._command is not None and self.state is State.OPEN:
            self.dataReceived(self._command + b"\n")
            self.readConnectionLost()

    def lineReceived(self, line: bytes) -> None:
        """Interpret one line, without its LF."""
        self._unmute()
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is too long."""
        self._unmute()
        super().lineLengthExceeded(line)

    def ask_for_terminal(self) -> None:
        """Refuse: the client asks for a terminal before the connection. Raises Refused."""
        super().ask_for_terminal()
        raise Refused(Code.WRONG_CONNECTION, "Your ssh has not asked for a terminal. ssh -t does.")

    def take_lines(self) -> None:
        """Refuse: the client sends keys. Raises Refused."""
        if self.keys is None:
            super().take_lines()
        raise Refused(Code.WRONG_CONNECTION, "Your ssh sends keys, not lines. ssh -T sends lines.")

    def _unmute(self) -> None:
        """Send what is written from here on: it answers the command, if there is one."""
        if self._command is None:
            return
        self._command = None
        connection = self.connection
        connection.drop_queue()
        if connection.why:
            # The user says as a guest what the command says.
            notice = Noticed(self.factory.chat.clock.time(), SERVER, connection.why)
            self.transport.write_stderr(PLAIN.encode(notice))
        connection.refusals = 0
        assert isinstance(self.writer, MutedWriter)
        self.writer.muted = False

    def expelled(self, what: str) -> None:
        """Note why the connection ends, for the connection too."""
        super().expelled(what)
        self.carrier.closing = what

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close with the status of the command."""
        if self.requested.command is not None:
            done = self._command is None and not self.connection.refusals
            self.transport.status = 0 if done else 1
            assert isinstance(self.writer, MutedWriter)
            # If the command could not even begin, what is said last says why.
            self.writer.muted = False
        super().close(farewell)

    def cut(self) -> None:
        """End the connection of a client that has read nothing for too long."""
        super().cut()
        self.carrier.closing = self.closing

    @property
    def origin(self) -> int:
        """The id of the connection."""
        return self.carrier.origin

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read along, as SSH sees to it."""
        return True
