"""A telnet client that can do what real ones can, over a connection in memory."""

from __future__ import annotations

from typing import Any

from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from tests.support.terminal import Terminal as Shown
from tests.support.wire import Visitor
from tests.support.world import World

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, ECHO, SGA, TTYPE, NAWS, NEW_ENVIRON = 0, 1, 3, 24, 31, 39


class Telnet(Visitor):
    """Somebody with a telnet client that can do everything but what it *refuses*.

    *kinds*: what it calls its terminal, one after another. answers: whether it answers at all, but
    for the options that it *leaves_out*.
    """

    def __init__(
        self,
        world: World,
        factory: ChatFactory,
        size: tuple[int, int] = (80, 24),
        *,
        refuses: tuple[int, ...] = (),
        leaves_out: tuple[int, ...] = (),
        kinds: tuple[str, ...] = ("XTERM-256COLOR",),
        no_color: str = "",
        answers: bool = True,
    ) -> None:
        self.shown = Shown(*size)
        self.size = size
        self.refuses = refuses
        self.leaves_out = leaves_out
        self.kinds = list(kinds)
        self.no_color = no_color
        self.answers = answers
        #: What is on at each end.
        self.ours: set[int] = set()
        self.theirs: set[int] = set()
        self._rest = b""
        super().__init__(world, factory)

    @property
    def characters(self) -> bool:
        """Whether each key is sent by itself."""
        return {ECHO, SGA} <= self.theirs

    def settle(self) -> None:
        super().settle()
        answer = self._interpret()
        if answer and self._open:
            self.sends(answer)

    def _interpret(self) -> bytes:
        """Show what came, and answer what was asked."""
        data, self._rest = self._rest + self.received, b""
        answer = b""
        while data:
            text, found, data = data.partition(b"\xff")
            self.shown.feed(text)
            if not found:
                break
            if data[0] == SB:
                asked, _, data = data[1:].partition(bytes([IAC, SE]))
                answer += self._told(asked)
            else:
                verb, option, data = data[0], data[1], data[2:]
                if option not in self.leaves_out:
                    answer += self._negotiated(verb, option)
        return answer if self.answers else b""

    def _told(self, asked: bytes) -> bytes:
        if asked[0] == TTYPE:
            kind = self.kinds[0]
            if len(self.kinds) > 1:
                del self.kinds[0]
            return bytes([IAC, SB, TTYPE, 0, *kind.encode(), IAC, SE])
        told = b"\x00NO_COLOR\x01" + self.no_color.encode() if self.no_color else b""
        return bytes([IAC, SB, NEW_ENVIRON, 0, *told, IAC, SE])

    def _negotiated(self, verb: int, option: int) -> bytes:
        known = option in (BINARY, ECHO, SGA, TTYPE, NAWS, NEW_ENVIRON)
        able = known and option not in self.refuses
        side = self.ours if verb in (DO, DONT) else self.theirs
        yes, no = (WILL, WONT) if verb in (DO, DONT) else (DO, DONT)
        wanted = verb in (DO, WILL)
        if not able or wanted is (option in side):
            return bytes([IAC, no, option]) if wanted and not able else b""
        (side.add if wanted else side.remove)(option)
        answer = bytes([IAC, yes if wanted else no, option])
        return answer + self._naws() if wanted and option == NAWS else answer

    def _naws(self) -> bytes:
        width, height = self.size
        size = width.to_bytes(2, "big") + height.to_bytes(2, "big")
        return bytes([IAC, SB, NAWS]) + size.replace(b"\xff", b"\xff\xff") + bytes([IAC, SE])

    # -- what its user does

    def types(self, text: str) -> None:
        """Type *text*, in which a line ends with LF."""
        if self.characters:
            self.sends(text.replace("\n", "\r\0").encode())
        else:
            self.shown.feed(text.replace("\n", "\r\n").encode())
            self.sends(text.replace("\n", "\r\n").encode())

    def resizes(self, size: tuple[int, int]) -> None:
        self.size = size
        self.shown.resize(lines=size[1], columns=size[0])
        self.sends(self._naws())

    @property
    def sent(self) -> bytes:
        """What was sent to it since it was last looked at, which is shown now."""
        data = self.received
        self.shown.feed(data)
        return data

    @property
    def screen(self) -> list[str]:
        """All rows up to that of the cursor."""
        return self.shown.rows[: self.shown.above + 1]

    @property
    def last(self) -> str:
        return self.screen[-1]


# One line each, with Enter; before any BINARY was agreed.
DAMAGED = {
    "yu (0x8F), AO": ("я", "d1 ff f5 ff fd 06 0d 0a"),
    "hon (0x9C), BRK": ("本", "e6 ff f3 ff fd 06 ac 0d 0a"),
    "de (0x9A), SUSP": ("的", "e7 ff ed ff fd 06 84 0d 0a"),
    "gje (0x83), IP": ("abЃcd", "61 62 d0 ff f4 ff fd 06 63 64 0d 0a"),
    "dze (0x85), nothing": ("\u0405", "d0 0d 0a"),
    "A with ring (0x85), nothing": ("Åsa", "c3 73 61 0d 0a"),
    "chong (0x85 twice, one is left)": ("充", "e5 85 0d 0a"),
    "opening quote (0x9C), BRK": ("ab“cd", "61 62 e2 80 ff f3 ff fd 06 63 64 0d 0a"),
    "han (0x95 stays, 0x9C), BRK": ("ab한cd", "61 62 ed 95 ff f3 ff fd 06 63 64 0d 0a"),
    "lai (0x9D), the prompt, Enter, hello": ("ab来cd", "61 62 e6 68 65 6c 6c 6f 0d 0a"),
}


def console(world: World, size: tuple[int, int] = (80, 24), **able: Any) -> Telnet:
    """Somebody at the telnet door who was greeted."""
    return Telnet(world, ConsoleFactory(world.chat), size, **able)


def named(world: World, name: str = "alice", **able: Any) -> Telnet:
    """Somebody at a terminal who was announced."""
    telnet = console(world, **able)
    telnet.types(f"/nick {name}\n")
    world.wait(3)
    telnet.settle()
    return telnet


def visitor(world: World, **able: Any) -> Telnet:
    """Somebody with telnet at the line door."""
    return Telnet(world, ChatFactory(world.chat), **able)
