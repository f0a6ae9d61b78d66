"""Measure what the most expensive inputs cost: ``python benchmarks/inputs.py``.

No input may take more than LIMIT_MS of the reactor for each PORTION_BYTES of it or of its answer,
and no round trip may take longer than ROUND_TRIP_MS while others send the most expensive inputs.
Every command is tried with the same arguments, new ones automatically.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from selectors import EVENT_READ, EpollSelector

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chatroom.commands import COMMANDS
from launch import free_port, log_of, running
from listeners import Listener, NotServed, SshListener, TelnetListener
from measure import pin, raise_descriptor_limit
from servers import Missing, Need, Tools, check, with_terminals
from terminals import Ports

PORTION_BYTES = 2048
LIMIT_MS = 1.0
ROUND_TRIP_MS = {1: 50.0, 64: 150.0}
"""The longest round trip, by how many connections send the input."""

REPEATS = 8
"""How often an input is sent at most, with another text each time, so that caches do not help. The
lowest cost counts, since other work of the machine only adds to it."""
RUNS = 4
"""How often that is repeated at most, so that a moment of other work of the machine is over."""
CHEAP_MS = LIMIT_MS / 2
"""An input that was once cheaper than this is not sent again."""
ANSWER_S = 3.0
"""If FENCE is not answered within this time, the input has ended the conversation."""
QUIET_S = 0.3
SENDING_S = 4.0
DEAREST = 8
"""How many of the most expensive inputs are sent while round trips of others are measured."""
OTHERS = 8
"""How many others there are, each of whom asks twice a second."""

FENCE = b"/zq"
FENCED = b"/zq."
"""Is in the answer to FENCE, however narrow the terminal: there is no such command. The answer
comes after those to everything before it."""
BYTE_RATE = 16 * 1024
"""The default of --byte-rate. The cost of keys counts on it, see terminal.py, so that expensive
keys have to wait."""
REFILL_S = 1.1
"""After this pause the byte rate allows the bytes of a second at once."""
LOOKUPS = ("search", "history", "missed", "more")
"""Commands whose answers are made in slices, see lookups.py. They delay no other user, so their
cost in all is not limited."""

NAMED = "ear"
"""The name of a listener. A line that has it is split into words, to know whether it names them."""
SECRET = b"correct-horse-7-staple"
"""The password of the operator."""

ROOMS = 300
PEOPLE = 50
LINES = 1500
TALKERS = 60
"""How many users have said eight long lines each before round trips are measured."""


def filled(piece: str, size: int = PORTION_BYTES - 64) -> str:
    """Return *piece* as often as fits into a line."""
    return piece * (size // len(piece.encode()))


TEXTS = {
    "words": filled("word "),
    "one word": filled("x"),
    "letters": filled("a "),
    "accents": filled("é"),
    "marks": filled("e\u0301\u0302\u0303\u0304"),
    "strokes": filled("ł"),
    "Greek": filled("ᾂ "),
    "Cyrillic": filled("Ёлка "),
    "Arabic": filled("كَتَبَ "),
    "sentences in one": filled("\ufdfa"),
    "words in one": filled("\ufdf2"),
    "squares": filled("\u3300"),
    "Hebrew": filled("שָׁלוֹם "),
    "Devanagari": filled("क्ष"),
    "Tamil": filled("நி"),
    "Thai": filled("กี่"),
    "Han": filled("漢字"),
    "Kana": filled("が"),
    "Hangul": filled("한글 "),
    "Jamo": filled("\u1112\u1161\u11ab"),
    "emoji": filled("👩🏽\u200d💻"),
    "flags": filled("🇩🇪"),
    "symbols": filled("😀"),
    "links": filled("https://example.org/a "),
    "one link": "https://example.org/" + filled("a", PORTION_BYTES - 96),
    "blanks": filled("a        "),
    "no-break": filled("a\u00a0"),
    "names": filled("p1 p2 p3 "),
    "tabs": filled("\t"),
    "invisible": filled("\u2060"),
    "not characters": filled("\ufdd0"),
}


def various_characters(number: int) -> str:
    """Return Han characters, all different, that are in no text with another *number*."""
    size = (PORTION_BYTES - 64) // 4
    first = number * size % (0x2A6E0 - 0x20000 - size)
    return f"{NAMED} " + "".join(map(chr, range(0x20000 + first, 0x20000 + first + size)))


def various_words(number: int) -> str:
    """Return Arabic words with a mark each, that are in no text with another *number*."""
    words = (number * 200 + index for index in range(200))
    return f"{NAMED} " + " ".join(
        "".join(chr(0x628 + int(digit)) for digit in f"{word:05}") + "\u064e" for word in words
    )


def numbered(text: str) -> Callable[[int], str]:
    """Return a function that puts a number, and a listener's name, before *text*."""
    return lambda number: f"{number} {NAMED} {text}"


SAID: dict[str, Callable[[int], str]] = {
    **{name: numbered(text) for name, text in TEXTS.items()},
    "various characters": various_characters,
    "various words": various_words,
}
"""Messages, a different one for each number."""

ARGUMENTS = [
    "",
    *("p1", "p", "room1", "r", "0", "1000", "99999999", "off", "utc", "guest1", "nobody"),
    "america/north_dakota/",
    "a1_b2_c3_d4_e5_f6_g7_h8_",
    "e* t* a* o* i* n* s* zq",
    '"a b c d e f" "b c d" zq',
    "zqzq in room1 from p1",
    "1000 before 12:03",
    "p1 1h " + filled("x", 1000),
    filled('"a" '),
    filled("in r "),
    *(TEXTS[name] for name in ("words", "letters", "accents", "sentences in one", "Han", "emoji")),
]
"""The arguments that each command is tried with; long ones get a number before them."""
LONG = 100

TYPED = {
    "Tab": b"p\t\x15",
    "Tab at nothing": b"\t\x15",
    "Tab after a slash": b"/\t\x15",
    "Tab for a room": b"/join r\t\x15",
    "Tab for a place": b"/tz a\t\x15",
    "Tab after much": TEXTS["Han"].encode()[:1500] + b"\t\x15",
    "keys": b"\x1b[D\x1b[C" * 300 + b"\x15",
    "history": b"\x1b[A" * 500 + b"\x15",
    "words back": TEXTS["letters"].encode()[:900] + b"\x17" * 500,
    "half keys": b"\x1b[1;" * 400 + b"\x15",
    "a paste": b"\x1b[200~" + b"pasted\r" * 250 + b"\x1b[201~\x03\x15",
    "emoji typed": TEXTS["emoji"].encode()[:1500] + b"\x15",
}
"""Keys at a terminal; each entry ends with a key that clears the line."""

IAC = {
    "nothing": b"\xff\xf1" * 1000,
    "requests": b"\xff\xfd\x01\xff\xfe\x01" * 340,
    "options": bytes(
        byte for option in range(200) for byte in (255, 251, option, 255, 252, option)
    ),
    "sizes": b"\xff\xfa\x1f\x00\x14\x00\x18\xff\xf0" * 220,
    "questions": b"\xff\xf6" * 1000,
    "not UTF-8": b"\xc3\x28" * 1000,
    "half a command": b"\xff\xfa" + b"x" * 2000 + b"\xff\xf0",
}
"""Telnet commands, and other bytes that are no text, at the line door."""


@dataclass(frozen=True)
class Input:
    """An input.

    door: the door at which it is sent.
    title: its name.
    data: returns the bytes, different ones for each number.
    operator: whether an operator sends it.
    """

    door: str
    title: str
    data: Callable[[int], bytes]
    operator: bool = False

    @property
    def label(self) -> str:
        return f"{self.door}: {self.title}" + (" (operator)" if self.operator else "")


@dataclass(frozen=True)
class Cost:
    """The cost of an input.

    input: the input.
    ms: milliseconds of the reactor.
    sent: the bytes of the input.
    answered: the bytes of the answer.
    seconds: how long that took; expensive input waits for the byte rate.
    """

    input: Input
    ms: float
    sent: int
    answered: int
    seconds: float

    @property
    def portions(self) -> float:
        size = max(self.sent, self.answered, self.seconds * BYTE_RATE)
        return max(1.0, size / PORTION_BYTES)

    @property
    def is_too_dear(self) -> bool:
        looks_up = re.search(rf"/({'|'.join(LOOKUPS)})\b", self.input.title) is not None
        return self.ms_per_portion > LIMIT_MS and not looks_up

    @property
    def ms_per_portion(self) -> float:
        return self.ms / self.portions


def cut(text: str, size: int) -> bytes:
    """Return *text* cut to *size* bytes, at the end of a character."""
    return text.encode()[:size].decode(errors="ignore").encode()


def always(data: bytes) -> Callable[[int], bytes]:
    """Return a function that returns *data*."""
    return lambda number: data


def said(make: Callable[[int], str], size: int, end: bytes) -> Callable[[int], bytes]:
    """Return a function that returns a line of at most *size* bytes, and *end*."""
    return lambda number: cut(make(number), size) + end


def asked(command: str, argument: str) -> Callable[[int], bytes]:
    """Return a function that returns a command with its argument."""

    def make(number: int) -> str:
        varied = f"{number} {argument}" if len(argument) > LONG else argument
        return f"/{command} {varied}".rstrip()

    return said(make, PORTION_BYTES - 1, b"\n")


def inputs() -> Iterator[Input]:
    """Yield every input that is tried."""
    for name, make in SAID.items():
        yield Input("line", f"said: {name}", said(make, PORTION_BYTES - 1, b"\n"))
    for name, data in IAC.items():
        yield Input("line", f"bytes: {name}", always(data + b"\n"))
    for command in dict.fromkeys(COMMANDS.values()):
        for operator in (False, True) if command.operator else (False,):
            for argument in ARGUMENTS:
                if command.name in ("quit", "logout") or (operator and argument == "guest1"):
                    continue
                shown = f"/{command.name} {argument[:24]}".rstrip()
                yield Input("line", shown, asked(command.name, argument), operator)
    for door in ("telnet", "ssh"):
        for name, make in SAID.items():
            yield Input(door, f"said: {name}", said(make, 1800, b"\r"))
        for name, data in TYPED.items():
            yield Input(door, f"keys: {name}", always(data))
        for typed in ("/history 1000", "/search e*", "/rooms", "/who crowd", "/help /history"):
            yield Input(door, typed, always(typed.encode() + b"\r"))


class Person:
    """A user at one of the doors."""

    def __init__(self, ports: Ports, door: str, number: int, columns: int = 20) -> None:
        self._door = door
        size = (columns, 24)
        if door == "line":
            self.listener = Listener(ports.line, number)
        elif door == "telnet":
            self.listener = TelnetListener(ports.telnet, number, size)
        else:
            self.listener = SshListener(ports.ssh, number, size)
        self.listener.socket.setblocking(True)
        self._end = b"\n" if door == "line" else b"\r"

    def close(self) -> None:
        self.listener.close()

    def tell(self, data: bytes) -> None:
        self.listener.type(data)

    def ask(self, data: bytes) -> bytes:
        """Return what is shown until *data* is answered. Raises NotServed or TimeoutError."""
        self.tell(data + FENCE + self._end)
        shown = b""
        self.listener.socket.settimeout(ANSWER_S)
        while FENCED not in shown:
            if not self.listener.read():
                raise NotServed("the conversation ended")
            shown += self.listener.shown()
        return shown


def reactor_seconds(pid: int) -> float:
    """Return the processor time of the server's first thread, in seconds."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def served(tools: Tools, *, default_limits: bool) -> Iterator[tuple[int, Ports, str]]:
    """Run a server; yields its process id, its ports, and the code to become an operator."""
    need = Need(free_port(), default_limits=default_limits)
    ports = Ports(need.port, free_port(), free_port())
    server = with_terminals(ports.telnet, ports.ssh, f"--byte-rate={BYTE_RATE}")
    with running(server, tools, need) as pid:
        code = re.search(r"/claim (\S+)", log_of(server, tools).read_text(errors="replace"))
        yield pid, ports, code[1].rstrip(".") if code else ""


def people(ports: Ports, stack: ExitStack) -> None:
    """Fill the server with rooms, users in them, messages in the lobby, and listeners there."""
    for number in range(PEOPLE):
        person = Person(ports, "line", number)
        stack.callback(person.close)
        person.ask(b"/nick p%d\n/join crowd\n" % number)
    maker = Person(ports, "line", PEOPLE)
    stack.callback(maker.close)
    for number in range(ROOMS):
        maker.ask(b"/join room%d\nhi\n" % number)
    maker.ask(b"/join lobby\n")
    texts = [text for name, text in TEXTS.items() if name not in ("tabs", "invisible")]
    for number in range(LINES):
        text = texts[number % len(texts)] if number % 10 == 0 else "ok then"
        maker.ask(f"{text}\n".encode())
    for door in ("line", "telnet"):
        one = Person(ports, door, PEOPLE + 1, 80)
        stack.callback(one.close)
        one.ask(b"/bell mentions\n" if door == "line" else b"/bell mentions\r")
        if door == "telnet":
            one.ask(f"/nick {NAMED}\r".encode())


class Costs:
    """Measures inputs, each at its door, by a user who reconnects if an input ends that."""

    def __init__(self, pid: int, ports: Ports, code: str) -> None:
        self._pid = pid
        self._ports = ports
        self._code = code
        self._numbers = count(1)
        self._people: dict[tuple[str, bool], Person] = {}
        self._fences: dict[str, float] = {}

    def close(self) -> None:
        for person in self._people.values():
            person.close()

    def of(self, input: Input) -> Cost | None:
        """Return the cost of *input*, or None if it is not answered.

        While an input waits for the byte rate the processor sleeps, and awakes with cold caches and
        a slow clock: FENCE alone costs three times as much after a tenth of a second. A server that
        is flooded does not sleep. So an expensive input is sent again after a pause, as much at
        once as the rate allows, and the lower cost counts.
        """
        cost = self._sent(input)
        for _ in range(RUNS - 1):
            if cost is None or not cost.is_too_dear:
                break
            time.sleep(REFILL_S)
            at_once = self._sent(input)
            if at_once is not None:
                cost = replace(cost, ms=min(cost.ms, at_once.ms))
        return cost

    def _sent(self, input: Input) -> Cost | None:
        """Return the lowest cost of *input* when it is sent several times."""
        costs: list[float] = []
        sent = answered = 0
        failures = 0
        begin = time.monotonic()
        while len(costs) < REPEATS and failures < 2 and min(costs, default=LIMIT_MS) >= CHEAP_MS:
            try:
                person = self._person(input.door, input.operator)
                data = input.data(next(self._numbers))
                ms, shown = self._timed(person, data)
                costs.append(max(0.0, ms - self._fence(input.door)))
                sent, answered = len(data), len(shown)
            except (NotServed, OSError):
                gone = self._people.pop((input.door, input.operator), None)
                if gone is not None:
                    gone.close()
                failures += 1
        if not costs:
            print(f"  not answered: {input.label}", flush=True)
        seconds = (time.monotonic() - begin) / max(1, len(costs))
        return Cost(input, min(costs), sent, answered, seconds) if costs else None

    def _person(self, door: str, operator: bool) -> Person:
        person = self._people.get((door, operator))
        if person is None:
            person = self._people[door, operator] = Person(self._ports, door, 0)
            if operator:
                # All but the first time the name is registered, and its account an operator.
                person.ask(b"/nick chief\n/register %s\n/login chief %s\n" % (SECRET, SECRET))
                person.ask(b"/claim %s\n" % self._code.encode())
                if not self._is_operator(person):
                    raise NotServed("the code was not taken")
            time.sleep(QUIET_S)
        return person

    def _is_operator(self, person: Person) -> bool:
        return b"for operators" not in person.ask(b"/bans\n")

    def _fence(self, door: str) -> float:
        """Return the cost of FENCE alone."""
        if door not in self._fences:
            person = self._person(door, False)
            self._fences[door] = min(self._timed(person, b"")[0] for _ in range(20))
        return self._fences[door]

    def _timed(self, person: Person, data: bytes) -> tuple[float, bytes]:
        before = reactor_seconds(self._pid)
        shown = person.ask(data)
        return (reactor_seconds(self._pid) - before) * 1e3, shown


def measure_costs(tools: Tools, wanted: str) -> list[Cost]:
    """Return the costs of all inputs whose labels contain *wanted*, highest first."""
    found: list[Cost] = []
    with served(tools, default_limits=False) as (pid, ports, code), ExitStack() as stack:
        people(ports, stack)
        costs = Costs(pid, ports, code)
        stack.callback(costs.close)
        for one in inputs():
            if wanted in one.label and (cost := costs.of(one)) is not None:
                found.append(cost)
    return sorted(found, key=lambda cost: cost.ms_per_portion, reverse=True)


class Asking:
    """Users who ask in turn, while others send something, and how long the answers take."""

    def __init__(self, people: Sequence[Person]) -> None:
        # When each asked what is not answered yet, else 0.
        self.asked = dict.fromkeys(people, 0.0)
        #: How long the answers took, in milliseconds.
        self.took: list[float] = []
        self._next = cycle(people)
        self.due = time.monotonic()

    def ask(self) -> None:
        """Have the next user ask, unless the last question is not answered yet."""
        person = next(self._next)
        self.due += 0.5 / len(self.asked)
        if not self.asked[person]:
            self.asked[person] = time.monotonic()
            person.tell(FENCE + b"\n")

    def read(self, person: Person) -> None:
        """Note the answer to *person*, if it is complete."""
        if FENCED in person.listener.shown():
            self.took.append((time.monotonic() - self.asked[person]) * 1e3)
            self.asked[person] = 0.0

    def end(self) -> list[float]:
        """Return how long all answers took, those that are still missing included."""
        now = time.monotonic()
        return self.took + [(now - asked) * 1e3 for asked in self.asked.values() if asked]


def round_trip(ports: Ports, input: Input, senders: int) -> list[float]:
    """Return the milliseconds that other users wait for answers while *senders* send *input*."""
    with ExitStack() as stack, EpollSelector() as selector:

        def come(door: str, number: int) -> Person:
            person = Person(ports, door, number)
            stack.callback(person.close)
            person.listener.socket.setblocking(False)
            selector.register(person.listener.socket, EVENT_READ, person)
            return person

        asking = Asking([come("line", number) for number in range(OTHERS)])
        for number in range(senders):
            sender = come(input.door, number)
            with suppress(OSError):
                # As fast as the server reads: ten at once, then two a second.
                sender.tell(b"".join(map(input.data, range(12))))
        asking.due = begin = time.monotonic()
        while (now := time.monotonic()) < begin + SENDING_S:
            if now >= asking.due:
                asking.ask()
            for key, _ in selector.select(max(0.0, asking.due - time.monotonic())):
                person: Person = key.data
                try:
                    alive = person.listener.read()
                except OSError:
                    alive = False
                if not alive:
                    selector.unregister(person.listener.socket)
                elif person in asking.asked:
                    asking.read(person)
                else:
                    person.listener.pieces.clear()
        return asking.end()


def measure_round_trips(tools: Tools, dearest: Sequence[Input]) -> list[tuple[Input, int, float]]:
    """Return, for each input and number of senders, the longest round trip of others."""
    found = []
    with served(tools, default_limits=True) as (_, ports, _):
        for number in range(TALKERS):
            talker = Person(ports, "line", number)
            for text in list(TEXTS.values())[number % len(TEXTS) :][:8]:
                talker.ask(f"{text}\n".encode())
            talker.close()
        for input in dearest:
            for senders in ROUND_TRIP_MS:
                longest = max(round_trip(ports, input, senders))
                found.append((input, senders, longest))
                print(f"  {longest:7.1f} ms  {senders:3} send  {input.label}", flush=True)
    return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="inputs whose names have it")
    parser.add_argument(
        "--shown", type=int, default=25, help="how many of the most expensive are listed"
    )
    parser.add_argument("--no-round-trips", action="store_true", help="only what inputs cost")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--generator-core", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    given = parse(arguments)
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="chatroom-bench-") as scratch:
        cores = pin(given.server_core, given.generator_core)
        tools = Tools(Path(scratch), sys.executable, *cores, {}, tls_flags=False)
        try:
            check(with_terminals(1, 1), tools)
            costs = measure_costs(tools, given.only)
            print(f"{len(costs)} inputs; ms of the reactor, by {PORTION_BYTES:,} bytes and in all:")
            for cost in costs[: given.shown]:
                print(
                    f"  {cost.ms_per_portion:6.2f}  {cost.ms:7.2f}  {cost.input.label}", flush=True
                )
            wrong = sum(cost.is_too_dear for cost in costs)
            if not given.no_round_trips:
                print("The longest round trip of others:")
                dearest = sorted(costs, key=lambda cost: cost.ms, reverse=True)[:DEAREST]
                trips = measure_round_trips(tools, [cost.input for cost in dearest])
                wrong += sum(longest > ROUND_TRIP_MS[senders] for _, senders, longest in trips)
        except (Missing, NotServed, OSError) as error:
            print(f"inputs.py: {error}", file=sys.stderr)
            return 1
    print(f"{wrong} too dear." if wrong else "Nothing is too dear.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
