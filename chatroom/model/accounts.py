"""Accounts: registered names, and what is stored for them.

The stores of accounts are in backends/interfaces.py. Their methods return Deferreds, which may fire
late or fail: a change that was not confirmed must not be treated as done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from chatroom.model.preferences import Preferences
from chatroom.text import names

#: How many messages may wait for one account.
MAX_MESSAGES = 50

#: For how many rooms an account's read position is stored.
MAX_PLACES = 100

#: How many public keys one account may have.
MAX_KEYS = 20


@dataclass(frozen=True, slots=True)
class Account:
    """A registered name.

    id: never used for another account.
    name: the name as it is shown.
    password: the hash, see `passwords.make`; empty if the account has no password.
    created: when it was registered, in seconds since the epoch.
    seen: when it was last used, in seconds since the epoch.
    preferences: how its user wants to be shown things.
    """

    id: int
    name: str
    password: str = field(repr=False)
    created: float
    seen: float
    preferences: Preferences = field(default_factory=Preferences)

    @property
    def key(self) -> str:
        """The folded name, by which accounts are unique."""
        return names.fold(self.name)


#: A change of preferences: returns the new ones for the old ones.
Change = Callable[[Preferences], Preferences]


class AccountState(NamedTuple):
    """What to save for an account that is logged in, or was until now.

    account: its id.
    time: now, in seconds since the epoch.
    change: applied to the stored preferences, in a thread of the store, so that of two changes
    neither undoes the other; None for no change.
    places: the read positions, that is the id of the last event shown, by the keys of the rooms.
    The positions in other rooms stay.
    """

    account: int
    time: float
    change: "Change | None"
    places: Mapping[str, int]


class OfflineMessage(NamedTuple):
    """A private message for a user who is away.

    time: when it was sent, in seconds since the epoch.
    sender: the sender's name.
    author: the id of the sender's account, 0 for a guest.
    text: the message.
    id: given by the store; later messages have greater ids.
    """

    time: float
    sender: str
    author: int
    text: str
    id: int = 0


class BoundKey(NamedTuple):
    """A public key that belongs to an account.

    fingerprint, type, comment: see publickeys.PublicKey; nothing else of the key is stored.
    added: when it was added, in seconds since the epoch.
    proven: whether the user has logged in with it, and so has the private key. Before that, any
    user may have pasted a key of somebody else.
    """

    fingerprint: str
    type: str
    comment: str
    added: float
    proven: bool


class KeyOwner(NamedTuple):
    """The owner of a public key.

    proven: see BoundKey.
    """

    account: Account
    proven: bool


class Binding(Enum):
    """The result of adding a key to an account."""

    #: The key was added.
    DONE = auto()
    #: The account had the key already.
    OURS = auto()
    #: Another account has the key.
    TAKEN = auto()
    #: The account has MAX_KEYS already.
    FULL = auto()
    #: There is no such account.
    GONE = auto()
