"""Ignoring: whose lines one session is not shown.

The rule: a guest is ignored as a connection, who is logged in as an account, and that is kept.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from chatroom.model.events import SERVER, Emoted, Event, Said
from chatroom.model.preferences import Preferences
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.session import Session


#: Of how many who have gone it is kept that they are ignored, so that what they said last is not
#: shown: an account has another connection with each login, and with each command.
GONE = 100


def ignore(session: "Session", person: "Session") -> "Deferred[bool]":
    """Leave out what *person* says: if they are logged in, wherever they come from.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    _leave_out(session, person)
    if person.account is None:
        return succeed(True)
    kept = ignore_account(session, person.account.id, person.name)
    for other in session.chat.sessions_of(person.account.id):
        meet(session, other)
    return kept


def ignore_account(session: "Session", id: int, name: str) -> "Deferred[bool]":
    """Leave out the account of this id, called *name*; fires with whether it is written."""
    return session.prefer(lambda kept: replace(kept, ignores={**kept.ignores, id: name}))


def unignore(session: "Session", key: str) -> "Deferred[bool] | None":
    """Show what whoever has the name with this *key* says again; None if they were not ignored.

    The Deferred fires with whether it is written, if it is to be kept.
    """
    ignored, ignores = session.ignored or {}, session.preferences.ignores
    origins = {origin for origin, name in ignored.items() if names.fold(name) == key}
    ids = {id for id, name in ignores.items() if names.fold(name) == key}
    person = session.chat.people.get(key)
    if person is not None:
        origins |= {person.origin} & ignored.keys()
        ids |= {person.account.id} & ignores.keys() if person.account else set()
    for other in session.chat.sessions.values():
        if other.account is not None and other.account.id in ids:
            origins.add(other.origin)
    session.ignored = {origin: name for origin, name in ignored.items() if origin not in origins}
    apply(session)
    if ids:
        return session.prefer(lambda kept: _without(kept, ids))
    return succeed(True) if origins else None


def _without(preferences: Preferences, ids: set[int]) -> Preferences:
    left = {id: name for id, name in preferences.ignores.items() if id not in ids}
    return replace(preferences, ignores=left)


def nobody(session: "Session") -> None:
    """Show what everybody says."""
    session.ignored = None
    apply(session)


def meet(session: "Session", other: "Session") -> None:
    """*other*, or this person, has just logged in: leave them out if they are ignored."""
    if other.account is not None and other.account.id in session.preferences.ignores:
        _leave_out(session, other)


def hider(session: "Session") -> Callable[[Event], bool]:
    """Return a function that says whether an event is from somebody whom *session* ignores now.

    A registered name is used by nobody else. What was said in an earlier run of the server has no
    origin: there a guest is whoever chose the same name, but for guestN, which are given anew.
    """
    origins = session.ignored or {}
    registered = {names.fold(name) for name in session.preferences.ignores.values()}
    guests = {names.fold(name) for name in origins.values() if not names.is_reserved(name)}

    def hides(event: Event) -> bool:
        if event.origin in origins:
            return True
        if not (registered or guests) or not isinstance(event, Said | Emoted):
            return False
        key = names.fold(event.name)
        return key in registered or (event.origin == SERVER and key in guests)

    return hides


def _leave_out(session: "Session", person: "Session") -> None:
    ignored = {**(session.ignored or {}), person.origin: person.name}
    if len(ignored) > GONE:
        gone = [origin for origin in ignored if origin not in session.chat.sessions]
        for origin in gone[:-GONE]:
            del ignored[origin]
    session.ignored = ignored
    apply(session)


def apply(session: "Session") -> None:
    """Have the room leave out whom *session* ignores."""
    session.member.ignores = frozenset(session.ignored) if session.ignored else None
