"""Time: a monotonic clock, the system clock, and delayed calls.

Durations are measured by `Clock.seconds`, the monotonic clock, and nothing else is. Times that
users see or that are stored come from `Clock.time`, the system clock, which may step in both
directions at any moment: an administrator sets it, or a machine without a battery learns the time
late.
"""

from collections.abc import Callable
from typing import Protocol


class Call(Protocol):
    """A delayed call."""

    def active(self) -> int:
        """Return whether it is still pending."""

    def cancel(self) -> object:
        """Cancel it."""


class Clock(Protocol):
    """The two clocks, and delayed calls."""

    def seconds(self) -> float:
        """Return the seconds of the monotonic clock, from an arbitrary moment on."""

    def time(self) -> float:
        """Return the seconds since the epoch by the system clock."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Call:
        """Call *callable* with *args* after *delay* seconds of the monotonic clock."""


class Timers(Protocol):
    """A function that delays a call, such as `Clock.callLater`."""

    def __call__(self, delay: float, callable: Callable[..., object]) -> Call: ...


class Timer:
    """At most one delayed call; starting the timer again replaces it.

    later: delays the call.

    The timer drops its function when it has called it or is stopped, so that an owner and its timer
    are no reference cycle afterwards.
    """

    __slots__ = ("_call", "_function", "_later")

    def __init__(self, later: Timers) -> None:
        self._later = later
        self._call: Call | None = None
        self._function: Callable[[], object] | None = None

    @property
    def running(self) -> bool:
        """Whether a call is pending."""
        return self._call is not None

    def start(self, seconds: float, function: Callable[[], object]) -> None:
        """Call *function* in *seconds*, in place of any pending call."""
        self.stop()
        self._function = function
        self._call = self._later(seconds, self._due)

    def stop(self) -> None:
        """Cancel the pending call, if there is one."""
        call, self._call, self._function = self._call, None, None
        if call is not None and call.active():
            call.cancel()

    def _due(self) -> None:
        function, self._call, self._function = self._function, None, None
        assert function is not None
        function()
