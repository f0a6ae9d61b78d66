"""Run the benchmark: ``python benchmarks/run.py``, or ``run.py SCENARIO...`` for a part.

Servers take turns (run 1 of each, run 2 of each, ...), so that other work of the machine affects
all of them. Only results of one run of this program are compared.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import report
import selfcheck
from build import BuildError, build
from measure import GeneratorError, measure, pin, raise_descriptor_limit
from scenarios import SCENARIOS, Load, Scenario
from servers import SERVERS, Missing, Tools, check

DESCRIPTORS = 10_200
"""How many descriptors 10,000 clients, the observer and the program need."""


def machine(tools: Tools) -> dict[str, Any]:
    """Describe the machine, without anything that identifies it."""
    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    shared = "no core of its own"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "server_core": shared if tools.server_core is None else f"core {tools.server_core}",
        "generator_core": (
            shared if tools.generator_core is None else f"core {tools.generator_core}"
        ),
    }


def one_round(
    tools: Tools, load: Load, names: list[str], stored: dict[str, dict[str, Any]]
) -> None:
    """Measure each of the servers *names* once under *load*, and append the runs to *stored*."""
    for name in names:
        server, kept = SERVERS[name], stored[name]
        if "error" in kept:
            continue
        if load.clients > server.max_clients:
            kept["error"] = f"takes no more than {server.max_clients:,} clients"
            continue
        if load.clients > 2000 and len(kept["runs"]) >= server.crowd_runs:
            continue
        try:
            run = measure(server, tools, load)
        except (Missing, GeneratorError) as error:
            kept["error"] = str(error)
            print(f"    {name}: {error}", flush=True)
            continue
        kept["runs"].append(run)
        print(f"    {name}: {brief(run)}", flush=True)


def brief(run: dict[str, Any]) -> str:
    """Return the main numbers of a run, in one line for the screen."""
    shown = []
    for label, key, scale, digits in (
        ("deliveries/s", "deliveries_per_s", 1, 0),
        ("per CPU s", "deliveries_per_cpu_s", 1, 0),
        ("µs CPU", "cpu_us_per_delivery", 1, 3),
        ("p99 ms", "latency_us.p99", 1e-3, 2),
        ("RSS/client", "rss_per_client", 1, 0),
        ("kernel/client", "kernel_per_client", 1, 0),
        ("served", "connects.served", 1, 0),
        ("connects/s", "connects.per_second", 1, 0),
        ("longest ms", "connect_us.max", 1e-3, 1),
        ("server %", "server_cpu_share", 100, 1),
        ("generator %", "generator_cpu_share", 100, 0),
        ("others %", "others_cpu_share", 100, 0),
        ("stolen %", "stolen_cpu_share", 100, 0),
        ("lines/read", "lines_per_read", 1, 1),
        ("lost", "lost", 1, 0),
        ("doubled", "doubled", 1, 0),
        ("out of order", "reordered", 1, 0),
        ("damaged", "damaged", 1, 0),
        ("closed", "readers_closed", 1, 0),
        ("stalled cut", "stalled.cut", 1, 0),
        ("last cut s", "stalled.last_cut_s", 1, 1),
        ("slow missed", "slow.missed", 1, 0),
        ("announced", "slow.announced", 1, 0),
    ):
        value = report.value_at(run, key)
        wrong = key in ("lost", "doubled", "reordered", "damaged", "readers_closed")
        if value is not None and not (wrong and value == 0):
            shown.append(f"{label} {value * scale:,.{digits}f}")
    return ", ".join(shown)


def run_scenario(
    scenario: Scenario, tools: Tools, only: Sequence[str], runs: int, quick: bool
) -> dict[str, Any]:
    """Measure one scenario, and return what is stored in results/."""
    print(f"{scenario.name}: {scenario.title}", flush=True)
    versions: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    for name in only or scenario.servers:
        try:
            versions[name] = {"version": check(SERVERS[name], tools)}
        except Missing as why:
            missing[name] = str(why)
            print(f"    {name} is missing: {why}", flush=True)
    points: dict[str, Any] = {}
    for label, full_load in scenario.points.items():
        load = full_load.shorter() if quick else full_load
        if quick and scenario.name == "sweep" and load.clients > 1000:
            continue
        stored: dict[str, dict[str, Any]] = {name: {"runs": []} for name in versions}
        for number in range(runs):
            print(f"  {label or scenario.name}, run {number + 1} of {runs}", flush=True)
            one_round(tools, load, list(versions), stored)
        points[label] = {"load": asdict(load), "servers": stored}
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "date": datetime.date.today().isoformat(),
        "machine": machine(tools),
        "servers": versions,
        "missing": missing,
        "points": points,
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure chatroom beside other chat servers.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="scenarios:\n" + "\n".join(f"  {n:14}{s.title}" for n, s in SCENARIOS.items()),
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all when none is named")
    parser.add_argument("--quick", action="store_true", help="a short check, nothing is stored")
    parser.add_argument("--self-check", action="store_true", help="does the generator see faults?")
    parser.add_argument("--report", action="store_true", help="only make README.md's tables anew")
    parser.add_argument("--runs", type=int, help="in place of each scenario's own number")
    parser.add_argument("--servers", help="only these, separated by commas; nothing is stored")
    parser.add_argument("--python", default=sys.executable, help="runs the Python servers")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    asked = parser.parse_args(arguments)
    asked.servers = asked.servers.split(",") if asked.servers else []
    for kind, known, given in (
        ("scenario", SCENARIOS, asked.scenarios),
        ("server", SERVERS, asked.servers),
    ):
        for name in given:
            if name not in known:
                parser.error(f"no {kind} {name!r}; there are {', '.join(known)}")
    return asked


def main(arguments: Sequence[str]) -> int:
    asked = parse(arguments)
    if asked.report:
        report.write_readme()
        return 0
    limit = raise_descriptor_limit()
    if limit < DESCRIPTORS:
        print(
            f"Only {limit} open files are allowed (ulimit -Hn): scenarios of 10,000 clients "
            f"will fail. As root: ulimit -n {DESCRIPTORS}",
            flush=True,
        )
    with tempfile.TemporaryDirectory(prefix="chatroom-bench-") as folder:
        os.chmod(folder, 0o755)
        try:
            programs, tls = build(Path(folder))
        except BuildError as error:
            print(error)
            return 1
        cores = pin(asked.server_core, asked.generator_core)
        tools = Tools(Path(folder), asked.python, *cores, programs, tls)
        if asked.self_check:
            return selfcheck.run(tools)
        run_scenarios(asked, tools)
    return 0


def run_scenarios(asked: argparse.Namespace, tools: Tools) -> None:
    """Measure the scenarios that were asked for; store the results of complete runs."""
    for name in asked.scenarios or SCENARIOS:
        scenario = SCENARIOS[name]
        runs = asked.runs or (1 if asked.quick else scenario.runs)
        result = run_scenario(scenario, tools, asked.servers, runs, asked.quick)
        print(report.section(result) + "\n", flush=True)
        if not asked.quick and not asked.servers:
            report.RESULTS.mkdir(exist_ok=True)
            stored = report.RESULTS / f"{name}.json"
            stored.write_text(json.dumps(result, indent=1) + "\n")
            report.write_readme()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
