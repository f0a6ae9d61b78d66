"""Time: how long something takes, what the clock on the wall shows, and calls that are put off.

The rule: spans are measured by `Clock.seconds`, and nothing else is. Times that people see, that
are kept, or that come from either are those of `Clock.time`, which may step in both directions
at any moment: an operator sets it, or a machine without a battery learns the time late.
"""

from collections.abc import Callable
from typing import Protocol


class Call(Protocol):
    """A call that was put off."""

    def active(self) -> int:
        """Whether it is still to come."""

    def cancel(self) -> object:
        """It will not come."""


class Clock(Protocol):
    """The two clocks, and calls that are put off."""

    def seconds(self) -> float:
        """Seconds since some moment in the past, by a clock that nobody sets."""

    def time(self) -> float:
        """Seconds since the epoch, by the clock on the wall."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Call:
        """Call *callable* with *args* in *delay* seconds, by the clock that nobody sets."""


class Timers(Protocol):
    """What puts a call off by some seconds."""

    def __call__(self, delay: float, callable: Callable[..., object]) -> Call: ...
