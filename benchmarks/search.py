"""Measure lookups in a long history: ``python benchmarks/search.py [--lines N]``.

The text is the same in every run, and the queries are sent as users send them, over a connection.
Everything is bounded in count and in time.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import multiprocessing
import random
import re
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report
from chatroom.backends.sqlite.directory import DATABASE
from chatroom.backends.sqlite.writer import Writer
from chatroom.model.entry import Entry
from chatroom.model.events import Opened, Said
from chatroom.text import names
from launch import free_port, log_of, started
from measure import pin
from run import machine
from servers import Need, Server, Tools, check, on_store

T = TypeVar("T")

# -- what the store is filled with

VOCABULARY = 50_000
HAN = 3_000
ROOMS = 20
NAMES = 500
CHINESE = 0.1
"""The share of lines that are Chinese."""
SPAN_S = 365 * 24 * 3600
"""All lines were said in the year that ended an hour ago."""
PORTION = 5000
APART = ("everything", "nothing")
"""Two words that are in a tenth of the lines each, and never in the same."""

# -- what is asked

STARTS = 5
START_S = 120.0
ANSWER_S = 10.0
KIND_S = 60.0
"""How long queries of one kind are sent at most."""
FENCE = " /x"
FENCED = b"-- Not said: a command begins the line with its /. If it is none, /say says it.\r\n"
"""The answer to FENCE, which comes after the complete answer to the query before it."""

# -- the talker

TALK_RATE = 200
TALK_S = 10.0
"""How long to talk at least, with searches and without."""
TALK_MOST_S = 900.0


@dataclass
class Filling:
    """The content of the store: how many messages contain each word, pair and character."""

    words: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    rooms: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    characters: Counter[str] = field(default_factory=Counter)
    in_small_room: Counter[str] = field(default_factory=Counter)
    from_rare_name: Counter[str] = field(default_factory=Counter)
    begin: float = 0.0
    end: float = 0.0


def _zipf(count: int, power: float = 1.0) -> list[float]:
    return list(itertools.accumulate(1 / rank**power for rank in range(1, count + 1)))


def _vocabulary(rng: random.Random) -> list[str]:
    made: dict[str, None] = {}
    syllables = [c + v for c in "bcdfghklmnprstvwz" for v in "aeiou"]
    while len(made) < VOCABULARY:
        made["".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(made)


def lines(count: int, filling: Filling) -> Iterator[tuple[str, str, str]]:
    """Yield *count* messages: room, name and text. Their content is counted in *filling*."""
    rng = random.Random(1)
    vocabulary, word_weights = _vocabulary(rng), _zipf(VOCABULARY)
    han, han_weights = [chr(0x4E00 + 7 * n) for n in range(HAN)], _zipf(HAN)
    filling.rooms = ["lobby", *(f"room{n:02}" for n in range(2, ROOMS + 1))]
    filling.names = [f"person{n:03}" for n in range(1, NAMES + 1)]
    room_weights, name_weights = _zipf(ROOMS, 1.5), _zipf(NAMES)
    for _ in range(count):
        (room,) = rng.choices(filling.rooms, cum_weights=room_weights)
        (name,) = rng.choices(filling.names, cum_weights=name_weights)
        if rng.random() < CHINESE:
            said = rng.choices(han, cum_weights=han_weights, k=rng.randint(4, 24))
            filling.pairs.update({a + b for a, b in itertools.pairwise(said)})
            filling.characters.update(set(said))
            text = "".join(said) + "。"
        else:
            some = rng.choices(vocabulary, cum_weights=word_weights, k=rng.randint(2, 14))
            # A tenth of all lines, and these are nine tenths of them.
            apart = int(rng.random() * 9)
            if apart < len(APART):
                some.append(APART[apart])
            unique = set(some)
            filling.words.update(unique)
            if room == filling.rooms[-1]:
                filling.in_small_room.update(unique)
            if name == filling.names[-1]:
                filling.from_rare_name.update(unique)
            text = " ".join(some)
        yield room, name, text


class Stopwatch:
    """The seconds that kinds of work have taken so far."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def time(self, what: str, work: Callable[..., T], *arguments: object) -> T:
        """Do *work*, count its time as that of *what*, and return its result."""
        begin = time.monotonic()
        result = work(*arguments)
        self.seconds[what] += time.monotonic() - begin
        return result


def entries_of(portion: Iterable[tuple[float, str, str, str]], opened: set[str]) -> Iterator[Entry]:
    """Yield the events of messages: time, room, name and text. Rooms are opened once."""
    for at, room, name, text in portion:
        key, id = names.fold(room), int(at * 1e6)
        if room not in opened:
            opened.add(room)
            yield Entry(key, id - 1, Opened(at, 0, room))
        yield Entry(key, id, Said(at, 1, name, text))


def fill(path: Path, count: int) -> tuple[Filling, dict[str, float]]:
    """Make a store of *count* messages; return what it contains and how long it took."""
    filling = Filling()
    filling.end = time.time() - 3600
    filling.begin = filling.end - SPAN_S
    writer = Writer(path)
    watch = Stopwatch()
    times = (filling.begin + number * SPAN_S / count for number in itertools.count())
    made = ((at, *line) for at, line in zip(times, lines(count, filling), strict=False))
    opened: set[str] = set()
    for first in range(0, count, PORTION):
        some = itertools.islice(made, PORTION)
        portion: list[tuple[float, str, str, str]] = watch.time("text", list, some)
        watch.time("commit", writer.commit, list(entries_of(portion, opened)))
        while watch.time("index", writer.index):
            pass
        if first and first % 100_000 == 0:
            print(f"  {first:,} lines", flush=True)
    writer.close()
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    return filling, {
        "lines": count,
        "seconds": watch.seconds["commit"] + watch.seconds["index"],
        "index_s": watch.seconds["index"],
        "text_s": watch.seconds["text"],
        "bytes": size,
    }


# -- the server and a client


class Client:
    """One connection to the server."""

    def __init__(self, port: int, patience: float = ANSWER_S) -> None:
        """Connect as soon as possible, and wait for the greeting."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), 5)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(max(0.1, deadline - time.monotonic()))
        greeting = b""
        while b"-- Welcome to " not in greeting:
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("search.py: the server closed a connection")
            greeting += data
        self.greeted = time.monotonic()
        self.socket.settimeout(ANSWER_S)

    def ask(self, command: str) -> tuple[float, bytes]:
        """Send *command*; return the seconds until its answer was complete, and the answer."""
        begin = time.monotonic()
        self.socket.sendall(f"{command}\n{FENCE}\n".encode())
        answer = bytearray()
        ends: list[tuple[int, float]] = []
        while (at := answer.find(FENCED)) < 0:
            data = self.socket.recv(1 << 18)
            if not data:
                raise SystemExit("search.py: the server closed a connection")
            answer += data
            ends.append((len(answer), time.monotonic()))
        # The read that brought the last byte before the fence's answer.
        took = next(when for end, when in ends if end >= at) - begin
        return took, bytes(answer[:at])

    def close(self) -> None:
        self.socket.close()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least of the sorted *values* that this share of them does not exceed."""
    return values[max(0, math.ceil(len(values) * share) - 1)]


def spread(seconds: Iterable[float]) -> dict[str, float]:
    """Return percentiles in microseconds."""
    taken = sorted(value * 1e6 for value in seconds)
    found: dict[str, float] = {"count": len(taken)}
    for name, share in (("p50_us", 0.5), ("p95_us", 0.95), ("p99_us", 0.99), ("max_us", 1.0)):
        found[name] = round(percentile(taken, share), 1) if taken else 0.0
    return found


@dataclass(frozen=True)
class Kind:
    """A kind of query.

    commands: sent in turn.
    expected: has to be in each answer.
    """

    name: str
    commands: Sequence[str]
    expected: bytes = b""
    matching: float | None = None
    """The mean of how many lines of the whole store a query is about."""


def _nearest(counts: Counter[str], wanted: float, most: int) -> list[str]:
    """Return the *most* words that are in about *wanted* messages."""
    return sorted(counts, key=lambda word: (abs(counts[word] - wanted), word))[:most]


def searched(name: str, terms: list[str], counts: Counter[str], rest: str = "") -> Kind:
    """Return the searches for each of *terms*, which *counts* messages contain."""
    # If a term may be missing in a small room, any answer is accepted.
    found = b" #" if min(counts[term] for term in terms) else b"-"
    matching = sum(counts[term] for term in terms) / len(terms)
    if not matching:
        found = b"-- Nothing was found."
    return Kind(name, [f"/search {term}{rest}" for term in terms], found, matching)


def kinds(filling: Filling, count: int) -> list[Kind]:
    """Return the kinds of queries that are measured."""
    rng = random.Random(2)
    few = max(2.0, count / 100_000)
    small, rare_name = filling.rooms[-1], filling.names[-1]
    times = [
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(rng.uniform(filling.begin, filling.end)))
        for _ in range(200)
    ]
    frequent = _nearest(filling.words, count / 10, 3)
    # As often as people write them.
    characters = rng.choices(
        list(filling.characters), list(map(float, filling.characters.values())), k=50
    )
    return [
        Kind("`/history`", ["/history"], b": "),
        Kind("`/history 100 before` a time", [f"/history 100 before {at}" for at in times], b"-- "),
        Kind("`/more` of a history", ["/more"], b": "),
        searched("a frequent word", frequent, filling.words),
        searched("a middling word", _nearest(filling.words, count / 1000, 50), filling.words),
        searched("a rare word", _nearest(filling.words, few, 50), filling.words),
        searched("an absent word", [f"xq{n}" for n in range(50)], Counter()),
        searched(
            "two frequent words that never meet", [" ".join(APART)], Counter()
        ),
        searched("a frequent word `in` a small room", frequent, filling.in_small_room,
                 f" in {small}"),
        searched("a frequent word `from` a rare name", frequent, filling.from_rare_name,
                 f" from {rare_name}"),
        searched("two Chinese characters, frequent",
                 [pair for pair, _ in filling.pairs.most_common(10)], filling.pairs),
        searched("two Chinese characters, rare", _nearest(filling.pairs, few, 50), filling.pairs),
        searched("one Chinese character", characters, filling.characters),
    ]  # fmt: skip


def ask_all(
    client: Client, asked: Sequence[Kind], queries: int, seconds: float = 0.0
) -> list[dict[str, float]]:
    """Send *queries* of each kind, one after another, again and again for *seconds*."""
    taken: list[list[float]] = [[] for _ in asked]
    wrong = [0] * len(asked)
    over = time.monotonic() + seconds
    while not taken[-1] or time.monotonic() < over:
        for number, kind in enumerate(asked):
            times, unexpected = ask_kind(client, kind, queries)
            taken[number] += times
            wrong[number] += unexpected
    results: list[dict[str, float]] = []
    for kind, times, unexpected in zip(asked, taken, wrong, strict=True):
        result = {**spread(times), "wrong": unexpected}
        results.append(result)
        shown = ", ".join(f"{n[:-3]} {result[n] / 1e3:.2f}" for n in ("p50_us", "p95_us", "max_us"))
        print(f"    {kind.name}: {len(times)} queries, ms: {shown}", flush=True)
    return results


def ask_kind(client: Client, kind: Kind, queries: int) -> tuple[list[float], int]:
    """Send *queries* of one kind; return how long each took, and how many answers were wrong."""
    taken: list[float] = []
    wrong = 0
    deadline = time.monotonic() + KIND_S
    if "/more" in kind.commands:
        client.ask("/history")
    for command in itertools.islice(itertools.cycle(kind.commands), queries):
        took, answer = client.ask(command)
        if command == "/more" and b"There is no more." in answer:
            # At the beginning of the room: from its end again.
            client.ask("/history")
            continue
        taken.append(took)
        if kind.expected not in answer or b"cannot be looked up" in answer:
            wrong += 1
            if wrong == 1:
                print(f"    {command}: unexpected answer {answer[:300]!r}", flush=True)
        if time.monotonic() > deadline:
            break
    return taken, wrong


# -- who talks meanwhile


class Talk:
    """A user who says TALK_RATE lines a second, and another who is shown them.

    taken: the seconds until each line was shown.
    """

    SAID = re.compile(rb": said at (\d+)\r\n")

    def __init__(self, port: int) -> None:
        self._talker, self._listener = Client(port), Client(port)
        for client in (self._talker, self._listener):
            client.ask("/join talkers")
        self._begin = time.monotonic()
        self.said = 0
        self.taken: list[float] = []
        # When each line that was not shown yet was due.
        self.due: deque[float] = deque()
        self._carry = b""

    @property
    def next_due(self) -> float:
        return self._begin + self.said / TALK_RATE

    def say(self) -> None:
        """Say the next line."""
        due = self.next_due
        self._talker.socket.sendall(f"said at {self.said}\n".encode())
        self.due.append(due)
        self.said += 1

    def listen(self, seconds: float) -> None:
        """Read what is shown within *seconds*."""
        self._listener.socket.settimeout(max(0.0001, seconds))
        try:
            self._carry += self._listener.socket.recv(65536)
        except (TimeoutError, BlockingIOError):
            return
        at = time.monotonic()
        end = 0
        for match in self.SAID.finditer(self._carry):
            number = self.said - len(self.due)
            if int(match[1]) != number:
                raise SystemExit(f"search.py: line {match[1]!r} came for line {number}")
            self.taken.append(at - self.due.popleft())
            end = match.end()
        self._carry = self._carry[end:]

    def close(self) -> None:
        self._talker.close()
        self._listener.close()


def talk(port: int, orders: Connection, seconds: float) -> None:
    """Talk for *seconds*, or until there is an order, and send back how long the lines took.

    It runs in a process of its own, in a room of its own.
    """
    talking = Talk(port)
    orders.send("talking")
    begin = time.monotonic()
    over = 0.0
    while not over or (talking.due and time.monotonic() < over + 2):
        now = time.monotonic()
        if not over and (now > begin + seconds or orders.poll()):
            over = now
        if not over and now >= talking.next_due:
            talking.say()
        else:
            talking.listen(0.02 if over else talking.next_due - now)
    talking.close()
    orders.send({**spread(talking.taken), "said": talking.said})


def with_talker(port: int, seconds: float, work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """Do *work* beside a talker; return the talker's results, and those of *work*."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=talk, args=(port, theirs, seconds), daemon=True)
    process.start()
    try:
        if not ours.poll(30):
            raise SystemExit("search.py: the talker did not come in")
        ours.recv()
        result = work()
        ours.send("over")
        if not ours.poll(30):
            raise SystemExit("search.py: the talker did not end")
        return ours.recv(), result
    finally:
        process.join(5)
        if process.is_alive():
            process.kill()


# -- all of it


def first_greeting(chat: Server, tools: Tools) -> float:
    """Start the server, and return the seconds from its exec to the first greeting."""
    need = Need(free_port())
    begin = time.monotonic()
    with started(chat, tools, need) as process:
        client = Client(need.port, START_S)
        client.close()
        if process.poll() is not None:
            raise SystemExit(log_of(chat, tools).read_text(errors="replace")[-500:])
        return client.greeted - begin


def measure(
    chat: Server, tools: Tools, asked: Sequence[Kind], queries: int
) -> tuple[list[dict[str, float]], list[dict[str, float]], dict[str, Any]]:
    """Measure all queries alone and beside a talker, and the talker's lines."""
    need = Need(free_port())
    with started(chat, tools, need):
        client = Client(need.port, START_S)
        print("  alone", flush=True)
        alone = ask_all(client, asked, queries)
        without, _ = with_talker(need.port, TALK_MOST_S, lambda: time.sleep(TALK_S))
        print("  beside a talker", flush=True)
        with_searches, beside = with_talker(
            need.port, TALK_MOST_S, lambda: ask_all(client, asked, queries, TALK_S)
        )
        client.close()
    talker = {"without": without, "with": with_searches}
    for label, times in talker.items():
        print(
            f"  talker {label} searches: {times['count']} of {times['said']} lines, p50 "
            f"{times['p50_us'] / 1e3:.2f}, p99 {times['p99_us'] / 1e3:.2f}, max "
            f"{times['max_us'] / 1e3:.2f} ms",
            flush=True,
        )
    return alone, beside, talker


def run(tools: Tools, count: int, queries: int) -> dict[str, Any]:
    """Fill a store, measure everything, and return the result to store."""
    data = tools.folder / "data"
    data.mkdir(mode=0o700)
    print(f"A store of {count:,} lines", flush=True)
    filling, build = fill(data / DATABASE, count)
    print(
        f"  {build['seconds']:.1f} s, {build['index_s']:.1f} s of them the index; "
        f"{build['bytes'] / 2**20:.1f} MiB",
        flush=True,
    )
    chat = on_store(data, "--rate", "0", "--byte-rate", "0")
    version = check(chat, tools)
    starts = [first_greeting(chat, tools) for _ in range(STARTS)]
    print("  from exec to greeting, ms: " + " ".join(f"{s * 1e3:.0f}" for s in starts), flush=True)
    asked = kinds(filling, count)
    alone, beside, talker = measure(chat, tools, asked, queries)
    return {
        "scenario": report.SEARCH,
        "title": f"Looking things up in {count:,} lines",
        "date": datetime.date.today().isoformat(),
        "machine": machine(tools),
        "servers": {"chatroom-data": {"version": version}},
        "build": build,
        "starts_s": [round(s, 4) for s in starts],
        "queries": [
            {"kind": kind.name, "matching": kind.matching, "alone": one, "beside": other}
            for kind, one, other in zip(asked, alone, beside, strict=True)
        ],
        "talker": talker,
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure looking things up in a long history.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200, help="of each kind")
    parser.add_argument("--store-result", action="store_true", help="and make README.md's table")
    parser.add_argument("--python", default=sys.executable, help="runs the server")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    asked = parser.parse_args(arguments)
    if asked.lines < 1000 or asked.queries < 1:
        parser.error("at least 1000 lines, and one query")
    with tempfile.TemporaryDirectory(prefix="chatroom-bench-") as folder:
        cores = pin(asked.server_core, asked.generator_core)
        tools = Tools(Path(folder), asked.python, *cores, {}, False)
        result = run(tools, asked.lines, asked.queries)
    print("\n" + report.section(result), flush=True)
    wrong = sum(q[when]["wrong"] for q in result["queries"] for when in ("alone", "beside"))
    if wrong:
        print(f"{wrong:,} answers were not what they should be; nothing is stored.")
        return 1
    if asked.store_result:
        report.RESULTS.mkdir(exist_ok=True)
        stored = report.RESULTS / f"{report.SEARCH}.json"
        stored.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        report.write_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
