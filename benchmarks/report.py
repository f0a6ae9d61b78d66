"""Make tables and plots from the results of the runs.

No number in README.md is typed: the part between its two markers is made from results/*.json by
``python benchmarks/run.py --report``.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import plot
from scenarios import SCENARIOS, Column, Scenario
from servers import SERVERS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
REFERENCE = "chatroom"
SEARCH = "search"
LOGIN = "login"
TERMINALS = "terminals"
"""The results of search.py, login.py and terminals.py, which are no scenarios of run.py's."""

Result = dict[str, Any]


def value_at(run: Result, key: str) -> float | None:
    """The number at a dotted KEY of a run, or None when the run has none."""
    value: Any = run
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return float(value)


def _values(runs: list[Result], key: str) -> list[float]:
    return [v for run in runs if (v := value_at(run, key)) is not None]


def median_at(runs: list[Result], key: str) -> float | None:
    values = _values(runs, key)
    return median(values) if values else None


def ratio_at(ours: list[Result], theirs: list[Result], key: str) -> float | None:
    """The median of the quotients of runs that were made one after the other."""
    pairs = [
        a / b
        for x, y in zip(ours, theirs, strict=False)
        if (a := value_at(x, key)) is not None and (b := value_at(y, key))
    ]
    return median(pairs) if pairs else None


def _cell(value: float | None, column: Column) -> str:
    if value is None:
        return ""
    return f"{value * column.scale:,.{column.digits}f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(scenario: Scenario, result: Result) -> str:
    """The table of one scenario in Markdown: medians, and chatroom's by each other's."""
    several = len(result["points"]) > 1
    ratios = [c for c in scenario.ratios if REFERENCE in result["servers"]]
    heading = ["server"] + (["load"] if several else [])
    heading += [c.heading for c in scenario.columns]
    heading += [f"chatroom ÷ this: {c.heading.split(',')[0]}" for c in ratios]
    lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
    for label, point in result["points"].items():
        ours = point["servers"].get(REFERENCE, {}).get("runs", [])
        most = max((len(s["runs"]) for s in point["servers"].values()), default=0)
        for name, measured in point["servers"].items():
            cells = [SERVERS[name].title] + ([label] if several else [])
            runs = measured["runs"]
            if not runs:
                cells.append(measured.get("error", "not measured"))
                lines.append(_row(cells + [""] * (len(heading) - len(cells))))
                continue
            if len(runs) < most:
                cells[0] += f" ({len(runs)} run{'s' * (len(runs) > 1)})"
            cells += [_cell(median_at(runs, c.key), c) for c in scenario.columns]
            for column in ratios:
                ratio = None if name == REFERENCE else ratio_at(ours, runs, column.key)
                cells.append("" if ratio is None else f"{ratio:.2f}")
            lines.append(_row(cells))
    return "\n".join(lines)


def search_section(result: Result) -> str:
    """Return the section about search.py: the store, starts, queries, and the talker."""
    build, starts, talker = result["build"], result["starts_s"], result["talker"]
    parts = [f"### `{SEARCH}`: {result['title']}", f"One run, {result['date']}."]
    parts.append(
        f"Building the store took {build['seconds']:,.0f} s, of which {build['index_s']:,.0f} s "
        f"were the search index; its file has {build['bytes'] / 2**20:,.0f} MiB. From the "
        f"server's start to its first greeting: median {median(starts) * 1e3:,.0f} ms, worst "
        f"{max(starts) * 1e3:,.0f} ms of {len(starts)} starts."
    )
    heading = ["query", "matching lines", "queries"]
    for when in ("", ", beside a talker"):
        heading += [f"{name}, ms{when}" for name in ("p50", "p95", "max")]
    lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
    for query in result["queries"]:
        matching = query["matching"]
        cells = [query["kind"], "" if matching is None else f"{matching:,.0f}"]
        cells.append(f"{query['alone']['count']:,}")
        for times in (query["alone"], query["beside"]):
            cells += [f"{times[name] * 1e-3:,.2f}" for name in ("p50_us", "p95_us", "max_us")]
        lines.append(_row(cells))
    parts.append("\n".join(lines))
    heading = ["talker's lines", "delivered", "p50, ms", "p99, ms", "max, ms"]
    lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
    for label, key in (("nobody searches", "without"), ("while searches run", "with")):
        times = talker[key]
        cells = [label, f"{times['count']:,} of {times['said']:,}"]
        cells += [f"{times[name] * 1e-3:,.2f}" for name in ("p50_us", "p99_us", "max_us")]
        lines.append(_row(cells))
    parts.append("\n".join(lines))
    return "\n\n".join(parts)


def login_section(result: Result) -> str:
    """Return the section about login.py: logins of the owner, and talk, beside guesses."""
    alone = result["bare"]
    parts = [f"### `{LOGIN}`: {result['title']}", f"One run, {result['date']}."]
    parts.append(
        f"All from one address; guesses over {result['connections']} connections at a time. The "
        f"same comparison in a process of its own: p50 {alone['p50_us'] * 1e-3:,.0f} ms, max "
        f"{alone['max_us'] * 1e-3:,.0f} ms."
    )
    heading = ["meanwhile", "guesses answered", "of them compared", "logins", "p50, s", "p95, s"]
    heading += ["max, s", "tries, at most", "others' lines", "p50, ms", "p99, ms", "max, ms"]
    lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
    for label, found in result["phases"].items():
        logins, talk = found["logins"], found["talk"]
        cells = [label, f"{found.get('guesses', 0):,}", f"{found.get('compared', 0):,}"]
        cells.append(f"{logins['count']:,}")
        cells += [f"{logins[name] * 1e-6:,.2f}" for name in ("p50_us", "p95_us", "max_us")]
        cells += [f"{found['tries']}", f"{talk['count']:,}"]
        cells += [f"{talk[name] * 1e-3:,.2f}" for name in ("p50_us", "p99_us", "max_us")]
        lines.append(_row(cells))
    parts.append("\n".join(lines))
    return "\n\n".join(parts)


def terminals_section(result: Result) -> str:
    """Return the section about terminals.py: deliveries, clients and logins at each door."""
    kinds = result["kinds"]
    first = next(iter(kinds))
    count = max(len(kind["runs"]) for kind in kinds.values())
    load = " and ".join(f"{average:.1f}" for average in result["load_average"])
    parts = [f"### `{TERMINALS}`: {result['title']}"]
    how = f"Medians of {count} alternating runs" if count > 1 else "One run"
    parts.append(f"{how}, {result['date']}; load average before and after {load}.")
    theirs = kinds[first]["runs"]
    for label, (rate, seconds) in result["rates"].items():
        parts.append(f"{label.capitalize()}: {rate:,} lines a second in all for {seconds:g} s.")
        heading = ["listeners", *(column.heading for column in _COST)]
        heading += [f"CPU per read ÷ {kinds[first]['title']}"]
        heading += [column.heading for column in _TALK]
        lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
        for name, kind in kinds.items():
            cells = [kind["title"]]
            for column in (*_COST, *_TALK):
                cells.append(_cell(median_at(kind["runs"], f"{label}.{column.key}"), column))
            ratio = ratio_at(kind["runs"], theirs, f"{label}.{_COST[-1].key}")
            shown = "" if name == first or ratio is None else f"{ratio:.1f}"
            cells.insert(1 + len(_COST), shown)
            lines.append(_row(cells))
        parts.append("\n".join(lines))
    parts.append("Being there, and coming:")
    heading = ["listeners", *(column.heading for column in _THERE)]
    lines = [_row(heading), _row(["---"] + ["---:"] * (len(heading) - 1))]
    for kind in kinds.values():
        cells = [_cell(median_at(kind["runs"], column.key), column) for column in _THERE]
        lines.append(_row([kind["title"], *cells]))
    parts.append("\n".join(lines))
    return "\n\n".join(parts)


_COST = (
    Column("CPU per delivery, µs", "cpu_us_per_delivery", 1, 2),
    Column("CPU per read, µs", "cpu_us_per_read", 1, 1),
)
_TALK = (
    Column("lines per read", "lines_per_read", 1, 1),
    Column("bytes per delivery", "bytes_per_delivery"),
    Column("lost", "lost"),
    Column("doubled", "doubled"),
    Column("out of order", "reordered"),
    Column("server busy, %", "server_cpu_share", 100),
    Column("generator busy, %", "generator_cpu_share", 100),
    Column("latest line, ms", "late_s", 1e3),
    Column("other programs, % of a core", "others_cpu_share", 100),
)
_THERE = (
    Column("resident, KiB per client", "rss_per_client", 1 / 1024, 1),
    Column("CPU while idle, %", "idle_cpu_share", 100, 3),
    Column("one login: CPU, ms", "login.cpu_us", 1e-3, 2),
    Column("one login: p50, ms", "login.p50_us", 1e-3, 2),
    Column("one login: max, ms", "login.max_us", 1e-3, 2),
)


def section(result: Result) -> str:
    """One scenario's heading, table and what is missing from it."""
    if result["scenario"] == SEARCH:
        return search_section(result)
    if result["scenario"] == LOGIN:
        return login_section(result)
    if result["scenario"] == TERMINALS:
        return terminals_section(result)
    scenario = SCENARIOS[result["scenario"]]
    count = max(
        (len(s["runs"]) for p in result["points"].values() for s in p["servers"].values()),
        default=0,
    )
    how = f"Medians of {count} alternating runs" if count > 1 else "One run"
    seconds = next(iter(result["points"].values()))["load"]["seconds"]
    if next(iter(result["points"].values()))["load"]["mode"] != "connects":
        how += f" of {seconds:g} s"
    parts = [f"### `{scenario.name}`: {scenario.title}", f"{how}, {result['date']}."]
    parts.append(table(scenario, result))
    parts += [f"Missing: {SERVERS[name].title} ({why})." for name, why in result["missing"].items()]
    return "\n\n".join(parts)


def machine(result: Result) -> str:
    described = result["machine"]
    versions = ", ".join(sorted({v for s in result["servers"].values() if (v := s.get("version"))}))
    return (
        f"{described['cpu']}, {described['cores']} cores, {described['memory_gib']} GiB, "
        f"Linux {described['kernel']}, Python {described['python']}; {versions}. "
        f"Server on {described['server_core']}, generator on {described['generator_core']}."
    )


def load_results(folder: Path = RESULTS) -> list[Result]:
    """Return all stored results, in the order of the scenarios."""
    stored = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    order = [*SCENARIOS, SEARCH, LOGIN, TERMINALS]
    return sorted(
        (r for r in stored if r["scenario"] in order), key=lambda r: order.index(r["scenario"])
    )


def plots(result: Result, folder: Path = RESULTS) -> list[str]:
    """Draw the sweep. Returns the names of the files."""
    drawings = {
        "throughput": ("Lines delivered per second", "deliveries per second", "deliveries_per_s"),
        "cpu": ("Server CPU per delivery", "microseconds", "cpu_us_per_delivery"),
    }
    written = []
    for name, (title, y_title, key) in drawings.items():
        series: dict[str, plot.Points] = {}
        for label, point in result["points"].items():
            for server, measured in point["servers"].items():
                value = median_at(measured["runs"], key)
                if value:
                    series.setdefault(SERVERS[server].title, {})[float(label)] = value
        if series:
            path = folder / f"{name}.svg"
            path.write_text(plot.svg(f"{title}, all talking, window 64", y_title, series))
            written.append(path.name)
    return written


def write_readme(folder: Path = HERE) -> None:
    """Make the part between the markers of README.md anew from the results."""
    results = load_results(folder / "results")
    parts = []
    if results:
        parts.append(machine(max(results, key=lambda r: len(r["servers"]))))
    for result in results:
        parts.append(section(result))
        if result["scenario"] == "sweep":
            parts += [f"![{n}](results/{n})" for n in plots(result, folder / "results")]
    readme = folder / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    body = "\n\n".join(parts) or "Nothing has been measured yet."
    readme.write_text(f"{head}{BEGIN}\n\n{body}\n\n{END}{tail}")
