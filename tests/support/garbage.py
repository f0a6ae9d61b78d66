"""What the garbage collector would have to free, if objects referred to each other in a circle."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from chatroom.chat.connection import Connection
from chatroom.chat.reader import Reader
from chatroom.chat.user import User
from chatroom.doors.relay import RelayProtocol
from chatroom.doors.ssh.channel import SessionChannel
from chatroom.doors.telnet.protocol import ChatProtocol
from chatroom.doors.writer import Writer
from chatroom.terminal.terminal import Terminal


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing that refers to itself in a circle is freed meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def kept(known: Sequence[object] = ()) -> list[object]:
    """The objects that there are of which a connection consists, but for those that are *known*.

    Those of earlier tests, which a traceback may keep for a while, are known to whoever asks first.
    """
    parts = (
        ChatProtocol,
        RelayProtocol,
        SessionChannel,
        Terminal,
        Connection,
        Reader,
        User,
        Writer,
    )
    old = set(map(id, known))
    return [
        thing for thing in gc.get_objects() if isinstance(thing, parts) and id(thing) not in old
    ]
