"""Measure what terminals cost beside plain lines: ``python benchmarks/terminals.py``.

The doors take turns, each with a fresh server that has all doors open. The user who talks is at the
line door, so that only the listeners differ. After the measurement it is checked that every
listener was shown every line. Everything is bounded in count and in time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import selectors
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report
from launch import free_port, running
from listeners import Listener, NotServed, SshListener, TelnetListener
from measure import pin, raise_descriptor_limit, resident
from run import machine
from servers import Missing, Need, Tools, check, with_terminals

LINE_BYTES = 64
RATES = {"rare": (20, 10.0), "busy": (500, 5.0), "crowded": (3_000, 3.0)}
"""Lines a second in all, and for so many seconds."""
USUAL = (80, 24)
WIDTHS = 50
HALF_A_LINE = b"this is half of a line that I am"
LOGINS = 30
"""How many users come and go, one after the other, before the listeners come."""
SETTLING_S = 4.0
"""After this time joins are not announced any more."""
COMING_S = 120.0
"""How long all listeners together may take to come in."""
IDLE_S = 3.0
QUIET_S = 0.7
"""After this time without output all of it has come."""
LATE_S = 30.0
"""How long to wait for output after the last line was due."""
NUMBERED = re.compile(rb"#(\d{7})#")


class Ports(NamedTuple):
    """The ports of a server's doors."""

    line: int
    telnet: int
    ssh: int


@dataclass(frozen=True)
class Kind:
    """A kind of listener.

    title: its name in the table.
    come: connects the listener with a number.
    typed: the part of a line that it has typed.
    """

    title: str
    come: Callable[[Ports, int], Listener]
    typed: bytes = b""


def _different(number: int) -> tuple[int, int]:
    """Return one of WIDTHS sizes, all of them too wide to break a line."""
    return USUAL[0] + number % WIDTHS, USUAL[1]


KINDS = {
    "line": Kind("lines", lambda ports, number: Listener(ports.line, number)),
    "telnet": Kind(
        "telnet, a terminal", lambda ports, number: TelnetListener(ports.telnet, number, USUAL)
    ),
    "telnet-typing": Kind(
        "telnet, a terminal, half a line typed",
        lambda ports, number: TelnetListener(ports.telnet, number, USUAL),
        HALF_A_LINE,
    ),
    "telnet-widths": Kind(
        f"telnet, terminals of {WIDTHS} widths",
        lambda ports, number: TelnetListener(ports.telnet, number, _different(number)),
    ),
    "ssh": Kind("SSH, a terminal", lambda ports, number: SshListener(ports.ssh, number, USUAL)),
    "ssh-lines": Kind(
        "SSH, no terminal", lambda ports, number: SshListener(ports.ssh, number, None)
    ),
}


class Clock(NamedTuple):
    """The processor time used so far, in seconds, and when it was read."""

    at: float
    server: float
    own: float
    machine: float

    @classmethod
    def read(cls, pid: int) -> Clock:
        return cls(time.monotonic(), cpu_of(pid), time.process_time(), machine_cpu())


def cpu_of(pid: int) -> float:
    """Seconds that the scheduler accounts to the threads of process PID."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def machine_cpu() -> float:
    """Seconds that all cores were not idle."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class Room:
    """The listeners and the talker; reads what they are sent."""

    def __init__(self, listeners: Sequence[Listener], talker: Listener) -> None:
        self.listeners = listeners
        self._talker = talker
        self._selector = selectors.EpollSelector()
        for one in (*listeners, talker):
            self._selector.register(one.socket, selectors.EVENT_READ, one)
        self._unsent = b""
        # When something came last.
        self._last = 0.0

    def close(self) -> None:
        self._selector.close()

    def pump(self, seconds: float) -> None:
        """Read what comes within so many seconds. Raises NotServed."""
        for key, _ in self._selector.select(max(0.0, seconds)):
            if not key.data.read():
                raise NotServed(f"{type(key.data).__name__} {key.data.number} was let go")
            self._last = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Read for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.pump(left)

    def begin(self) -> None:
        for one in (*self.listeners, self._talker):
            one.begin()
        gc.collect()

    def say(self, rate: int, seconds: float) -> dict[str, float]:
        """Say *rate* lines a second for *seconds*, and read until all listeners have them."""
        count = round(rate * seconds)
        said = 0
        latest = 0.0
        begin = self._last = time.monotonic()
        while True:
            now = time.monotonic()
            due = min(count, int((now - begin) * rate) + 1)
            if due > said:
                latest = max(latest, now - begin - said / rate)
                self._unsent += b"".join(line(number) for number in range(said, due))
                said = due
            if self._unsent:
                with suppress(BlockingIOError):
                    self._unsent = self._unsent[self._talker.socket.send(self._unsent) :]
            if said == count and not self._unsent:
                if now - self._last > QUIET_S:
                    break
                if now - begin > seconds + LATE_S:
                    raise NotServed(f"output goes on {LATE_S:.0f} s after the last line")
                self.pump(QUIET_S)
            else:
                self.pump(0.002 if self._unsent else begin + said / rate - now)
        return {"lines": count, "seconds": self._last - begin, "late_s": latest}


def line(number: int) -> bytes:
    """Return the line with this number, LINE_BYTES long."""
    return (b"#%07d# " % number).ljust(LINE_BYTES - 1, b"x") + b"\n"


def counted(room: Room, lines: int) -> dict[str, float]:
    """Return what the listeners were shown of *lines* lines, and what is wrong with it."""
    lost = doubled = disordered = reads = size = 0
    for one in room.listeners:
        reads += len(one.pieces)
        size += sum(map(len, one.pieces))
        shown = [int(number) for number in NUMBERED.findall(one.shown())]
        once = set(shown)
        lost += len(set(range(lines)) - once)
        doubled += len(shown) - len(once)
        disordered += sum(a > b for a, b in pairwise(shown))
    deliveries = lines * len(room.listeners)
    return {
        "reads": reads,
        "deliveries": deliveries,
        "lost": lost,
        "doubled": doubled,
        "reordered": disordered,
        "lines_per_read": deliveries / reads if reads else 0.0,
        "bytes_per_delivery": size / deliveries,
    }


def talk(pid: int, room: Room, rate: int, seconds: float, idle: float) -> dict[str, float]:
    """Lines at RATE; idle: the share of a core that the server takes without them."""
    room.begin()
    before = Clock.read(pid)
    said = room.say(rate, seconds)
    after = Clock.read(pid)
    elapsed = after.at - before.at
    used, own = after.server - before.server, after.own - before.own
    others = max(0.0, after.machine - before.machine - used - own)
    found = said | counted(room, int(said["lines"]))
    lasted = said["seconds"]
    spent_us = (used - idle * elapsed) * 1e6
    return found | {
        "cpu_us_per_delivery": spent_us / found["deliveries"],
        "cpu_us_per_read": spent_us / max(1, found["reads"]),
        "server_cpu_share": used / lasted,
        "generator_cpu_share": own / lasted,
        "others_cpu_share": others / elapsed,
    }


def log_in(pid: int, kind: Kind, ports: Ports, count: int) -> dict[str, float]:
    """COUNT of a KIND come and go, one after the other."""
    taken = []
    kind.come(ports, 0).close()
    time.sleep(QUIET_S)
    before = cpu_of(pid)
    for number in range(count):
        begin = time.monotonic()
        one = kind.come(ports, number)
        taken.append(time.monotonic() - begin)
        one.close()
    time.sleep(QUIET_S)
    return {
        "cpu_us": (cpu_of(pid) - before) / count * 1e6,
        "p50_us": median(taken) * 1e6,
        "max_us": max(taken) * 1e6,
    }


def measure(kind: Kind, tools: Tools, clients: int, logins: int, share: float) -> dict[str, Any]:
    """One run of a KIND. share: of the seconds that are measured. Raises Missing, NotServed."""
    need = Need(free_port())
    ports = Ports(need.port, free_port(), free_port())
    come: list[Listener] = []
    with running(with_terminals(ports.telnet, ports.ssh), tools, need) as pid:
        try:
            talker = Listener(ports.line, 0)
            come.append(talker)
            found: dict[str, Any] = {"login": log_in(pid, kind, ports, logins)}
            empty = resident(pid)
            latest = time.monotonic() + COMING_S
            for number in range(clients):
                come.append(kind.come(ports, number))
                if time.monotonic() > latest:
                    raise NotServed(f"only {number + 1} of {clients} came in {COMING_S:.0f} s")
            with closing(Room(come[1:], talker)) as room:
                for one in room.listeners:
                    if kind.typed:
                        one.type(kind.typed)
                room.wait(SETTLING_S)
                found["rss_per_client"] = (resident(pid) - empty) / clients
                before = Clock.read(pid)
                room.wait(IDLE_S * share)
                after = Clock.read(pid)
                idle = (after.server - before.server) / (after.at - before.at)
                found["idle_cpu_share"] = idle
                for label, (rate, seconds) in RATES.items():
                    found[label] = talk(pid, room, rate, seconds * share, idle)
        finally:
            for one in come:
                one.close()
    return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; or all")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--store-result", action="store_true")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    given = parser.parse_args(arguments)
    for name in given.kinds:
        if name not in KINDS:
            parser.error(f"no kind {name!r}; there are {', '.join(KINDS)}")
    if given.clients < 1 or given.runs < 1:
        parser.error("there have to be clients, and runs")
    if given.store_result and (given.quick or given.kinds):
        parser.error("only all kinds at their full length are stored")
    return given


def brief(run: dict[str, Any]) -> str:
    """One line for who watches."""
    shown = [f"login {run['login']['cpu_us'] / 1e3:.2f} ms CPU"]
    shown.append(f"RSS/client {run['rss_per_client'] / 1024:.1f} KiB")
    for label in RATES:
        found = run[label]
        shown.append(
            f"{label} {found['cpu_us_per_delivery']:.2f} µs, server "
            f"{found['server_cpu_share']:.0%}, generator {found['generator_cpu_share']:.0%}, "
            f"others {found['others_cpu_share']:.0%}, lines/read {found['lines_per_read']:.1f}, "
            f"late {found['late_s'] * 1e3:.0f} ms"
        )
        for wrong in ("lost", "doubled", "reordered"):
            if found[wrong]:
                shown.append(f"{wrong} {found[wrong]}")
    return "; ".join(shown)


def measure_all(
    given: argparse.Namespace, kinds: Sequence[str], tools: Tools
) -> dict[str, list[dict[str, Any]]]:
    """Measure all *kinds* in turn, several times. Raises NotServed or OSError."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    logins, part = (min(LOGINS, 3), 0.2) if given.quick else (LOGINS, 1.0)
    for number in range(1 if given.quick else given.runs):
        print(f"run {number + 1}", flush=True)
        for name in kinds:
            run = measure(KINDS[name], tools, given.clients, logins, part)
            runs[name].append(run)
            print(f"  {name}: {brief(run)}", flush=True)
    return runs


def main(arguments: Sequence[str]) -> int:
    given = parse(arguments)
    raise_descriptor_limit()
    kinds = given.kinds or list(KINDS)
    with tempfile.TemporaryDirectory(prefix="chatroom-bench-") as scratch:
        cores = pin(given.server_core, given.generator_core)
        tools = Tools(Path(scratch), sys.executable, *cores, {}, tls_flags=False)
        try:
            version = check(with_terminals(1, 1), tools)
            load = [os.getloadavg()[0]]
            runs = measure_all(given, kinds, tools)
            load.append(os.getloadavg()[0])
        except (Missing, NotServed, OSError) as error:
            print(f"terminals.py: {error}", file=sys.stderr)
            return 1
        result = {
            "scenario": report.TERMINALS,
            "title": f"what a terminal costs: {given.clients:,} listeners",
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(tools),
            "servers": {"chatroom": {"version": version}},
            "missing": {},
            "clients": given.clients,
            "rates": {label: list(rate) for label, rate in RATES.items()},
            "load_average": load,
            "kinds": {name: {"title": KINDS[name].title, "runs": runs[name]} for name in kinds},
        }
    print(report.terminals_section(result))
    if given.store_result:
        stored = report.RESULTS / f"{report.TERMINALS}.json"
        stored.write_text(json.dumps(result, indent=1) + "\n")
        report.write_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
