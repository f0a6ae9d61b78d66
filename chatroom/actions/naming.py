"""Names: how a user gets another name, and loses it.

A name is claimed first. Then it is looked up whether it, or a name that looks like it, is
registered. The user has it when the rooms' log says so. The owner of a registered name can always
take it back. Names of guests are not protected: other names may look like them.
"""

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.actions import moderate
from chatroom.actions.ignoring import become_user
from chatroom.actions.steps import required, with_timeout
from chatroom.chat.gate import Reason
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.events import Renamed
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

log = Logger()

ANOTHER = "/nick NAME picks another."
NOT_NOW = "Names cannot be had just now. /nick NAME tries again."


def pick(connection: "Connection", name: str, code: str = "") -> None:
    """Ask for the name that a guest has picked, see `rename`. Raises Refused.

    code: the claim code, if the name is one that is kept for an operator.
    """
    moderation = connection.chat.moderation
    if connection.user.account is not None:
        raise Refused(
            Code.LOGGED_IN,
            f"You are logged in as {connection.user.name}. /logout makes you a guest again.",
        )
    still = f"You are still {connection.user.name}. {ANOTHER}"
    if code:
        moderate.check_code(connection, code)
    try:
        name = names.check_name(name)
    except names.NameRefused as error:
        raise Refused(Code.BAD_NAME, f"{error} {still}") from None
    if moderation.is_reserved(name) and not code:
        raise Refused(Code.NAME_TAKEN, f"{name} is kept for an operator. {still}")
    if names.is_reserved(name):
        raise Refused(Code.NAME_TAKEN, f"{name} is reserved. {still}")
    if name == connection.user.name:
        raise Refused(Code.ALREADY, f"You are {name} already. {ANOTHER}")
    rename(connection, name)


def rename(connection: "Connection", name: str) -> None:
    """Ask for another name, which nobody forbids; input waits until there is an answer.

    Raises Refused.
    """
    chat = connection.chat
    if (why := connection.chat.moderation.why_muted(connection)) is not None:
        # A name is shown to everybody.
        raise Refused(Code.MUTED, f"{why} You are still {connection.user.name}.")
    # What no room is told of is no noise: a script takes its name before it says its line.
    known = (room.members[connection.user.origin] for room in chat.rooms_with(connection.user))
    if any(member.announced for member in known) and not chat.renamed.take(connection.limited_as):
        raise Refused(
            Code.RATE_LIMITED,
            f"You are still {connection.user.name}: names were changed too often from your "
            "address. Try again in an hour.",
        )
    connection.gate.close(Reason.NAMING)
    key = connection.user.naming = names.fold(name)

    def claimed(free: bool) -> object:
        if connection.over:
            # Too late: nobody is here to have it.
            release(connection, name)
        elif not free:
            _not_named(connection, f"{name} is taken.")
        else:
            # Not before: while we have the claim nobody else registers it.
            owner = with_timeout(chat.logins.accounts.resembling(name), chat.clock)
            return owner.addCallback(looked_up)
        return None

    def looked_up(owner: Account | None) -> None:
        if not connection.over and owner is None and connection.user.naming == key:
            rename_to(connection, name)
            return
        release(connection, name)
        if not connection.over:
            _not_named(connection, whose(name, owner))

    def not_claimed(failure: object) -> None:
        log.error(
            "Claiming a name failed: {error}",
            event="claim_failed",
            connection=connection.origin,
            error=failure,
        )
        failed(connection, name, "names cannot be changed just now")

    chat.claims.claim(key, connection.user.origin).addCallback(claimed).addErrback(not_claimed)


async def claim_first(connection: "Connection", name: str) -> None:
    """Have *name*, which is allowed, from the beginning: *connection* is nowhere yet.

    Raises Refused, and steps.Gone. Whenever the claim comes that nobody waits for any more,
    it is given back.
    """
    if (why := connection.chat.moderation.why_muted(connection)) is not None:
        raise Refused(Code.MUTED, why)
    key = connection.user.naming = names.fold(name)
    answer: Deferred[bool] = Deferred()

    def claimed(free: bool) -> None:
        if free and (answer.called or connection.over):
            release(connection, name)
        if not answer.called:
            answer.callback(free)

    def not_claimed(failure: Any) -> None:
        release(connection, name)
        if not answer.called:
            answer.errback(failure)

    connection.chat.claims.claim(key, connection.user.origin).addCallback(claimed).addErrback(
        not_claimed
    )
    if not (await required(connection, answer, NOT_NOW)):
        raise Refused(Code.NAME_TAKEN, f"{name} is taken. {ANOTHER}")
    try:
        book = connection.chat.logins.accounts
        owner = await required(connection, book.resembling(name), NOT_NOW)
        if owner is not None or connection.user.naming != key:
            raise Refused(Code.NAME_TAKEN, f"{whose(name, owner)} {ANOTHER}")
    except Exception:
        release(connection, name)
        raise
    connection.user.naming = ""
    connection.user.name = connection.user.submitted = name


def whose(name: str, owner: Account | None) -> str:
    """Tell in a sentence why nobody else can be called *name*.

    owner: the account that it resembles, None where its owner has come since that was looked up.
    """
    if owner is None or owner.key == names.fold(name):
        return f"{name} is registered. If it is yours: /login {name}."
    return f"{name} looks like the registered name {owner.name}."


def rename_to(connection: "Connection", name: str) -> "Deferred[bool]":
    """Have *name*, which is claimed; fires with whether that happened."""
    chat, user = connection.chat, connection.user
    for one in chat.connections_by(user):
        one.gate.close(Reason.NAMING)
    user.naming = ""
    former, user.submitted = user.submitted, name
    now = chat.clock.time()
    rooms = chat.rooms_with(user)
    for room in rooms:
        shown = room.members[user.origin].announced
        chat.submit(room, Renamed(now, user.origin, former, name, shown, user=user.id))
    if not rooms:
        # No room has to be told first.
        renamed(connection, name)
    return connection.gate.opened(Reason.NAMING).addCallback(lambda _: user.name == name)


def reclaim(chat: "Chat", user: User, key: str) -> None:
    """Make *user* a guest again: the name with this *key* belongs to somebody who has come."""
    if user.naming == key:
        # It is being asked for, and will not be had.
        user.naming = ""
    # Who is on the way to another name already need not be told.
    if user.connections and not user.leaving and names.fold(user.submitted) == key:
        user.notice(
            paragraph(
                f"{user.submitted} is registered, and who it belongs to is here.",
                "You are a guest again; /nick NAME picks another name.",
            )
        )
        rename_to(chat.connections_by(user)[0], chat.next_guest())


def renamed(connection: "Connection", name: str) -> None:
    """Act on the new *name* of the user: the old one is free from here on."""
    user, people = connection.user, connection.chat.people
    if name == user.name:
        # Another room has said so before.
        return
    old, new = names.fold(user.name), names.fold(name)
    # Who was there before may have it no more.
    if people.get(old) is user:
        del people[old]
    people[new] = user
    # Unless it is on its way back to it.
    if old not in (new, names.fold(user.submitted)):
        connection.chat.claims.release(old, user.origin)
    log.info(
        "Connection {connection}, {former!r}, is {name!r} now",
        event="renamed",
        connection=connection.origin,
        former=user.name,
        name=name,
    )
    user.name = name
    become_user(connection.chat, user, user.account.id if user.account else -user.origin)
    for one in user.connections:
        one.notice(f"You are now {name}.")
    _named(connection)


def failed(connection: "Connection", name: str, why: str) -> None:
    """Act on the refusal of a new *name*: it stays what it was."""
    user = connection.user
    if user.submitted == name:
        user.submitted = user.name
    release(connection, name)
    connection.refuse(f"You are still {user.name}: {why}.")
    user.naming = ""
    _named(connection)


def _not_named(connection: "Connection", why: str) -> None:
    """The name that was asked for is not to be had."""
    connection.user.naming = ""
    connection.refuse(f"{why} You are still {connection.user.name}. {ANOTHER}")
    _named(connection)


def _named(connection: "Connection") -> None:
    """Input need not wait for a name, unless another one is on its way."""
    if connection.user.submitted == connection.user.name:
        for one in connection.chat.connections_by(connection.user):
            one.gate.open(Reason.NAMING)


def still_named(connection: "Connection", name: str) -> bool:
    """Whether this person is called *name*, and no other name is on its way."""
    return connection.user.name == connection.user.submitted == name


def release(connection: "Connection", name: str) -> None:
    """Somebody else may claim *name* now, unless it is another spelling of the present one."""
    key = names.fold(name)
    user = connection.user
    if key != names.fold(user.name) or not user.connections:
        connection.chat.claims.release(key, user.origin)
