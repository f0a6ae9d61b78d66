"""The mailbox: what is for one person only.

The rule: it is bounded. Whoever posts for somebody else asks `full` first and tells the sender;
what a person's own commands answer is always taken, and their input waits while it is full.
"""

MAX_ENTRIES = 100
MAX_BYTES = 64 * 1024


class Mailbox:
    """Encoded entries that one connection has not been sent yet, oldest first."""

    __slots__ = ("_entries", "size")

    def __init__(self) -> None:
        # None while empty: ten thousand idle people need no list each.
        self._entries: list[bytes] | None = None
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
        return self._entries[-1] if self._entries else b""

    def post(self, entry: bytes) -> None:
        """Add *entry*, whole lines of encoded bytes or a bell."""
        if self._entries is None:
            self._entries = []
        self._entries.append(entry)
        self.size += len(entry)

    def contents(self) -> bytes:
        """All that is waiting, as one piece."""
        return b"".join(self._entries) if self._entries else b""

    def clear(self) -> None:
        """All of it was sent."""
        self._entries = None
        self.size = 0

    def sent(self, count: int) -> bytes:
        """The first *count* bytes were sent: drop what is done with.

        Returns the rest of an entry that was cut in the middle, which the caller must send before
        anything else; the entry itself is done with as well.
        """
        rest = b""
        while count > 0 and self._entries:
            entry = self._entries.pop(0)
            self.size -= len(entry)
            rest = entry[count:]
            count -= len(entry)
        if not self._entries:
            self._entries = None
        return rest
