"""What makes the connections of a door where lines are typed."""

from typing import Any

from chatroom.chat.chat import Chat
from chatroom.doors.factory import DoorFactory


class LineFactory(DoorFactory[Any]):
    """Makes the protocols of a door for people.

    line_length: the longest line that is taken, in bytes.
    """

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.line_length = chat.limits.line_length

    def configure(self) -> None:
        """Hold the connections to the limits of the chat, which have changed."""
        self.line_length = self.chat.limits.line_length
        for client in self.clients:
            client.limit(self.line_length)
