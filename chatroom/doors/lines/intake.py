"""The way in of one connection: what comes in, and what of it waits.

Theory of operation. Bytes are made into lines, or at a terminal into keys, no faster than the byte
rate allows. Lines are handed in one by one while the gate of the connection is open and its writer
is not congested; keys are processed only when no line can be handed in, since what a line leads to
decides whether the next one is shown. What cannot be handed in waits here, and while enough of it
waits the connection is not read, so that the kernel stops the client.

Whatever may change one of these ends in `proceed`: bytes came in, the gate opened, the writer is
not congested any more, the throttle's pause is over.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from chatroom.chat.connection import Connection
from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.lines.closewatch import CloseWatch
from chatroom.doors.lines.keys import KeyInput
from chatroom.doors.lines.quitting import quit_at
from chatroom.doors.state import State
from chatroom.doors.throttle import ByteThrottle
from chatroom.doors.writer import Writer
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import TURN_COST, not_said

log = Logger()

#: A connection is read while fewer lines, and bytes in them, wait; so what stops a paste, and a
#: close, are seen at once.
MAX_WAITING_LINES = 256
MAX_WAITING_BYTES = 16 * 1024


class Owner(Protocol):
    """The connection whose way in it is.

    transport: what is read, or not.
    state: how far it has come.
    keys: what makes lines of keys; None while the client sends lines.
    by_hand: whether a user types here, as far as that is known; else it may be a script.
    """

    transport: Any

    @property
    def state(self) -> State: ...

    @property
    def keys(self) -> KeyInput | None: ...

    @property
    def by_hand(self) -> bool: ...

    def share(self, data: bytes) -> tuple[int, int]:
        """Return how many bytes of *data* are processed first, and what they cost."""

    def take(self, data: bytes) -> None:
        """Make lines, or keys, of *data*."""

    def lineReceived(self, line: bytes) -> None:
        """Interpret one line, without its LF."""

    def typed(self, line: Line) -> None:
        """Interpret one line that was typed at a terminal."""

    def proceeded(self) -> None:
        """Do what is to be done after input was handed in."""


class Intake:
    """The bytes and lines that wait at one connection.

    throttle: what says whether more bytes may be processed.
    handing_in: whether lines are being handed in just now.
    """

    __slots__ = (
        "_buffer",
        "_connection",
        "_gate",
        "_owner",
        "_raw",
        "_reading",
        "_watch",
        "_writer",
        "handing_in",
        "throttle",
    )

    def __init__(
        self,
        owner: Owner,
        buffer: LineBuffer,
        throttle: ByteThrottle,
        connection: Connection,
        writer: Writer,
    ) -> None:
        self.throttle = throttle
        self.handing_in = False
        self._owner = owner
        self._buffer = buffer
        self._connection = connection
        self._gate = connection.gate
        self._writer = writer
        # What came in and was not looked at yet.
        self._raw = b""
        self._reading = not writer.congested
        # None until the client is not read although it could be.
        self._watch: CloseWatch | None = None

    # -- from bytes to lines

    def receive(self, data: bytes) -> None:
        """Take bytes that came in."""
        self._raw = self._raw + data if self._raw else data
        if not self.throttle.pausing:
            self.digest()
        self.proceed()
        lines = self._buffer.lines
        if lines and data.startswith(b"/") and data.find(b"\n") == len(data) - 1:
            # A line that came by itself: a script may end with /quit what it sends in one go.
            self._overtake(len(lines) - 1)

    def digest(self) -> None:
        """Make lines of the bytes that wait, or some keys, as far as the byte rate allows."""
        owner, throttle = self._owner, self.throttle
        while self._raw and not throttle.pausing:
            data = self._raw
            share, cost = owner.share(data)
            if share < len(data):
                data, self._raw = data[:share], data[share:]
            else:
                self._raw = b""
            owner.take(data)
            throttle.spend(cost)
            if owner.keys is not None:
                # What comes of it is first.
                throttle.spend(owner.keys.terminal.spent())
                break

    def end(self) -> None:
        """Take what a script has sent, its last line even without an end.

        What a user has typed, or pasted, and gone while it waits, does not count.
        """
        self.throttle.stop()
        if self._owner.by_hand:
            self.clear()
        raw, self._raw = self._raw, b""
        if raw:
            self._owner.take(raw)
        self._buffer.end()
        self.proceed()

    def clear(self) -> None:
        """Forget all that waits."""
        self._raw = b""
        self._buffer.clear()

    def stop(self) -> None:
        """Forget all that waits, and call nothing more."""
        self.throttle.stop()
        self.clear()

    # -- from lines to the connection

    def proceed(self) -> None:
        """Hand in what can be handed in; then end, or read on, or leave the client unread."""
        owner = self._owner
        if self.handing_in or not owner.state.takes_lines:
            return
        self.handing_in = True
        try:
            self._hand_in()
        except Exception:
            # Of a connection that is gone already Twisted would not tell once more.
            self.handing_in = False
            self.clear()
            self._connection.lost()
            raise
        self.handing_in = False
        if owner.keys is not None:
            self._give_way()
        if self._buffer.lines and owner.by_hand:
            self._overtake(0)
        if owner.state.ends:
            self._end_if_done()
        if owner.state.reads:
            self._read_or_not()
        owner.proceeded()

    def guarded(self, call: Callable[[], object]) -> None:
        """Do what was put off, and go on with the input."""
        try:
            call()
            self.proceed()
        except Exception:
            # The reactor would only log it.
            log.failure(
                "Input of connection {connection} failed",
                event="input_failed",
                connection=self._connection.origin,
            )
            self._writer.abort()

    def _hand_in(self) -> None:
        """Hand in lines, and process keys, until something has to wait."""
        owner, gate, writer = self._owner, self._gate, self._writer
        lines = self._buffer.lines
        done = spent = 0
        try:
            while True:
                if (
                    done < len(lines)
                    and gate.is_open
                    and (not writer.congested or owner.state.lost)
                ):
                    line = lines[done]
                    done += 1
                    if isinstance(line, bytes):
                        owner.lineReceived(line)
                    else:
                        owner.typed(line)
                elif owner.keys is not None and self._keys_wait and spent < TURN_COST:
                    spent += self._work(owner.keys)
                else:
                    break
        finally:
            del lines[:done]

    def _work(self, keys: KeyInput) -> int:
        """Process some keys; return what that cost."""
        keys.terminal.work()
        cost = keys.terminal.spent()
        self.throttle.spend(cost)
        return cost

    @property
    def _keys_wait(self) -> bool:
        """Whether there are keys that can be processed now."""
        keys = self._owner.keys
        return keys is not None and not self.throttle.pausing and keys.terminal.ready

    def _give_way(self) -> None:
        """Let the other connections have their turn if there are keys left to process."""
        if not self.throttle.pausing and (self._keys_wait or self._raw):
            self.throttle.give_way()

    def _overtake(self, first: int) -> None:
        """Drop the lines that wait before a /quit, looked for from the *first* of them on.

        Where the user has typed Ctrl-D, all are dropped.
        """
        connection, lines = self._connection, self._buffer.lines
        if connection.asking:
            return
        leaving = self._owner.state is State.LEAVING
        count = len(lines) if leaving else quit_at(connection, lines, first)
        if count:
            self._buffer.drop(count)
            connection.notice(not_said(count))

    def _end_if_done(self) -> None:
        """End the connection if nothing that came in waits: no more will come."""
        # A client that reads on gets all there is before it goes.
        taken = self._owner.state.lost or not self._writer.congested
        if taken and self._gate.is_open and not (self._buffer.lines or self.throttle.pausing):
            self._connection.end()

    # -- reading

    def _read_or_not(self) -> None:
        """Read from the socket, or leave it to the kernel to stop the client."""
        reading = not (self._writer.congested or self.throttle.pausing)
        if reading and (self._buffer.lines or self._owner.keys is not None) and self._overfull:
            reading = False
            self._look()
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._owner.transport.resumeProducing()
            else:
                self._owner.transport.pauseProducing()

    def pause(self) -> None:
        """Read no further until there is a reason to."""
        self._reading = False
        self._owner.transport.pauseProducing()

    @property
    def _overfull(self) -> bool:
        """Whether more waits than should."""
        keys = self._owner.keys
        if keys is not None:
            return keys.overfull
        lines = self._buffer.lines
        return len(lines) > MAX_WAITING_LINES or sum(map(len, lines)) > MAX_WAITING_BYTES

    def _look(self) -> None:
        """End the connection of a client that has closed, once it has waited long enough."""
        if self._watch is None:
            self._watch = CloseWatch(self._owner.transport, self._connection.chat.clock)
        if self._watch.abandoned():
            self.clear()
            self._connection.end()
