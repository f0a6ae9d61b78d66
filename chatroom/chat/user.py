"""A user: who somebody is, however they are connected."""

from collections.abc import Mapping

from chatroom.model.accounts import Account
from chatroom.model.events import SERVER
from chatroom.model.preferences import DEFAULT, Preferences


class User:
    """A guest, or the owner of an account; connections of one account share their user.

    id: minus the id of the connection for a guest. It becomes that of the account with the name of
        the account, and ends with it: what was said before was said by the guest.
    submitted: the last name that was asked for, which is on its way if it is not `name`.
    naming: the folded name that is being claimed, empty for none.
    account: None for a guest.
    paired: whether the account was logged in to by nothing but a code that /pair gave.
    preferences: how the user wants to be shown things.
    unsaved: whether preferences could not be written, which is tried again with the next.
    away: why the user is away, None while they are not.
    ignored: the names of the users who are ignored as long as the connection lasts, by id.
    ignored_by: the ids of the connections whose users have ignored this one so; None for none.
    read_markers: up to which id the user has read the rooms that they are not in, by the rooms'
        keys; None while they have still to be told what they missed.
    reply_to: the id of the user who sent the last private message; SERVER for none.
    said: when the user last said something, in seconds since the epoch, by the key of each listed
        room that they said it in; None for nothing.
    """

    __slots__ = (
        "account",
        "away",
        "id",
        "ignored",
        "ignored_by",
        "name",
        "naming",
        "paired",
        "preferences",
        "read_markers",
        "reply_to",
        "said",
        "submitted",
        "unsaved",
    )

    def __init__(self, id: int, name: str) -> None:
        self.id = id
        self.name = self.submitted = name
        self.naming = ""
        self.account: Account | None = None
        self.paired = False
        self.preferences: Preferences = DEFAULT
        self.unsaved = False
        self.away: str | None = None
        self.ignored: Mapping[int, str] = {}
        self.ignored_by: frozenset[int] | None = None
        self.read_markers: dict[str, int] | None = {}
        self.reply_to = SERVER
        self.said: dict[str, float] | None = None

    def copy(self) -> "User":
        """Return the same user for a connection that is about to be somebody else."""
        copied = User(self.id, self.name)
        for slot in self.__slots__:
            setattr(copied, slot, getattr(self, slot))
        return copied
