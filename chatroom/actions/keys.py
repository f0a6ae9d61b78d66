"""Public keys: listing, adding and removing those that log a user in.

A user who has logged in with a password or a key adds keys without the password, as with other
chats (NickServ's CERT ADD): where it cannot be hidden, asking would show it. A user who has logged
in with a code of /pair cannot add keys, since these would outlast the code.
"""

from typing import TYPE_CHECKING

from twisted.logger import Logger

from chatroom.actions.steps import required, run_step, shielded
from chatroom.chat.loginservice import log_fields
from chatroom.model import publickeys
from chatroom.model.accounts import MAX_KEYS, Account, Binding, BoundKey
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text.prose import paragraph
from chatroom.text.times import local

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

log = Logger()

#: What stands before every fingerprint, and need not be typed.
PREFIX = "SHA256:"


def show(connection: "Connection") -> None:
    """List the keys of whoever is logged in. Raises Refused."""
    run_step(connection, _show(connection, _account(connection)))


def add(connection: "Connection", line: str) -> None:
    """Add the key in *line*, or the one that this connection came with. Raises Refused."""
    account = _account(connection)
    if connection.paired:
        raise Refused(
            Code.WRONG_CONNECTION,
            f"You came by a code of /pair. To add a key log in with your password: "
            f"/logout, then /login {account.name}.",
        )
    if line:
        try:
            key = publickeys.parse(line)
        except publickeys.KeyRefused as error:
            raise Refused(Code.BAD_VALUE, str(error)) from None
    elif connection.key is not None:
        key = connection.key
    else:
        raise Refused(
            Code.USAGE, "You came without a key. One that you paste is added: /key add ssh-... AAAA"
        )
    run_step(connection, _add(connection, account, key))


def remove(connection: "Connection", beginning: str) -> None:
    """Remove the key whose fingerprint begins so. Raises Refused."""
    run_step(connection, _remove(connection, _account(connection), beginning))


def _account(connection: "Connection") -> Account:
    if connection.user.account is None:
        raise Refused(
            Code.NOT_LOGGED_IN, "Keys are for registered people: /register or /login comes first."
        )
    return connection.user.account


async def _show(connection: "Connection", account: Account) -> None:
    keys = await required(connection, connection.chat.logins.accounts.keys(account.id))
    used = connection.key.fingerprint if connection.key is not None else ""
    lines = [_shown(connection, key, used) for key in keys]
    if lines:
        lines.insert(0, "These keys log you in:" if len(lines) > 1 else "This key logs you in:")
    else:
        lines.append("You have no keys. /key add ssh-... AAAA adds one that you paste.")
    if used and used not in {key.fingerprint for key in keys}:
        lines.append(f"You came with {used}, which /key add adds.")
    connection.notice("\n".join(lines))


def _shown(connection: "Connection", key: BoundKey, used: str) -> str:
    since = f"{local(key.added, connection.format.zone):%Y-%m-%d}"
    about = [key.type, *([key.comment] if key.comment else []), f"since {since}"]
    if key.fingerprint == used:
        about.append("you came with it")
    elif not key.proven:
        about.append("not used yet")
    return f"{key.fingerprint} {', '.join(about)}"


async def _add(connection: "Connection", account: Account, key: PublicKey) -> None:
    logins = connection.chat.logins
    proven = connection.key == key
    mark = key.fingerprint
    doubt = "It is not sure whether the key is added. /key lists them."
    added = logins.accounts.add_key(account.id, key, connection.chat.clock.time(), proven)
    # Whoever waits for it may have given up by then.
    added.addCallback(lambda became: _note_added(connection, account, mark, became))
    match await required(connection, shielded(added), doubt):
        case Binding.OURS:
            raise Refused(Code.ALREADY, f"{mark} is a key of yours already.")
        case Binding.TAKEN:
            raise Refused(Code.ALREADY, f"{mark} is a key of somebody else's.")
        case Binding.FULL:
            raise Refused(
                Code.TOO_MANY,
                f"You have {MAX_KEYS} keys already. /key remove FINGERPRINT removes one.",
            )
        case Binding.GONE:
            raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    told = [f"{mark} is a key of yours."]
    if proven:
        told.append(f"Whoever comes with it is {account.name}.")
    else:
        told.append(f"Come with it as {account.name} once; from then on it is enough by itself.")
    connection.notice(paragraph(*told))


def _note_added(connection: "Connection", account: Account, mark: str, became: Binding) -> Binding:
    if became is Binding.DONE:
        log.info(
            "{name!r} has added the key {fingerprint}",
            event="key_added",
            name=account.name,
            fingerprint=mark,
            **log_fields(connection),
        )
    return became


async def _remove(connection: "Connection", account: Account, beginning: str) -> None:
    book = connection.chat.logins.accounts
    keys = await required(connection, book.keys(account.id))
    if beginning[: len(PREFIX)].upper() == PREFIX:
        beginning = beginning[len(PREFIX) :]
    marks = [key.fingerprint for key in keys]
    found = [mark for mark in marks if mark.startswith(PREFIX + beginning)]
    if not beginning or not found:
        raise Refused(
            Code.NOTHING_FOUND, "You have no key with such a fingerprint. /key lists them."
        )
    if len(found) > 1:
        raise Refused(Code.AMBIGUOUS, "Several of your keys begin like that. /key lists them.")
    (mark,) = found
    doubt = "It is not sure whether the key is removed. /key lists them."
    removed = book.remove_key(account.id, mark)
    # Whoever waits for it may have given up by then.
    removed.addCallback(lambda was: _note_removed(connection, account, mark, was))
    if not (await required(connection, shielded(removed), doubt)):
        raise Refused(
            Code.NOTHING_FOUND, "You have no key with such a fingerprint. /key lists them."
        )
    connection.notice(f"{mark} is no key of yours any more.")


def _note_removed(connection: "Connection", account: Account, mark: str, was: bool) -> bool:
    if was:
        log.info(
            "{name!r} has removed the key {fingerprint}",
            event="key_removed",
            name=account.name,
            fingerprint=mark,
            **log_fields(connection),
        )
    return was
