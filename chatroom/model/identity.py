"""The result of authenticating a user before they are in a room."""

from dataclasses import dataclass

from chatroom.model.accounts import Account
from chatroom.model.publickeys import PublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """What a door knows of a user.

    name: the name that the user asks for; empty for any name.
    account: the account that the user has proved to own, None for a guest.
    key: the public key whose private key the user has proved to have.
    by_key: whether that key is the account's and was the proof.
    why: the reason why the user may not have the name, as a sentence; empty if the user may.
    asked: whether the user was asked for a password, and did not give the right one.
    """

    name: str = ""
    account: Account | None = None
    key: PublicKey | None = None
    by_key: bool = False
    why: str = ""
    asked: bool = False
