"""Measure one run: start a server, load it, sample its memory, stop it.

Everything is bounded in time, and every process is ended by the id that it was started with.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from launch import free_port, running, stop
from scenarios import Load
from servers import Missing, Need, Server, Tools

SAMPLE_EVERY_S = 1.0
SETUP_S, CROWD_SETUP_S = 60, 20
"""How long it may take until all clients are in the room, and until more than 2,000 are: an IRC
server announces 10,000 joins to 10,000 clients."""
SKMEM = re.compile(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),o(\d+),bl(\d+)")


class GeneratorError(Exception):
    """The load generator gave up; the message is its own."""


class Sample(NamedTuple):
    at: float
    """Of CLOCK_MONOTONIC, like the generator's times."""
    resident: int
    """Bytes of the server that are in memory."""
    kernel: int
    """Bytes the kernel holds in the server's sockets: received, queued, reserved."""


def raise_descriptor_limit() -> int:
    """Raise the number of open files to what is allowed, for all that is started; gives it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(server_core: int, generator_core: int) -> tuple[int | None, int | None]:
    """Pin this process to *generator_core*, and return the cores for server and generator.

    Returns (None, None), with a warning, if the machine does not have both.
    """
    cores = os.sched_getaffinity(0)
    if len(cores) < 2 or not {server_core, generator_core} <= cores:
        print("There are not two cores to pin to: server and generator share them.", flush=True)
        return None, None
    os.sched_setaffinity(0, {generator_core})
    return server_core, generator_core


def resident(pid: int) -> int:
    """Bytes of process PID that are in memory; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize()


def socket_memory(port: int) -> int:
    """Bytes the kernel holds for the sockets of the server on PORT, from ``ss -m``."""
    try:
        shown = subprocess.run(
            ["ss", "-tmnH", f"sport = :{port}"], capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(sum(map(int, match)) for match in SKMEM.findall(shown))


class Sampler(threading.Thread):
    """Samples the server's memory until it is told to end."""

    def __init__(self, pid: int, port: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._pid, self._port, self._over = pid, port, threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            at = time.monotonic()
            self.samples.append(Sample(at, resident(self._pid), socket_memory(self._port)))
            self._over.wait(SAMPLE_EVERY_S)

    def end(self) -> list[Sample]:
        self._over.set()
        self.join(60)
        return self.samples


def _arguments(server: Server, tools: Tools, load: Load, port: int) -> list[str]:
    command = [str(tools.programs["loadgen"])]
    if tools.generator_core is not None:
        command = ["taskset", "-c", str(tools.generator_core), *command]
    options = {
        "port": port,
        "protocol": server.protocol,
        "mode": load.mode,
        "clients": load.clients,
        "window": load.window,
        "rate": load.rate,
        "seconds": load.seconds,
        "warmup": load.warmup,
        "stalled": load.stalled,
        "slow": load.slow,
        "pause": load.pause,
        "setup": _setup(load),
        "limit": _limit(load),
        "pending": min(server.pending, 64) if load.mode == "idle" else server.pending,
        "sources": 1 + load.clients // 20_000,
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    if load.by_observer:
        command.append("--by-observer")
    if load.tls:
        command.append("--tls")
    if server.greets:
        command.append("--greets")
    return command


def _setup(load: Load) -> int:
    return CROWD_SETUP_S if load.clients > 2000 and load.mode != "connects" else SETUP_S


def _limit(load: Load) -> int:
    return int(_setup(load) + load.warmup + load.seconds + load.pause + 120)


def _flooding(tools: Tools, load: Load, port: int) -> subprocess.Popen[str]:
    """100 clients that send rubbish from the middle of the warm-up until the members are
    through, at the lowest priority."""
    delay = load.warmup / 2
    seconds = delay + load.seconds + 1
    command = [str(tools.programs["loadgen"]), "--mode=flood", f"--port={port}"]
    command += [f"--clients={load.flooders}", f"--warmup={delay}", f"--seconds={seconds}"]
    if tools.generator_core is not None:
        command = ["taskset", "-c", str(tools.generator_core), *command]
    return subprocess.Popen(["nice", "-n", "19", *command], stdout=subprocess.PIPE, text=True)


def measure(server: Server, tools: Tools, load: Load) -> dict[str, Any]:
    """One run of LOAD against SERVER: what the generator printed, and the memory per client.

    Raises Missing when the server does not start, GeneratorError when the run came to nothing.
    """
    if load.tls and not tools.tls_flags:
        raise Missing("the generator was compiled without TLS: apt-get install libssl-dev")
    need = Need(free_port(), load.mode == "connects", load.default_limits, load.tls)
    with running(server, tools, need) as pid:
        command = [*_arguments(server, tools, load, need.port), f"--pid={pid}"]
        sampler = Sampler(pid, need.port) if load.sample else None
        flooding = _flooding(tools, load, need.port) if load.flooders else None
        generator = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            if sampler:
                sampler.start()
            printed, complaint = generator.communicate(timeout=_limit(load) + 20)
            if generator.returncode != 0:
                raise GeneratorError(complaint.strip() or f"ended by {generator.returncode}")
            run: dict[str, Any] = json.loads(printed)
            if flooding:
                run["flood"] = json.loads(flooding.communicate(timeout=60)[0])
                kinds = [kind for kind in run["flood"].values() if isinstance(kind, dict)]
                run["flood_cut"] = sum(kind["cut"] for kind in kinds)
        except subprocess.TimeoutExpired as error:
            raise GeneratorError("did not end in time") from error
        finally:
            for process in filter(None, (generator, flooding)):
                stop(process)
            samples = sampler.end() if sampler and sampler.is_alive() else []
        if sampler:
            samples = samples or sampler.samples
        _add_memory(run, load, samples)
    return run


def _add_memory(run: dict[str, Any], load: Load, samples: list[Sample]) -> None:
    """Add to RUN what the memory readings come to."""
    run["rss_per_client"] = (run["rss_connected"] - run["rss_before"]) / (load.clients + 1)
    before = [s for s in samples if run["connected"] <= s.at <= run["from"]]
    during = [s for s in samples if run["from"] <= s.at <= run["to"]]
    if not during:
        return
    if load.mode == "idle":
        run["kernel_per_client"] = during[-1].kernel / (load.clients + 1)
        run["rss_after_idling_per_client"] = (during[-1].resident - run["rss_before"]) / (
            load.clients + 1
        )
        return
    kernel_before = before[-1].kernel if before else during[0].kernel
    growth = max(s.resident for s in during) - run["rss_connected"]
    kernel = max(s.kernel for s in during) - kernel_before
    run["rss_growth"], run["kernel_growth"] = growth, kernel
    if load.stalled:
        run["rss_per_stalled"] = growth / load.stalled
        run["kernel_per_stalled"] = kernel / load.stalled
    run["samples"] = [
        [round(s.at - run["from"], 2), s.resident, s.kernel] for s in (*before[-1:], *during)
    ]
