"""The writing side of one connection, as the chat sees it."""

from typing import Protocol


class Writer(Protocol):
    """The writing side of one connection; see doors/writer.py."""

    @property
    def congested(self) -> bool:
        """Nothing may be written now: it calls its owner's `drained` when that is over."""

    def write(self, data: bytes) -> int:
        """Send *data*; returns how many bytes were taken.

        If that is not all, the writer is congested, and the caller must call `finish`.
        """

    def finish(self, rest: bytes) -> None:
        """Take *rest*, the end of the line in which `write` stopped, and call back later."""

    def abort(self) -> None:
        """Drop the connection and whatever was to be sent on it."""


class TerminalOutlet(Writer, Protocol):
    """The writing side of a connection with a terminal."""

    def insert(self, data: bytes) -> None:
        """Send *data*, which is for this connection alone, whether it is congested or not."""
