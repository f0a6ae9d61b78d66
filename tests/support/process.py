"""Servers in processes of their own, and clients whose sockets block."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.support.reactor import DEADLINE

ROOT = Path(__file__).parents[2]
TWISTD = str(Path(sys.executable).with_name("twistd"))
FOREGROUND = [TWISTD, "-n", "--pidfile=", "chatroom"]
MODULE = [sys.executable, "-m", "chatroom"]


def environment(folder: Path) -> dict[str, str]:
    """That of a server of the checkout, which leaves what it forgets in *folder*."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


class Server:
    """A server process that listens on a UNIX socket in *folder*."""

    def __init__(self, folder: Path, command: list[str], *arguments: str) -> None:
        self.path = folder / "line"
        self.log = folder / "output"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--listen", f"unix:{self.path}", *arguments],
                cwd=folder,
                env={**environment(folder), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def port(self) -> int:
        """Where it listens on TCP, if that is one place; it has to have started.

        A port that a test finds free may be somebody else's when the server comes to it.
        """
        (found,) = re.findall(r" starting on (\d+)$", self.output, re.MULTILINE)
        return int(found)

    def started(self) -> Server:
        wait_for_answer(self.path, lambda: self.process.poll() is None, self.log)
        return self

    def stop(self) -> int:
        """SIGTERM, and the status with which it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def wait_for_answer(path: Path, alive: Callable[[], bool], log: Path) -> None:
    """Until the server at *path* has greeted somebody, and has seen them leave.

    A socket takes connections as soon as it listens, which is before the server's other
    sockets do, and before it has logged where they are.
    """
    overdue = time.monotonic() + DEADLINE
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(DEADLINE)
        while trial.connect_ex(str(path)):
            assert alive(), log.read_text()
            assert time.monotonic() < overdue, log.read_text()
            time.sleep(0.01)
        trial.shutdown(socket.SHUT_WR)
        greeting = b"".join(iter(lambda: trial.recv(65536), b""))
        assert greeting, log.read_text()


class Terminal:
    """A client with a blocking socket."""

    def __init__(self, path: Path | tuple[str, int]) -> None:
        if isinstance(path, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE)
            self.socket.connect(str(path))
        else:
            self.socket = socket.create_connection(path, DEADLINE)
        self.data = b""

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reads(self, expected: bytes) -> bytes:
        while expected not in self.data:
            more = self.socket.recv(65536)
            assert more, f"closed before {expected!r}: {self.data!r}"
            self.data += more
        before, found, self.data = self.data.partition(expected)
        return before + found

    def reads_what_is_there(self) -> None:
        self.socket.settimeout(0)
        with suppress(BlockingIOError):
            while more := self.socket.recv(65536):
                self.data += more
        self.socket.settimeout(DEADLINE)

    def reads_to_the_end(self) -> bytes:
        with suppress(ConnectionResetError):
            while more := self.socket.recv(65536):
                self.data += more
        data, self.data = self.data, b""
        return data

    def greeted(self) -> Terminal:
        self.reads(b"/quit leaves.\r\n")
        return self

    def close(self) -> None:
        self.socket.close()


def running(ended: ExitStack, folder: Path, command: list[str], *arguments: str) -> Server:
    server = Server(folder, command, *arguments)
    ended.callback(server.process.wait)
    ended.callback(server.process.kill)
    return server


def comes(ended: ExitStack, server: Server) -> Terminal:
    terminal = Terminal(server.path)
    ended.callback(terminal.close)
    return terminal.greeted()


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for_end(pid: int) -> None:
    """Until a process has ended of which this one is not the parent."""
    overdue = time.monotonic() + DEADLINE
    while alive(pid):
        assert time.monotonic() < overdue, f"process {pid} does not end"
        time.sleep(0.01)


def kill(pid: int) -> None:
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
