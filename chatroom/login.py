"""Logging in and out: what one session does about its account.

The rule: a password is in no message, no log and no exception. Input waits until it is known how
a step ended, and after each step it is asked whether anybody is still there.
"""

from collections.abc import Callable, Generator
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from chatroom import names, passwords
from chatroom.accounts import Account, Message, Preferences
from chatroom.attempts import TooMany
from chatroom.chat import Refused
from chatroom.events import SERVER, Whispered
from chatroom.recall import recall_of

if TYPE_CHECKING:
    from chatroom.session import Session

log = Logger()

#: What waits for steps and yields what they are to wait for.
Flow = Generator["Deferred[Any]", Any, None]

#: How long, in seconds, the book of accounts, or whoever decides about names, may take.
PATIENCE = 5.0

UNENCRYPTED = (
    "This connection is not encrypted: others on the way may have read your password. "
    "Use it nowhere else."
)

SORRY = "Accounts cannot be used just now. Please try again later."


class _Gone(Exception):
    """Nobody is here any more."""


# -- what commands ask for


def register(session: "Session", password: str) -> None:
    """Claim the session's name with *password*, or ask for one. Raises Refused."""
    if session.account is not None:
        raise Refused(f"You are {session.name} already. /password changes your password.")
    if names.is_reserved(session.name):
        raise Refused("Pick a name first: /nick NAME.")
    if session.chat.registry.created.spent(session.source):
        raise Refused("Too many names were registered from your address. Try again tomorrow.")
    if password:
        _carry_out(session, _register(session, password, hidden=False))
        return
    _ask_new(
        session,
        f"Choose a password for {session.name}.",
        lambda chosen, hidden: _carry_out(session, _register(session, chosen, hidden=hidden)),
        "Usage: /register PASSWORD",
    )


def log_in(session: "Session", name: str, password: str) -> None:
    """Log in as *name* with *password*, or ask for it. Raises Refused."""
    if session.account is not None:
        if session.account.key == names.fold(name):
            raise Refused(f"You are {session.name} already.")
        raise Refused(f"You are logged in as {session.name}. /logout ends that.")
    if password:
        _carry_out(session, _log_in(session, name, password, hidden=False))
    else:
        _carry_out(session, _begin_login(session, name))


def log_in_by_code(session: "Session", code: str) -> None:
    """Log in as whoever made *code* with /pair. Raises Refused."""
    chat = session.chat
    registry = chat.registry
    if session.account is not None:
        raise Refused(f"You are logged in as {session.name}. /logout ends that.")
    if registry.wrong_codes.spent(session.source):
        raise Refused("Too many wrong codes came from your address. Try again in an hour.")
    issuer = registry.redeem(code)
    if issuer is None:
        registry.wrong_codes.take(session.source)
        log.info(
            "A wrong code from {address} (connection {connection})",
            event="code_wrong",
            **_whom(session),
        )
        raise Refused("That code is wrong, or was used, or is older than 2 minutes.")
    account = issuer.account
    assert account is not None
    issuer.notice(
        f"Your code was used at {session.connection.place}. If that was not you: "
        f"/login {account.name}, then /password."
    )
    session.notice(f"Your code came from {issuer.connection.place}.")
    _carry_out(session, _adopt(session, account))


def log_out(session: "Session") -> None:
    """Be a guest again. Raises Refused."""
    if session.account is None:
        raise Refused("You are not logged in.")
    chat = session.chat
    log.info(
        "Connection {connection} logged out: {name!r}",
        event="logged_out",
        name=session.name,
        **_whom(session),
    )
    chat.registry.gone(session)
    session.prefer(Preferences())
    session.ignore_nobody()
    session.become(chat.next_guest())


def change_password(session: "Session", old: str, new: str) -> None:
    """Have the password *new* in place of *old*, or ask for both. Raises Refused."""
    account = _account(session)
    if new:
        _carry_out(session, _change_password(session, account, old, new, hidden=False))
        return

    def know(old: str, _: bool) -> None:
        if not old:
            session.notice("Your password stays as it is.")
            return
        _ask_new(
            session,
            f"Choose a new password for {account.name}.",
            lambda new, hidden: _carry_out(
                session, _change_password(session, account, old, new, hidden=hidden)
            ),
        )

    _ask(session, "What is your password until now?", know, "Usage: /password OLD NEW")


def unregister(session: "Session", password: str) -> None:
    """Give the account up, for which its password is wanted. Raises Refused."""
    account = _account(session)
    if password:
        _carry_out(session, _unregister(session, account, password))
        return

    def sure(password: str, _: bool) -> None:
        if password:
            _carry_out(session, _unregister(session, account, password))
        else:
            session.notice(f"{account.name} is still yours.")

    text = f"This gives {account.name} up, and all that is kept for you. Your password, if so?"
    _ask(session, text, sure, "Usage: /unregister PASSWORD")


def leave_message(session: "Session", name: str, text: str, otherwise: Callable[[], None]) -> None:
    """Keep *text* for whoever has *name* registered; call *otherwise* if nobody has."""
    _carry_out(session, _leave_message(session, name, text, otherwise))


# -- asking for passwords


def _ask(
    session: "Session", text: str, answered: Callable[[str, bool], None], usage: str = ""
) -> None:
    """Ask for a line that is not shown. Raises Refused, with *usage*, where that cannot be."""
    if not session.ask(f"{text} It is not shown; an empty line cancels.", answered):
        # What comes next may be a password for which nobody has asked.
        session.wary = True
        raise Refused(usage)


def _ask_new(
    session: "Session", text: str, chosen: Callable[[str, bool], None], usage: str = ""
) -> None:
    """Ask for a new password, twice. Raises Refused as `_ask`."""
    if not session.connection.encrypted:
        text += " This connection is not encrypted: choose one that you use nowhere else."

    def first(password: str, _: bool) -> None:
        if not password:
            session.notice("Nothing was changed.")
            return
        try:
            passwords.check(password, session.name)
        except passwords.PasswordRefused as error:
            _ask(session, f"{error} Choose another one.", first)
            return

        def second(again: str, hidden: bool) -> None:
            if again != password:
                session.notice("These were two different ones. Nothing was changed.")
            else:
                chosen(password, hidden)

        _ask(session, "Once more, to be sure.", second)

    _ask(session, text, first, usage)


def _begin_login(session: "Session", name: str) -> Any:
    """Ask for the password of *name*, if there is such an account."""

    def found(account: Account) -> None:
        def answered(password: str, hidden: bool) -> None:
            if password:
                _carry_out(session, _log_in(session, account.name, password, hidden=hidden))
            else:
                session.notice(f"You are still {session.name}.")

        usage = f"Usage: /login {account.name} PASSWORD"
        _ask(session, f"What is the password of {account.name}?", answered, usage)

    return _find(session, name).addCallback(found)


# -- the steps


@inlineCallbacks
def _register(session: "Session", password: str, *, hidden: bool) -> Flow:
    registry = session.chat.registry
    name = session.name
    try:
        passwords.check(password, name)
    except passwords.PasswordRefused as error:
        raise Refused(f"{error} Nothing was changed.") from None
    if (yield _patiently(session, registry.book.find(names.fold(name)))) is not None:
        raise Refused(f"{name} is registered already. If it is yours: /login {name}")
    stored = yield _present(session, registry.stored_form(session, password))
    now = session.chat.clock.seconds()
    # If this takes too long it is not known whether it happened.
    doubt = f"It is not sure that {name} is yours now. Please see later: /login {name}"
    account = yield _patiently(session, registry.book.add(name, stored, now), doubt)
    if account is None:
        raise Refused(f"Somebody else has just registered {name}.")
    registry.created.take(session.source)
    log.info(
        "{name!r} was registered from {address}", event="registered", name=name, **_whom(session)
    )
    if session.name != name:
        # Somebody whom the name belonged to until just now has taken it.
        raise Refused(f"{name} is registered for you. /login {name} makes you {name}.")
    former = registry.came(session, account)
    assert former is None
    session.prefer(session.preferences)
    told = f"{name} is yours. Wherever you come from: /login {name}"
    if not registry.book.lasting:
        told += "\nThis server keeps accounts only as long as it runs."
    elif registry.keep_days:
        told += f"\nIt stays yours for {_days(registry.keep_days)} after each visit."
    session.notice(told)
    _warn(session, hidden)


@inlineCallbacks
def _log_in(session: "Session", name: str, password: str, *, hidden: bool) -> Flow:
    account = yield _find(session, name)
    right = yield _present(session, session.chat.registry.matches(session, account, password))
    if right:
        yield _adopt(session, account)
        _warn(session, hidden)
        return
    _failed(session, account)
    if hidden:
        _begin_again(session, account)
    else:
        session.wary = True
        raise Refused(f"That is not the password of {account.name}.")


def _failed(session: "Session", account: Account) -> None:
    session.failures += 1
    log.info(
        "A wrong password from {address} for {name!r} (connection {connection})",
        event="password_wrong",
        name=account.name,
        **_whom(session),
    )


def _begin_again(session: "Session", account: Account) -> None:
    def answered(password: str, hidden: bool) -> None:
        if password:
            _carry_out(session, _log_in(session, account.name, password, hidden=hidden))
        else:
            session.notice(f"You are still {session.name}.")

    _ask(session, f"That is not the password of {account.name}. Once more?", answered)


@inlineCallbacks
def _change_password(
    session: "Session", account: Account, old: str, new: str, *, hidden: bool
) -> Flow:
    try:
        passwords.check(new, account.name)
    except passwords.PasswordRefused as error:
        raise Refused(f"{error} Nothing was changed.") from None
    registry = session.chat.registry
    yield _prove(session, account, old)
    stored = yield _present(session, registry.stored_form(session, new))
    doubt = "It is not sure whether your password is changed. Please try both."
    if not (yield _patiently(session, registry.book.set_password(account.id, stored), doubt)):
        raise Refused(f"{account.name} is not registered any more.")
    log.info(
        "{name!r} has another password",
        event="password_changed",
        name=account.name,
        **_whom(session),
    )
    session.notice("Your password is changed.")
    _warn(session, hidden)


@inlineCallbacks
def _unregister(session: "Session", account: Account, password: str) -> Flow:
    registry = session.chat.registry
    yield _prove(session, account, password)
    doubt = f"It is not sure whether {account.name} is given up. Please look again later."
    yield _patiently(session, registry.book.remove(account.id), doubt)
    log.info("{name!r} was given up", event="unregistered", name=account.name, **_whom(session))
    if session.account is account:
        registry.gone(session, keep=False)
    session.notice(f"{account.name} is given up; when you leave it is anybody's.")


@inlineCallbacks
def _prove(session: "Session", account: Account, password: str) -> Flow:
    """Go on only if *password* is that of the account as it is now."""
    registry = session.chat.registry
    present = yield _patiently(session, registry.book.find(account.key))
    if present is None or present.id != account.id:
        raise Refused(f"{account.name} is not registered any more.")
    if not (yield _present(session, registry.matches(session, present, password))):
        _failed(session, account)
        raise Refused("That is not your password. Nothing was changed.")


@inlineCallbacks
def _adopt(session: "Session", account: Account) -> Flow:
    """*session* is that of *account* from now on, whoever else had the name."""
    chat = session.chat
    registry = chat.registry
    places = yield _or_none(session, registry.book.places(account.id))
    # As it is now: finding out about the password took a while.
    present = yield _patiently(session, registry.book.find(account.key))
    if present is None or present.id != account.id:
        raise Refused(f"{account.name} is not registered any more.")
    key, name, preferences = present.key, present.name, present.preferences
    taken = chat.claims.take(key, session.origin)
    try:
        holder = yield _patiently(session, taken)
    except BaseException:
        chat.claims.release(key, session.origin)
        raise
    # Nothing is waited for from here to the new name: of two who log in at once, the later one has
    # both the claim and the account.
    former = registry.came(session, present)
    if former is not None:
        preferences = former.preferences
        former.replaced(session.connection.place)
    squatter = chat.sessions.get(holder)
    if squatter is not None and squatter is not session and squatter is not former:
        squatter.dispossess(key)
    session.places = {}
    if session.name != name and not (yield session.become(name)):
        registry.gone(session, keep=False)
        return
    log.info(
        "{name!r} is connection {connection}, from {address}",
        event="logged_in",
        name=name,
        **_whom(session),
    )
    told = [] if former else [f"You were last here {_when(present.seen)}."]
    if registry.keep_days and registry.book.lasting:
        told.append(f"{name} stays yours for {_days(registry.keep_days)} after each visit.")
    if told:
        session.notice(" ".join(told))
    yield _settle_in(session, preferences)
    yield _show_messages(session, present)
    places = {**(places or {}), **(former.places or {} if former else {})}
    session.places |= {room: chat.rooms[room].last_id for room in places if room in chat.rooms}
    registry.save([session])
    recall_of(session).returned(places, name)


@inlineCallbacks
def _settle_in(session: "Session", preferences: Preferences) -> Flow:
    """Show things as this person likes them, where they were last."""
    chat = session.chat
    session.prefer(preferences)
    for other in list(chat.sessions.values()):
        other.meet(session)
        session.meet(other)
    room = chat.rooms.get(preferences.room)
    if room is not None and room is not session.room and session.room is chat.lobby:
        yield session.go(room)


@inlineCallbacks
def _show_messages(session: "Session", account: Account) -> Flow:
    """Show what was left for the account, and forget it."""
    book = session.chat.registry.book
    messages = yield _or_none(session, book.messages(account.id))
    if messages is None:
        session.notice("What was left for you cannot be shown just now; it waits.")
    elif messages:
        count = (
            "A private line was" if len(messages) == 1 else f"{len(messages)} private lines were"
        )
        session.notice(f"{count} left for you:")
        session.post(
            session.lines(
                Whispered(message.time, SERVER, message.sender, account.name, message.text, False)
                for message in messages
            )
        )
        book.shown(account.id, messages[-1].id).addErrback(_not_kept)


@inlineCallbacks
def _leave_message(session: "Session", name: str, text: str, otherwise: Callable[[], None]) -> Flow:
    chat = session.chat
    registry = chat.registry
    account = yield _patiently(session, registry.book.find(names.fold(name)))
    if account is None:
        otherwise()
        return
    now = chat.clock.seconds()
    author = session.account.id if session.account else 0
    # Who is ignored is not told.
    waiting = 1
    if not author or author not in account.preferences.ignores:
        if not registry.left.take(session.source):
            raise Refused("Too many private lines were left from your address. Try again later.")
        message = Message(now, session.name, author, text)
        doubt = f"{account.name} is not here; it is not sure that your line waits for them."
        waiting = yield _patiently(session, registry.book.leave(account.id, message), doubt)
    if not waiting:
        raise Refused(f"{account.name} is not here, and too many lines wait. Yours was not kept.")
    session.tell(Whispered(now, session.origin, session.name, account.name, text, outgoing=True))
    session.notice(f"{account.name} is not here. Your line waits, and is shown when they log in.")


# -- seams that may be late, or fail


def _carry_out(session: "Session", flow: "Deferred[Any]") -> None:
    """Let input wait until *flow* has ended, and say what there is to say about how it did."""

    def failed(failure: Any) -> None:
        if failure.check(_Gone) or session.over:
            return
        if failure.check(Refused):
            session.notice(str(failure.value))
        elif failure.check(TooMany):
            session.notice(
                "Too many are trying passwords just now. Stay, and try again in a few seconds: "
                "who has been connected for longer goes first."
            )
        else:
            log.failure(
                "A login of connection {connection} failed",
                failure,
                event="login_failed",
                connection=session.origin,
            )
            session.notice(SORRY)

    session.wait_for(flow.addErrback(failed))


def _patiently(session: "Session", answer: "Deferred[Any]", sorry: str = SORRY) -> "Deferred[Any]":
    """*answer*, or Refused with *sorry* when there is none in time."""

    def failed(failure: Any) -> None:
        log.warn(
            "Accounts could not be used: {error!r}",
            event="accounts_unavailable",
            connection=session.origin,
            error=failure.value,
        )
        raise Refused(sorry)

    # mypy: a Clock and a reactor both can do what addTimeout wants.
    answer.addTimeout(PATIENCE, session.chat.clock)  # type: ignore[arg-type]
    return _present(session, answer.addErrback(failed))


def _or_none(session: "Session", answer: "Deferred[Any]") -> "Deferred[Any]":
    """*answer*, or None when there is none in time."""
    return _patiently(session, answer).addErrback(lambda failure: failure.trap(Refused) and None)


def _present(session: "Session", answer: "Deferred[Any]") -> "Deferred[Any]":
    """*answer*, if anybody is still there to hear it."""

    def check(result: Any) -> Any:
        if session.over:
            raise _Gone
        return result

    return answer.addCallback(check)


def _find(session: "Session", name: str) -> "Deferred[Any]":
    """The account called *name*; fails with Refused."""
    registry = session.chat.registry

    def found(account: Account | None) -> Account:
        if account is None:
            text = f"{names.clean(name)[: names.MAX_NAME]} is not registered."
            if registry.keep_days and registry.book.lasting:
                text += f" A name lapses after {_days(registry.keep_days)} without a visit."
            raise Refused(text)
        return account

    return _patiently(session, registry.book.find(names.fold(name))).addCallback(found)


def _not_kept(failure: Any) -> None:
    log.warn(
        "What was shown may be shown again: {error!r}",
        event="messages_not_forgotten",
        error=failure.value,
    )


def _whom(session: "Session") -> dict[str, Any]:
    """What the log says of each step: whose it is, and where they are."""
    return {
        "connection": session.origin,
        "address": session.connection.address,
        "source": session.source,
    }


def _account(session: "Session") -> Account:
    if session.account is None:
        raise Refused("You are not logged in.")
    return session.account


def _warn(session: "Session", hidden: bool) -> None:
    if not hidden and not session.connection.encrypted:
        session.notice(UNENCRYPTED)


def _when(time: float) -> str:
    return strftime("%Y-%m-%d %H:%M (UTC)", gmtime(time))


def _days(days: float) -> str:
    return f"{days:g} day{'' if days == 1 else 's'}"
