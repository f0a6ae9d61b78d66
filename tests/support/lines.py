"""The line door in memory, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.limits import Limits
from tests.support.wire import UNLIMITED, Visitor
from tests.support.world import Person, World

ASK = b"\xff\xfd\x00"
WITHHELD = "-- Not said: your line arrived damaged. That is cured; please send it again."
REPLACED = "-- Your line was not UTF-8; what could not be read was said as \ufffd."
OVERLONG = "-- Not said: a line may have at most 2,048 bytes."
HELLO = bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03")


class Door:
    """The line door in memory. *bob* is in the lobby and listens."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.factory = ChatFactory(world.chat)
        self.bob: Person = world.person("bob")

    def visitor(self) -> Visitor:
        """Somebody who has read the greeting."""
        visitor = Visitor(self.world, self.factory)
        _ = visitor.received
        # What those who speak telnet are told of terminals is tested with these.
        visitor.protocol._hinted = True
        return visitor

    def alice(self) -> Visitor:
        """Somebody who was announced as alice."""
        alice = self.visitor()
        alice.sends(b"/nick alice\n")
        self.world.wait(3)
        _ = alice.received, self.bob.sees
        return alice

    @property
    def said(self) -> list[str]:
        """What bob heard from one other person, without the name before it."""
        return [line.partition(": ")[2] for line in self.bob.sees if not line.startswith("-- ")]


def made(limits: Limits = UNLIMITED, ledger: Any = None) -> Door:
    return Door(World(ledger, limits=limits) if ledger else World(limits=limits))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """*data* in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


SHOW = b"\xff\xfc\x01"
HIDES = b"\xff\xfd\x01"
