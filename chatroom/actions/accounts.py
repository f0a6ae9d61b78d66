"""Logging in and out: what one connection asks for about its account.

No message, log line or exception contains a password. The connection's input waits until each step
has ended, and after each step it is checked that the connection is still there.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from chatroom.accounts import passwords
from chatroom.actions import naming, strays
from chatroom.actions.ignoring import become_user
from chatroom.actions.login import as_it_is, as_read, log_in_as
from chatroom.actions.reconcile import make_guest
from chatroom.actions.steps import required, run_step, shielded, while_here
from chatroom.chat.loginservice import LoginSubject, log_fields
from chatroom.model.accounts import Account
from chatroom.model.preferences import Preferences
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

log = Logger()

#: What is said after a password was typed where it can be read.
UNENCRYPTED = (
    "This connection is not encrypted: your password could be read on the way.",
    "Use it nowhere else.",
)

#: How often a new password may be typed two different ways before that is given up.
NEW_PASSWORD_TRIES = 3

TOO_MANY_NAMES = "Too many names were registered from your address. Try again tomorrow."


# -- what commands ask for


def register(connection: "Connection", password: str) -> None:
    """Claim the connection's name with *password*, or ask for one. Raises Refused."""
    name = connection.user.name
    if connection.user.account is not None:
        raise Refused(
            Code.LOGGED_IN,
            f"You are {connection.user.name} already. /password changes your password.",
        )
    if names.is_reserved(connection.user.name):
        raise Refused(Code.BAD_NAME, "Pick a name first: /nick NAME.")
    if connection.chat.moderation.locked:
        raise Refused(Code.UNAVAILABLE, "No names are registered just now. Try again later.")
    # A mute is not to be got rid of by it.
    if (why := connection.chat.moderation.why_muted(connection)) is not None:
        raise Refused(Code.MUTED, f"{why} Names are registered later.")
    if connection.chat.logins.created.spent(connection.source):
        raise Refused(Code.RATE_LIMITED, TOO_MANY_NAMES)
    if password:
        _run_with_password(connection, _register(connection, name, password, hidden=False))
        return
    _ask_new(
        connection,
        lambda chosen, hidden: _run_with_password(
            connection, _register(connection, name, chosen, hidden=hidden)
        ),
        "Usage: /register PASSWORD",
        f"Choose a password for {name}.",
    )


def log_in(connection: "Connection", name: str, password: str) -> None:
    """Log in as *name* with *password*, or ask for it. Raises Refused."""
    if connection.user.account is not None and connection.user.account.key == names.fold(name):
        raise Refused(
            Code.LOGGED_IN,
            f"You are {connection.user.name} already. /logout makes you a guest again.",
        )
    _may_log_in(connection)
    if password:
        _run_with_password(connection, _log_in(connection, name, password, hidden=False))
    else:
        _run_with_password(connection, _begin_login(connection, name))


def log_in_by_code(connection: "Connection", code: str) -> None:
    """Log in to the account for which /pair made *code*. Raises Refused."""
    chat = connection.chat
    logins = chat.logins
    _may_log_in(connection)
    if logins.wrong_codes.spent(connection.source):
        raise Refused(
            Code.RATE_LIMITED, "Too many wrong codes came from your address. Try again in an hour."
        )
    issued = logins.redeem(code)
    if issued is None:
        logins.wrong_codes.take(connection.source)
        chat.counters.wrong_codes += 1
        log.info(
            "A wrong code from {address} (connection {connection})",
            event="code_wrong",
            **log_fields(connection),
        )
        raise Refused(
            Code.WRONG_PASSWORD,
            "That code is wrong, or was used, or is too old. /pair makes another.",
        )
    account = issued.account
    present = logins.online.get(account.id)
    if present is not None:
        present.notice(
            paragraph(
                f"Your code was used at {connection.client.place}.",
                f"If that was not you: /login {account.name}, then /password.",
            )
        )
    connection.notice(f"Your code came from {issued.place}.")
    _run_with_password(connection, log_in_as(connection, account, paired=True))


def pair(connection: "Connection") -> str:
    """Return a code that logs another connection in to the user's account. Raises Refused."""
    _account(connection)
    return connection.chat.logins.pair(connection)


def _may_log_in(connection: "Connection") -> None:
    """Raises Refused."""
    if connection.user.account is not None:
        raise Refused(
            Code.LOGGED_IN, f"You are logged in as {connection.user.name}. /logout ends that."
        )
    if connection.one_shot:
        # It would end the connection that is logged in, and be over itself.
        raise Refused(
            Code.WRONG_CONNECTION,
            "One command does not log in. Say and show on the way in who you are.",
        )


def log_out(connection: "Connection") -> None:
    """Be a guest again. Raises Refused."""
    if connection.user.account is None:
        raise Refused(Code.NOT_LOGGED_IN, "You are not logged in: /login NAME, or /register.")
    chat = connection.chat
    log.info(
        "Connection {connection} logged out: {name!r}",
        event="logged_out",
        name=connection.user.name,
        **log_fields(connection),
    )
    preferences = as_read(connection, Preferences())
    connection.unread = None
    if connection.one_shot or any(one is not connection for one in connection.user.reading):
        chat.split(connection)
        connection.use_preferences(preferences)
        connection.notice(f"You are now {connection.user.name}.")
        return
    chat.logins.logged_out(connection.user)
    connection.user.ignored = {}
    connection.use_preferences(preferences)
    naming.rename_to(connection, chat.next_guest())
    chat.recheck_access(connection.user)


def change_password(connection: "Connection", old: str, new: str) -> None:
    """Have the password *new* in place of *old*, or ask for both. Raises Refused."""
    account = _account(connection)
    if new:
        _run_with_password(
            connection, _change_password(connection, account, old, new, hidden=False)
        )
        return

    usage = "Usage: /password OLD NEW"

    def know(old: str, _: bool) -> None:
        if not old:
            connection.notice("Your password stays as it is.")
            return
        _ask_new(
            connection,
            lambda new, hidden: _run_with_password(
                connection, _change_password(connection, account, old, new, hidden=hidden)
            ),
            usage,
            f"Choose a new password for {account.name}.",
        )

    _ask(connection, know, usage, "What is your password until now?")


def unregister(connection: "Connection", password: str) -> None:
    """Give the account up, for which its password is wanted. Raises Refused."""
    account = _account(connection)
    if password:
        _run_with_password(connection, _unregister(connection, account, password))
        return

    def sure(password: str, _: bool) -> None:
        if password:
            _run_with_password(connection, _unregister(connection, account, password))
        else:
            connection.notice(f"{account.name} is still yours.")

    _ask(
        connection,
        sure,
        "Usage: /unregister PASSWORD",
        f"This gives {account.name} up, and all that is kept for you.",
        "What is your password?",
    )


def unregister_other(connection: "Connection", name: str) -> None:
    """An operator gives up the account called *name*."""
    _run_with_password(connection, _unregister_other(connection, name))


def _run_with_password(connection: "Connection", steps: "Coroutine[Any, Any, None]") -> None:
    """Run *steps*, for which a password was typed or will be.

    Only when they have done what they are for, no line is taken for that password any more.
    """

    async def guarded() -> None:
        try:
            await steps
        except Exception:
            # It may have taken its time.
            strays.guard(connection)
            raise
        connection.prompt.guarded_until = 0.0

    run_step(connection, guarded())


# -- asking for passwords


def _ask(
    connection: "Connection", answered: Callable[[str, bool], None], usage: str, *sentences: str
) -> None:
    """Ask for a line that is not shown. Raises Refused, with *usage*, where that cannot be."""
    if not connection.ask(
        paragraph(*sentences, "It is not shown; an empty line cancels."), answered
    ):
        raise Refused(Code.USAGE, usage)


def _ask_new(
    connection: "Connection", chosen: Callable[[str, bool], None], usage: str, text: str
) -> None:
    """Ask for a new password, twice. Raises Refused as `_ask`."""
    sentences = [text]
    if not connection.client.encrypted:
        sentences.append("This connection is not encrypted: take one that you use nowhere else.")
    _ask_twice(connection, chosen, usage, *sentences)


def _ask_twice(
    connection: "Connection",
    chosen: Callable[[str, bool], None],
    usage: str,
    *sentences: str,
    tries: int = NEW_PASSWORD_TRIES,
) -> None:
    """Ask for a new password until it was typed twice the same way, at most so many *tries*."""

    def first(password: str, _: bool) -> None:
        if not password:
            connection.notice("Nothing was changed.")
            return
        try:
            passwords.check(password, connection.user.name)
        except passwords.PasswordRefused as error:
            why = str(error)
            _ask_twice(connection, chosen, usage, why, "Choose another one.", tries=tries)
            return

        def second(again: str, hidden: bool) -> None:
            if again == password:
                chosen(password, hidden)
            elif not again:
                connection.notice("Nothing was changed.")
            elif tries > 1:
                differ = ("These were two different ones.", "Choose one again.")
                _ask_twice(connection, chosen, usage, *differ, tries=tries - 1)
            else:
                raise Refused(
                    Code.BAD_PASSWORD, "These were two different ones again. Nothing was changed."
                )

        _ask(connection, second, usage, "Once more, to be sure.")

    _ask(connection, first, usage, *sentences)


async def _begin_login(connection: "Connection", name: str) -> None:
    """Ask for the password of *name*, if there is such an account."""
    account = await _find_own(connection, name)
    _ask_password(connection, account, f"What is the password of {account.name}?")


def _ask_password(connection: "Connection", account: Account, *sentences: str) -> None:
    def answered(password: str, hidden: bool) -> None:
        if password:
            _run_with_password(
                connection, _log_in(connection, account.name, password, hidden=hidden)
            )
        else:
            connection.notice(f"You are still {connection.user.name}.")

    _ask(connection, answered, f"Usage: /login {account.name} PASSWORD", *sentences)


# -- the steps


async def _register(connection: "Connection", name: str, password: str, *, hidden: bool) -> None:
    logins = connection.chat.logins
    if not naming.still_named(connection, name):
        # Since it was asked for a password, its owner has come.
        raise Refused(
            Code.NAME_TAKEN, f"You are not {name} any more. Nothing was changed. {naming.ANOTHER}"
        )
    try:
        passwords.check(password, name)
    except passwords.PasswordRefused as error:
        raise Refused(Code.BAD_PASSWORD, f"{error} Nothing was changed.") from None
    owner = await required(connection, logins.accounts.resembling(name))
    if owner is not None:
        raise Refused(Code.NAME_TAKEN, f"{naming.whose(name, owner)} {naming.ANOTHER}")
    stored = await while_here(connection, logins.hash_password(connection, password))
    now = connection.chat.clock.time()
    # If this takes too long it is not known whether it happened.
    doubt = f"It is not sure that {name} is yours now. Please see later: /login {name}"
    # Before it is: others of the same source are at it as well.
    if not logins.created.take(connection.source):
        raise Refused(Code.RATE_LIMITED, TOO_MANY_NAMES)

    def not_added(answer: Any) -> Any:
        # Whoever waits for it may have gone by then.
        if not isinstance(answer, Account):
            logins.created.give_back(connection.source)
        return answer

    added = logins.accounts.add(name, stored, now).addBoth(not_added)
    account = await required(connection, shielded(added), doubt)
    if account is None:
        raise Refused(
            Code.NAME_TAKEN,
            f"Somebody has just registered {name}, or what looks like it. {naming.ANOTHER}",
        )
    connection.chat.counters.registrations += 1
    log.info(
        "{name!r} was registered from {address}",
        event="registered",
        name=name,
        **log_fields(connection),
    )
    if not naming.still_named(connection, name):
        # Somebody whom the name belonged to until just now has taken it.
        raise Refused(
            Code.NAME_TAKEN, f"{name} is registered for you. /login {name} makes you {name}."
        )
    logins.logged_in(connection.user, account)
    become_user(connection.chat, connection.user, account.id)
    logins.save_users([connection.user])
    connection.notice(
        paragraph(
            f"{name} is yours, wherever you come from: /login {name}", *logins.lifetime_notice()
        )
    )
    _warn(connection, hidden)


async def _log_in(connection: "Connection", name: str, password: str, *, hidden: bool) -> None:
    account = await _find_own(connection, name)
    right = await while_here(
        connection, connection.chat.logins.check_password(connection, account, password)
    )
    if right:
        await log_in_as(connection, account)
        _warn(connection, hidden)
        return
    note_failure(connection.chat, connection, account)
    wrong = f"That is not the password of {account.name}."
    if not hidden:
        raise Refused(Code.WRONG_PASSWORD, wrong)
    _ask_password(connection, account, wrong, "Once more?")


def note_failure(chat: "Chat", guesser: LoginSubject, account: Account) -> None:
    """*guesser* tried a wrong password for *account*."""
    guesser.failures += 1
    chat.counters.wrong_passwords += 1
    log.info(
        "A wrong password from {address} for {name!r} (connection {connection})",
        event="password_wrong",
        name=account.name,
        **log_fields(guesser),
    )


async def _change_password(
    connection: "Connection", account: Account, old: str, new: str, *, hidden: bool
) -> None:
    try:
        passwords.check(new, account.name)
    except passwords.PasswordRefused as error:
        raise Refused(Code.BAD_PASSWORD, f"{error} Nothing was changed.") from None
    logins = connection.chat.logins
    await _prove(connection, account, old)
    stored = await while_here(connection, logins.hash_password(connection, new))
    doubt = "It is not sure whether your password is changed. Please try both."

    def changed(there: bool) -> bool:
        # Or it would look as if somebody else had changed it: see reconcile.py.
        for user in connection.chat.users_of(account.id):
            assert user.account is not None
            user.account = replace(user.account, password=stored)
        return there

    answer = logins.accounts.set_password(account.id, stored).addCallback(changed)
    if not (await required(connection, shielded(answer), doubt)):
        raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    log.info(
        "{name!r} has another password",
        event="password_changed",
        name=account.name,
        **log_fields(connection),
    )
    connection.notice("Your password is changed.")
    _warn(connection, hidden)


async def _unregister(connection: "Connection", account: Account, password: str) -> None:
    logins = connection.chat.logins
    await _prove(connection, account, password)
    doubt = f"It is not sure whether {account.name} is given up. Please look again later."

    def removed(_: bool) -> None:
        _forget(connection, account)
        log.info(
            "{name!r} was given up",
            event="unregistered",
            name=account.name,
            **log_fields(connection),
        )
        connections = connection.chat.connections_of(account.id)
        for user in connection.chat.users_of(account.id):
            logins.logged_out(user, keep=False)
            connection.chat.recheck_access(user)
        for one in connections:
            one.notice(f"{account.name} is given up; when you leave it is anybody's.")
            if one.one_shot:
                # They have no claim to the name: somebody else may have it from now on.
                one.end()

    # Whoever waits for it may have given up by then, or may have logged in elsewhere.
    gone = logins.accounts.remove(account.id).addCallback(removed)
    await required(connection, shielded(gone), doubt)


async def _unregister_other(connection: "Connection", name: str) -> None:
    chat = connection.chat
    account = await find(connection, name, "A name is typed in full.")
    if chat.moderation.operators.get(account.id):
        raise Refused(
            Code.PROTECTED, f"{account.name} is an operator. /deop {account.name} comes first."
        )
    if not connection.sure(f"/unregister {account.key}"):
        connection.notice(
            f"This gives {account.name} up, and all that is kept for them. To do it, type "
            f"/unregister {account.name} once more."
        )
        return
    doubt = f"It is not sure whether {account.name} is given up. Please look again later."

    def removed(_: bool) -> None:
        told = f"{connection.user.name} has unregistered {account.name}."
        for user in chat.users_of(account.id):
            make_guest(chat, user, told, "unregistered")
        # Only now: it sends those away who may not stay any more.
        _forget(connection, account)
        chat.moderation.record(connection, "unregistered", account.name)

    # Whoever waits for it may have given up by then.
    gone = chat.logins.accounts.remove(account.id).addCallback(removed)
    await required(connection, shielded(gone), doubt)
    connection.notice(f"{account.name} is registered no more.")


def _forget(connection: "Connection", account: Account) -> None:
    """The account is gone: nobody logs in with it any more, nothing is decided about it."""
    connection.chat.logins.removed.add(account.id)
    connection.chat.moderation.forget(account.id, account.name)


async def _prove(connection: "Connection", account: Account, password: str) -> None:
    """Go on only if *password* is that of the account as it is now."""
    logins = connection.chat.logins
    present = await as_it_is(connection, account)
    if not (await while_here(connection, logins.check_password(connection, present, password))):
        note_failure(connection.chat, connection, account)
        raise Refused(Code.WRONG_PASSWORD, "That is not your password. Nothing was changed.")


async def find(connection: "Connection", name: str, *otherwise: str) -> Account:
    """Return the account called *name*. Raises Refused, with the sentences *otherwise*."""
    account = await required(connection, connection.chat.logins.accounts.find(names.fold(name)))
    if account is None:
        text = f"{names.clean(name)[: names.MAX_NAME]} is not registered."
        raise Refused(Code.NO_SUCH_ACCOUNT, paragraph(text, *otherwise))
    return account


async def _find_own(connection: "Connection", name: str) -> Account:
    """Return the account called *name*, which the user takes for their own. Raises Refused."""
    how = "/register makes the name that you have your own."
    return await find(connection, name, how, *connection.chat.logins.expiry_notice("A name"))


def _account(connection: "Connection") -> Account:
    if connection.user.account is None:
        raise Refused(Code.NOT_LOGGED_IN, "You are not logged in: /login NAME, or /register.")
    return connection.user.account


def _warn(connection: "Connection", hidden: bool) -> None:
    if not hidden and not connection.client.encrypted:
        connection.notice(paragraph(*UNENCRYPTED))
