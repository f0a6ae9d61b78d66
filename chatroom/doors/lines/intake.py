"""The way in of one connection: bytes wait for their turn, lines for the session.

Theory of operation. Bytes are made into lines, or at a terminal into keys, no faster than the byte
rate allows. Lines are handed in one by one while the gate of the session is open and the writer is
not congested; keys are processed only when no line can be handed in, since what a line leads to
decides whether the next one is shown. What cannot be handed in waits here, and while enough of it
waits the connection is not read, so that the kernel stops the client.
"""

from typing import Protocol

from chatroom.chat.gate import InputGate
from chatroom.doors.lines.buffer import LineBuffer
from chatroom.doors.lines.keys import KeyInput
from chatroom.doors.lines.state import State
from chatroom.doors.throttle import ByteThrottle
from chatroom.doors.writer import Writer
from chatroom.terminal.editactions import Line
from chatroom.terminal.terminal import TURN_COST

#: A connection is read while fewer lines, and bytes in them, wait; so what stops a paste, and a
#: close, are seen at once.
MAX_WAITING_LINES = 256
MAX_WAITING_BYTES = 16 * 1024


class Owner(Protocol):
    """The connection whose way in it is.

    state: how far it has come.
    keys: what makes lines of keys; None while the client sends lines.
    """

    @property
    def state(self) -> State: ...

    @property
    def keys(self) -> KeyInput | None: ...

    def share(self, data: bytes) -> tuple[int, int]:
        """Return how many bytes of *data* are processed first, and what they cost."""

    def take(self, data: bytes) -> None:
        """Make lines, or keys, of *data*."""

    def lineReceived(self, line: bytes) -> None:
        """Interpret one line, without its LF."""

    def typed(self, line: Line) -> None:
        """Interpret one line that was typed at a terminal."""


class Intake:
    """The bytes and lines that wait at one connection.

    throttle: what says whether more bytes may be processed.
    """

    __slots__ = ("_buffer", "_gate", "_owner", "_raw", "_writer", "throttle")

    def __init__(
        self,
        owner: Owner,
        buffer: LineBuffer,
        throttle: ByteThrottle,
        gate: InputGate,
        writer: Writer,
    ) -> None:
        self.throttle = throttle
        self._owner = owner
        self._buffer = buffer
        self._gate = gate
        self._writer = writer
        # What came in and was not looked at yet.
        self._raw = b""

    def receive(self, data: bytes) -> None:
        """Take bytes that came in."""
        self._raw = self._raw + data if self._raw else data
        if not self.throttle.pausing:
            self.digest()

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

    def hand_in(self) -> None:
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

    def give_way(self) -> None:
        """Let the other connections have their turn if there are keys left to process."""
        if not self.throttle.pausing and (self._keys_wait or self._raw):
            self.throttle.give_way()

    @property
    def done(self) -> bool:
        """Whether nothing of what came in is left that counts."""
        taken = self._owner.state.lost or not self._writer.congested
        idle = not (self._buffer.lines or self.throttle.pausing)
        return idle and taken and self._gate.is_open

    @property
    def overfull(self) -> bool:
        """Whether more waits than should."""
        keys = self._owner.keys
        if keys is not None:
            return keys.overfull
        lines = self._buffer.lines
        return len(lines) > MAX_WAITING_LINES or sum(map(len, lines)) > MAX_WAITING_BYTES

    def clear(self) -> None:
        """Forget all that waits."""
        self._raw = b""
        self._buffer.clear()

    def stop(self) -> None:
        """Forget all that waits, and call nothing more."""
        self.throttle.stop()
        self.clear()

    def end(self) -> None:
        """Make lines of all that waits, the last one even without an end."""
        self.throttle.stop()
        raw, self._raw = self._raw, b""
        if raw:
            self._owner.take(raw)
        self._buffer.end()
