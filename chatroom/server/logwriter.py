"""The writer of the log, which never blocks the reactor.

A thread writes the lines, and only that thread waits for the disk, the pipe or the terminal. If
these accept nothing, the oldest lines beyond the buffer's size are dropped and counted. So the chat
goes on while a terminal is stopped (^S), a pipe is not read, or a disk is full.
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

#: How many bytes of lines may wait, and about how many are written at a time.
BUFFER_BYTES = 1 << 20
CHUNK_BYTES = 64 * 1024

#: How long the end of the process waits for the last lines.
LAST_SECONDS = 1.0

#: The mode of a log file, which may contain the code to become an operator.
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
        #: Returns the line that says how many lines were dropped.
        self.dropped: Callable[[int], str] = "{} log lines were dropped.\n".format
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._lost = 0
        # Whether the last line was cut, because the disk was full.
        self._cut = False
        self._writing = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # After `finish`: until when callers of `write` wait for the thread, by time.monotonic.
        self._until: float | None = None

    @property
    def path(self) -> str:
        """The path of the log file, empty if the log is not a file."""
        return self._path

    def write(self, text: str) -> None:
        """Write *text*, one event in whole lines. (The observer uses this object as a file.)"""
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
        """Return the data to write next, and how many lines it has, including dropped ones."""
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
                # Another program that shares standard output has made it non-blocking.
                ready = select.poll()
                ready.register(self._fd, select.POLLOUT)
                ready.poll()
            except OSError:
                # The reader has gone, or the disk is full.
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
        # twistd logs its last lines after all services have stopped.
        self._reactor.addSystemEventTrigger("after", "shutdown", self._writer.finish)


def open_log(server: Mapping[str, Any]) -> LogWriter | None:
    """Return the writer for the log that twistd's options ask for: standard output or a file.

    server: the options of twistd.

    Returns None for another logger (--syslog, --logger), or if twistd will refuse to start. Raises
    OSError.
    """
    name, foreground = server.get("logfile"), server.get("nodaemon")
    if server.get("syslog") or server.get("logger") or (name == "-" and not foreground):
        return None
    if name == "-" or (not name and foreground):
        writer = LogWriter(_standard_output())
    else:
        path = os.path.abspath(name or "twistd.log")
        # The user that twistd becomes has to be able to open it again.
        writer = LogWriter(open_file(path, server.get("uid"), server.get("gid")), path)
    if foreground:
        # twistd will not fork.
        writer.start()
    return writer


def _standard_output() -> int:
    """Return a descriptor of standard output, or of /dev/null if that is closed (`>&-`)."""
    # The number of a closed descriptor may belong to another file by now.
    if sys.__stdout__ is None:
        return os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    return os.dup(sys.stdout.fileno())


def open_file(path: str, uid: int | None = None, gid: int | None = None) -> int:
    """Return a descriptor that appends to *path*; a new file belongs to *uid* and *gid*."""
    # O_NONBLOCK makes opening a FIFO without a reader fail, instead of waiting for one.
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
    try:
        # O_EXCL: mode and owner are set for new files only.
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        fd = os.open(path, flags)
    else:
        # The umask of a twistd daemon would deny its group everything (--umask).
        os.fchmod(fd, MODE)
        if os.geteuid() == 0 and (uid is not None or gid is not None):
            os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
    os.set_blocking(fd, True)
    return fd
