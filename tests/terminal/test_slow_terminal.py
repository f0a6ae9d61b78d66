"""A terminal whose client reads when it likes: whatever changes meanwhile, nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatroom.doors.telnet.console import ConsoleFactory, ConsoleProtocol
from tests.support.doubles import FakeWriter
from tests.support.fuzzing import examples
from tests.support.reactor import on_reactor, turns, until
from tests.support.sockets import opened
from tests.support.telnet import (
    BINARY,
    DO,
    ECHO,
    IAC,
    NAWS,
    NEW_ENVIRON,
    SB,
    SE,
    SGA,
    TTYPE,
    WILL,
    WONT,
    Telnet,
)
from tests.support.terminal import Terminal
from tests.support.wire import UNLIMITED
from tests.support.world import World


class SlowOutlet(FakeWriter):
    """A door's writer that takes what a test wants."""

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol.drained, protocol.flowing)
        self._protocol = protocol

    def insert(self, data: bytes) -> None:
        if self.congested:
            self.data += data
        elif (taken := self.write(data)) != len(data):
            self.finish(data[taken:])

    def lost(self) -> None:
        self.lose()

    def close(self, farewell: bytes) -> None:
        if farewell:
            self.insert(farewell)
        self.congested = True
        self._protocol.transport.loseConnection()


class SlowProtocol(ConsoleProtocol):
    def make_writer(self) -> Any:
        return SlowOutlet(self)


class SlowFactory(ConsoleFactory):
    protocol = SlowProtocol


class Slow(Telnet):
    """Somebody with telnet who does not always read."""

    _writer: SlowOutlet

    @property
    def writer(self) -> SlowOutlet:
        # Of who has gone the server keeps none.
        self._writer = getattr(self.protocol, "writer", None) or self._writer
        return self._writer

    @property
    def received(self) -> bytes:
        data = self.writer.data
        new, self._seen = data[self._seen :], len(data)
        return new

    def drains(self, room: int | None = None) -> None:
        self.writer.drain(room)
        self.settle()

    def reads_on(self) -> None:
        """All there is."""
        for _ in range(20):
            self.drains()


def slow(world: World, size: tuple[int, int]) -> Slow:
    """alice, who was announced, at a terminal without colours."""
    alice = Slow(world, SlowFactory(world.chat), size, no_color="1")
    alice.types("/nick alice\n")
    world.wait(3)
    alice.settle()
    return alice


def shown(alice: Slow, line: str) -> list[str]:
    """What is in the rows that are such a *line*, which was shown as it was said."""
    return [match[1] for row in alice.shown.rows if (match := re.fullmatch(line, row))]


COMMANDS = [
    *("/terminal off", "/terminal on", "/reader on", "/reader off", "/color on", "/color off"),
    *(
        "/nick al",
        "/nick alice",
        "/join den",
        "/join lobby",
    ),
    *(
        "/history 5",
        "/who",
        "/bell on",
        "/bell off",
        "/register\n",
        "t",
        "t",
        "/quiet on",
        "/quiet off",
    ),
]
STEPS = st.one_of(
    st.tuples(st.just("says"), st.integers(1, 5)),
    st.tuples(st.just("stalls"), st.integers(0, 400)),
    st.tuples(st.just("drains"), st.none() | st.integers(0, 400)),
    st.tuples(st.just("types"), st.sampled_from(COMMANDS)),
    st.tuples(st.just("keys"), st.sampled_from(["half", "\x15", "\x01", "\x7f", "\t\t", "明"])),
    st.tuples(st.just("resizes"), st.sampled_from([(80, 24), (40, 12), (60, 8)])),
)


@given(st.lists(STEPS, max_size=25))
@examples(200)
def test_whatever_changes_while_it_does_not_read_the_screen_is_whole_in_the_end(
    steps: list[tuple[str, Any]],
) -> None:
    world = World(limits=UNLIMITED)
    bob = world.person("bob")
    alice = slow(world, (60, 12))
    # What was said where alice was, and what she said.
    said: list[str] = []
    own: list[str] = []
    _ = bob.sees
    lobby = world.chat.lobby
    for number, (kind, value) in enumerate(steps):
        match kind:
            case "says":
                lines = [f"m{number}.{count}" for count in range(value)]
                if alice.protocol.origin in lobby.readers:
                    said += lines
                bob.says(*lines)
            case "stalls":
                alice.writer.stall(value)
            case "drains":
                alice.drains(value)
            case "types":
                own += [value] * value.startswith("t")
                line = f"{value}{number}\n" if value == "t" else f"{value}\n"
                alice.types("\x05\x15" * alice.characters + line)
            case "keys":
                alice.types(value * alice.characters)
            case "resizes":
                alice.resizes(value)
        alice.settle()
    alice.reads_on()
    protocol = alice.protocol
    assert not protocol.buffer.lines
    assert protocol.connection.gate.is_open
    assert not alice.writer.congested
    assert shown(alice, "bob: (m.*)") == said
    assert len(shown(alice, "al(?:ice)?: (t.*)")) <= len(own)
    if protocol.keys is not None and protocol.keys.terminal.echo:
        terminal = protocol.keys.terminal
        # What is new elsewhere is told when something else is drawn.
        prompt, text, _ = terminal._editor.view(terminal._prompt())
        line = prompt + "".join(text)
        assert alice.last == line.rstrip()
    alice.hangs_up()
    world.end()


@on_reactor
async def test_what_a_real_client_did_not_read_for_a_while_it_reads_later(tmp_path: Path) -> None:
    async with opened("line", "tcp", tmp_path) as house:
        bob = await house.comes("bob")
        alice = await house.comes("alice")
        alice.sends(bytes([IAC, WILL, BINARY]) + b"/terminal\r\n")
        await alice.reads(bytes([IAC, DO, NEW_ENVIRON]))
        alice.sends(bytes([IAC, WONT, TTYPE, IAC, WILL, NAWS, IAC, WONT, NEW_ENVIRON]))
        alice.sends(bytes([IAC, SB, NAWS, 0, 80, 0, 24, IAC, SE]))
        await alice.reads(bytes([IAC, WILL, ECHO]))
        alice.sends(bytes([IAC, DO, ECHO, IAC, DO, SGA]))
        await alice.reads(b"[alice #lobby] ")
        alice.sends(b"half")
        await alice.reads(b"half")
        alice.stops_reading()
        client = next(one for one in house.factory.clients if one.keys is not None)
        lines = [f"{number} {'x' * 400}" for number in range(900)]
        for line in lines:
            bob.sends(f"{line}\n".encode())
        await until(lambda: client.writer.congested and house.chat.lobby.log.lines == len(lines))
        alice.sends(bytes([IAC, SB, NAWS, 0, 60, 0, 20, IAC, SE]) + b" a line")
        await turns()
        alice.reads_on()
        await until(lambda: b"half a line" in alice.data and not client.writer.congested)
        await turns(20)
        shown = Terminal(60, 20)
        shown.feed(b"[alice #lobby] half" + alice.data)
        first = [row.split()[1] for row in shown.rows if row.startswith("bob: ")]
        assert first == [str(number) for number in range(900)]
        assert shown.rows[shown.above] == "[alice #lobby] half a line"
