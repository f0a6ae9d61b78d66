"""Private rooms: the owner of a room says who may enter it, and may give it to somebody else.

All functions raise Refused if the user of the connection neither owns the room nor is an operator.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from chatroom.actions.accounts import find
from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.model.accounts import Account
from chatroom.model.events import SERVER, Told
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import RoomAccess
from chatroom.text import names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How many accounts may be invited to one room.
MAX_INVITED = 200


def make_public(connection: "Connection", room: Room) -> None:
    """Let everybody enter *room*, and forget who was invited. Raises Refused."""
    access = _checked_access(connection, room)
    public = replace(access, private=False, invited=(), guests={})
    connection.chat.moderation.rooms.set(room.key, public)
    _tell(connection, room, f"{connection.user.name} has made the room public.")


def make_private(connection: "Connection", room: Room) -> None:
    """Let only invited users enter *room*; its members are invited. Raises Refused."""
    access = _checked_access(connection, room)
    invited = {id: (id, name, since) for id, name, since in access.invited}
    guests = {}
    for member in room.members.values():
        account = member.user.account
        if account is None:
            guests[member.origin] = 0
        elif account.id != access.owner:
            invited.setdefault(account.id, (account.id, member.name, 0))
    # There is no place for more.
    accounts = tuple(invited.values())[:MAX_INVITED]
    made = replace(access, private=True, invited=accounts, guests={**access.guests, **guests})
    connection.chat.moderation.rooms.set(room.key, made)
    _tell(connection, room, f"{connection.user.name} has made the room private.")


async def invite(connection: "Connection", room: Room, name: str) -> User | Account:
    """Invite the user called *name* to *room*. They see what is said from now on.

    Returns the guest, who is invited as long as they are here, or else the account. Raises Refused.
    """
    _checked_access(connection, room)
    chat = connection.chat
    guest = _guest_called(connection, name)
    if guest is not None:
        chat.moderation.invite_guests(room.key, {guest.origin: room.log.last_id + 1})
        return guest
    account = await _find(connection, room, name, "They have to be here for that.")
    access = _access(connection, room)
    if any(id == account.id for id, _, _ in access.invited):
        raise Refused(Code.ALREADY, f"{account.name} is invited already. /room says who is.")
    if len(access.invited) >= MAX_INVITED:
        raise Refused(
            Code.TOO_MANY,
            f"{MAX_INVITED} are invited already. /room uninvite NAME makes a place.",
        )
    one = (account.id, account.name, room.log.last_id + 1)
    chat.moderation.rooms.set(room.key, replace(access, invited=(*access.invited, one)))
    return account


def uninvite(connection: "Connection", room: Room, name: str) -> None:
    """Take back the invitation of the user called *name*. Raises Refused.

    The user leaves the room if it is private.
    """
    access = _checked_access(connection, room)
    moderation = connection.chat.moderation
    key = names.fold(name)
    user = connection.chat.people.get(key)
    left = tuple(one for one in access.invited if names.fold(one[1]) != key)
    guest = user is not None and user.origin in access.guests
    if left == access.invited and not guest:
        raise Refused(
            Code.NOTHING_FOUND, f"{name[: names.MAX_NAME]} is not invited. /room says who is."
        )
    now = replace(access, invited=left)
    if user is not None:
        now.guests.pop(user.origin, None)
        account = user.account.id if user.account is not None else 0
        stays = moderation.is_operator(user) or (now.visible_from(account, user.origin) is not None)
        if user.origin in room.members and not stays:
            user.notice(f"{connection.user.name} has taken back your invitation to #{room.name}.")
    moderation.rooms.set(room.key, now)


async def give(connection: "Connection", room: Room, name: str) -> Account:
    """Make the account called *name* the owner of *room*, and return it.

    The former owner of a private room is invited to it, the new one needs no invitation. Raises
    Refused.
    """
    _checked_access(connection, room)
    guest = _guest_called(connection, name)
    if guest is not None:
        raise Refused(
            Code.NO_SUCH_ACCOUNT,
            f"{guest.name} is a guest; a room is for who has a name. They can /register.",
        )
    account = await _find(connection, room, name, "They have to /register first.")
    access = _access(connection, room)
    invited = [one for one in access.invited if one[0] != account.id]
    if access.private and access.owner not in (0, account.id):
        invited.append((access.owner, access.name, 0))
    given = replace(access, owner=account.id, name=account.name, invited=tuple(invited))
    connection.chat.moderation.rooms.set(room.key, given)
    return account


def _checked_access(connection: "Connection", room: Room) -> RoomAccess:
    """Return the access to *room*. Raises Refused if the user may not change it."""
    chat, account = connection.chat, connection.user.account
    access = chat.moderation.rooms.get(room.key)
    owned = access is not None and account is not None and access.owner == account.id
    if not (owned or chat.moderation.is_operator(connection.user)):
        belongs = "It belongs to nobody; operators decide: /ops."
        if access is not None and access.owner:
            belongs = f"It belongs to {access.name}: /msg {access.name} TEXT asks them."
        raise Refused(Code.NOT_OWNER, f"#{room.name} is not yours. {belongs}")
    if room is chat.lobby:
        raise Refused(
            Code.PROTECTED,
            "The room that everybody enters first is everybody's. /join NAME makes another.",
        )
    return _access(connection, room)


def _access(connection: "Connection", room: Room) -> RoomAccess:
    return connection.chat.moderation.rooms.get(room.key) or RoomAccess(0, "nobody")


def _guest_called(connection: "Connection", name: str) -> User | None:
    """Return the guest who is here and has exactly this *name*, or None."""
    user = connection.chat.people.get(names.fold(name))
    return user if user is not None and user.account is None else None


async def _find(connection: "Connection", room: Room, name: str, otherwise: str) -> Account:
    """Return the account called *name*.

    Raises Refused if there is none, with the sentence *otherwise*, or if *room* is no more.
    """
    chat = connection.chat
    account = await find(connection, name, otherwise)
    if chat.rooms.get(room.key) is not room:
        raise Refused(Code.NO_SUCH_ROOM, f"#{room.name} is no more. /rooms lists those there are.")
    if account.id in chat.logins.removed:
        raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
    return account


def _tell(connection: "Connection", room: Room, text: str) -> None:
    connection.chat.submit(room, Told(connection.chat.clock.time(), SERVER, text))
