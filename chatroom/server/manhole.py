"""The manhole: a Python prompt in the running server, for its administrator.

Its socket has mode 0600 from the moment it is made, so that only the server's user can connect.
Code runs in the reactor's thread: slow code blocks the whole chat.
"""

import builtins
import io
import os
import socket
import stat
import sys
from code import InteractiveConsole
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

log = Logger()

#: The greatest length of a line.
MAX_LINE_BYTES = 64 * 1024


class ManholeError(ValueError):
    """The manhole cannot be made at this path; the message says why, in one line."""


def check(path: str) -> bool:
    """Return whether there is an unused socket at *path*, which may be replaced.

    Raises ManholeError if the manhole cannot be made there.
    """
    if len(os.fsencode(path)) > 107:
        raise ManholeError("manhole: the path of a socket has at most 107 bytes")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise ManholeError(f"manhole: there is no folder {folder}") from None
        return False
    except OSError as error:
        raise ManholeError(f"manhole: {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISSOCK(mode):
        raise ManholeError(f"manhole: {path} exists already, and is no socket")
    with socket.socket(socket.AF_UNIX) as trial:
        trial.setblocking(False)
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    raise ManholeError(f"manhole: {path} is in use by another program")


class ManholeProtocol(LineOnlyReceiver):
    """One connection with a Python prompt."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE_BYTES
    transport: Any
    factory: "ManholeFactory"

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        self.factory.clients.add(self)
        log.info("The manhole was opened.", event="manhole_opened")
        # Python's own exit() would close standard input.
        namespace = {**self.factory.namespace, "exit": sys.exit, "quit": sys.exit}
        self._console = InteractiveConsole(namespace, "<manhole>")
        names = ", ".join(sorted(self.factory.namespace))
        self._show(f"Python {sys.version.split()[0]}; here are: {names}. exit() leaves.\n>>> ")

    def lineReceived(self, line: bytes) -> None:
        """Twisted: a line was typed."""
        # Standard output and error belong to the log; what the console shows goes there as well.
        output = io.StringIO()
        try:
            with redirect_stdout(output), redirect_stderr(output):
                more = self._console.push(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            self._show("That is not UTF-8.\n>>> ")
        except SystemExit:
            self._show(output.getvalue())
            self.transport.loseConnection()
        else:
            self._show(output.getvalue() + ("... " if more else ">>> "))

    def _show(self, text: str) -> None:
        self.transport.write(text.encode(errors="backslashreplace"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        # The console keeps the last value that it has shown here.
        vars(builtins).pop("_", None)
        self.factory.clients.discard(self)
        log.info("The manhole was closed.", event="manhole_closed")


class ManholeFactory(Factory):
    """Makes prompts with the same initial namespace."""

    protocol: Any = ManholeProtocol
    noisy = False

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.clients: set[ManholeProtocol] = set()


class ManholeService(Service):
    """Opens the manhole at the absolute *path* while the server runs."""

    def __init__(self, reactor: Any, path: str, namespace: dict[str, Any]) -> None:
        self._reactor = reactor
        self._path = path
        self._factory = ManholeFactory(namespace)
        self._port: Any = None

    def startService(self) -> None:
        """Twisted: the server runs. Raises ManholeError, or CannotListenError."""
        super().startService()
        if check(self._path):
            os.unlink(self._path)
        # Twisted sets the mode only after the socket has been made.
        former = os.umask(0o177)
        try:
            self._port = self._reactor.listenUNIX(self._path, self._factory, mode=0o600)
        finally:
            os.umask(former)

    def stopService(self) -> Any:
        """Twisted: the server stops. Fires when the socket is gone."""
        super().stopService()
        for client in list(self._factory.clients):
            client.transport.loseConnection()
        port, self._port = self._port, None
        return port.stopListening() if port is not None else None
