"""Logging in and out: what one session does about its account.

The rule: a password is in no message, no log and no exception. Input waits until it is known how
a step ended, and after each step it is asked whether anybody is still there.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from chatroom import ignoring, names, naming, passwords
from chatroom.accounts import Account, Preferences
from chatroom.chat import Refused
from chatroom.flow import (
    ENTERING,
    SORRY,
    Flow,
    Gone,
    apart,
    carry_out,
    if_there,
    or_none,
    patiently,
)
from chatroom.formats import paragraph
from chatroom.publickeys import PublicKey
from chatroom.recall import recall_of, when
from chatroom.registry import Guesser
from chatroom.waiting import show_messages

if TYPE_CHECKING:
    from chatroom.arriving import Arrival
    from chatroom.chat import Chat
    from chatroom.room import Room
    from chatroom.session import Session

log = Logger()

#: What is said after a password was typed where it can be read.
UNENCRYPTED = (
    "This connection is not encrypted: your password could be read on the way.",
    "Use it nowhere else.",
)

#: For how long, in seconds, after a login that did not ask for a password no single word is said.
WARY = 60.0

TOO_MANY_NAMES = "Too many names were registered from your address. Try again tomorrow."


# -- what commands ask for


def beware(session: "Session") -> None:
    """What comes next may be a password, also if nobody asks for it."""
    session.wary_until = session.chat.clock.seconds() + WARY


def register(session: "Session", password: str) -> None:
    """Claim the session's name with *password*, or ask for one. Raises Refused."""
    name = session.name
    if session.account is not None:
        raise Refused(f"You are {session.name} already. /password changes your password.")
    if names.is_reserved(session.name):
        raise Refused("Pick a name first: /nick NAME.")
    if session.chat.moderation.locked and not session.claimed:
        raise Refused("No names are registered just now.")
    # A mute is not to be got rid of by it.
    if (why := session.chat.moderation.silence(session)) is not None:
        raise Refused(f"{why} Names are registered later.")
    if session.chat.registry.created.spent(session.source):
        raise Refused(TOO_MANY_NAMES)
    if password:
        carry_out(session, _register(session, name, password, hidden=False))
        return
    _ask_new(
        session,
        lambda chosen, hidden: carry_out(session, _register(session, name, chosen, hidden=hidden)),
        "Usage: /register PASSWORD",
        f"Choose a password for {name}.",
    )


def log_in(session: "Session", name: str, password: str) -> None:
    """Log in as *name* with *password*, or ask for it. Raises Refused."""
    if session.account is not None and session.account.key == names.fold(name):
        raise Refused(f"You are {session.name} already.")
    _may_log_in(session)
    if password:
        carry_out(session, _log_in(session, name, password, hidden=False))
    else:
        carry_out(session, _begin_login(session, name))


def log_in_by_code(session: "Session", code: str) -> None:
    """Log in as whoever made *code* with /pair. Raises Refused."""
    chat = session.chat
    registry = chat.registry
    _may_log_in(session)
    if registry.wrong_codes.spent(session.source):
        raise Refused("Too many wrong codes came from your address. Try again in an hour.")
    issued = registry.redeem(code)
    if issued is None:
        registry.wrong_codes.take(session.source)
        chat.counters.wrong_codes += 1
        log.info(
            "A wrong code from {address} (connection {connection})",
            event="code_wrong",
            **whom(session),
        )
        raise Refused("That code is wrong, or was used, or is older than 2 minutes.")
    account = issued.account
    present = registry.online.get(account.id)
    if present is not None:
        present.notice(
            paragraph(
                f"Your code was used at {session.connection.place}.",
                f"If that was not you: /login {account.name}, then /password.",
            )
        )
    session.notice(f"Your code came from {issued.place}.")
    carry_out(session, _adopt(session, account, paired=True))


def _may_log_in(session: "Session") -> None:
    """Raises Refused."""
    if session.account is not None:
        raise Refused(f"You are logged in as {session.name}. /logout ends that.")
    if session.passing:
        # It would end the connection that is logged in, and be over itself.
        raise Refused("One command is no login: whose it is, is said and shown on the way in.")


def log_out(session: "Session") -> None:
    """Be a guest again. Raises Refused."""
    if session.account is None:
        raise Refused("You are not logged in.")
    chat = session.chat
    log.info(
        "Connection {connection} logged out: {name!r}",
        event="logged_out",
        name=session.name,
        **whom(session),
    )
    chat.registry.gone(session)
    session.missed = None
    session.show_like(_as_read(session, Preferences()))
    ignoring.nobody(session)
    naming.become(session, chat.next_guest())
    session.reconsider()


def change_password(session: "Session", old: str, new: str) -> None:
    """Have the password *new* in place of *old*, or ask for both. Raises Refused."""
    account = _account(session)
    if new:
        carry_out(session, _change_password(session, account, old, new, hidden=False))
        return

    usage = "Usage: /password OLD NEW"

    def know(old: str, _: bool) -> None:
        if not old:
            session.notice("Your password stays as it is.")
            return
        _ask_new(
            session,
            lambda new, hidden: carry_out(
                session, _change_password(session, account, old, new, hidden=hidden)
            ),
            usage,
            f"Choose a new password for {account.name}.",
        )

    _ask(session, know, usage, "What is your password until now?")


def unregister(session: "Session", password: str) -> None:
    """Give the account up, for which its password is wanted. Raises Refused."""
    account = _account(session)
    if password:
        carry_out(session, _unregister(session, account, password))
        return

    def sure(password: str, _: bool) -> None:
        if password:
            carry_out(session, _unregister(session, account, password))
        else:
            session.notice(f"{account.name} is still yours.")

    _ask(
        session,
        sure,
        "Usage: /unregister PASSWORD",
        f"This gives {account.name} up, and all that is kept for you.",
        "What is your password?",
    )


def unregister_other(session: "Session", name: str) -> None:
    """An operator gives up the account called *name*."""
    carry_out(session, _unregister_other(session, name))


def _as_read(session: "Session", preferences: Preferences) -> Preferences:
    """*preferences*, but for whoever needs a screen reader, who does so logged in or not."""
    return replace(preferences, reader=preferences.reader or session.preferences.reader)


# -- asking for passwords


def _ask(
    session: "Session", answered: Callable[[str, bool], None], usage: str, *sentences: str
) -> None:
    """Ask for a line that is not shown. Raises Refused, with *usage*, where that cannot be."""
    if not session.ask(paragraph(*sentences, "It is not shown; an empty line cancels."), answered):
        raise Refused(usage)


def _ask_new(
    session: "Session", chosen: Callable[[str, bool], None], usage: str, text: str
) -> None:
    """Ask for a new password, twice. Raises Refused as `_ask`."""
    sentences = [text]
    if not session.connection.encrypted:
        sentences.append("This connection is not encrypted: take one that you use nowhere else.")

    def first(password: str, _: bool) -> None:
        if not password:
            session.notice("Nothing was changed.")
            return
        try:
            passwords.check(password, session.name)
        except passwords.PasswordRefused as error:
            _ask(session, first, usage, str(error), "Choose another one.")
            return

        def second(again: str, hidden: bool) -> None:
            if again != password:
                session.notice("These were two different ones. Nothing was changed.")
            else:
                chosen(password, hidden)

        _ask(session, second, usage, "Once more, to be sure.")

    _ask(session, first, usage, *sentences)


def _begin_login(session: "Session", name: str) -> Any:
    """Ask for the password of *name*, if there is such an account."""
    return find(session, name).addCallback(
        lambda account: _ask_password(session, account, f"What is the password of {account.name}?")
    )


def _ask_password(session: "Session", account: Account, *sentences: str) -> None:
    def answered(password: str, hidden: bool) -> None:
        if password:
            carry_out(session, _log_in(session, account.name, password, hidden=hidden))
        else:
            session.notice(f"You are still {session.name}.")

    _ask(session, answered, f"Usage: /login {account.name} PASSWORD", *sentences)


# -- the steps


@inlineCallbacks
def _register(session: "Session", name: str, password: str, *, hidden: bool) -> Flow:
    registry = session.chat.registry
    if not naming.stays(session, name):
        # Since it was asked for a password, its owner has come.
        raise Refused(f"You are not {name} any more. Nothing was changed.")
    try:
        passwords.check(password, name)
    except passwords.PasswordRefused as error:
        raise Refused(f"{error} Nothing was changed.") from None
    if (yield patiently(session, registry.book.find(names.fold(name)))) is not None:
        raise Refused(f"{name} is registered already. If it is yours: /login {name}")
    stored = yield if_there(session, registry.stored_form(session, password))
    now = session.chat.clock.seconds()
    # If this takes too long it is not known whether it happened.
    doubt = f"It is not sure that {name} is yours now. Please see later: /login {name}"
    # Before it is: others of the same source are at it as well.
    if not registry.created.take(session.source):
        raise Refused(TOO_MANY_NAMES)
    account = None
    try:
        account = yield patiently(session, registry.book.add(name, stored, now), doubt)
    finally:
        if account is None:
            registry.created.give_back(session.source)
    if account is None:
        raise Refused(f"Somebody else has just registered {name}.")
    session.chat.counters.registrations += 1
    log.info(
        "{name!r} was registered from {address}", event="registered", name=name, **whom(session)
    )
    if not naming.stays(session, name):
        # Somebody whom the name belonged to until just now has taken it.
        raise Refused(f"{name} is registered for you. /login {name} makes you {name}.")
    former = registry.came(session, account)
    assert former is None
    if session.claimed and session.chat.moderation.records.lasting:
        session.chat.moderation.make_operator(session, account)
    registry.save([session])
    session.notice(
        paragraph(f"{name} is yours, wherever you come from: /login {name}", *_lasts(session))
    )
    _warn(session, hidden)


@inlineCallbacks
def _log_in(session: "Session", name: str, password: str, *, hidden: bool) -> Flow:
    account = yield find(session, name)
    right = yield if_there(session, session.chat.registry.matches(session, account, password))
    if right:
        yield _adopt(session, account)
        _warn(session, hidden)
        return
    _failed(session, account)
    wrong = f"That is not the password of {account.name}."
    if not hidden:
        beware(session)
        raise Refused(wrong)
    _ask_password(session, account, wrong, "Once more?")


def _failed(session: "Session", account: Account) -> None:
    note_failure(session.chat, session, account, whom(session))


def note_failure(
    chat: "Chat", guesser: Guesser, account: Account, whom: Mapping[str, object]
) -> None:
    """A wrong password for *account* was tried. whom: by whom, as the log has it."""
    guesser.failures += 1
    chat.counters.wrong_passwords += 1
    log.info(
        "A wrong password from {address} for {name!r} (connection {connection})",
        event="password_wrong",
        name=account.name,
        **whom,
    )


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
    stored = yield if_there(session, registry.stored_form(session, new))
    doubt = "It is not sure whether your password is changed. Please try both."
    if not (yield patiently(session, registry.book.set_password(account.id, stored), doubt)):
        raise Refused(f"{account.name} is not registered any more.")
    log.info(
        "{name!r} has another password",
        event="password_changed",
        name=account.name,
        **whom(session),
    )
    session.notice("Your password is changed.")
    _warn(session, hidden)


@inlineCallbacks
def _unregister(session: "Session", account: Account, password: str) -> Flow:
    registry = session.chat.registry
    yield _prove(session, account, password)
    doubt = f"It is not sure whether {account.name} is given up. Please look again later."
    removed = registry.book.remove(account.id)
    # Whoever waits for it may have given up by then.
    removed.addCallback(lambda _: _forget(session, account))
    yield patiently(session, apart(removed), doubt)
    log.info("{name!r} was given up", event="unregistered", name=account.name, **whom(session))
    for person in {session, registry.online.get(account.id, session)}:
        if person.account is not None and person.account.id == account.id:
            registry.gone(person, keep=False)
            person.reconsider()
        person.notice(f"{account.name} is given up; when you leave it is anybody's.")


@inlineCallbacks
def _unregister_other(session: "Session", name: str) -> Flow:
    chat = session.chat
    account = yield find(session, name)
    if chat.moderation.operator(account.id):
        raise Refused(f"{account.name} is an operator. /deop {account.name} comes first.")
    doubt = f"It is not sure whether {account.name} is given up. Please look again later."

    def removed(_: bool) -> None:
        _forget(session, account)
        chat.moderation.note(session.name, "unregistered", account.name)
        person = chat.registry.online.get(account.id)
        if person is not None:
            chat.registry.gone(person, keep=False)
            person.notice(f"{session.name} has unregistered {account.name}. You are a guest now.")
            naming.become(person, chat.next_guest())
            person.reconsider()

    # Whoever waits for it may have given up by then.
    gone = chat.registry.book.remove(account.id).addCallback(removed)
    yield patiently(session, apart(gone), doubt)
    session.notice(f"{account.name} is registered no more.")


def _forget(session: "Session", account: Account) -> None:
    """The account is gone: nobody logs in with it any more, nothing is decided about it."""
    session.chat.registry.removed.add(account.id)
    session.chat.moderation.forget(account.id, account.name)


@inlineCallbacks
def _prove(session: "Session", account: Account, password: str) -> Flow:
    """Go on only if *password* is that of the account as it is now."""
    registry = session.chat.registry
    present = yield _as_it_is(session, account)
    if not (yield if_there(session, registry.matches(session, present, password))):
        _failed(session, account)
        raise Refused("That is not your password. Nothing was changed.")


class _Claimed(NamedTuple):
    """The name of an account is claimed.

    account: as it is now. holder: the connection that had the name. places: up to where the account
    has read each room; None if that cannot be found out.
    """

    account: Account
    holder: int
    places: dict[str, int] | None


@inlineCallbacks
def _adopt(session: "Session", account: Account, *, paired: bool = False) -> Flow:
    """*session* is that of *account* from now on, whoever else had the name.

    paired: see Registry.came.
    """
    chat = session.chat
    claimed = yield _claim(session, account)
    present = claimed.account
    former, preferences = _take_over(session, claimed, paired=paired)
    session.places = {}
    if not naming.stays(session, present.name):
        named = yield naming.become(session, present.name)
        if session.over or not named:
            # They have not got the preferences yet that would be kept.
            chat.registry.gone(session, keep=False)
            return
    if session.account is None or session.account.id != present.id:
        # It was given up meanwhile.
        return
    _note_login(session)
    session.show_like(_as_read(session, preferences))
    _say_last(session, present, former)
    _meet(session)
    room = _room_for(session, preferences)
    if room is not session.room and session.room in (chat.lobby, chat.entrance):
        yield session.go(room)
    yield _bring(session, claimed, former)


def arrive(session: "Session", arrival: "Arrival") -> None:
    """Give *session*, which is nowhere yet, its name and its place; input waits meanwhile."""

    def failed(failure: Any) -> None:
        if failure.check(Gone) or session.over:
            return
        why = str(failure.value)
        if not failure.check(Refused):
            log.failure(
                "A login of connection {connection} failed",
                failure,
                event="login_failed",
                connection=session.origin,
            )
            why = SORRY
        if session.arriving:
            session.come_in(why=why)
        else:
            session.notice(why)

    session.wait_for(_arrive(session, arrival).addErrback(failed))


@inlineCallbacks
def _arrive(session: "Session", arrival: "Arrival") -> Flow:
    if arrival.account is None:
        if arrival.name and not arrival.why:
            yield naming.have(session, arrival.name)
        session.come_in(why=arrival.why)
        return
    if arrival.by_key:
        yield _see_key(session, arrival)
    if session.passing:
        yield _pass(session, arrival)
        return
    claimed = yield _claim(session, arrival.account)
    present = claimed.account
    former, preferences = _take_over(session, claimed)
    # Nobody has seen them: they have had this name, and all that is theirs, from the beginning.
    session.name = session.submitted = present.name
    session.show_like(_as_read(session, preferences))
    _note_login(session, arrival.key if arrival.by_key else None)
    _meet(session)
    entered = session.released(ENTERING)
    session.come_in(_room_for(session, preferences))
    yield entered
    if session.over or session.account is None or session.account.id != present.id:
        return
    _say_last(session, present, former)
    if arrival.key is not None and not arrival.by_key:
        session.notice("You have a key with you: /key add has it log you in from now on.")
    yield _bring(session, claimed, former)


@inlineCallbacks
def _pass(session: "Session", arrival: "Arrival") -> Flow:
    """One command of an account: its name, and what it has read, stay with who is here as it."""
    registry = session.chat.registry
    assert arrival.account is not None
    account = yield _as_it_is(session, arrival.account)
    if (why := _barred(session, account)) is not None:
        raise Refused(why)
    present = registry.online.get(account.id)
    visit = present.visit() if present is not None else None
    preferences = visit.preferences if visit is not None else account.preferences
    session.account = account
    session.name = session.submitted = account.name
    session.show_like(_as_read(session, preferences))
    _note_login(session, arrival.key if arrival.by_key else None)
    _meet(session)
    session.come_in(_room_for(session, preferences))


@inlineCallbacks
def _see_key(session: "Session", arrival: "Arrival") -> Flow:
    """Go on only if the key is the account's still. From here on it is proven to be."""
    account, key = arrival.account, arrival.key
    assert account is not None
    assert key is not None
    book = session.chat.registry.book
    holder = yield patiently(session, book.keyholder(key.fingerprint))
    if holder is None or holder.account.id != account.id:
        raise Refused(f"Your key is not a key of {account.name} any more.")
    if not holder.proven:
        # If it could not be kept it is the next time.
        yield or_none(session, book.prove_key(account.id, key.fingerprint))


@inlineCallbacks
def _claim(session: "Session", account: Account) -> Generator["Deferred[Any]", Any, _Claimed]:
    """Have the name of *account* claimed for *session*, if it may have it."""
    chat = session.chat
    registry = chat.registry
    places = yield or_none(session, registry.book.places(account.id))
    present = yield _as_it_is(session, account)
    holder = yield _take(session, present.key)
    # What was decided while all this took its time counts.
    if (why := _barred(session, present)) is not None:
        _return(session, present.key, holder)
        raise Refused(why)
    return _Claimed(present, holder, places)


@inlineCallbacks
def _as_it_is(session: "Session", account: Account) -> Generator["Deferred[Any]", Any, Account]:
    """*account* as it is now: finding out whose it is took a while. Fails with Refused."""
    present = yield patiently(session, session.chat.registry.book.find(account.key))
    if present is None or present.id != account.id:
        raise Refused(f"{account.name} is not registered any more.")
    found: Account = present
    return found


def _barred(session: "Session", account: Account) -> str | None:
    """Why nobody may be logged in as *account*, None if they may."""
    if account.id in session.chat.registry.removed:
        return f"{account.name} is not registered any more."
    return session.chat.moderation.banned(account.id)


def _take_over(
    session: "Session", claimed: _Claimed, *, paired: bool = False
) -> "tuple[Session | None, Preferences]":
    """Be the account's one session; returns which was until now, and what the account prefers.

    Nothing is waited for from the claim to the new name: of two who log in at once, the later one
    has both the claim and the account.
    """
    chat = session.chat
    registry = chat.registry
    account, preferences = claimed.account, claimed.account.preferences
    former = registry.online.get(account.id)
    # Who logged in only just now has the name on its way still, and nothing to be taken over.
    visit = former.visit() if former is not None else None
    registry.came(session, account, paired=paired)
    if former is not None:
        preferences = visit.preferences if visit is not None else preferences
        former.replaced(session.connection.place)
    squatter = chat.sessions.get(claimed.holder)
    if squatter is not None and squatter is not session and squatter is not former:
        naming.dispossess(squatter, account.key)
    return former, preferences


def _note_login(session: "Session", key: PublicKey | None = None) -> None:
    """*session* is logged in, by *key* if that was it."""
    assert session.account is not None
    session.chat.counters.logins += 1
    log.info(
        "{name!r} is connection {connection}, from {address}",
        event="logged_in",
        name=session.account.name,
        key=key.fingerprint if key is not None else "",
        **whom(session),
    )
    session.chat.moderation.came(session)


def _say_last(session: "Session", account: Account, former: "Session | None") -> None:
    """Tell them when they were here last, if they are not here still."""
    if former is None:
        last = when(account.seen, session.chat.clock.seconds(), session.format.zone)
        session.notice(paragraph(f"You were last here {last}.", *_lasts(session)))


def _meet(session: "Session") -> None:
    """Leave out whom this person ignores, and have them left out by who ignores them."""
    for other in list(session.chat.sessions.values()):
        ignoring.meet(other, session)
        ignoring.meet(session, other)


def _room_for(session: "Session", preferences: Preferences) -> "Room":
    """Where they were last, if it is there and they may be in it."""
    chat = session.chat
    room = chat.rooms.get(preferences.room)
    if room is None or chat.moderation.since(session, room.key) is None:
        return chat.lobby
    return room


@inlineCallbacks
def _bring(session: "Session", claimed: _Claimed, former: "Session | None") -> Flow:
    """Show what was left for the account, and tell what it missed."""
    chat = session.chat
    account = claimed.account
    yield show_messages(session, account)
    places = {**(claimed.places or {}), **(former.places or {} if former else {})}
    session.places |= {room: chat.rooms[room].last_id for room in places if room in chat.rooms}
    chat.registry.save([session])
    yield recall_of(session).returned(places, account.name)


# -- claims


def _take(session: "Session", key: str) -> "Deferred[Any]":
    """Claim the name with this *key*, whoever has it; fires with who had it until now.

    Whenever the answer comes that nobody waits for any more, it is as if it had not been asked for.
    """
    chat = session.chat
    answer: Deferred[int] = Deferred()

    def taken(holder: int) -> None:
        if answer.called or session.over:
            _return(session, key, holder)
        if not answer.called:
            answer.callback(holder)

    def failed(failure: Any) -> None:
        naming.give_back(session, key)
        if not answer.called:
            answer.errback(failure)

    chat.claims.take(key, session.origin).addCallback(taken).addErrback(failed)
    return patiently(session, answer)


def _return(session: "Session", key: str, holder: int) -> None:
    """The name with this *key* is that of who had it before it was taken, if they are there."""
    chat = session.chat
    naming.give_back(session, key)
    former = chat.sessions.get(holder)
    if former is not None and former is not session and not former.over:
        chat.claims.claim(key, holder).addErrback(_not_claimed)


def _not_claimed(failure: Any) -> None:
    log.warn(
        "A name could not be given back: {error!r}", event="claim_not_returned", error=failure.value
    )


def find(session: "Session", name: str) -> "Deferred[Any]":
    """The account called *name*; fails with Refused."""
    registry = session.chat.registry

    def found(account: Account | None) -> Account:
        if account is None:
            text = f"{names.clean(name)[: names.MAX_NAME]} is not registered."
            if registry.keep_days and registry.book.lasting:
                text += f" A name lapses after {_days(registry.keep_days)} without a visit."
            raise Refused(text)
        return account

    return patiently(session, registry.book.find(names.fold(name))).addCallback(found)


def whom(session: "Session") -> dict[str, Any]:
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
        session.notice(paragraph(*UNENCRYPTED))


def _lasts(session: "Session") -> tuple[str, ...]:
    """For how long a name stays registered, as sentences."""
    registry = session.chat.registry
    if not registry.book.lasting:
        return ("This server keeps names only as long as it runs.",)
    if registry.keep_days:
        return (f"It lapses after {_days(registry.keep_days)} without a visit.",)
    return ()


def _days(days: float) -> str:
    return f"{days:g} day{'' if days == 1 else 's'}"
