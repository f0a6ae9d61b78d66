"""Whom a user means by a name.

A name means the user who has exactly that name. A beginning of a name means the only user here
whose name begins so, but only while it is nobody's whole name: not of an account, not of a user
who was here within the last hour, and not of one whose lines the room's log still shows. Otherwise
a private line to mar, who has just left, would reach mary. Operators have to type names in full,
see `exactly`.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from chatroom.actions.steps import required, run_step
from chatroom.chat.chat import Chat
from chatroom.chat.log import said_by
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.events import Emoted, Event, Said
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import enumerate_names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How many of the last lines of a room are looked through for who has spoken.
LINES = 1000

#: How many names are listed where several begin alike.
LISTED = 5


def exactly(chat: Chat, name: str) -> User:
    """The person here who has the name *name*, and no beginning of it. Raises Refused."""
    person = chat.people.get(_key(name))
    if person is None:
        raise _nobody(name)
    return person


def with_person(
    connection: "Connection",
    name: str,
    act: Callable[[User], object],
    absent: Callable[[Account], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Call *act* with the user whom *connection* means by *name*; raise Refused, or refuse later.

    absent: called with the account in place of that where *name* is registered and its owner is not
    here. Input waits until it is known who is meant, and what is begun has ended.
    """
    chat = connection.chat
    key = _key(name)
    person = chat.people.get(key)
    if person is not None:
        act(person)
    elif absent is None and not chat.people.beginning(key):
        # There is nobody to be looked for.
        raise _nobody(name)
    else:
        run_step(connection, _with_person(connection, name, act, absent))


async def known(connection: "Connection", name: str) -> str:
    """Return the name of somebody who is here, was here, or has registered it. Raises Refused.

    Who was here has left within the last hour, or a line of theirs is in the log of the room.
    """
    chat = connection.chat
    key = _key(name)
    person = chat.people.get(key)
    if person is not None:
        return person.name
    spoken = next((event for event in _recent(connection) if said_by(event, key)), None)
    if isinstance(spoken, Said | Emoted):
        return spoken.name
    if chat.people.left(key):
        return _shown(name)
    account = await required(connection, chat.logins.accounts.find(key))
    if account is None:
        text = f"Nobody called {_shown(name)} is or was here."
        raise Refused(
            Code.NO_SUCH_USER, f"{text} /who lists who is in your room, /history who spoke."
        )
    return account.name


async def _with_person(
    connection: "Connection",
    name: str,
    act: Callable[[User], object],
    absent: Callable[[Account], Coroutine[Any, Any, None]] | None,
) -> None:
    chat = connection.chat
    key = _key(name)
    account = await required(connection, chat.logins.accounts.find(key))
    # They may have come while they were looked for.
    person = chat.people.get(key)
    if person is not None:
        act(person)
    elif account is None:
        act(_beginning(connection, name))
    elif absent is not None:
        await absent(account)
    else:
        raise Refused(
            Code.GONE, f"{account.name} is not here. /msg {account.name} TEXT waits for them."
        )


def _recent(connection: "Connection") -> Sequence[Event]:
    """Return the last lines of the room that *connection* shows."""
    return connection.room.log.recent(LINES) if connection.room is not None else ()


def _beginning(connection: "Connection", name: str) -> User:
    """The only other person whose name begins with *name*, which is nobody's. Raises Refused."""
    chat = connection.chat
    key = _key(name)
    found = [one for one in chat.people.beginning(key) if chat.people[one] is not connection.user]
    if not found:
        raise _nobody(name)
    spoken = (said_by(event, key) for event in _recent(connection))
    if chat.people.left(key) or any(spoken):
        raise Refused(
            Code.GONE, f"{_shown(name)} is not here any more. /who lists who is in your room."
        )
    if len(found) > 1:
        listed = enumerate_names([chat.people[one].name for one in found[:LISTED]], len(found))
        raise Refused(
            Code.AMBIGUOUS, f"Several names begin like that: {listed}. Please type more of it."
        )
    return chat.people[found[0]]


def _nobody(name: str) -> Refused:
    return Refused(
        Code.NO_SUCH_USER, f"Nobody here is called {_shown(name)}. /who lists who is in your room."
    )


def _shown(name: str) -> str:
    return names.clean(name)[: names.MAX_NAME]


def _key(name: str) -> str:
    """The key of *name*. What is too long for a name has one that nobody has, found quickly."""
    return names.fold(name[: 4 * names.MAX_NAME + 1])
