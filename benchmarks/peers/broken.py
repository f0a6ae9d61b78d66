"""A relay with one fault, to check that the load generator notices it.

The fault is at one line, for one listener: the sixth, or the first, which is the observer.

usage: broken.py PORT FAULT
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

AT_LINE = 300
VICTIM, OBSERVER = 5, 0
Writer = asyncio.StreamWriter


def drop(lines: list[bytes], at: int) -> list[bytes]:
    return lines[:-1]


def double(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines, lines[-1]]


def damage(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:-1], lines[-1][:50] + b"!" + lines[-1][51:]]


FAULTS: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "drop": drop,
    "double": double,
    "damage": damage,
}


class Room:
    """Relays each line to everybody else, but for its fault."""

    def __init__(self, fault: str) -> None:
        self.fault, _, whose = fault.partition("-")
        self.victim = OBSERVER if whose == "observer" else VICTIM
        self.writers: list[Writer] = []
        self.lines = 0
        self.held: bytes | None = None
        self.unsaid = 0

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                self.relay(writer, line)
        except ConnectionError:
            pass
        finally:
            self.writers.remove(writer)
            writer.close()

    def relay(self, sender: Writer, line: bytes) -> None:
        if len(line) >= 64:
            self.lines += 1
        for number, listener in enumerate(self.writers):
            if listener is not sender:
                listener.writelines(self.shown(number, listener, line))
            elif self.fault == "own" and self.lines == AT_LINE and self.held is None:
                self.held = line
                listener.write(line)

    def shown(self, number: int, listener: Writer, line: bytes) -> list[bytes]:
        """Return what the listener with this number is sent in place of the line."""
        if number != self.victim or self.lines < AT_LINE:
            return [line]
        if self.fault == "swap":
            return self.swapped(line)
        if self.fault in ("skip", "lie"):
            return self.skipped(line)
        if self.held is None and self.fault in FAULTS:
            self.held = line
            return FAULTS[self.fault]([line], AT_LINE)
        return [line]

    def swapped(self, line: bytes) -> list[bytes]:
        """The first line waits for the second."""
        if self.held is None:
            self.held = line
            return []
        held, self.held = self.held, b""
        return [line, held] if held else [line]

    def skipped(self, line: bytes) -> list[bytes]:
        """Three lines are left out, and announced: rightly, or as two."""
        if self.unsaid < 3:
            self.unsaid += 1
            return []
        if self.held is None:
            self.held = line
            said = self.unsaid if self.fault == "skip" else self.unsaid - 1
            return [b"-- You missed %d lines.\r\n" % said, line]
        return [line]


async def main(port: int, fault: str) -> None:
    room = Room(fault)
    server = await asyncio.start_server(room.serve, "127.0.0.1", port, backlog=100)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
