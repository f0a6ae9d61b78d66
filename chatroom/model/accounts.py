"""Accounts: names that belong to somebody, and what is kept for them.

The rule: a book of accounts is asked, never waited for. Every answer is a Deferred that may come
late, or fail; what the book has not confirmed has not happened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from chatroom.model.preferences import Preferences
from chatroom.text import names

#: How many private lines wait for one account at most.
MAX_MESSAGES = 50

#: Of how many rooms it is kept up to where an account has read them.
MAX_PLACES = 100


#: How many public keys one account may have.
MAX_KEYS = 20


@dataclass(frozen=True, slots=True)
class Account:
    """A name and whose it is.

    id: never used for another account. password: as `passwords.make` makes it, empty if nobody
    can log in by password. created, seen: when it was made and last used, in seconds since the
    epoch.
    """

    id: int
    name: str
    password: str = field(repr=False)
    created: float
    seen: float
    preferences: Preferences = field(default_factory=Preferences)

    @property
    def key(self) -> str:
        """What its name is unique by."""
        return names.fold(self.name)


#: What somebody changes of what they prefer.
Change = Callable[[Preferences], Preferences]


class AccountState(NamedTuple):
    """What is to be kept of somebody who is logged in, or was until now.

    account: its id. time: now, in seconds since the epoch. change: makes what they prefer of what
    is kept, in a thread of the book's, so that of two changes neither undoes the other; None if it
    stays as it is. places: the ids of the last events that they were shown, by the keys of the
    rooms; other rooms stay as they are.
    """

    account: int
    time: float
    change: "Change | None"
    places: Mapping[str, int]


class OfflineMessage(NamedTuple):
    """A private line that waits for somebody who is not here.

    time: when it was sent, in seconds since the epoch. sender: the name of who sent it. author:
    the id of the sender's account, 0 for a guest. id: given by the book, growing.
    """

    time: float
    sender: str
    author: int
    text: str
    id: int = 0


class BoundKey(NamedTuple):
    """A public key that logs somebody in.

    fingerprint, type, comment: see publickeys.PublicKey; nothing else of it is kept. added: when,
    in seconds since the epoch. proven: whether whoever has the account has shown that the key is
    theirs; anybody may paste anybody's.
    """

    fingerprint: str
    type: str
    comment: str
    added: float
    proven: bool


class KeyOwner(NamedTuple):
    """Whose a public key is. proven: see BoundKey."""

    account: Account
    proven: bool


class Binding(Enum):
    """What became of a key that was to be an account's."""

    #: It is the account's now.
    DONE = auto()
    #: It was the account's before.
    OURS = auto()
    #: It is another account's.
    TAKEN = auto()
    #: The account has MAX_KEYS.
    FULL = auto()
    #: There is no such account.
    GONE = auto()
