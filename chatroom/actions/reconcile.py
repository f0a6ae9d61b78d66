"""What `chatroom-data` changes in the store of accounts while the server runs.

The store is right: users who are logged in are held to what it says.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.actions import naming
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.text import names
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat

log = Logger()


def reconcile(chat: "Chat") -> "Deferred[None]":
    """Compare what is known of accounts with the book; fires when all are held to it, or fails."""
    known: dict[int, str] = chat.moderation.accounts()
    for connection in chat.connections.values():
        if connection.user.account is not None:
            known[connection.user.account.id] = connection.user.account.name

    def found(present: Mapping[int, Account]) -> None:
        for id, name in known.items():
            if id not in present and id not in chat.logins.removed:
                _remove(chat, id, name)
        chat.moderation.rename({id: account.name for id, account in present.items()})
        for user in {connection.user for connection in chat.connections.values()}:
            account = user.account
            if account is not None and account.id in present:
                _hold(chat, user, account, present[account.id])

    return chat.logins.accounts.present(list(known)).addCallback(found)


def _remove(chat: "Chat", id: int, name: str) -> None:
    """The account is gone: nobody has it, or a right by it, any more."""
    log.info("The account {name!r} was removed from outside", event="account_removed", name=name)
    chat.logins.removed.add(id)
    for user in chat.users_of(id):
        make_guest(chat, user, f"An administrator has removed the account {name}.", "unregistered")
    # Only now: it sends those away who may not stay any more.
    chat.moderation.forget(id, name)


def _hold(chat: "Chat", user: User, known: Account, present: Account) -> None:
    """Log *user* out, whose account was *known*, if that is another one now."""
    if known.name == present.name and known.password == present.password:
        return
    log.info(
        "{former!r} is logged out: their account is another one now",
        event="account_changed",
        former=known.name,
        name=present.name,
    )
    change = f"given the account {known.name} another password"
    if known.name != present.name:
        change = f"renamed the account {known.name}"
    told = f"An administrator has {change}: /login {present.name}."
    make_guest(chat, user, told, "logged out")
    squatter = chat.people.get(present.key)
    if squatter is not None and squatter.account is None:
        naming.reclaim(chat, squatter, names.fold(present.name))


def make_guest(chat: "Chat", user: User, told: str, what: str) -> None:
    """Log *user* out, who is *told* why.

    what: what becomes of connections for one command alone, see Connection.expel.
    """
    one_shots = [one for one in user.connections if one.one_shot]
    chat.logins.logged_out(user, keep=False)
    for one in one_shots:
        one.expel(told, what)
    if user.here:
        user.notice(paragraph(told, "You are a guest now."))
        naming.rename_to(chat.reading_by(user)[0], chat.next_guest())
        chat.recheck_access(user)
