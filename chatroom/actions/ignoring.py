"""Ignoring: the users whose lines one connection is not shown.

The rule: a user is ignored by id. Accounts are kept with the preferences; guests, whose ids end
with their connections, are kept as long as the connection of the connection lasts.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from chatroom.chat.user import User
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection


def ignore(connection: "Connection", person: User) -> "Deferred[bool]":
    """Leave out what *person* says, and what they said on their connection as a guest.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    me = connection.user
    me.ignored = {**me.ignored, -person.origin: person.name}
    if person.account is None:
        # It may be the id of an account that was given up.
        me.ignored = {**me.ignored, person.id: person.name}
    person.ignored_by = (person.ignored_by or frozenset()) | {connection.origin}
    _refresh(me)
    if person.account is None:
        return succeed(True)
    return ignore_account(connection, person.account.id, person.name)


def ignore_account(connection: "Connection", id: int, name: str) -> "Deferred[bool]":
    """Leave out the account of this id, called *name*; fires with whether it is written."""
    return connection.set_preferences(
        lambda kept: replace(kept, ignores={**kept.ignores, id: name})
    )


def unignore(connection: "Connection", key: str) -> "Deferred[bool] | None":
    """Show again what the user with this name *key* says; None if they were not ignored.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    known = {**connection.user.ignored, **connection.user.preferences.ignores}
    ids = {id for id, name in known.items() if names.fold(name) == key}
    if (person := connection.chat.people.get(key)) is not None:
        ids |= {person.id, -person.origin} & known.keys()
    connection.user.ignored = _without(ids, connection.user.ignored)
    _refresh(connection.user)
    if ids & connection.user.preferences.ignores.keys():
        return connection.set_preferences(
            lambda kept: replace(kept, ignores=_without(ids, kept.ignores))
        )
    return succeed(True) if ids else None


def _refresh(user: User) -> None:
    for connection in user.connections:
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
            _refresh(other.user)
