"""Who a user has proved to be before there is a session."""

from dataclasses import dataclass

from chatroom.model.accounts import Account
from chatroom.model.publickeys import PublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as far as the door knows.

    name: what they ask to be called; empty for whatever comes. account: whose they have proved to
    be, None for a guest. key: the public key that they have proved to have. by_key: whether it is
    by that key that they are whose they are. why: why they do not get their name, as a sentence;
    empty if they may. asked: whether they were asked for a password, and gave no right one.
    """

    name: str = ""
    account: Account | None = None
    key: PublicKey | None = None
    by_key: bool = False
    why: str = ""
    asked: bool = False
