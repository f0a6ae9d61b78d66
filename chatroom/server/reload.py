"""Reload settings and files on SIGHUP.

No connection is closed. A faulty file changes nothing, and is named in the log.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

from chatroom.server.systemd import Notifier

log = Logger()

#: Reads something again. Raises an exception, and changes nothing, if that fails.
Reload = Callable[[], None]


class ReloadService(Service):
    """Reloads on SIGHUP.

    settings: reloads the settings; if that fails nothing else is reloaded.
    """

    def __init__(self, reactor: Any, notifier: Notifier, settings: Reload) -> None:
        self._reactor = reactor
        self._notifier = notifier
        self._settings = settings
        self._others: dict[str, Reload] = {}
        self._former: Any = None
        self._has_terminal = False

    def add(self, name: str, reload: Reload) -> None:
        """Call *reload* as well, after the settings were reloaded; the log calls it *name*."""
        self._others[name] = reload

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        self._reactor.callWhenRunning(self._listen)

    def _listen(self) -> None:
        if self.running:
            self._has_terminal = terminal()
            self._former = signal.signal(signal.SIGHUP, self._signalled)

    def stopService(self) -> None:
        """Twisted: the server stops. SIGHUP does nothing any more."""
        super().stopService()
        if self._former is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _signalled(self, *_: object) -> None:
        self._reactor.callFromThread(self.hung_up)

    def hung_up(self) -> None:
        """Reload after SIGHUP, or stop if it was sent because the terminal was closed."""
        if not self.running:
            return
        if self._has_terminal and not terminal():
            self._reactor.stop()
        else:
            self.reload()

    def reload(self) -> None:
        """Reload everything."""
        self._notifier.reloading()
        if self._reloaded("the settings", self._settings):
            done = [name for name, reload in self._others.items() if self._reloaded(name, reload)]
            what = ", ".join(["the settings", *done])
            log.info("Reloaded: {what}", event="reloaded", what=what)
        self._notifier.ready()

    def _reloaded(self, name: str, reload: Reload) -> bool:
        try:
            reload()
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            log.error(
                "Not reloaded: {what} stay as they were. {why}",
                event="reload_failed",
                what=name,
                why=why,
            )
            return False
        return True


def terminal() -> bool:
    """Return whether this process has a terminal that is still there (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
