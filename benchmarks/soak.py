"""Measure what users leave behind: ``python benchmarks/soak.py [--connections N]``.

Many users connect, say a line, are heard, and leave. Half-way and at the end, when all have left,
the server is asked for its memory, descriptors and delayed calls, and for what only the garbage
collector has freed. All of it is on 127.0.0.0/8, and bounded in count and time.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import free_port, started
from measure import resident
from servers import Need, Tools, check, on_store

AT_ONCE = 40
MOST_S = 1200.0
SETTLING_S = 5.0
"""How long after the last user has left all delayed work is done."""
COLLECTED = (
    "(__import__('gc').collect(), sum(one['collected'] for one in __import__('gc').get_stats()))[1]"
)
"""Collects, and gives how many objects were ever left to that."""


def ask(manhole: Path, code: str) -> str:
    """Return the answer of the server's Python prompt to *code*."""
    with socket.socket(socket.AF_UNIX) as prompt:
        prompt.settimeout(10)
        prompt.connect(str(manhole))
        prompt.sendall(f"print('<' + str({code}) + '>')\n".encode())
        seen = b""
        while b">" not in seen.rpartition(b"<")[2] or b"<" not in seen:
            seen += prompt.recv(65536)
        return seen.rpartition(b"<")[2].partition(b">")[0].decode()


def visit(port: int, number: int) -> None:
    """Have AT_ONCE users connect, talk, be heard, and leave."""
    people = []
    for one in range(AT_ONCE):
        person = socket.socket()
        person.settimeout(20)
        # Many addresses, or the ports of one would be used up.
        person.bind((f"127.0.{1 + number % 200}.{1 + one}", 0))
        person.connect(("127.0.0.1", port))
        people.append(person)
    for one, person in enumerate(people):
        person.sendall(f"line {one} of visit {number}\n/quit\n".encode())
    for person in people:
        seen = b""
        while data := person.recv(65536):
            seen += data
        if b"-- Good-bye." not in seen:
            raise SystemExit(f"soak.py: somebody was not let go: {seen[-200:]!r}")
        person.close()


def state(pid: int, manhole: Path) -> dict[str, int]:
    time.sleep(SETTLING_S)
    collected = ask(manhole, COLLECTED)
    calls = ask(
        manhole, "len(__import__('twisted.internet.reactor').internet.reactor.getDelayedCalls())"
    )
    return {
        "resident": resident(pid),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "delayed calls": int(calls),
        "sessions": int(ask(manhole, "len(chat.sessions)")),
        "collected": int(collected),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=200_000)
    given = parser.parse_args(arguments)
    rounds = given.connections // AT_ONCE
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tools = Tools(folder, sys.executable, None, None, {}, tls_flags=False)
        # Old lines go, so that the file does not grow all the time.
        options = ("--manhole", str(folder / "manhole"), "--keep-lines", "10000")
        tried = on_store(folder / "data", *options)
        check(tried, tools)
        need = Need(free_port())
        with started(tried, tools, need) as process:
            begin = time.monotonic()
            while not (folder / "manhole").exists():
                time.sleep(0.05)
            states = [state(process.pid, folder / "manhole")]
            print(0, states[-1], flush=True)
            slowest = 0.0
            for number in range(rounds):
                came = time.monotonic()
                visit(need.port, number)
                slowest = max(slowest, time.monotonic() - came)
                if number + 1 in (rounds // 2, rounds):
                    states.append(state(process.pid, folder / "manhole"))
                    took = time.monotonic() - begin
                    print(f"{(number + 1) * AT_ONCE:,} in {took:.0f} s", states[-1], flush=True)
                if time.monotonic() - begin > MOST_S:
                    raise SystemExit("soak.py: it took too long")
    for half, (before, after) in zip(("first", "second"), pairwise(states), strict=True):
        grown, freed = (after[what] - before[what] for what in ("resident", "collected"))
        each = rounds * AT_ONCE / 2
        print(
            f"The {half} half: {grown:+,} bytes resident, {grown / each:.1f} a connection; "
            f"{freed / each:.1f} objects of each left to the garbage collector."
        )
    print(f"The longest that {AT_ONCE} visitors together took: {slowest * 1000:.0f} ms.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
