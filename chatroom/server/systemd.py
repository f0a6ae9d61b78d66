"""Notify systemd, or another service manager with a $NOTIFY_SOCKET (sd_notify(3)).

Nothing here blocks or raises, even if the service manager does not listen.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

#: How often the number of connected users is checked.
STATUS_SECONDS = 5.0


class Notifier:
    """Sends notifications to a datagram socket.

    path: the socket's path, ``@name`` for an abstract socket, "" for none.
    """

    def __init__(self, path: str = "") -> None:
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        if path:
            # Not connected, since the service manager may make its socket again.
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @property
    def listening(self) -> bool:
        """Whether there is a service manager to notify."""
        return self._socket is not None

    def send(self, *assignments: str) -> None:
        """Send these lines, such as ``READY=1``, as one datagram, if there is room for it."""
        if self._socket is not None:
            # A line feed would begin another assignment. ValueError: a path may be too long.
            text = "\n".join(" ".join(assignment.splitlines()) for assignment in assignments)
            with contextlib.suppress(OSError, ValueError):
                self._socket.sendto(text.encode(errors="replace"), self._address)

    def ready(self) -> None:
        """Say that the server has started, or has finished reloading."""
        self.send("READY=1")

    def reloading(self) -> None:
        """Say that the server reloads its settings, until `ready` is called."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def from_environment(environment: MutableMapping[str, str]) -> tuple[Notifier, float]:
    """Return the notifier, and the interval of the watchdog in seconds, 0 for none.

    The variables are removed from *environment*, because they are not meant for child processes.
    """
    path = environment.pop("NOTIFY_SOCKET", "")
    period = environment.pop("WATCHDOG_USEC", "")
    process = environment.pop("WATCHDOG_PID", str(os.getpid()))
    known = path.startswith(("/", "@")) and len(path) > 1
    meant = process == str(os.getpid()) and period.isascii() and period.isdigit()
    return Notifier(path if known else ""), int(period) / 1_000_000 if meant else 0.0


class NotifyService(Service):
    """Tells the service manager the state of the server; start it last and stop it first.

    running: calls a function when the reactor runs: `reactor.callWhenRunning`.
    watchdog: the interval in seconds within which the manager expects a sign of life, 0 for none.
    people: returns the number of connected users.
    """

    def __init__(
        self,
        clock: Any,
        running: Callable[[Callable[[], None]], object],
        notifier: Notifier,
        watchdog: float,
        people: Callable[[], int],
    ) -> None:
        self.notifier = notifier
        self._when_running = running
        self._people = people
        self._told: int | None = None
        self._loops = {LoopingCall(self._tell_status): STATUS_SECONDS}
        if watchdog:
            # Sent by the reactor: a stuck reactor gives no sign of life.
            self._loops[LoopingCall(notifier.send, "WATCHDOG=1")] = watchdog / 2
        for loop in self._loops:
            loop.clock = clock

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        if self.notifier.listening:
            self._when_running(self._begin)

    def _begin(self) -> None:
        if self.running:
            self.notifier.ready()
            for loop, interval in self._loops.items():
                loop.start(interval)

    def _tell_status(self) -> None:
        people = self._people()
        if people != self._told:
            self._told = people
            self.notifier.send(f"STATUS={people} {'person' if people == 1 else 'people'} connected")

    def stopService(self) -> None:
        """Twisted: the server stops."""
        super().stopService()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        self.notifier.send("STOPPING=1", "STATUS=Stopping")
        self.notifier.close()
