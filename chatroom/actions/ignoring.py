"""Ignoring: the users whose lines a user is not shown.

Users are ignored by id. Ignored accounts are kept with the preferences; ignored guests, whose ids
end with their connections, are kept as long as the user is here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.preferences import MAX_IGNORED
from chatroom.model.refused import Code, Refused
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection


def ignore(connection: "Connection", person: User) -> "Deferred[bool]":
    """Leave out what *person* says, and what they said on their connection as a guest.

    The Deferred fires with whether it is written, if it is to be kept. Raises Refused.
    """
    me = connection.user
    if person is me:
        raise Refused(Code.YOURSELF, "You cannot ignore yourself. /ignore NAME is for others.")
    if max(len(me.preferences.ignores), len(me.ignored)) >= MAX_IGNORED:
        raise Refused(
            Code.TOO_MANY,
            f"You ignore {MAX_IGNORED} people already. /unignore NAME ends it for one.",
        )
    if not me.here and (me.account is None or person.account is None):
        raise Refused(
            Code.WRONG_CONNECTION,
            f"{person.name} would be ignored only as long as this connection lasts.",
        )
    me.ignored = {**me.ignored, -person.origin: person.name}
    if person.account is None:
        # It may be the id of an account that was given up.
        me.ignored = {**me.ignored, person.id: person.name}
    person.ignored_by = (person.ignored_by or frozenset()) | {connection.origin}
    _refresh(connection.chat, me)
    if person.account is None:
        return succeed(True)
    return _keep(connection, person.account)


def ignore_account(connection: "Connection", account: Account) -> "Deferred[bool]":
    """Leave out what the owner of *account*, who is not here, says. Raises Refused.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    me = connection.user
    if len(me.preferences.ignores) >= MAX_IGNORED:
        raise Refused(Code.TOO_MANY, f"You ignore {MAX_IGNORED} people already.")
    if not me.here and me.account is None:
        raise Refused(
            Code.WRONG_CONNECTION, f"{account.name} would be ignored as long as this command lasts."
        )
    return _keep(connection, account)


def _keep(connection: "Connection", account: Account) -> "Deferred[bool]":
    """Ignore *account* as a preference of the user's; fires with whether it is written."""
    return connection.set_preferences(
        lambda kept: replace(kept, ignores={**kept.ignores, account.id: account.name})
    )


def unignore(connection: "Connection", name: str) -> "tuple[str, Deferred[bool]]":
    """Show again what the ignored user says whose name is, or alone begins with, *name*.

    Returns their name, and a Deferred that fires with whether it is written, if it is to be kept.
    Raises Refused.
    """
    found = names.match_prefix(name[: names.MAX_NAME], ignored_names(connection))
    if len(found) > 1:
        raise Refused(
            Code.AMBIGUOUS, "Several whom you ignore have names that begin so. /ignore lists them."
        )
    kept = _show_again(connection, names.fold(found[0])) if found else None
    if kept is None:
        shown = names.clean(name)[: names.MAX_NAME]
        raise Refused(
            Code.NOTHING_FOUND, f"You do not ignore {shown}. /ignore lists whom you ignore."
        )
    return found[0], kept


def _show_again(connection: "Connection", key: str) -> "Deferred[bool] | None":
    """Stop ignoring the user with this name *key*; None if they were not ignored."""
    known = {**connection.user.ignored, **connection.user.preferences.ignores}
    ids = {id for id, name in known.items() if names.fold(name) == key}
    if (person := connection.chat.people.get(key)) is not None:
        ids |= {person.id, -person.origin} & known.keys()
    connection.user.ignored = _without(ids, connection.user.ignored)
    _refresh(connection.chat, connection.user)
    if ids & connection.user.preferences.ignores.keys():
        return connection.set_preferences(
            lambda kept: replace(kept, ignores=_without(ids, kept.ignores))
        )
    return succeed(True) if ids else None


def ignored_names(connection: "Connection") -> set[str]:
    """Return the names of the users who are ignored: of guests who are here their present ones."""
    chat, ignores = connection.chat, connection.user.preferences.ignores
    here = {
        person.user.name
        for id in connection.user.ignored
        if (person := chat.connections.get(-id)) is not None and person.user.id not in ignores
    }
    return here | set(ignores.values())


def _refresh(chat: "Chat", user: User) -> None:
    for connection in chat.connections_by(user):
        connection.refresh_ignores()


def _without(ids: set[int], known: Mapping[int, str]) -> dict[int, str]:
    return {id: name for id, name in known.items() if id not in ids}


def become_user(chat: "Chat", user: User, id: int) -> None:
    """Have *user* be the one with this *id*; users who ignored them before still do."""
    user.id = id
    carry_over(chat, user, id, user.name)


def carry_over(chat: "Chat", guest: User, id: int, name: str) -> None:
    """Have the users who ignore *guest* ignore the user with this *id* and *name*, too."""
    for origin in guest.ignored_by or ():
        other = chat.connections.get(origin)
        if other is not None and -guest.origin in other.user.ignored:
            other.user.ignored = {**other.user.ignored, id: name}
            _refresh(chat, other.user)
