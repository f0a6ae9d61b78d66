"""The send queue: what is for one connection only.

It is sent after the lines of the room in the same turn. It is bounded: code that posts for another
user checks `full` first, and tells the sender. What a user's own commands answer is always taken,
and the user's input waits while the queue is full.
"""

from typing import Protocol

MAX_ENTRIES = 100
MAX_BYTES = 64 * 1024


class Letter(Protocol):
    """An entry that may not get lost: it hears once what became of it."""

    def taken(self) -> None:
        """The connection has taken it."""

    def returned(self) -> None:
        """It was not taken, and will not be."""


class SendQueue:
    """Encoded entries that one connection has not been sent yet, oldest first."""

    __slots__ = ("_cut", "_entries", "size")

    def __init__(self) -> None:
        # None while empty: ten thousand idle people need no list each.
        self._entries: list[tuple[bytes, Letter | None]] | None = None
        # The letter of which only the beginning was sent, while the rest is under way.
        self._cut: Letter | None = None
        #: Bytes waiting.
        self.size = 0

    @property
    def full(self) -> bool:
        """Whether nothing more should be posted to it by others."""
        entries = self._entries
        return entries is not None and (len(entries) >= MAX_ENTRIES or self.size >= MAX_BYTES)

    @property
    def last(self) -> bytes:
        """The newest entry; empty if there is none."""
        return self._entries[-1][0] if self._entries else b""

    def post(self, entry: bytes, letter: Letter | None = None) -> None:
        """Add *entry*, whole lines of encoded bytes or a bell."""
        if self._entries is None:
            self._entries = []
        self._entries.append((entry, letter))
        self.size += len(entry)

    def contents(self) -> bytes:
        """All that is waiting, as one piece."""
        return b"".join([entry for entry, _ in self._entries]) if self._entries else b""

    def clear(self) -> None:
        """All of it was sent."""
        entries, self._entries = self._entries, None
        self.size = 0
        for _, letter in entries or ():
            if letter is not None:
                letter.taken()

    def sent(self, count: int) -> bytes:
        """The first *count* bytes were sent: drop what is done with.

        Returns the rest of an entry that was cut in the middle, which the caller must send before
        anything else; `finished` is to be told when that is done.
        """
        rest = b""
        while count > 0 and self._entries:
            entry, letter = self._entries.pop(0)
            self.size -= len(entry)
            rest = entry[count:]
            count -= len(entry)
            if rest:
                self._cut = letter
            elif letter is not None:
                letter.taken()
        if not self._entries:
            self._entries = None
        return rest

    def finished(self) -> None:
        """The rest of what was cut in the middle is sent."""
        letter, self._cut = self._cut, None
        if letter is not None:
            letter.taken()

    def give_back(self) -> None:
        """Take the letters out and return them; what is no letter still waits."""
        entries = self._entries or []
        letters = [self._cut, *(letter for _, letter in entries)]
        self._cut = None
        self._entries = [entry for entry in entries if entry[1] is None] or None
        self.size = sum(len(entry) for entry, _ in self._entries or ())
        for letter in letters:
            if letter is not None:
                letter.returned()
