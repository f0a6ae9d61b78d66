"""The client of a connection: what a connection knows and asks of its door."""

from typing import Protocol

from chatroom.formats.format import Format
from chatroom.model.preferences import Preferences


class Client(Protocol):
    """The client at the other end, as its door presents it.

    address: the address of the peer; any other text if it has none.
    place: a description of the peer for users.
    encrypted: whether what is sent cannot be read on the way.
    hidden: whether the client says that it does not show what is typed.
    echo: whether it is shown its own lines from the log, since it draws its own screen.
    hint: what the greeting says of this door; empty for nothing.
    height: how many rows the window has; 0 for unknown.
    """

    @property
    def address(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def encrypted(self) -> bool: ...

    @property
    def hidden(self) -> bool: ...

    @property
    def echo(self) -> bool: ...

    @property
    def hint(self) -> str: ...

    @property
    def height(self) -> int: ...

    def format_for(self, preferences: Preferences) -> Format:
        """Show things by *preferences* from here on; return the format, shared if it can be."""

    def hide_input(self) -> bool:
        """Ask the client not to show what is typed next; return whether it can be asked."""

    def show_input(self) -> None:
        """Let the client show what is typed again."""

    def resume(self) -> None:
        """Go on with the input: the gate is open again."""

    def expelled(self, what: str) -> None:
        """Note that an operator ends the connection; *what* is done, 'kicked', is for the log."""

    def close(self, farewell: bytes) -> None:
        """Send *farewell* after all else, and close."""


class Closeable(Protocol):
    """What is closed with a connection, since nothing waits for it any more."""

    def close(self) -> None: ...
