"""Check that shown lines are on the disk: ``python benchmarks/crash.py [--kills 50]``.

The server is killed while clients talk. Every line that any client was shown must be in the
history, once, and in the order in which each client was shown it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import re
import selectors
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from launch import free_port, running
from servers import SERVERS, Missing, Need, Server, Tools, check

CLIENTS = 20
MOST_LINES = 600
"""How many lines one client says at most, before the storm begins."""
EVERY_S = 0.005
"""The pause between two lines of one client."""
STORM_S, STORM_LINES = 0.02, 4
"""The storm: how long before a kill all clients talk without a pause, and how many lines at once.
So the kill comes while lines are received, committed and sent."""
FROM_S, TO_S = 0.3, 1.5
GREETING_S = 10.0
DRAIN_S = 3.0
"""How long to read what is still on its way after a kill."""
DATABASE = "chatroom.sqlite"
GREETING = b"-- Welcome to "
TOKEN = re.compile(rb": (k\d+c\d+n\d+)$")


@dataclass
class Talker:
    """One client: what it has said and what it was shown."""

    number: int
    socket: socket.socket
    said: int = 0
    unsent: bytes = b""
    carry: bytes = b""
    greeted: bool = False
    shown: list[str] = field(default_factory=list)

    def read(self) -> bool:
        """Take what is there; returns whether more may come."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.greeted = self.greeted or GREETING in self.carry + data
        *lines, self.carry = (self.carry + data).split(b"\r\n")
        for line in lines:
            match = TOKEN.search(line)
            if match:
                self.shown.append(match[1].decode())
        return bool(data)

    def say(self, kill: int, lines: int) -> None:
        """Say the next LINES lines, as far as they are taken."""
        for _ in range(lines if len(self.unsent) < 4096 else 0):
            self.unsent += f"k{kill}c{self.number}n{self.said}\n".encode()
            self.said += 1
        # That the server went is seen when it is read from.
        with contextlib.suppress(OSError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]


@dataclass
class Counts:
    """The results of one kill, or of all, in lines; each line is counted once."""

    received: int = 0
    deliveries: int = 0
    kept: int = 0
    missing: int = 0
    doubled: int = 0
    disordered: int = 0
    own: int = 0

    @property
    def wrong(self) -> int:
        return self.missing + self.doubled + self.disordered + self.own


def compare(history: Sequence[str], talkers: Iterable[Talker], kill: int) -> Counts:
    """Compare what the clients were shown with what is in the file."""
    counts = Counts(kept=len(history))
    places = {token: place for place, token in enumerate(history)}
    doubled = {token for token, count in Counter(history).items() if count > 1}
    received: set[str] = set()
    for talker in talkers:
        received.update(talker.shown)
        counts.deliveries += len(talker.shown)
        doubled.update(token for token, count in Counter(talker.shown).items() if count > 1)
        counts.own += sum(token.startswith(f"k{kill}c{talker.number}n") for token in talker.shown)
        shown = [places[token] for token in talker.shown if token in places]
        counts.disordered += sum(a > b for a, b in itertools.pairwise(shown))
    counts.received = len(received)
    counts.missing = len(received - places.keys())
    counts.doubled = len(doubled)
    return counts


def history_of(data: Path, scratch: Path) -> list[str]:
    """The lines in the file as a killed server left it, oldest first. A copy is read, so that
    the next server has to recover the original by itself."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(data, scratch)
    connection = sqlite3.connect(scratch / DATABASE)
    try:
        return [
            text
            for (text,) in connection.execute("SELECT text FROM events WHERE kind < 2 ORDER BY id")
        ]
    finally:
        connection.close()


def server(data: Path, sync: str) -> Server:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        program, extra = SERVERS["chatroom"].command(tools, need)
        return [*program, "--data", str(data), "--sync", sync], extra

    return Server("crashed", "chatroom with --data", "line", command, lambda tools: "")


def connect(port: int) -> list[Talker]:
    """Connect all clients, and wait until each is greeted."""
    talkers = []
    for number in range(CLIENTS):
        talker = Talker(number, socket.create_connection(("127.0.0.1", port), GREETING_S))
        talkers.append(talker)
        talker.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + GREETING_S
        while not talker.greeted:
            if not talker.read() or time.monotonic() > deadline:
                raise Missing("a client was not greeted")
        talker.socket.setblocking(False)
    return talkers


def talk_and_kill(pid: int, talkers: Sequence[Talker], kill: int, after: float) -> None:
    """Have all clients talk, and kill the server after *after* seconds."""
    selector = selectors.DefaultSelector()
    for talker in talkers:
        selector.register(talker.socket, selectors.EVENT_READ, talker)
    left = len(talkers)
    begin = time.monotonic()
    end = begin + after
    killed = False
    rounds = 0
    while left and (now := time.monotonic()) < end + DRAIN_S:
        if now >= end and not killed:
            os.kill(pid, signal.SIGKILL)
            killed = True
        storm = not killed and now >= end - STORM_S
        if storm or (not killed and rounds < MOST_LINES and now >= begin + rounds * EVERY_S):
            rounds += 1
            for talker in talkers:
                talker.say(kill, STORM_LINES if storm else 1)
        for key, _ in selector.select(0 if storm else 0.001):
            if not key.data.read():
                selector.unregister(key.fileobj)
                left -= 1
    if not killed:
        raise Missing("the server went before it was killed")
    selector.close()


def one(data: Path, tools: Tools, sync: str, kill: int, after: float) -> list[Talker]:
    need = Need(free_port())
    talkers: list[Talker] = []
    try:
        with running(server(data, sync), tools, need) as pid:
            talkers = connect(need.port)
            talk_and_kill(pid, talkers, kill, after)
    finally:
        for talker in talkers:
            talker.socket.close()
    return talkers


def run(tools: Tools, kills: int, sync: str, rng: random.Random) -> int:
    data, scratch = tools.folder / "data", tools.folder / "copy"
    total = Counts()
    ever: set[str] = set()
    history: list[str] = []
    for kill in range(1, kills + 1):
        after = rng.uniform(FROM_S, TO_S)
        talkers = one(data, tools, sync, kill, after)
        before, history = history, history_of(data, scratch)
        counts = compare(history, talkers, kill)
        if history[: len(before)] != before:
            print("  what was in the file before this start is not as it was", flush=True)
            counts.disordered += 1
        for name, value in asdict(counts).items():
            setattr(total, name, getattr(total, name) + value)
        ever.update(token for talker in talkers for token in talker.shown)
        said = sum(talker.said for talker in talkers)
        print(
            f"kill {kill} after {after:.2f} s: {said:,} said, {counts.received:,} lines received "
            f"({counts.deliveries:,} deliveries), {counts.kept - len(before):,} more in the file; "
            f"{counts.missing} missing, {counts.doubled} doubled, "
            f"{counts.disordered} out of order, {counts.own} their own",
            flush=True,
        )
    # Once more all of them, in the file that went through all restarts.
    total.missing = max(total.missing, len(ever - set(history)))
    print(
        f"{kills} kills, --sync {sync}: {len(ever):,} lines received in {total.deliveries:,} "
        f"deliveries, {len(history):,} in the file; {total.missing} missing, "
        f"{total.doubled} doubled, {total.disordered} out of order, {total.own} their own"
    )
    return 1 if total.wrong or not ever else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description="Kill a server with --data again and again: is what was shown kept?"
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--sync", choices=("normal", "full"), default="normal")
    parser.add_argument("--seed", type=int, default=1, help="of the times between the kills")
    parser.add_argument("--python", default=sys.executable, help="runs the server")
    asked = parser.parse_args(arguments)
    cores = os.sched_getaffinity(0)
    pinned = {0, 1} <= cores
    with tempfile.TemporaryDirectory(prefix="chatroom-crash-") as folder:
        server_core, own_core = (0, 1) if pinned else (None, None)
        tools = Tools(Path(folder), asked.python, server_core, own_core, {}, False)
        try:
            check(SERVERS["chatroom-data"], tools)
            if pinned:
                os.sched_setaffinity(0, {1})
            return run(tools, asked.kills, asked.sync, random.Random(asked.seed))
        except (Missing, OSError) as error:
            print(f"crash.py: {error}")
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
