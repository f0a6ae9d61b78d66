"""Measure logins, alone and beside guesses: ``python benchmarks/login.py``.

All connections come from one address, which is the hardest case: the owner of the name and those
who guess cannot be told apart by their sources. The same password is also compared in this process,
without a server: the least that a login can take. Everything is bounded in count and in time.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report
from chatroom.accounts import passwords
from launch import free_port, started
from run import machine
from search import Client, spread
from servers import Need, Tools, check, on_store

RIGHT = "kohlrabi-4711"
NAME = "alice"
PATIENCE_S = 60.0
"""How long a login may take, from its first try on."""
TRY_AGAIN_S = 1.0
"""When an owner that was turned away tries again on the same connection."""
MOST_S = 600.0
"""How long guesses are sent at most."""
TALK_RATE = 20
"""Lines a second of the talker whose lines are timed meanwhile."""


def log_in(port: int) -> tuple[float, int]:
    """Log in on a new connection; return the seconds from the first try on, and the tries."""
    client = Client(port)
    client.socket.settimeout(PATIENCE_S)
    begin = time.monotonic()
    seen = b""
    tries = 0
    try:
        while time.monotonic() - begin < PATIENCE_S:
            tries += 1
            client.socket.sendall(f"/login {NAME} {RIGHT}\n".encode())
            seen = b""
            while b"You are now" not in seen and b"Too many are trying" not in seen:
                data = client.socket.recv(65536)
                if not data:
                    raise SystemExit("login.py: the server closed a connection")
                seen += data
            if b"You are now" in seen:
                return time.monotonic() - begin, tries
            time.sleep(TRY_AGAIN_S)
    finally:
        client.close()
    raise SystemExit("login.py: an owner did not get in")


class Guessers(threading.Thread):
    """Sends wrong passwords, on each connection one after the answer to the other.

    count: how many answers to wait for, at least until `ended` is set.
    connections: how many there are at the same time.
    reconnect: whether each guess has a connection of its own.
    """

    def __init__(self, port: int, count: int, connections: int, *, reconnect: bool) -> None:
        super().__init__(daemon=True)
        self.sent = self.answered = 0
        self.wrong = 0
        self.seconds = 0.0
        self._port = port
        self._count = count
        self._connections = connections
        self._reconnect = reconnect
        self.ended = threading.Event()

    def run(self) -> None:
        begin = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for _ in range(self._connections):
                self._connect(selector)
            while not self.ended.is_set() or self.answered < self._count:
                if time.monotonic() - begin > MOST_S:
                    break
                for key, _ in selector.select(0.5):
                    self._read(selector, key)
            for key in list(selector.get_map().values()):
                self._close(selector, key)
        self.seconds = time.monotonic() - begin

    def _connect(self, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port), 10)
        selector.register(connection, selectors.EVENT_READ, bytearray())
        self._guess(connection)

    def _guess(self, connection: socket.socket) -> None:
        self.sent += 1
        connection.sendall(f"/login {NAME} wrong-{self.sent:08}\n".encode())

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection: Any = key.fileobj
        data = connection.recv(65536)
        if not data:
            self._close(selector, key)
            return
        seen = key.data
        seen += data
        wrong = seen.count(b"That is not the password")
        answers = wrong + seen.count(b"Too many are trying")
        if not answers:
            return
        seen.clear()
        self.wrong += wrong
        self.answered += answers
        if self._reconnect:
            self._close(selector, key)
            self._connect(selector)
        else:
            self._guess(connection)

    @staticmethod
    def _close(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection: Any = key.fileobj
        selector.unregister(connection)
        connection.close()


class Talk(threading.Thread):
    """Two users in a room, one of whom talks; measures how long the lines take."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.taken: list[float] = []
        self._talker, self._hearer = Client(port), Client(port)
        for client in (self._talker, self._hearer):
            client.ask("/join talk")
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(1 / TALK_RATE):
            number += 1
            said = f"line {number} of the talk"
            begin = time.monotonic()
            self._talker.socket.sendall(f"{said}\n".encode())
            seen = b""
            while said.encode() not in seen:
                seen += self._hearer.socket.recv(65536)
            self.taken.append(time.monotonic() - begin)

    def end(self) -> dict[str, float]:
        self._ended.set()
        self.join(30)
        self._talker.close()
        self._hearer.close()
        return spread(self.taken)


@contextmanager
def talking(port: int, into: dict[str, Any]) -> Iterator[None]:
    talk = Talk(port)
    talk.start()
    try:
        yield
    finally:
        into["talk"] = talk.end()


def phase(port: int, logins: int, guessers: Guessers | None) -> dict[str, Any]:
    """Measure *logins* of the owner, one after the other, while *guessers* guess."""
    found: dict[str, Any] = {}
    with talking(port, found):
        if guessers is not None:
            guessers.start()
            time.sleep(3)
        done = [log_in(port) for _ in range(logins)]
        found["logins"] = spread([seconds for seconds, _ in done])
        found["tries"] = max(tries for _, tries in done)
        if guessers is None:
            time.sleep(5)
        else:
            guessers.ended.set()
            guessers.join(MOST_S)
            found |= {
                "guesses": guessers.answered,
                "compared": guessers.wrong,
                "seconds": guessers.seconds,
            }
    return found


def bare(count: int) -> dict[str, float]:
    """Compare the same password in this process, and return how long that takes."""
    stored = passwords.make(RIGHT)
    taken = []
    for _ in range(count):
        begin = time.monotonic()
        assert passwords.matches(RIGHT, stored)
        taken.append(time.monotonic() - begin)
    return spread(taken)


def register(port: int) -> None:
    """Register NAME."""
    owner = Client(port, 20)
    owner.ask(f"/nick {NAME}")
    shown = owner.ask(f"/register {RIGHT}")[1]
    if b"is yours" not in shown:
        raise SystemExit(f"login.py: {shown!r}")
    owner.close()


def measure_phases(port: int, given: argparse.Namespace) -> dict[str, Any]:
    """Measure logins without guesses, and beside guesses over old and over new connections."""
    phases = {}
    for label, reconnect in (
        ("nobody guesses", None),
        ("guesses on lasting connections", False),
        ("each guess on a new connection", True),
    ):
        guessers = None
        if reconnect is not None:
            guessers = Guessers(port, given.guesses, given.connections, reconnect=reconnect)
        phases[label] = phase(port, given.logins, guessers)
        print(label, json.dumps(phases[label]), flush=True)
    return phases


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logins", type=int, default=20)
    parser.add_argument("--guesses", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--store-result", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tools = Tools(folder, sys.executable, None, None, {}, tls_flags=False)
        limits = ("--rate", "0", "--byte-rate", "0", "--names-per-day", "0")
        tried = on_store(folder / "data", *limits)
        check(tried, tools)
        result: dict[str, Any] = {
            "scenario": report.LOGIN,
            "title": "logging in, and guessing",
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(tools),
            "servers": {},
            "missing": {},
            "cores": len(os.sched_getaffinity(0)),
            "connections": given.connections,
            "bare": bare(given.logins),
        }
        need = Need(free_port())
        with started(tried, tools, need):
            register(need.port)
            result["phases"] = measure_phases(need.port, given)
    print(report.login_section(result))
    if given.store_result:
        report.RESULTS.joinpath(f"{report.LOGIN}.json").write_text(json.dumps(result, indent=1))
        report.write_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
