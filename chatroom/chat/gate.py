"""Whether the next line of a connection may be handed in, and what it waits for.

Theory of operation. A line is interpreted only after all that the lines before it led to is known:
a room is entered, a name is decided, a password is compared. Whatever begins such a thing closes
the gate for its reason, and opens it for that reason when it is known how the thing ended. The gate
is open while it is closed for no reason. It calls nobody's code at once when it opens: its owner
asks for input to go on at the end of the turn, and looks at the gate again by then.

    close(reason)   idempotent; a reason is closed or not, however often that was asked for
    open(reason)    the last reason to go asks for input to go on
    opened(reason)  fires with True once the gate is not closed for this reason any more, in the
                    order of the calls
    wait_for(answer) counts answers: ANSWER is opened by the last of them
    end()           for good: whatever waits, or will wait, gets False

A gate keeps no reference to its connection, so that a closed connection is freed at once.
"""

from enum import IntEnum
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from chatroom.model.clock import Call, Clock
from chatroom.model.limits import TokenBucket


class Reason(IntEnum):
    """A reason why input waits, to be combined by `|`."""

    #: The connection is on its way into a room.
    ENTERING = 1
    #: A name was asked for.
    NAMING = 2
    #: The send queue is full.
    OUTPUT = 4
    #: The next line has to wait for its turn, see LinePacer.
    PACE = 8
    #: The conversation is over; never opened.
    OVER = 16
    #: An answer from elsewhere is on its way, see InputGate.wait_for.
    ANSWER = 32
    #: An event that this connection has submitted is not committed yet.
    DECIDING = 64


class Hub(Protocol):
    """What gates tell that input may go on."""

    def resume_input(self, id: int) -> None:
        """Let the input of this connection go on when the turn ends, if its gate is open then."""


class InputGate:
    """Holds back a connection's lines while there is a reason to.

    reasons: those for which it is closed, 0 for none; to be read only.
    """

    __slots__ = ("_answers", "_ended", "_hub", "_id", "_waiters", "reasons")

    def __init__(self, hub: Hub, id: int) -> None:
        """Make an open gate for the connection with this *id*."""
        self.reasons = 0
        self._hub = hub
        self._id = id
        self._answers = 0
        self._ended = False
        # By reason; None for nothing.
        self._waiters: dict[Reason, list[Deferred[bool]]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a line may be handed in."""
        return not self.reasons

    def close(self, reason: Reason) -> None:
        """Let no line be handed in until `open` is called for the same reason."""
        self.reasons |= reason

    def open(self, reason: Reason) -> None:
        """Let input wait for *reason* no longer."""
        if not self.reasons & reason:
            return
        self.reasons &= ~reason
        if not self.reasons:
            self._hub.resume_input(self._id)
        for waiter in (self._waiters or {}).pop(reason, ()):
            waiter.callback(True)

    def opened(self, reason: Reason) -> "Deferred[bool]":
        """Fire when the gate is not closed for *reason*: with True, or with False if it has ended.

        It has fired already if neither is to be waited for.
        """
        if self._ended or not self.reasons & reason:
            return succeed(not self._ended)
        waiter: Deferred[bool] = Deferred()
        if self._waiters is None:
            self._waiters = {}
        self._waiters.setdefault(reason, []).append(waiter)
        return waiter

    def wait_for(self, answer: "Deferred[Any]") -> None:
        """Keep input waiting until *answer* is there.

        :param answer: its result, or failure, is dropped: what it leads to is done by callbacks
            that it has already.
        """
        self.close(Reason.ANSWER)
        self._answers += 1
        answer.addBoth(self._answered)

    def _answered(self, _: object) -> None:
        self._answers -= 1
        if not self._answers:
            self.open(Reason.ANSWER)

    def end(self) -> None:
        """Stay closed for good: whatever still waits for a reason is told that it waits in vain."""
        self.close(Reason.OVER)
        self._ended = True
        waiters, self._waiters = self._waiters, None
        for some in (waiters or {}).values():
            for waiter in some:
                waiter.callback(False)


class LinePacer:
    """Closes a gate after each line until the next one may come, by a token bucket.

    told: whether the user was told that their lines wait for their turn.
    """

    __slots__ = ("_call", "_clock", "_full_at", "_gate", "told")

    def __init__(self, gate: InputGate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        # The state of the token bucket, see limits.TokenBucket.
        self._full_at = 0.0
        self._call: Call | None = None
        self.told = False

    def took(self, pace: TokenBucket, now: float) -> None:
        """Count one line that was taken at *now*, by `Clock.seconds`."""
        self._full_at = pace.spend(self._full_at, now)
        wait = pace.wait(self._full_at, now)
        if wait > 0:
            self.pause(wait)

    def pause(self, seconds: float) -> None:
        """Let the next line wait for so many seconds from now on."""
        self.stop()
        self._gate.close(Reason.PACE)
        self._call = self._clock.callLater(seconds, self._gate.open, Reason.PACE)

    def stop(self) -> None:
        """Drop the timer."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
