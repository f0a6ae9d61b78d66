"""Authentication of users whom a door knows before they are in a room, as with SSH.

Nothing is claimed, changed or shown here. The result is true at this moment; it is checked again
when the user gets the name (`login.open_connection`). Every answer has a time limit.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.logger import Logger

from chatroom.actions.accounts import note_failure
from chatroom.actions.naming import ANOTHER
from chatroom.actions.steps import SORRY, outcome, start, with_timeout
from chatroom.model.accounts import Account
from chatroom.model.identity import Identity
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import TooMany
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat

log = Logger()

#: How long, in seconds, the turn of a password may take to come.
TURN = 30.0


@dataclass(eq=False, slots=True)
class PendingConnection:
    """A connection without a connection that tries passwords, see logins.LoginSubject.

    origin: its number, which its connection gets too. address: as Connection has it. over: for the
    door to set when it is gone. key: one that they have proved to have, though it did not let them
    in.
    """

    origin: int
    address: str
    source: str
    opened: float
    failures: int = 0
    turned_away: int = 0
    over: bool = False
    key: PublicKey | None = None


def by_name(chat: "Chat", name: str, key: PublicKey | None = None) -> Identity:
    """How somebody arrives who has proved to be nobody, and asks for *name*."""
    moderation = chat.moderation
    if not name:
        return Identity(key=key)
    try:
        name = names.check_name(name)
    except names.NameRefused as error:
        return Identity(key=key, why=f"{error} {ANOTHER}")
    if moderation.is_reserved(name):
        return Identity(key=key, why=f"{name} is kept for an operator. {ANOTHER}")
    if names.is_reserved(name):
        return Identity(key=key, why=f"{name} is reserved. {ANOTHER}")
    return Identity(name, key=key)


def owner(chat: "Chat", name: str) -> "Deferred[Account | None]":
    """Whose *name* is, None if it is nobody's; also if that cannot be found out now.

    Then whoever asks for it is a guest, and told why: nobody gets a name unless it is known.
    """
    return _find(chat, name).addErrback(_unknown)


def by_key(chat: "Chat", name: str, key: PublicKey) -> "Deferred[Identity | None]":
    """How somebody arrives who has *key* and asks for *name*; None if they are not let in.

    A key that is an account's makes them that account, unless *name* is another one's. One that was
    pasted, and that its owner has not shown to be theirs yet, does so only for whoever asks for the
    account by its name: else anybody could have others arrive as theirs. With a key that is
    nobody's somebody is a guest, and not let in under a name that is registered. To be asked before
    it is proved that they have it as well as after.
    """
    return start(_by_key(chat, name, key))


async def _by_key(chat: "Chat", name: str, key: PublicKey) -> Identity | None:
    try:
        holder = await outcome(
            with_timeout(chat.logins.accounts.keyholder(key.fingerprint), chat.clock)
        )
        account = await outcome(_find(chat, name))
    except Exception as error:
        _unavailable(error)
        return Identity(key=key, why=SORRY)
    if holder is not None and (
        holder.proven if account is None else holder.account.id == account.id
    ):
        return Identity(holder.account.name, holder.account, key, by_key=True)
    return by_name(chat, name, key) if account is None else None


def by_password(
    chat: "Chat", stranger: PendingConnection, account: Account, password: str
) -> "Deferred[Identity | None]":
    """How *stranger* arrives with *password* for *account*; None if it is wrong, which counts.

    Fails with TooMany if their turn does not come; who tries again later may have more luck. Once
    they are gone it need not fire.
    """
    return start(_by_password(chat, stranger, account, password))


async def _by_password(
    chat: "Chat", stranger: PendingConnection, account: Account, password: str
) -> Identity | None:
    try:
        present = await outcome(_find(chat, account.name))
    except Exception as error:
        _unavailable(error)
        return Identity(key=stranger.key, why=SORRY)
    if present is None or present.id != account.id:
        return Identity(key=stranger.key, why=f"{account.name} is not registered any more.")
    # As it is now: between the question and the answer they had all the time in the world.
    answer = chat.logins.check_password(stranger, present, password)
    try:
        right = await outcome(with_timeout(answer, chat.clock, TURN))
    except TimeoutError:
        raise TooMany from None
    if right:
        return Identity(present.name, present, stranger.key)
    note_failure(chat, stranger, present)
    return None


def _find(chat: "Chat", name: str) -> "Deferred[Account | None]":
    # Folding takes a while for what is no name anyway.
    key = names.fold(name) if len(name) <= 4 * names.MAX_NAME else ""
    return with_timeout(chat.logins.accounts.find(key), chat.clock)


def _unknown(failure: Any) -> None:
    _unavailable(failure.value)


def _unavailable(error: BaseException) -> None:
    log.warn(
        "Accounts could not be used: {error!r}",
        event="accounts_unavailable",
        # Without the frames: there may be a password in them.
        error=error.with_traceback(None),
    )
