"""Check the load generator against relays with one fault each.

It must report each fault as what it is, and no fault for a relay without one.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field

from launch import free_port, running
from servers import HERE, Need, Server, Tools

COUNTS = ("lost", "doubled", "reordered", "damaged", "own", "gave_up")


@dataclass(frozen=True)
class Case:
    """A fault of peers/broken.py and the counts it must lead to (0 where none is named)."""

    fault: str
    expected: dict[str, int] = field(default_factory=dict)
    slow: int = 0
    slow_expected: dict[str, int] = field(default_factory=dict)


CASES = (
    Case("none"),
    Case("drop", {"lost": 1, "gave_up": 1}),
    Case("double", {"doubled": 1}),
    Case("swap", {"reordered": 1}),
    Case("damage", {"damaged": 1, "lost": 1, "gave_up": 1}),
    Case("own", {"own": 1}),
    Case("drop-observer", {"lost": 1, "gave_up": 1}),
    Case("double-observer", {"doubled": 1}),
    # The observer's order is the room's, so that the other eleven, or ten where one of
    # them said one of the two lines, are out of order.
    Case("swap-observer", {"reordered": -1}),
    # With eight slow clients the sixth to come is one of them.
    Case("skip", slow=8, slow_expected={"missed": 3, "announced": 3, "clients_unequal": 0}),
    Case("lie", slow=8, slow_expected={"missed": 3, "announced": 2, "clients_unequal": 1}),
)


def _broken(fault: str) -> Server:
    def command(tools: Tools, need: Need) -> tuple[list[str], dict[str, str]]:
        script = str(HERE / "peers" / "broken.py")
        return [tools.python, script, str(need.port), fault], {}

    return Server("broken", "a relay with a fault", "line", command, lambda tools: "")


def _wrong(case: Case, seen: dict[str, object]) -> list[str]:
    complaints = []
    for name in COUNTS:
        expected = case.expected.get(name, 0)
        ok = seen[name] != 0 if expected < 0 else seen[name] == expected
        if not ok:
            complaints.append(f"{name} is {seen[name]}, not {expected}")
    slow = seen.get("slow", {})
    if isinstance(slow, dict):
        for name, expected in case.slow_expected.items():
            if slow.get(name) != expected:
                complaints.append(f"slow {name} is {slow.get(name)}, not {expected}")
    return complaints


def run(tools: Tools) -> int:
    """Run all cases; gives the process's exit status."""
    failed = 0
    for case in CASES:
        need = Need(free_port())
        with running(_broken(case.fault), tools, need):
            command = [str(tools.programs["loadgen"]), f"--port={need.port}", "--clients=12"]
            command += ["--pending=1", "--window=8", "--seconds=1", "--warmup=0.5", "--limit=60"]
            if case.slow:
                command += [f"--slow={case.slow}", "--pause=0.2", "--seconds=2"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        complaints = [done.stderr.strip()]
        if done.returncode == 0:
            seen = json.loads(done.stdout)
            complaints = _wrong(case, seen)
            if seen["deliveries"] < 1000:
                complaints.append(f"only {seen['deliveries']} deliveries")
        print(f"{case.fault:16} {'; '.join(complaints) or 'seen as it should be'}", flush=True)
        failed += bool(complaints)
    print("The generator sees all faults." if not failed else f"{failed} faults went wrong.")
    return 1 if failed else 0
