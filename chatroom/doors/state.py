"""The life of a connection at a door, from the handshake to the last reference.

    HANDSHAKE ──serve──▶ ARRIVING ──begin──▶ OPEN ──leave──▶ LEAVING
                                               └──────┬─────────┘
                                                  end_input
                                                      ▼
                                                    ENDED

    ARRIVING, OPEN, LEAVING, ENDED      ──stop──▶   STOPPED
    ARRIVING, OPEN, LEAVING, ENDED      ──close──▶  CLOSING
    OPEN, LEAVING, ENDED                ──lose──▶   DRAINING, or GONE if not closed properly
    ARRIVING, STOPPED, CLOSING          ──lose──▶   GONE
    DRAINING                            ──stop──▶   GONE
    DRAINING, GONE                      ──release─▶ CLOSED
    HANDSHAKE                           ──lose──▶   CLOSED

Each transition is a method that returns the next state; where no arrow leads away, the state stays
what it is. Only `doors/connection.py` and what derives from it change the state, and nothing else
says how far a connection has come.
"""

from enum import Enum
from typing import Any, Final

#: An attribute that a connection has only while it is served: None, whatever its type.
NOT_SERVED: Final[Any] = None


class State(Enum):
    """How far a connection has come.

    reads: whether more bytes are wanted of the client.
    takes_lines: whether the lines that wait are handed in.
    ends: whether the connection ends when no line waits any more.
    left_by_client: whether the client, or its user, has ended the connection.
    lost: whether the connection is gone, so that nothing that is sent arrives.
    """

    #: TLS, if there is any, is still agreed on. There is no connection.
    HANDSHAKE = (0, False, False, False, False, False)
    #: The connection has not begun: it is still to be known whether the client sends lines or keys.
    ARRIVING = (1, True, True, False, False, False)
    #: The user talks.
    OPEN = (2, True, True, False, False, False)
    #: The user wants to leave (Ctrl-D at a terminal); the lines before that count.
    LEAVING = (3, True, True, True, True, False)
    #: The client sends nothing more, but reads: the lines that wait are taken, and answered.
    ENDED = (4, False, True, True, True, False)
    #: The server stops: lines are not taken any more, and the connection is left as it is.
    STOPPED = (5, False, False, False, False, False)
    #: The farewell is on its way to the client.
    CLOSING = (6, False, False, False, False, False)
    #: The connection is gone; the lines that wait still count.
    DRAINING = (7, False, True, True, True, True)
    #: The connection is gone, and what waited with it; the connection is not over yet.
    GONE = (8, False, False, False, True, True)
    #: The connection is over as well: the connection refers to nothing any more.
    CLOSED = (9, False, False, False, False, True)

    def __init__(
        self, _: int, reads: bool, takes_lines: bool, ends: bool, left_by_client: bool, lost: bool
    ) -> None:
        self.reads = reads
        self.takes_lines = takes_lines
        self.ends = ends
        self.left_by_client = left_by_client
        self.lost = lost

    def serve(self) -> "State":
        """Return the state once there is a connection."""
        return State.ARRIVING if self is State.HANDSHAKE else self

    def begin(self) -> "State":
        """Return the state once the connection is open."""
        return State.OPEN if self is State.ARRIVING else self

    def leave(self) -> "State":
        """Return the state once the user wants to leave."""
        return State.LEAVING if self is State.OPEN else self

    def end_input(self) -> "State":
        """Return the state once the client has closed its sending side."""
        return State.ENDED if self in (State.OPEN, State.LEAVING) else self

    def stop(self) -> "State":
        """Return the state once the server stops."""
        if self is State.DRAINING:
            return State.GONE
        return State.STOPPED if self in _SERVED else self

    def close(self) -> "State":
        """Return the state once the farewell is sent."""
        return State.CLOSING if self in _SERVED else self

    def lose(self, *, properly: bool) -> "State":
        """Return the state once the connection is gone.

        :param properly: whether it was closed, rather than reset or dropped.
        """
        if self is State.HANDSHAKE:
            return State.CLOSED
        if self.lost:
            return self
        talks = self in (State.OPEN, State.LEAVING, State.ENDED)
        return State.DRAINING if talks and properly else State.GONE

    def release(self) -> "State":
        """Return the state once the connection of a lost connection is over."""
        return State.CLOSED if self.lost else self


_SERVED = (State.ARRIVING, State.OPEN, State.LEAVING, State.ENDED)
