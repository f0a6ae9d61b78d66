"""Logging in: how one connection comes to be one of the owner of an account.

The name is claimed before the account is taken over, and between the claim and the new name nothing
is waited for. If the owner is here by another connection already, this one joins it: nobody in the
rooms sees it come. At doors where a user is in one place at a time the earlier one ends.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom.actions import ignoring, naming, strays
from chatroom.actions.ignoring import become_user
from chatroom.actions.messages import show_messages
from chatroom.actions.pager import pager_of, when
from chatroom.actions.steps import SORRY, Gone, default_none, outcome, required, start
from chatroom.chat.gate import Reason
from chatroom.chat.log import said_by
from chatroom.chat.loginservice import log_fields
from chatroom.chat.session import Session, State
from chatroom.chat.unread import Unread
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.room import Room
    from chatroom.model.identity import Identity

log = Logger()


async def log_in_as(session: "Session", account: Account, *, paired: bool = False) -> None:
    """Have *session* be a connection of the owner of *account*, whoever else had the name.

    paired: whether they have shown nothing but a code that /pair gave.
    """
    chat = session.chat
    claimed = await _claim(session, account)
    present = claimed.account
    here = _take_over(session, claimed)
    session.paired = paired
    if here is None and not naming.still_named(session, present.name):
        named = await outcome(naming.rename_to(session, present.name))
        if not named or not session.user.here:
            # They have not got the preferences yet that would be kept.
            chat.logins.logged_out(session.user, keep=False)
            return
    if session.user.account is None or session.user.account.id != present.id:
        # It was given up meanwhile.
        return
    if here is None:
        # Also if this connection has ended, and they are here by one that has come since.
        _use_preferences(session.user, as_read(session, present.preferences))
        _enter_rooms(session, present.preferences)
        if session.over:
            return
    _note_login(session)
    places = _note_unread(session, claimed, here)
    if here is None:
        _say_last(session, present)
    elif session.user.name == present.name:
        session.notice(f"You are now {present.name}.")
    room = here.room if here is not None else _room_for(session, present.preferences)
    if room is not session.room and session.room in (chat.lobby, None):
        await outcome(session.go(room))
    else:
        _say_new(session, places)
        if session.room is not None:
            # In the room that was shown to a guest the user may not be yet.
            await outcome(session.go(session.room))
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
        if session.state is State.UNAUTHENTICATED:
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
    account = identity.account
    if account is None:
        if identity.name and not identity.why:
            await naming.claim_first(session, identity.name)
        session.enter_first_room(why=identity.why)
        return
    if identity.by_key:
        await _see_key(session, identity)
    key = identity.key if identity.by_key else None
    if session.one_shot:
        await _begin_command(session, account, key)
        return
    claimed = await _claim(session, account)
    present = claimed.account
    here = _take_over(session, claimed)
    if here is None:
        # Nobody has seen them: they have had this name, and all that is theirs, all the time.
        session.user.name = session.user.submitted = present.name
        _use_preferences(session.user, as_read(session, present.preferences))
    _note_login(session, key)
    places = _note_unread(session, claimed, here)
    entered = session.gate.opened(Reason.ENTERING)
    room = here.room if here is not None else _room_for(session, present.preferences)
    session.enter_first_room(room)
    if here is None:
        _enter_rooms(session, present.preferences)
    await outcome(entered)
    if session.over or session.user.account is None or session.user.account.id != present.id:
        return
    if here is None:
        _say_last(session, present)
    if identity.key is not None and not identity.by_key:
        session.notice("You have a key with you: /key add has it log you in from now on.")
    await _bring(session, present, places)


async def _begin_command(session: "Session", account: Account, key: PublicKey | None) -> None:
    """Have *session*, which is here for one command, be a connection of the owner of *account*.

    It takes nothing from their other connections, and the name only with these.
    """
    logins = session.chat.logins
    account = await as_it_is(session, account)
    if (barred := _barred(session, account)) is not None:
        raise barred
    preferences = account.preferences
    owner = logins.online.get(account.id)
    room = _room_for(session, preferences)
    if owner is not None:
        preferences = owner.preferences
        room = _room_shown(owner) or room
    if owner is not None and owner.here:
        session.chat.switch(session, owner)
    else:
        session.user.name = session.user.submitted = account.name
        session.user.account = account
    logins.connected(session)
    session.use_preferences(as_read(session, preferences))
    _note_login(session, key)
    session.enter_first_room(room)


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

    account: as it is now.
    holder: the origin of the user who had the name until now; SERVER for none. None if the owner of
        the account is here, who has it.
    places: up to where the account has read each room; None if that cannot be found out.
    """

    account: Account
    holder: int | None
    places: dict[str, int] | None


async def _claim(session: "Session", account: Account) -> _Claimed:
    """Have the name of *account* claimed for *session*'s user, if they may have it."""
    logins = session.chat.logins
    places = await default_none(session, logins.accounts.places(account.id))
    present = await as_it_is(session, account)
    owner = logins.online.get(present.id)
    here = owner is not None and owner.here and owner.submitted == present.name
    holder = None if here else await _take(session, present.key)
    # What was decided while all this took its time counts.
    if (barred := _barred(session, present)) is not None:
        if holder is not None:
            _return(session, present.key, holder)
        raise barred
    return _Claimed(present, holder, places)


def _barred(session: "Session", account: Account) -> Refused | None:
    """Return why nobody may be logged in as *account*, None if they may."""
    if account.id in session.chat.logins.removed:
        return Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    why = session.chat.moderation.banned(account.id)
    return Refused(Code.BANNED, why) if why is not None else None


class _Here(NamedTuple):
    """The owner of an account was here already when they logged in.

    room: the room that they have been shown.
    places: up to where they have read each room.
    """

    room: "Room"
    places: dict[str, int]


def _take_over(session: "Session", claimed: _Claimed) -> _Here | None:
    """Make *session* a connection of the account's owner; return where they are if they are here.

    Nothing is waited for from the claim to the new name: of two who log in at once, the later one
    comes to the earlier one.
    """
    chat, logins = session.chat, session.chat.logins
    account = claimed.account
    owner = logins.online.get(account.id)
    if owner is not None and owner.here:
        if claimed.holder is not None:
            # They have come, or got their name, since it was asked for.
            chat.claims.take(account.key, owner.origin).addErrback(_not_claimed)
        here = _Here(_room_shown(owner) or chat.lobby, chat.read_by(owner))
        ending = [one for one in owner.reading if one.replaces and session.replaces]
        ignoring.carry_over(chat, session.user, owner.id, account.name)
        preferences = as_read(session, owner.preferences)
        chat.switch(session, owner)
        logins.connected(session)
        _use_preferences(owner, preferences)
        for one in ending:
            one.replaced(session.connection.place)
        return here
    if owner is not None:
        # They are just leaving.
        logins.logged_out(owner)
    logins.logged_in(session.user, account)
    session.user.read_markers = None
    if claimed.holder:
        squatter = chat.holder(account.key, claimed.holder)
        if squatter is not None and squatter is not session.user:
            naming.reclaim(chat, squatter, account.key)
    return None


def _room_shown(owner: User) -> "Room | None":
    """Return the room that *owner* is shown, or was shown last; None for none."""
    shown = (one.room for one in owner.connections if not one.one_shot and one.room is not None)
    return next(shown, None)


def _use_preferences(user: User, preferences: Preferences) -> None:
    """Show *user* things as *preferences* say, wherever they read."""
    for one in user.connections:
        one.use_preferences(preferences)


def _enter_rooms(session: "Session", preferences: Preferences) -> None:
    """Have the user be in the rooms where they were last, if they may be."""
    chat, user = session.chat, session.user
    most = chat.settings.rooms_per_person or len(preferences.rooms)
    for key in preferences.rooms[:most]:
        room = chat.rooms.get(key)
        if room is None or room.closing or user.origin in room.members:
            continue
        if chat.moderation.visible_from(user, key) is not None:
            chat.enter(room, user)


def _note_login(session: "Session", key: PublicKey | None = None) -> None:
    """*session* is logged in, by *key* if that was it."""
    assert session.user.account is not None
    become_user(session.chat, session.user, session.user.account.id)
    session.chat.counters.logins += 1
    log.info(
        "{name!r} is connection {connection}, from {address}",
        event="logged_in",
        name=session.user.account.name,
        key=key.fingerprint if key is not None else "",
        **log_fields(session),
    )
    session.chat.moderation.came(session)


def _say_last(session: "Session", account: Account) -> None:
    """Tell them when they were here last."""
    last = when(account.seen, session.chat.clock.time(), session.format.zone)
    session.notice(paragraph(f"You were last here {last}.", *session.chat.logins.lifetime_notice()))


def _room_for(session: "Session", preferences: Preferences) -> "Room":
    """Where they were last, if it is there and they may be in it."""
    chat = session.chat
    room = chat.rooms.get(preferences.room)
    user = session.user
    if room is None or room.closing or chat.moderation.visible_from(user, room.key) is None:
        return chat.lobby
    return room


def _note_unread(session: "Session", claimed: _Claimed, here: _Here | None) -> Mapping[str, int]:
    """Note what *session* was not shown yet of the rooms that the account reads.

    Returns up to which id it has read each of them, by their keys.
    """
    places = {**(claimed.places or {}), **(here.places if here is not None else {})}
    if session.unread is None:
        session.unread = Unread()
    room = session.room.key if session.room is not None else ""
    session.unread.log_in(places, room, session.first_shown)
    return places


def _say_new(session: "Session", places: Mapping[str, int]) -> None:
    """Tell how many of the lines are new that they were shown before it was known who they are."""
    assert session.user.account is not None
    room, own = session.room, session.user.account.key
    if room is None or (place := places.get(room.key)) is None:
        return
    new = sum(
        row.event.line and not said_by(row.event, own)
        for row in room.log.between(max(place + 1, session.first_shown), session.live_from)
    )
    if new:
        lines = "line before Now is" if new == 1 else f"{new:,} lines before Now are"
        session.notice(f"The last {lines} new to you.")


async def _bring(session: Session, account: Account, places: Mapping[str, int]) -> None:
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
            session.chat.logins.save_users([session.user])

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

    chat.claims.take(key, session.user.origin).addCallback(taken).addErrback(failed)
    return await required(session, answer)


def _return(session: "Session", key: str, holder: int) -> None:
    """The name with this *key* is that of who had it before it was taken, if they are there."""
    chat = session.chat
    naming.release(session, key)
    former = chat.holder(key, holder)
    if former is not None and former is not session.user:
        chat.claims.claim(key, holder).addErrback(_not_claimed)


def _not_claimed(failure: Any) -> None:
    log.warn(
        "A name could not be given back: {error!r}", event="claim_not_returned", error=failure.value
    )
