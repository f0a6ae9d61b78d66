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
from chatroom.chat.connection import Connection, State
from chatroom.chat.gate import Reason
from chatroom.chat.log import said_by
from chatroom.chat.loginservice import log_fields
from chatroom.chat.unread import Unread
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.preferences import Preferences
from chatroom.model.publickeys import PublicKey
from chatroom.model.refused import Code, Refused
from chatroom.text.prose import paragraph

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.room import Room
    from chatroom.model.identity import Identity

log = Logger()


async def log_in_as(connection: "Connection", account: Account, *, paired: bool = False) -> None:
    """Have *connection* be a connection of the owner of *account*, whoever else had the name.

    paired: whether they have shown nothing but a code that /pair gave.
    """
    chat = connection.chat
    claimed = await _claim(connection, account)
    present = claimed.account
    here = _take_over(connection, claimed)
    connection.paired = paired
    if here is None and not naming.still_named(connection, present.name):
        named = await outcome(naming.rename_to(connection, present.name))
        if not named or not connection.user.here:
            # They have not got the preferences yet that would be kept.
            chat.logins.logged_out(connection.user, keep=False)
            return
    if connection.user.account is None or connection.user.account.id != present.id:
        # It was given up meanwhile.
        return
    if here is None:
        # Also if this connection has ended, and they are here by one that has come since.
        _use_preferences(connection.chat, connection.user, as_read(connection, present.preferences))
        _enter_rooms(connection, present.preferences)
        if connection.over:
            return
    _note_login(connection)
    places = _note_unread(connection, claimed, here)
    if here is None:
        _say_last(connection, present)
    elif connection.user.name == present.name:
        connection.notice(f"You are now {present.name}.")
    room = here.room if here is not None else _room_for(connection, present.preferences)
    if room is not connection.room and connection.room in (chat.lobby, None):
        await outcome(connection.go(room))
    else:
        _say_new(connection, places)
        if connection.room is not None:
            # In the room that was shown to a guest the user may not be yet.
            await outcome(connection.go(connection.room))
    await _bring(connection, present, places)


def open_connection(connection: "Connection", identity: "Identity | None" = None) -> None:
    """Begin the new *connection*: as a guest in the lobby, or as *arrival* says who its user is.

    Until it is found out whether that user gets the name, and the room that goes with it, input
    waits, and nobody sees them.
    """
    if identity is None:
        connection.open()
        return
    connection.open_pending(identity.key)
    if identity.asked:
        strays.guard(connection)

    def failed(failure: Any) -> None:
        if failure.check(Gone) or connection.over:
            return
        why = str(failure.value)
        if not failure.check(Refused):
            log.failure(
                "A login of connection {connection} failed",
                failure,
                event="login_failed",
                connection=connection.origin,
            )
            why = SORRY
        if connection.state is State.UNAUTHENTICATED:
            connection.enter_first_room(why=why)
        else:
            connection.notice(why)

    connection.gate.wait_for(start(_arrive(connection, identity)).addErrback(failed))


async def as_it_is(connection: "Connection", account: Account) -> Account:
    """*account* as it is now: finding out whose it is took a while. Raises Refused."""
    present = await required(connection, connection.chat.logins.accounts.find(account.key))
    if present is None or present.id != account.id:
        raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    return present


def as_read(connection: "Connection", preferences: Preferences) -> Preferences:
    """*preferences*, but for whoever needs a screen reader, who does so logged in or not."""
    return replace(preferences, reader=preferences.reader or connection.user.preferences.reader)


# -- the steps


async def _arrive(connection: "Connection", identity: "Identity") -> None:
    account = identity.account
    if account is None:
        if identity.name and not identity.why:
            await naming.claim_first(connection, identity.name)
        connection.enter_first_room(why=identity.why)
        return
    if identity.by_key:
        await _see_key(connection, identity)
    key = identity.key if identity.by_key else None
    if connection.one_shot:
        await _begin_command(connection, account, key)
        return
    claimed = await _claim(connection, account)
    present = claimed.account
    here = _take_over(connection, claimed)
    if here is None:
        # Nobody has seen them: they have had this name, and all that is theirs, all the time.
        connection.user.name = connection.user.submitted = present.name
        _use_preferences(connection.chat, connection.user, as_read(connection, present.preferences))
    _note_login(connection, key)
    places = _note_unread(connection, claimed, here)
    entered = connection.gate.opened(Reason.ENTERING)
    room = here.room if here is not None else _room_for(connection, present.preferences)
    connection.enter_first_room(room)
    if here is None:
        _enter_rooms(connection, present.preferences)
    await outcome(entered)
    if (
        connection.over
        or connection.user.account is None
        or connection.user.account.id != present.id
    ):
        return
    if here is None:
        _say_last(connection, present)
    if identity.key is not None and not identity.by_key:
        connection.notice("You have a key with you: /key add has it log you in from now on.")
    await _bring(connection, present, places)


async def _begin_command(connection: "Connection", account: Account, key: PublicKey | None) -> None:
    """Have *connection*, which is here for one command, be a connection of the owner of *account*.

    It takes nothing from their other connections, and the name only with these.
    """
    logins = connection.chat.logins
    account = await as_it_is(connection, account)
    if (barred := _barred(connection, account)) is not None:
        raise barred
    preferences = account.preferences
    owner = logins.online.get(account.id)
    room = _room_for(connection, preferences)
    if owner is not None:
        preferences = owner.preferences
        room = _room_shown(connection.chat, owner) or room
    if owner is not None and owner.here:
        connection.chat.switch(connection, owner)
    else:
        connection.user.name = connection.user.submitted = account.name
        connection.user.account = account
    logins.connected(connection)
    connection.use_preferences(as_read(connection, preferences))
    _note_login(connection, key)
    connection.enter_first_room(room)


async def _see_key(connection: "Connection", identity: "Identity") -> None:
    """Go on only if the key is the account's still. From here on it is proven to be."""
    account, key = identity.account, identity.key
    assert account is not None
    assert key is not None
    book = connection.chat.logins.accounts
    holder = await required(connection, book.keyholder(key.fingerprint))
    if holder is None or holder.account.id != account.id:
        raise Refused(Code.WRONG_PASSWORD, f"Your key is not a key of {account.name} any more.")
    if not holder.proven:
        # If it could not be kept it is the next time.
        await default_none(connection, book.prove_key(account.id, key.fingerprint))


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


async def _claim(connection: "Connection", account: Account) -> _Claimed:
    """Have the name of *account* claimed for *connection*'s user, if they may have it."""
    logins = connection.chat.logins
    places = await default_none(connection, logins.accounts.places(account.id))
    present = await as_it_is(connection, account)
    owner = logins.online.get(present.id)
    here = owner is not None and owner.here and owner.submitted == present.name
    holder = None if here else await _take(connection, present.key)
    # What was decided while all this took its time counts.
    if (barred := _barred(connection, present)) is not None:
        if holder is not None:
            _return(connection, present.key, holder)
        raise barred
    return _Claimed(present, holder, places)


def _barred(connection: "Connection", account: Account) -> Refused | None:
    """Return why nobody may be logged in as *account*, None if they may."""
    if account.id in connection.chat.logins.removed:
        return Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    why = connection.chat.moderation.banned(account.id)
    return Refused(Code.BANNED, why) if why is not None else None


class _Here(NamedTuple):
    """The owner of an account was here already when they logged in.

    room: the room that they have been shown.
    places: up to where they have read each room.
    """

    room: "Room"
    places: dict[str, int]


def _take_over(connection: "Connection", claimed: _Claimed) -> _Here | None:
    """Make *connection* one of the account's owner; return where they are if they are here.

    Nothing is waited for from the claim to the new name: of two who log in at once, the later one
    comes to the earlier one.
    """
    chat, logins = connection.chat, connection.chat.logins
    account = claimed.account
    owner = logins.online.get(account.id)
    if owner is not None and owner.here:
        if claimed.holder is not None:
            # They have come, or got their name, since it was asked for.
            chat.claims.take(account.key, owner.origin).addErrback(_not_claimed)
        here = _Here(_room_shown(chat, owner) or chat.lobby, chat.read_by(owner))
        ending = [one for one in chat.reading_by(owner) if one.replaces and connection.replaces]
        ignoring.carry_over(chat, connection.user, owner.id, account.name)
        preferences = as_read(connection, owner.preferences)
        chat.switch(connection, owner)
        logins.connected(connection)
        _use_preferences(chat, owner, preferences)
        for one in ending:
            one.replaced(connection.client.place)
        return here
    if owner is not None:
        # They are just leaving.
        logins.logged_out(owner)
    logins.logged_in(connection.user, account)
    connection.user.read_markers = None
    if claimed.holder:
        squatter = chat.holder(account.key, claimed.holder)
        if squatter is not None and squatter is not connection.user:
            naming.reclaim(chat, squatter, account.key)
    return None


def _room_shown(chat: "Chat", owner: User) -> "Room | None":
    """Return the room that *owner* is shown, or was shown last; None for none."""
    shown = (
        one.room for one in chat.connections_by(owner) if not one.one_shot and one.room is not None
    )
    return next(shown, None)


def _use_preferences(chat: "Chat", user: User, preferences: Preferences) -> None:
    """Show *user* things as *preferences* say, wherever they read."""
    for one in chat.connections_by(user):
        one.use_preferences(preferences)


def _enter_rooms(connection: "Connection", preferences: Preferences) -> None:
    """Have the user be in the rooms where they were last, if they may be."""
    chat, user = connection.chat, connection.user
    most = chat.settings.rooms_per_person or len(preferences.rooms)
    for key in preferences.rooms[:most]:
        room = chat.rooms.get(key)
        if room is None or room.closing or user.origin in room.members:
            continue
        if chat.moderation.visible_from(user, key) is not None:
            chat.enter(room, user)


def _note_login(connection: "Connection", key: PublicKey | None = None) -> None:
    """*connection* is logged in, by *key* if that was it."""
    assert connection.user.account is not None
    become_user(connection.chat, connection.user, connection.user.account.id)
    connection.chat.counters.logins += 1
    log.info(
        "{name!r} is connection {connection}, from {address}",
        event="logged_in",
        name=connection.user.account.name,
        key=key.fingerprint if key is not None else "",
        **log_fields(connection),
    )
    connection.chat.moderation.came(connection)


def _say_last(connection: "Connection", account: Account) -> None:
    """Tell them when they were here last."""
    last = when(account.seen, connection.chat.clock.time(), connection.format.zone)
    connection.notice(
        paragraph(f"You were last here {last}.", *connection.chat.logins.lifetime_notice())
    )


def _room_for(connection: "Connection", preferences: Preferences) -> "Room":
    """Where they were last, if it is there and they may be in it."""
    chat = connection.chat
    room = chat.rooms.get(preferences.room)
    user = connection.user
    if room is None or room.closing or chat.moderation.visible_from(user, room.key) is None:
        return chat.lobby
    return room


def _note_unread(
    connection: "Connection", claimed: _Claimed, here: _Here | None
) -> Mapping[str, int]:
    """Note what *connection* was not shown yet of the rooms that the account reads.

    Returns up to which id it has read each of them, by their keys.
    """
    places = {**(claimed.places or {}), **(here.places if here is not None else {})}
    if connection.unread is None:
        connection.unread = Unread()
    room = connection.room.key if connection.room is not None else ""
    connection.unread.log_in(places, room, connection.first_shown)
    return places


def _say_new(connection: "Connection", places: Mapping[str, int]) -> None:
    """Tell how many of the lines are new that they were shown before it was known who they are."""
    assert connection.user.account is not None
    room, own = connection.room, connection.user.account.key
    if room is None or (place := places.get(room.key)) is None:
        return
    new = sum(
        row.event.line and not said_by(row.event, own)
        for row in room.log.between(max(place + 1, connection.first_shown), connection.live_from)
    )
    if new:
        lines = "line before Now is" if new == 1 else f"{new:,} lines before Now are"
        connection.notice(f"The last {lines} new to you.")


async def _bring(connection: Connection, account: Account, places: Mapping[str, int]) -> None:
    """Show what was left for the account, and tell what it missed."""
    chat = connection.chat
    await show_messages(connection, account)
    now = {room: chat.rooms[room].log.last_id for room in places if room in chat.rooms}
    await outcome(
        pager_of(connection).returned(places, account.name, _CaughtUp(connection, account.id, now))
    )


class _CaughtUp:
    """What *connection* missed is on its way to be told; see sendqueue.Letter.

    account: the id of theirs.
    places: up to where it has read each room when that is done, by their keys.
    """

    def __init__(self, connection: "Connection", account: int, places: dict[str, int]) -> None:
        self._connection = connection
        self._account = account
        self._places = places

    def taken(self) -> None:
        """They know; if they leave now, they have missed nothing."""
        user = self._connection.user
        if user.account is not None and user.account.id == self._account:
            # What they have read meanwhile, by another connection, they have read, too.
            markers = user.read_markers or {}
            later = {room: max(id, markers.get(room, 0)) for room, id in self._places.items()}
            user.read_markers = {**markers, **later}
            self._connection.chat.logins.save_users([user])

    def returned(self) -> None:
        """They do not: they are told when they come again."""


# -- claims


async def _take(connection: "Connection", key: str) -> int:
    """Claim the name with this *key*, whoever has it; return the connection that had it until now.

    Whenever the answer comes that nobody waits for any more, it is as if it had not been asked for.
    """
    chat = connection.chat
    answer: Deferred[int] = Deferred()

    def taken(holder: int) -> None:
        if answer.called or connection.over:
            _return(connection, key, holder)
        if not answer.called:
            answer.callback(holder)

    def failed(failure: Any) -> None:
        naming.release(connection, key)
        if not answer.called:
            answer.errback(failure)

    chat.claims.take(key, connection.user.origin).addCallback(taken).addErrback(failed)
    return await required(connection, answer)


def _return(connection: "Connection", key: str, holder: int) -> None:
    """The name with this *key* is that of who had it before it was taken, if they are there."""
    chat = connection.chat
    naming.release(connection, key)
    former = chat.holder(key, holder)
    if former is not None and former is not connection.user:
        chat.claims.claim(key, holder).addErrback(_not_claimed)


def _not_claimed(failure: Any) -> None:
    log.warn(
        "A name could not be given back: {error!r}", event="claim_not_returned", error=failure.value
    )
