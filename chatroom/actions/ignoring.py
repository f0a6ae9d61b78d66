"""Ignoring: the users whose lines one session is not shown.

The rule: a user is ignored by id. Accounts are kept with the preferences; guests, whose ids end
with their connections, are kept as long as the connection of the session lasts.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.session import Session


def ignore(session: "Session", person: "Session") -> "Deferred[bool]":
    """Leave out what *person* says, and what they said on their connection as a guest.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    session.user.ignored = {**session.user.ignored, -person.origin: person.user.name}
    if person.user.account is None:
        # It may be the id of an account that was given up.
        session.user.ignored = {**session.user.ignored, person.user.id: person.user.name}
    person.user.ignored_by = (person.user.ignored_by or frozenset()) | {session.origin}
    _refresh(session)
    if person.user.account is None:
        return succeed(True)
    return ignore_account(session, person.user.account.id, person.user.name)


def ignore_account(session: "Session", id: int, name: str) -> "Deferred[bool]":
    """Leave out the account of this id, called *name*; fires with whether it is written."""
    return session.set_preferences(lambda kept: replace(kept, ignores={**kept.ignores, id: name}))


def unignore(session: "Session", key: str) -> "Deferred[bool] | None":
    """Show again what the user with this name *key* says; None if they were not ignored.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    known = {**session.user.ignored, **session.user.preferences.ignores}
    ids = {id for id, name in known.items() if names.fold(name) == key}
    if (person := session.chat.people.get(key)) is not None:
        ids |= {person.user.id, -person.origin} & known.keys()
    session.user.ignored = _without(ids, session.user.ignored)
    _refresh(session)
    if ids & session.user.preferences.ignores.keys():
        return session.set_preferences(
            lambda kept: replace(kept, ignores=_without(ids, kept.ignores))
        )
    return succeed(True) if ids else None


def _refresh(session: "Session") -> None:
    for connection in session.chat.connections_of(session):
        connection.refresh_ignores()


def _without(ids: set[int], known: Mapping[int, str]) -> dict[int, str]:
    return {id: name for id, name in known.items() if id not in ids}


def become_user(session: "Session", id: int) -> None:
    """Have *session* be the user with this id; users who ignored it before still do."""
    session.user.id = id
    for origin in session.user.ignored_by or ():
        other = session.chat.sessions.get(origin)
        if other is not None and -session.origin in other.user.ignored:
            other.user.ignored = {**other.user.ignored, id: session.user.name}
            _refresh(other)
