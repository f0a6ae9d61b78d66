"""Adoption: how one session comes to be that of an account, whoever was until then.

The rule: the name is claimed before the account is taken over, and between the claim and the new
name nothing is waited for. Whoever is only passing takes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.actions import naming, strays
from chatroom.actions.ignoring import become_user
from chatroom.actions.messages import show_messages
from chatroom.actions.pager import pager_of, when
from chatroom.actions.steps import SORRY, Gone, default_none, outcome, required, start
from chatroom.chat.gate import Reason
from chatroom.chat.log import said_by
from chatroom.chat.loginservice import log_fields
from chatroom.chat.unread import Unread
from chatroom.model.accounts import Account
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.room import Room
    from chatroom.chat.session import Session
    from chatroom.model.identity import Identity

log = Logger()


async def log_in_as(session: "Session", account: Account, *, paired: bool = False) -> None:
    """*session* is that of *account* from now on, whoever else had the name.

    paired: see LoginService.logged_in.
    """
    chat = session.chat
    claimed = await _claim(session, account)
    present = claimed.account
    former, preferences = _take_over(session, claimed, paired=paired)
    if not naming.still_named(session, present.name):
        named = await outcome(naming.rename_to(session, present.name))
        if session.over or not named:
            # They have not got the preferences yet that would be kept.
            chat.logins.logged_out(session, keep=False)
            return
    if session.user.account is None or session.user.account.id != present.id:
        # It was given up meanwhile.
        return
    _note_login(session)
    session.use_preferences(as_read(session, preferences))
    chat.logins.share_user(session)
    _say_last(session, present, former)
    places = _note_unread(session, claimed, former)
    room = _room_for(session, preferences)
    if room is not session.room and session.room in (chat.lobby, chat.entrance):
        await outcome(session.go(room))
    else:
        _say_new(session, places)
    await _bring(session, present, places)


def open_session(session: "Session", identity: "Identity | None" = None) -> None:
    """Begin the new *session*: as a guest in the lobby, or as *arrival* says who its user is.

    Until it is found out whether that user gets the name, and the room that goes with it, input
    waits, and nobody sees them.
    """
    if identity is None:
        session.open()
        return
    session.open_pending(identity.key)
    if identity.asked:
        strays.guard(session)

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
            session.enter_first_room(why=why)
        else:
            session.notice(why)

    session.gate.wait_for(start(_arrive(session, identity)).addErrback(failed))


async def as_it_is(session: "Session", account: Account) -> Account:
    """*account* as it is now: finding out whose it is took a while. Raises Refused."""
    present = await required(session, session.chat.logins.accounts.find(account.key))
    if present is None or present.id != account.id:
        raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    return present


def as_read(session: "Session", preferences: Preferences) -> Preferences:
    """*preferences*, but for whoever needs a screen reader, who does so logged in or not."""
    return replace(preferences, reader=preferences.reader or session.user.preferences.reader)


# -- the steps


async def _arrive(session: "Session", identity: "Identity") -> None:
    if identity.account is None:
        if identity.name and not identity.why:
            await naming.claim_first(session, identity.name)
        session.enter_first_room(why=identity.why)
        return
    if identity.by_key:
        await _see_key(session, identity)
    here = identity.account.id in session.chat.logins.online
    if session.passing or (session.beside and here):
        await _pass(session, identity)
        return
    claimed = await _claim(session, identity.account)
    present = claimed.account
    former, preferences = _take_over(session, claimed)
    # Nobody has seen them: they have had this name, and all that is theirs, from the beginning.
    session.user.name = session.user.submitted = present.name
    session.use_preferences(as_read(session, preferences))
    session.chat.logins.share_user(session)
    _note_login(session, identity.key if identity.by_key else None)
    places = _note_unread(session, claimed, former)
    entered = session.gate.opened(Reason.ENTERING)
    session.enter_first_room(_room_for(session, preferences))
    await outcome(entered)
    if session.over or session.user.account is None or session.user.account.id != present.id:
        return
    _say_last(session, present, former)
    if identity.key is not None and not identity.by_key:
        session.notice("You have a key with you: /key add has it log you in from now on.")
    await _bring(session, present, places)


async def _pass(session: "Session", identity: "Identity") -> None:
    """Come beside who is here as the account, and keeps its name and what it has read."""
    logins = session.chat.logins
    assert identity.account is not None
    account = await as_it_is(session, identity.account)
    if (barred := _barred(session, account)) is not None:
        raise barred
    present = logins.online.get(account.id)
    visit = present.account_state() if present is not None else None
    preferences = account.preferences
    if present is not None and visit is not None and visit.change is not None:
        preferences = visit.change(present.user.preferences)
    session.passing = True
    if present is not None and naming.still_named(present, account.name):
        session.user = present.user
    else:
        session.user.name = session.user.submitted = account.name
    logins.assign(session, account)
    session.use_preferences(as_read(session, preferences))
    _note_login(session, identity.key if identity.by_key else None)
    session.enter_first_room(_room_for(session, preferences))


async def _see_key(session: "Session", identity: "Identity") -> None:
    """Go on only if the key is the account's still. From here on it is proven to be."""
    account, key = identity.account, identity.key
    assert account is not None
    assert key is not None
    book = session.chat.logins.accounts
    holder = await required(session, book.keyholder(key.fingerprint))
    if holder is None or holder.account.id != account.id:
        raise Refused(Code.WRONG_PASSWORD, f"Your key is not a key of {account.name} any more.")
    if not holder.proven:
        # If it could not be kept it is the next time.
        await default_none(session, book.prove_key(account.id, key.fingerprint))


class _Claimed(NamedTuple):
    """The name of an account is claimed.

    account: as it is now. holder: the connection that had the name. places: up to where the account
    has read each room; None if that cannot be found out.
    """

    account: Account
    holder: int
    places: dict[str, int] | None


async def _claim(session: "Session", account: Account) -> _Claimed:
    """Have the name of *account* claimed for *session*, if it may have it."""
    chat = session.chat
    logins = chat.logins
    places = await default_none(session, logins.accounts.places(account.id))
    present = await as_it_is(session, account)
    holder = await _take(session, present.key)
    # What was decided while all this took its time counts.
    if (barred := _barred(session, present)) is not None:
        _return(session, present.key, holder)
        raise barred
    return _Claimed(present, holder, places)


def _barred(session: "Session", account: Account) -> Refused | None:
    """Return why nobody may be logged in as *account*, None if they may."""
    if account.id in session.chat.logins.removed:
        return Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    why = session.chat.moderation.banned(account.id)
    return Refused(Code.BANNED, why) if why is not None else None


def _take_over(
    session: "Session", claimed: _Claimed, *, paired: bool = False
) -> "tuple[Session | None, Preferences]":
    """Be the account's one session; returns which was until now, and what the account prefers.

    Nothing is waited for from the claim to the new name: of two who log in at once, the later one
    has both the claim and the account.
    """
    chat = session.chat
    logins = chat.logins
    account, preferences = claimed.account, claimed.account.preferences
    former = logins.online.get(account.id)
    # Who logged in only just now has the name on its way still, and nothing to be taken over.
    visit = former.account_state() if former is not None else None
    logins.logged_in(session, account, paired=paired)
    session.user.read_markers = None
    if former is not None:
        if visit is not None and visit.change is not None:
            preferences = visit.change(former.user.preferences)
        former.replaced(session.connection.place, account)
    squatter = chat.sessions.get(claimed.holder)
    if squatter is not None and squatter is not session and squatter is not former:
        naming.reclaim(squatter, account.key)
    return former, preferences


def _note_login(session: "Session", key: PublicKey | None = None) -> None:
    """*session* is logged in, by *key* if that was it."""
    assert session.user.account is not None
    become_user(session, session.user.account.id)
    session.chat.counters.logins += 1
    log.info(
        "{name!r} is connection {connection}, from {address}",
        event="logged_in",
        name=session.user.account.name,
        key=key.fingerprint if key is not None else "",
        **log_fields(session),
    )
    session.chat.moderation.came(session)


def _say_last(session: "Session", account: Account, former: "Session | None") -> None:
    """Tell them when they were here last, if they are not here still."""
    if former is None:
        last = when(account.seen, session.chat.clock.time(), session.format.zone)
        session.notice(
            paragraph(f"You were last here {last}.", *session.chat.logins.lifetime_notice())
        )


def _room_for(session: "Session", preferences: Preferences) -> "Room":
    """Where they were last, if it is there and they may be in it."""
    chat = session.chat
    room = chat.rooms.get(preferences.room)
    if room is None or room.closing or chat.moderation.visible_from(session, room.key) is None:
        return chat.lobby
    return room


def _note_unread(
    session: "Session", claimed: _Claimed, former: "Session | None"
) -> Mapping[str, int]:
    """Note what *session* was not shown yet of the rooms that the account reads.

    Returns up to which id it has read each of them, by their keys.
    """
    places = {**(claimed.places or {}), **(former.user.read_markers or {} if former else {})}
    if session.unread is None:
        session.unread = Unread()
    session.unread.log_in(places, session.room.key, session.first_shown)
    return places


def _say_new(session: "Session", places: Mapping[str, int]) -> None:
    """Tell how many of the lines are new that they were shown before it was known who they are."""
    assert session.user.account is not None
    room, own = session.room, session.user.account.key
    place = places.get(room.key)
    if place is None:
        return
    new = sum(
        row.event.line and row.event.time <= session.member.joined and not said_by(row.event, own)
        for row in room.log.between(max(place + 1, session.first_shown))
    )
    if new:
        lines = "line before Now is" if new == 1 else f"{new:,} lines before Now are"
        session.notice(f"The last {lines} new to you.")


async def _bring(session: "Session", account: Account, places: Mapping[str, int]) -> None:
    """Show what was left for the account, and tell what it missed."""
    chat = session.chat
    await show_messages(session, account)
    now = {room: chat.rooms[room].log.last_id for room in places if room in chat.rooms}
    await outcome(pager_of(session).returned(places, account.name, _CaughtUp(session, now)))


class _CaughtUp:
    """What *session* missed is on its way to be told; see sendqueue.Letter.

    places: up to where it has read each room when that is done, by their keys.
    """

    def __init__(self, session: "Session", places: dict[str, int]) -> None:
        self._session = session
        self._places = places

    def taken(self) -> None:
        """They know; if they leave now, they have missed nothing."""
        session = self._session
        if session.user.account is not None:
            session.user.read_markers = self._places
            session.chat.logins.save_sessions([session])

    def returned(self) -> None:
        """They do not: they are told when they come again."""


# -- claims


async def _take(session: "Session", key: str) -> int:
    """Claim the name with this *key*, whoever has it; return the connection that had it until now.

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
        naming.release(session, key)
        if not answer.called:
            answer.errback(failure)

    chat.claims.take(key, session.origin).addCallback(taken).addErrback(failed)
    return await required(session, answer)


def _return(session: "Session", key: str, holder: int) -> None:
    """The name with this *key* is that of who had it before it was taken, if they are there."""
    chat = session.chat
    naming.release(session, key)
    former = chat.sessions.get(holder)
    if former is not None and former is not session and not former.over:
        chat.claims.claim(key, holder).addErrback(_not_claimed)


def _not_claimed(failure: Any) -> None:
    log.warn(
        "A name could not be given back: {error!r}", event="claim_not_returned", error=failure.value
    )
