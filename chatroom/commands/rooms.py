"""Commands about rooms."""

from dataclasses import replace
from typing import TYPE_CHECKING

from chatroom.actions import rooms as actions
from chatroom.actions.accounts import find
from chatroom.actions.steps import announce, run_step
from chatroom.chat.room import Room
from chatroom.commands import command
from chatroom.model.events import SERVER, Told, TopicSet
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import RoomAccess
from chatroom.text import names
from chatroom.text.prose import duration

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How many people /who names and how many rooms /rooms lists.
MAX_NAMED = 200
MAX_LISTED = 50

#: How many people may be invited to one room.
MAX_INVITED = 200


@command("join", "j", usage="ROOM", group="rooms")
def join(connection: "Connection", rest: str) -> None:
    """show another room, which is made if there is none

    You stay in the rooms that you have joined, until /part. /rooms says what is
    new in them; a line there that names you is shown at once.
    """
    actions.join(connection, rest)


@command("part", "leave", usage="[ROOM]", group="rooms")
def part(connection: "Connection", rest: str) -> None:
    """leave a room: the one that you see, or /part ROOM"""
    actions.part(connection, rest)


@command("rooms", "list", group="rooms")
def rooms(connection: "Connection", rest: str) -> None:
    """which rooms there are, and what is new in yours"""
    chat, joined = connection.chat, connection.user.rooms
    listed = chat.rooms_of(connection)
    # Those that the user is in are not cut off.
    listed.sort(key=lambda room: (room.key not in joined, -len(room.members), room.name))
    news = {one.room: one for one in actions.unread(connection)}
    shown = [_row(connection, room, news.get(room)) for room in listed[:MAX_LISTED]]
    if len(listed) > MAX_LISTED:
        shown.append(f"... and {len(listed) - MAX_LISTED:,} more.")
    connection.notice("\n".join(shown))


def _row(connection: "Connection", room: Room, news: actions.UnreadRoom | None) -> str:
    """Return what `/rooms` says of *room*."""
    chat = connection.chat
    facts = [_people(len(room.members)), _last_said(room.log.spoken, chat.clock.time())]
    if news is not None:
        facts.append(news.new)
    elif room is connection.room:
        facts.append("you are here")
    elif room.key in connection.user.rooms:
        facts.append("joined")
    access = chat.moderation.rooms.get(room.key)
    private = "  (private)" if access is not None and access.private else ""
    return f"#{room.name}  {', '.join(facts)}{private}{room.topic and f'  {room.topic}'}"


@command("who", "names", usage="[ROOM]", group="rooms")
def who(connection: "Connection", rest: str) -> None:
    """who is in your room, or in another"""
    chat = connection.chat
    room = chat.find_room(rest, connection) if rest else connection.here()
    people = sorted(room.members.values(), key=lambda member: names.fold(member.name))
    shown = []
    for member in people[:MAX_NAMED]:
        away = " (away)" if member.user.away is not None else ""
        shown.append(member.name + away)
    more = len(people) - len(shown)
    listed = ", ".join(shown) + (f" and {more:,} others" if more else "")
    answer = f"{_people(len(people))} in #{room.name}" + (f": {listed}" if shown else "")
    connection.notice(answer)


@command("topic", usage="[TEXT]", group="rooms")
def topic(connection: "Connection", rest: str) -> None:
    """what the room is about, or say it: /topic TEXT

    /topic - clears it.
    """
    room = connection.here()
    if not rest:
        about = f"is about: {room.topic}" if room.topic else "has no topic. /topic TEXT sets one."
        connection.notice(f"#{room.name} {about}")
        return
    if (why := connection.chat.moderation.why_muted(connection)) is not None:
        raise Refused(Code.MUTED, why)
    text = "" if rest == "-" else names.clean_topic(rest)
    if (member := room.members.get(connection.user.origin)) is not None:
        connection.chat.announcer(room).spoke(member)
    event = TopicSet(
        connection.chat.clock.time(),
        connection.origin,
        connection.user.name,
        text,
        user=connection.user.id,
    )
    connection.submit(room, event)


@command("room", usage="[private|public|invite NAME|uninvite NAME|give NAME]", group="rooms")
def room(connection: "Connection", rest: str) -> None:
    """whose the room is, and who may enter it

    It belongs to who made it while logged in, or was given it, and they change
    that: /room private, public, invite NAME, uninvite NAME, give NAME. In a
    private room are only those who are invited, and they see what is said from
    then on. Who is in it when it becomes private is invited.
    """
    chat = connection.chat
    room = connection.here()
    moderation = chat.moderation
    access = moderation.rooms.get(room.key)
    word, _, name = rest.partition(" ")
    word, name = word.lower(), name.strip()
    if not word:
        connection.notice(_state(connection, room, access))
        return
    if word not in ("private", "public", "invite", "uninvite", "give") or (
        bool(name) is (word in ("private", "public"))
    ):
        raise Refused(
            Code.USAGE, "Usage: /room [private|public|invite NAME|uninvite NAME|give NAME]"
        )
    theirs = access and connection.user.account and access.owner == connection.user.account.id
    if not (theirs or moderation.is_operator(connection.user)):
        belongs = "It belongs to nobody; operators decide: /ops."
        if access and access.owner:
            belongs = f"It belongs to {access.name}: /msg {access.name} TEXT asks them."
        raise Refused(Code.NOT_OWNER, f"#{room.name} is not yours. {belongs}")
    if room is chat.lobby:
        raise Refused(
            Code.PROTECTED,
            "The room that everybody enters first is everybody's. /join NAME makes another.",
        )
    access = access or RoomAccess(0, "nobody")
    if word == "public":
        moderation.rooms.set(room.key, replace(access, private=False, invited=(), guests={}))
        _tell(connection, room, f"{connection.user.name} has made the room public.")
    elif word == "private":
        _make_private(connection, room, access)
    elif word == "uninvite":
        _uninvite(connection, room, access, name)
    else:
        _invite_or_give(connection, room, word, name)


def _state(connection: "Connection", room: Room, access: RoomAccess | None) -> str:
    if access is None:
        return f"#{room.name} belongs to nobody: everybody may enter."
    shown = f"#{room.name} belongs to {access.name}"
    if not access.private:
        return f"{shown}: everybody may enter."
    invited = {name for _, name, _ in access.invited}
    connections = connection.chat.connections
    invited |= {connections[id].user.name for id in access.guests if id in connections}
    listed = ", ".join(sorted(invited, key=names.fold))
    return f"{shown}, and is private. Invited: {listed or 'nobody'}."


def _make_private(connection: "Connection", room: Room, access: RoomAccess) -> None:
    chat = connection.chat
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
    chat.moderation.rooms.set(room.key, made)
    _tell(connection, room, f"{connection.user.name} has made the room private.")


def _uninvite(connection: "Connection", room: Room, access: RoomAccess, name: str) -> None:
    chat = connection.chat
    key = names.fold(name)
    person = chat.people.get(key)
    left = tuple(one for one in access.invited if names.fold(one[1]) != key)
    guest = person is not None and person.origin in access.guests
    if left == access.invited and not guest:
        raise Refused(
            Code.NOTHING_FOUND, f"{name[: names.MAX_NAME]} is not invited. /room says who is."
        )
    now = replace(access, invited=left)
    if person is not None:
        now.guests.pop(person.origin, None)
        account = person.account.id if person.account is not None else 0
        stays = chat.moderation.is_operator(person) or (
            now.visible_from(account, person.origin) is not None
        )
        if person.origin in room.members and not stays:
            person.notice(f"{connection.user.name} has taken back your invitation to #{room.name}.")
    chat.moderation.rooms.set(room.key, now)
    announce(connection, f"{name} is not invited any more.")


def _invite_or_give(connection: "Connection", room: Room, word: str, name: str) -> None:
    chat = connection.chat
    moderation = chat.moderation
    person = chat.people.get(names.fold(name))

    async def to(otherwise: str) -> None:
        account = await find(connection, name, otherwise)
        if chat.rooms.get(room.key) is not room:
            raise Refused(
                Code.NO_SUCH_ROOM, f"#{room.name} is no more. /rooms lists those there are."
            )
        if account.id in chat.logins.removed:
            raise Refused(Code.NO_SUCH_ACCOUNT, f"{account.name} is not registered any more.")
        access = moderation.rooms.get(room.key) or RoomAccess(0, "nobody")
        told = chat.logins.online.get(account.id)
        if word == "give":
            # Whoever had it stays; who has it needs no invitation.
            invited = [one for one in access.invited if one[0] != account.id]
            if access.private and access.owner not in (0, account.id):
                invited.append((access.owner, access.name, 0))
            given = replace(access, owner=account.id, name=account.name, invited=tuple(invited))
            moderation.rooms.set(room.key, given)
            announce(connection, f"#{room.name} belongs to {account.name} now.")
            if told is not None:
                told.notice(f"{connection.user.name} has given you #{room.name}.")
            return
        if any(id == account.id for id, _, _ in access.invited):
            raise Refused(Code.ALREADY, f"{account.name} is invited already. /room says who is.")
        if len(access.invited) >= MAX_INVITED:
            raise Refused(
                Code.TOO_MANY,
                f"{MAX_INVITED} are invited already. /room uninvite NAME makes a place.",
            )
        one = (account.id, account.name, room.log.last_id + 1)
        moderation.rooms.set(room.key, replace(access, invited=(*access.invited, one)))
        announce(connection, f"{account.name} is invited.")
        if told is not None:
            told.notice(f"{connection.user.name} invites you to #{room.name}: /join {room.name}")

    if person is not None and person.account is None:
        if word == "give":
            raise Refused(
                Code.NO_SUCH_ACCOUNT,
                f"{person.name} is a guest; a room is for who has a name. They can /register.",
            )
        moderation.invite_guests(room.key, {person.origin: room.log.last_id + 1})
        person.notice(f"{connection.user.name} invites you to #{room.name}: /join {room.name}")
        connection.notice(f"{person.name} is invited as long as they are here.")
    else:
        first = (
            "They have to /register first." if word == "give" else "They have to be here for that."
        )
        run_step(connection, to(first))


def _tell(connection: "Connection", room: Room, text: str) -> None:
    connection.chat.submit(room, Told(connection.chat.clock.time(), SERVER, text))


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _last_said(spoken: float, now: float) -> str:
    return f"last line {duration(now - spoken)} ago" if spoken else "silent so far"
