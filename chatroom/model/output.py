"""The output side of a connection, as the chat sees it."""

from typing import Protocol


class Writer(Protocol):
    """The output side of a connection; see doors/writer.py."""

    @property
    def congested(self) -> bool:
        """Whether nothing may be written now; the writer's client is told when that is over."""

    def write(self, data: bytes) -> int:
        """Send *data*, and return how many bytes were taken.

        If these are not all, the writer is congested, and the caller must call `finish`.
        """

    def finish(self, rest: bytes) -> None:
        """Queue *rest*, the rest of the line in which `write` stopped."""

    def abort(self) -> None:
        """Close the connection at once, without sending what is queued."""


class TerminalWriter(Writer, Protocol):
    """The output side of a connection with a terminal."""

    def insert(self, data: bytes) -> None:
        """Send *data*, which is for this connection alone, even while it is congested."""
