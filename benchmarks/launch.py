"""Start and stop servers.

A server is ended by the process id that it was started with, whatever happened meanwhile.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import HERE, Missing, Need, Server, Tools

READY_S = 15.0
STOP_S = 6.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(server: Server, tools: Tools, need: Need) -> Iterator[int]:
    """Run SERVER on its core; gives its process id. It is stopped on the way out.

    Raises Missing when it does not come up, with the last lines it wrote.
    """
    with started(server, tools, need) as process:
        _wait_until_ready(process, need.port, log_of(server, tools))
        yield process.pid


def log_of(server: Server, tools: Tools) -> Path:
    """The file with what SERVER wrote."""
    return tools.folder / f"{server.name}.log"


@contextmanager
def started(server: Server, tools: Tools, need: Need) -> Iterator[subprocess.Popen[bytes]]:
    """Start SERVER on its core, and do not wait for it. It is stopped on the way out."""
    command, extra = server.command(tools, need)
    if tools.server_core is not None:
        command = ["taskset", "-c", str(tools.server_core), *command]
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    with log_of(server, tools).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=tools.folder,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **extra},
        )
        try:
            yield process
        finally:
            stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.2)
            return
    words = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise Missing("does not start: " + " / ".join(words))


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process that was started here: politely, then not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
