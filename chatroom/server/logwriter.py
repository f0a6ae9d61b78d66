"""The writer of the log, which never blocks the reactor.

Lines are handed to a thread, and only the thread waits for the disk, the pipe or the terminal.
While that takes nothing, lines beyond the buffer's size are dropped, the oldest first, and counted.
So the chat goes on while a terminal is stopped (^S), a pipe is not read, or a disk is full.
"""

import atexit
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.logger import Logger

log = Logger()

#: How many bytes of lines wait at most, and how many are written at a time.
BUFFER_BYTES = 1 << 20
CHUNK_BYTES = 64 * 1024

#: How long, in seconds, the end of the process is put off for the last lines.
LAST_SECONDS = 1.0

#: The mode of a log file: the code with which somebody becomes an operator is in it.
MODE = 0o640


class LogWriter:
    """Writes whole lines to *fd*: directly until `start`, and then in a thread.

    path: the file that *fd* was opened from, empty for none.
    most: how many bytes may wait.
    """

    def __init__(self, fd: int, path: str = "", most: int = BUFFER_BYTES) -> None:
        self._fd = fd
        self._path = path
        self._most = most
        #: The line that says how many lines were dropped; another format has another.
        self.dropped: Callable[[int], str] = "{} log lines were dropped.\n".format
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        # A line was cut when the disk was full.
        self._cut = False
        self._writing = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # Until then, by time.monotonic, a caller of `write` waits for the thread; None: never.
        self._until: float | None = None

    @property
    def path(self) -> str:
        """The path of the log file, empty if the log is not a file."""
        return self._path

    def write(self, text: str) -> None:
        """Write *text*, which is one event in whole lines; as a file does for a log observer."""
        data = text.encode(errors="replace")
        with self._changed:
            self._lines.append(data)
            self._size += len(data)
            while self._size > self._most:
                self._size -= len(self._lines.popleft())
                self._lost += 1
            if self._thread is None:
                while self._lines:
                    self._put(*self._take())
            self._changed.notify_all()
            self._settle()

    def flush(self) -> None:
        """Do nothing: see `write`."""

    def start(self) -> None:
        """Write in a thread from now on; call it after twistd has forked."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.finish)

    def finish(self) -> None:
        """Wait a moment for the lines that are not written yet, as the process ends."""
        with self._changed:
            if self._until is None:
                self._until = time.monotonic() + LAST_SECONDS
            self._settle()

    def reopen(self) -> None:
        """Open the path again if its file was moved or removed, as log rotation does."""
        try:
            fd = open_file(self._path)
        except OSError as error:
            log.error(
                "The log file could not be opened again: {error}",
                event="log_not_reopened",
                error=error,
            )
            return
        # What is being written still goes to the former file.
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)

    def _settle(self) -> None:
        if self._until is not None and self._thread is not None:
            self._changed.wait_for(
                lambda: not self._lines and not self._writing,
                max(0.0, self._until - time.monotonic()),
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._lines)
                data, count = self._take()
                self._writing = True
            self._put(data, count)

    def _take(self) -> tuple[bytes, int]:
        """What is to be written next, and how many lines are dropped if that cannot be written."""
        taken = []
        size, count = 0, self._lost
        if count:
            taken.append(self.dropped(count).encode())
            self._lost = 0
        while self._lines and size < CHUNK_BYTES:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
            count += 1
        self._size -= size
        return b"".join(taken), count

    def _put(self, data: bytes, count: int) -> None:
        rest = memoryview(b"\n" + data if self._cut else data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                # Standard output may have been made so by somebody who shares it.
                ready = select.poll()
                ready.register(self._fd, select.POLLOUT)
                ready.poll()
            except OSError:
                # Nobody reads any more, or the disk is full.
                with self._changed:
                    self._lost += count
                self._cut = self._cut or len(rest) < len(data)
                return
        self._cut = False


class LogService(Service):
    """Starts the thread of *writer* after twistd has daemonised. It must be started first."""

    def __init__(self, reactor: Any, writer: LogWriter) -> None:
        self._reactor = reactor
        self._writer = writer

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        self._writer.start()
        # What twistd says last comes after all services have stopped.
        self._reactor.addSystemEventTrigger("after", "shutdown", self._writer.finish)


def open_log(server: Mapping[str, Any]) -> LogWriter | None:
    """What the log is written to where *server*, the options of twistd, has it written.

    That is standard output or a file. None where another logger was asked for (--syslog,
    --logger), or where twistd has to complain. Raises OSError.
    """
    name, foreground = server.get("logfile"), server.get("nodaemon")
    if server.get("syslog") or server.get("logger") or (name == "-" and not foreground):
        return None
    if name == "-" or (not name and foreground):
        writer = LogWriter(_standard_output())
    else:
        path = os.path.abspath(name or "twistd.log")
        # As the user that twistd becomes, it is to be opened again.
        writer = LogWriter(open_file(path, server.get("uid"), server.get("gid")), path)
    if foreground:
        # There is no fork to come.
        writer.start()
    return writer


def _standard_output() -> int:
    """A descriptor of it; of nothing where it was closed (`>&-`): its number may be another's."""
    if sys.__stdout__ is None:
        return os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    return os.dup(sys.stdout.fileno())


def open_file(path: str, uid: int | None = None, gid: int | None = None) -> int:
    """Return a descriptor that appends to *path*; a new file belongs to *uid* and *gid*."""
    # A FIFO that nobody reads is an error rather than something to wait for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
    try:
        # Nobody else can have put this one there.
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        fd = os.open(path, flags)
    else:
        # A daemon of twistd forbids its group everything (--umask).
        os.fchmod(fd, MODE)
        if os.geteuid() == 0 and (uid is not None or gid is not None):
            os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
    os.set_blocking(fd, True)
    return fd
