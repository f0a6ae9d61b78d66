"""Sanctions: operators disconnect, ban and mute users.

A name means the user who has exactly that name, or else the account, and never a beginning of a
name. Operators are spared. All functions raise Refused if the user of the connection is no
operator.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.defer import Deferred

from chatroom.actions.addressing import exactly
from chatroom.actions.moderate import check_operator
from chatroom.actions.reasons import check_reason
from chatroom.actions.steps import required
from chatroom.chat.rules import SOURCE_BAN
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.limits import LOCAL
from chatroom.model.networks import Network, as_network
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Sanction
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

#: How many bans there may be.
MAX_BANS = 10_000

#: How much of the target of a ban is repeated in an answer and in the audit, in characters.
MAX_SHOWN = 60


class Mute(NamedTuple):
    """A mute that an operator has ordered.

    sanction: the order itself.
    local: whether it holds for all guests who come from this machine.
    """

    sanction: Sanction
    local: bool


# -- disconnecting


def kick(connection: "Connection", name: str, why: str) -> "tuple[str, Deferred[bool]]":
    """Disconnect the user called *name*, who may come back. Raises Refused.

    Returns their name, and a Deferred that fires with whether earlier orders are written.
    """
    check_operator(connection)
    check_reason(why)
    chat = connection.chat
    users = _users_called(chat, name)
    if connection.user in users:
        raise Refused(Code.YOURSELF, "You cannot send yourself away. /quit leaves.")
    _spare_operators(connection, users[0])
    kicked = users[0].name
    for user in users:
        told = f"{connection.user.name} has sent you away{why and f': {why}'}."
        user.expel(told, "kicked", why)
    # The audit entry is not waited for: the user is gone without it.
    written = chat.moderation.saver.finished()
    chat.moderation.record(connection, "kicked", kicked, why)
    return kicked, written


def _users_called(chat: "Chat", name: str) -> list[User]:
    """Return the users with this *name*. Raises Refused if there is none.

    Users of one-shot connections are among them.
    """
    key = names.fold(name)
    if key not in chat.people:
        # The users of one-shot connections are found by their names nowhere else.
        for id in chat.logins.connections:
            users = chat.users_of(id)
            if users and users[0].account is not None and users[0].account.key == key:
                return users
    user = exactly(chat, name)
    return chat.users_of(user.account.id) if user.account is not None else [user]


# -- bans


def ban_network(connection: "Connection", network: Network, length: float, why: str) -> Sanction:
    """Ban all users who come from *network*, and return the ban. Raises Refused.

    length: for how long, in seconds; 0 for good.
    """
    check_operator(connection)
    check_reason(why)
    _check_number(connection)
    moderation = connection.chat.moderation
    now = connection.chat.clock.time()
    if spared := moderation.why_unbannable(network, connection.chat.connections.values()):
        raise Refused(Code.PROTECTED, f"Not banned: {spared}")
    ban = Sanction(str(network), length and now + length, why, connection.user.name, now)
    moderation.network_bans.set(network, ban)
    _record_ban(connection, ban)
    return ban


async def ban(connection: "Connection", name: str, length: float, why: str) -> Sanction:
    """Ban the account called *name*, and for a day its network; of a guest only that.

    length: for how long, in seconds; 0 for good. Raises Refused.
    """
    check_operator(connection)
    check_reason(why)
    _check_number(connection)
    chat = connection.chat
    user, account = await _find_to_sanction(connection, name)
    network, spared = _network_to_ban(connection, user)
    if account is None and spared is not None:
        raise Refused(
            Code.PROTECTED, f"A guest is banned by address, and {spared} /kick sends them away."
        )
    now = chat.clock.time()
    banned, by = _name_of(user, account), connection.user.name
    shorter = Sanction(
        user.source if user is not None else "",
        now + min(length or SOURCE_BAN, SOURCE_BAN),
        why,
        by,
        now,
        banned,
    )
    if account is not None:
        ban = Sanction(banned, length and now + length, why, by, now)
        chat.moderation.account_bans.set(account.id, ban)
    else:
        assert user is not None
        ban = replace(shorter, target=banned)
        # Not what holds for all users who come from there.
        user.expel(f"You are banned{chat.moderation.until(ban)}.", "banned", why)
    if network is not None and spared is None:
        chat.moderation.network_bans.set(network, shorter)
    _record_ban(connection, ban)
    return ban


def _network_to_ban(
    connection: "Connection", user: User | None
) -> tuple[Network | None, str | None]:
    """Return the network of *user*, and why it may not be banned; None if it may."""
    network = as_network(user.source) if user is not None else None
    if network is None:
        return None, "it is this machine's."
    chat = connection.chat
    return network, chat.moderation.why_unbannable(network, chat.connections.values())


def unban(connection: "Connection", target: str, network: Network | None) -> list[Sanction]:
    """End the bans of the user called *target*, and of *network*; return these bans.

    Raises Refused if there is none.
    """
    check_operator(connection)
    moderation = connection.chat.moderation
    key = names.fold(target)

    def meant(ban: Sanction) -> bool:
        return key in (names.fold(ban.target), ban.about and names.fold(ban.about))

    accounts = [found for found in moderation.account_bans.items() if meant(found[1])]
    networks = [
        found for found in moderation.network_bans.items() if meant(found[1]) or found[0] == network
    ]
    if not accounts and not networks:
        raise Refused(
            Code.NOTHING_FOUND, f"{target[:MAX_SHOWN]} is not banned. /bans lists who is."
        )
    for id, _ in accounts:
        moderation.account_bans.remove(id)
    for banned, _ in networks:
        moderation.network_bans.remove(banned)
    moderation.record(connection, "unbanned", target[:MAX_SHOWN])
    return [ban for _, ban in (*accounts, *networks)]


def _check_number(connection: "Connection") -> None:
    """Raise Refused if there are too many bans."""
    moderation = connection.chat.moderation
    given = len(moderation.account_bans.items()) + len(moderation.network_bans.items())
    if given >= MAX_BANS:
        raise Refused(Code.TOO_MANY, "There are too many bans. /bans lists them, /unban ends one.")


def _record_ban(connection: "Connection", ban: Sanction) -> None:
    moderation = connection.chat.moderation
    moderation.record(connection, "banned", ban.target, moderation.until(ban).strip(" :"))


# -- mutes


async def mute(connection: "Connection", name: str, length: float, why: str) -> Mute:
    """Let the user called *name* read, but not talk. Raises Refused.

    length: for how long, in seconds.
    """
    check_operator(connection)
    check_reason(why)
    chat = connection.chat
    moderation = chat.moderation
    user, account = await _find_to_sanction(connection, name)
    muted = _name_of(user, account)
    now = chat.clock.time()
    order = Sanction(muted, now + length, why, connection.user.name, now)
    moderation.mute(user, account.id if account is not None else 0, order)
    until = moderation.until(order)
    if user is not None:
        user.notice(f"{connection.user.name} has muted you{until}.")
    moderation.record(connection, "muted", muted, until.strip(" :"))
    return Mute(order, local=user is not None and user.source == LOCAL)


async def unmute(connection: "Connection", name: str) -> str:
    """Let the user called *name* talk again, and return their name. Raises Refused."""
    check_operator(connection)
    user, account = await _find(connection, name, gone=True)
    moderation = connection.chat.moderation
    if user is None and account is not None:
        user = next(iter(connection.chat.users_of(account.id)), None)
    if account is not None:
        name = account.name
    if not moderation.unmute(user, account.id if account is not None else 0, name):
        raise Refused(
            Code.NOTHING_FOUND, f"{name[: names.MAX_NAME]} is not muted. /bans lists who is."
        )
    if user is not None:
        user.notice("You may talk again.")
    moderation.record(connection, "unmuted", name)
    return name


# -- the users meant


async def _find(
    connection: "Connection", name: str, *, gone: bool = False
) -> tuple[User | None, Account | None]:
    """Return the user called *name* and their account; either may be None.

    gone: whether both may be None. Otherwise that raises Refused.
    """
    chat = connection.chat
    key = names.fold(name)
    user = chat.people.get(key)
    if user is not None:
        # A guest who has the name of an account is not its owner.
        account = user.account
    else:
        account = await required(connection, chat.logins.accounts.find(key))
    if not chat.moderation.is_operator(connection.user):
        raise Refused(Code.NOT_OPERATOR, "You are no operator any more. /ops lists who is.")
    if user is None and account is None and not gone:
        shown = names.clean(name)[: names.MAX_NAME]
        text = f"Nobody here is called {shown}, and nobody has registered that."
        raise Refused(Code.NO_SUCH_USER, f"{text} /who lists who is in your room.")
    return user, account


async def _find_to_sanction(
    connection: "Connection", name: str
) -> tuple[User | None, Account | None]:
    """Return the user called *name* and their account; one may be None.

    Raises Refused if there is neither, or if it is an operator.
    """
    chat = connection.chat
    user, account = await _find(connection, name)
    if account is not None:
        if chat.moderation.operators.get(account.id):
            raise Refused(
                Code.PROTECTED, f"{account.name} is an operator. /deop {account.name} comes first."
            )
        # The owner may have logged in while the account was looked for, may have another name for
        # a moment yet, or be here for one command alone.
        user = next(iter(chat.users_of(account.id)), None)
    if user is not None:
        _spare_operators(connection, user)
    return user, account


def _name_of(user: User | None, account: Account | None) -> str:
    """Return the name of what `_find` has found."""
    if account is not None:
        return account.name
    assert user is not None
    return user.name


def _spare_operators(connection: "Connection", user: User) -> None:
    """Raise Refused if *user* is an operator."""
    if connection.chat.moderation.is_operator(user):
        raise Refused(Code.PROTECTED, f"{user.name} is an operator. /deop {user.name} comes first.")
