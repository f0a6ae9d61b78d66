"""A member: one user in one room, by however many connections they read it."""

from chatroom.chat.user import User


class Member:
    """One user in one room.

    joined: when the user entered, in seconds since the epoch.
    announced: whether the room was told that the user joined.
    leaving: whether it was asked that the user be out.
    """

    __slots__ = ("announced", "joined", "leaving", "user")

    def __init__(self, user: User, joined: float) -> None:
        self.user = user
        self.joined = joined
        self.announced = self.leaving = False

    @property
    def origin(self) -> int:
        """The number by which the room knows the user."""
        return self.user.origin

    @property
    def name(self) -> str:
        """The name of the user."""
        return self.user.name
