"""The scenarios: one row for each, and each can be run alone.

A scenario is the same load for every server. Its table also shows what counts against a result:
lines that were lost, doubled or out of order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

EVERYBODY = (
    "chatroom", "chatroom-relay", "sendline", "select", "ngircd", "ngircd-nodelay", "inspircd",
    "inspircd-nodelay", "bare",
)  # fmt: skip
STRONGEST = ("chatroom", "sendline", "ngircd-nodelay", "inspircd-nodelay", "bare")
"""Without those that lose 40 ms to Nagle's algorithm, end at 1,024 clients or do less."""
RARE = ("chatroom", "inspircd-nodelay", "bare")
AT_10000 = ("chatroom", "sendline", "bare")
"""The IRC servers tell everybody of each newcomer, and take many minutes to let 10,000 in."""

STORED = ("chatroom", "chatroom-data", "chatroom-data-full")


@dataclass(frozen=True)
class Load:
    """One run of the load generator. Times in seconds, ``rate`` in lines a second in all."""

    clients: int
    mode: str = "closed"
    window: int = 64
    by_observer: bool = False
    """Closed loop: a line is complete when the observer has it, not when everybody has."""
    rate: float = 100.0
    seconds: float = 4.0
    warmup: float = 1.5
    stalled: int = 0
    slow: int = 0
    pause: float = 5.0
    tls: bool = False
    flooders: int = 0
    default_limits: bool = False
    sample: bool = False
    """Sample the server's memory and the kernel's while it runs."""

    def shorter(self) -> Load:
        """For --quick: the same load, briefly."""
        floor = self.pause + 3 if self.slow else 1.5
        seconds = max(floor, min(self.seconds, 6.0 if self.stalled else 1.5))
        return replace(self, seconds=seconds, warmup=min(self.warmup, 1.0))


@dataclass(frozen=True)
class Column:
    """A column: heading, path of the value in a run's JSON, how it is written."""

    heading: str
    key: str
    scale: float = 1.0
    digits: int = 0


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    points: dict[str, Load]
    columns: tuple[Column, ...]
    servers: tuple[str, ...] = EVERYBODY
    ratios: tuple[Column, ...] = field(default=())
    """Columns of which the quotient "chatroom's by this server's" is given too."""
    runs: int = 5


PER_CPU = Column("deliveries per CPU second", "deliveries_per_cpu_s")
CPU = Column("CPU per delivery, µs", "cpu_us_per_delivery", digits=3)
RATE = Column("deliveries per second", "deliveries_per_s")
P50 = Column("p50, ms", "latency_us.p50", 1e-3, 2)
P99 = Column("p99, ms", "latency_us.p99", 1e-3, 2)
P999 = Column("p99.9, ms", "latency_us.p999", 1e-3, 2)
WRONG = (
    Column("lost", "lost"),
    Column("doubled", "doubled"),
    Column("out of order", "reordered"),
)
SERVER_SHARE = Column("server busy, %", "server_cpu_share", 100, 0)
JOINED = Column("lines per read", "lines_per_read", digits=1)
GENERATOR = Column("generator busy, %", "generator_cpu_share", 100, 0)
OTHERS = Column("other programs, % of a core", "others_cpu_share", 100, 0)
MEMORY = Column("resident, KiB per client", "rss_per_client", 1 / 1024, 1)
FANOUT = (PER_CPU, CPU, RATE, P50, P99, P999, *WRONG, JOINED, SERVER_SHARE, GENERATOR, OTHERS)
OPEN = (CPU, P50, P99, P999, *WRONG, SERVER_SHARE, GENERATOR, OTHERS)


def _fan_out(name: str, clients: int) -> Scenario:
    return Scenario(
        name,
        f"{clients:,} clients, all talking, window 64",
        {"": Load(clients)},
        FANOUT,
        servers=tuple(name for name in EVERYBODY if name != "chatroom-relay")
        if clients == 1000
        else STRONGEST,
        ratios=(PER_CPU, RATE),
    )


def _stored(clients: int, runs: int) -> Scenario:
    return Scenario(
        f"store-{clients}",
        f"{clients:,} clients, all talking, window 64: what --data costs",
        {"": Load(clients)},
        FANOUT,
        servers=STORED,
        ratios=(PER_CPU, RATE),
        runs=runs,
    )


def _open(clients: int, rate: int) -> Scenario:
    return Scenario(
        f"open-{clients}",
        f"Rare lines: {clients:,} clients, {rate} lines a second in all",
        {"": Load(clients, "open", rate=rate, seconds=6, warmup=1.5)},
        OPEN,
        servers=AT_10000 if clients == 10000 else RARE,
        ratios=(CPU, P99),
    )


_MEMBERS = Load(50, "open", rate=50, seconds=15, warmup=3, default_limits=True)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        _fan_out("fanout-1000", 1000),
        _fan_out("fanout-100", 100),
        Scenario(
            "window-1",
            "1,000 clients, all talking, window 1",
            {"": Load(1000, window=1, seconds=3)},
            FANOUT,
            servers=STRONGEST,
            ratios=(PER_CPU, RATE),
            runs=3,
        ),
        _open(1000, 50),
        _open(100, 500),
        _open(10000, 5),
        Scenario(
            "idle",
            "10,000 idle clients",
            {"": Load(10000, "idle", seconds=10, sample=True)},
            (
                MEMORY,
                Column("kernel, KiB per client", "kernel_per_client", 1 / 1024, 1),
                Column("CPU while idle, %", "server_cpu_share", 100, 3),
            ),
            servers=AT_10000,
            ratios=(MEMORY,),
            runs=3,
        ),
        Scenario(
            "connects",
            "5,000 connects as fast as they come",
            {"": Load(5000, "connects")},
            (
                Column("served", "connects.served"),
                Column("waited over 1 s", "connects.over_1s"),
                Column("connects per second", "connects.per_second"),
                Column("first byte p50, ms", "connect_us.p50", 1e-3, 1),
                Column("p99, ms", "connect_us.p99", 1e-3, 1),
                Column("longest, ms", "connect_us.max", 1e-3, 1),
            ),
            servers=AT_10000,
            ratios=(Column("connects per second", "connects.per_second"),),
        ),
        Scenario(
            "stalled",
            "200 of 1,000 never read, 100 lines a second, 2 minutes; the other 800",
            {"": Load(1000, "open", rate=100, seconds=120, warmup=0, stalled=200, sample=True)},
            (
                P50, P99, P999, *WRONG,
                Column("readers cut", "readers_closed"),
                Column("stalled cut", "stalled.cut"),
                Column("first cut, s", "stalled.first_cut_s", digits=1),
                Column("last cut, s", "stalled.last_cut_s", digits=1),
                Column("resident growth, KiB per stalled", "rss_per_stalled", 1 / 1024, 1),
                Column("kernel growth, KiB per stalled", "kernel_per_stalled", 1 / 1024, 1),
            ),
            servers=("chatroom",),
            runs=1,
        ),
        Scenario(
            "slow-readers",
            "20 of 100 stop reading for 5 s and go on",
            {
                "2,000 lines a second": Load(
                    100, "open", rate=2000, seconds=12, slow=20, sample=True
                ),
                "12,000 lines a second": Load(
                    100, "open", rate=12000, seconds=12, slow=20, sample=True
                ),
            },
            (
                P99, *WRONG,
                Column("slow: shown", "slow.got"),
                Column("slow: missed", "slow.missed"),
                Column("slow: said to be missed", "slow.announced"),
                Column("slow clients told wrong", "slow.clients_unequal"),
                Column("slow clients cut", "slow.closed"),
                Column("resident growth, MiB", "rss_growth", 1 / 1048576, 1),
            ),
            servers=("chatroom",),
            runs=3,
        ),
        Scenario(
            "flooders",
            "50 members at a line a second each, default limits, beside 100 flooders",
            {
                "no flooders": _MEMBERS,
                "100 flooders": replace(_MEMBERS, flooders=100),
            },
            (
                P50, P99, P999, *WRONG,
                Column("members cut", "readers_closed"),
                SERVER_SHARE,
                Column("flooders cut", "flood_cut"),
            ),
            servers=("chatroom",),
            runs=3,
        ),
        Scenario(
            "tls",
            "1,000 clients, all talking, window 64: plain and TLS",
            {"plain": Load(1000), "TLS": Load(1000, tls=True)},
            (*FANOUT, MEMORY),
            servers=("chatroom",),
        ),
        _stored(1000, 5),
        _stored(100, 3),
        Scenario(
            "store-rare",
            "Rare lines: 10 clients, 20 lines a second in all: what --data costs",
            {"": Load(10, "open", rate=20, seconds=15, warmup=1.5)},
            OPEN,
            servers=STORED,
            ratios=(P50, P99),
            runs=3,
        ),
        Scenario(
            "sweep",
            "Throughput and CPU over the number of clients, all talking, window 64",
            {str(n): Load(n, seconds=3) for n in (10, 100, 1000, 10000)},
            FANOUT,
            servers=("chatroom", "sendline", "select", "ngircd", "ngircd-nodelay", "inspircd",
                     "inspircd-nodelay", "bare"),
            ratios=(PER_CPU,),
            runs=1,
        ),
        Scenario(
            "generator",
            "The generator itself: lines joined 256 at a time, 1,000 clients, window 512",
            {"": Load(1000, window=512)},
            (
                RATE,
                Column("generator, ns per delivery", "generator_ns_per_delivery", digits=1),
                *WRONG, SERVER_SHARE, GENERATOR,
            ),
            servers=("blast",),
        ),
    )
}  # fmt: skip
