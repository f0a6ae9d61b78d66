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
    from chatroom.chat.session import Session

#: How many people /who names and how many rooms /rooms lists.
MAX_NAMED = 200
MAX_LISTED = 50

#: How many people may be invited to one room.
MAX_INVITED = 200


@command("join", "j", usage="ROOM", group="rooms")
def join(session: "Session", rest: str) -> None:
    """show another room, which is made if there is none

    You stay in the rooms that you have joined, until /part. /rooms says what is
    new in them; a line there that names you is shown at once.
    """
    actions.join(session, rest)


@command("part", "leave", usage="[ROOM]", group="rooms")
def part(session: "Session", rest: str) -> None:
    """leave a room: the one that you see, or /part ROOM"""
    actions.part(session, rest)


@command("rooms", "list", group="rooms")
def rooms(session: "Session", rest: str) -> None:
    """which rooms there are, and what is new in yours"""
    chat, joined = session.chat, session.user.rooms
    listed = chat.rooms_of(session)
    # Those that the user is in are not cut off.
    listed.sort(key=lambda room: (room.key not in joined, -len(room.members), room.name))
    news = {one.room: one for one in actions.unread(session)}
    shown = [_row(session, room, news.get(room)) for room in listed[:MAX_LISTED]]
    if len(listed) > MAX_LISTED:
        shown.append(f"... and {len(listed) - MAX_LISTED:,} more.")
    session.notice("\n".join(shown))


def _row(session: "Session", room: Room, news: actions.UnreadRoom | None) -> str:
    """Return what `/rooms` says of *room*."""
    chat = session.chat
    facts = [_people(len(room.members)), _last_said(room.log.spoken, chat.clock.time())]
    if news is not None:
        facts.append(news.new)
    elif room is session.room:
        facts.append("you are here")
    elif room.key in session.user.rooms:
        facts.append("joined")
    access = chat.moderation.rooms.get(room.key)
    private = "  (private)" if access is not None and access.private else ""
    return f"#{room.name}  {', '.join(facts)}{private}{room.topic and f'  {room.topic}'}"


@command("who", "names", usage="[ROOM]", group="rooms")
def who(session: "Session", rest: str) -> None:
    """who is in your room, or in another"""
    chat = session.chat
    room = chat.find_room(rest, session) if rest else session.here()
    people = sorted(room.members.values(), key=lambda member: names.fold(member.name))
    shown = []
    for member in people[:MAX_NAMED]:
        away = " (away)" if member.user.away is not None else ""
        shown.append(member.name + away)
    more = len(people) - len(shown)
    listed = ", ".join(shown) + (f" and {more:,} others" if more else "")
    answer = f"{_people(len(people))} in #{room.name}" + (f": {listed}" if shown else "")
    session.notice(answer)


@command("topic", usage="[TEXT]", group="rooms")
def topic(session: "Session", rest: str) -> None:
    """what the room is about, or say it: /topic TEXT

    /topic - clears it.
    """
    room = session.here()
    if not rest:
        about = f"is about: {room.topic}" if room.topic else "has no topic. /topic TEXT sets one."
        session.notice(f"#{room.name} {about}")
        return
    if (why := session.chat.moderation.why_muted(session)) is not None:
        raise Refused(Code.MUTED, why)
    text = "" if rest == "-" else names.clean_topic(rest)
    if (member := room.members.get(session.user.origin)) is not None:
        session.chat.announcer(room).spoke(member)
    event = TopicSet(
        session.chat.clock.time(), session.origin, session.user.name, text, user=session.user.id
    )
    session.submit(room, event)


@command("room", usage="[private|public|invite NAME|uninvite NAME|give NAME]", group="rooms")
def room(session: "Session", rest: str) -> None:
    """whose the room is, and who may enter it

    It belongs to who made it while logged in, or was given it, and they change
    that: /room private, public, invite NAME, uninvite NAME, give NAME. In a
    private room are only those who are invited, and they see what is said from
    then on. Who is in it when it becomes private is invited.
    """
    chat = session.chat
    room = session.here()
    moderation = chat.moderation
    access = moderation.rooms.get(room.key)
    word, _, name = rest.partition(" ")
    word, name = word.lower(), name.strip()
    if not word:
        session.notice(_state(session, room, access))
        return
    if word not in ("private", "public", "invite", "uninvite", "give") or (
        bool(name) is (word in ("private", "public"))
    ):
        raise Refused(
            Code.USAGE, "Usage: /room [private|public|invite NAME|uninvite NAME|give NAME]"
        )
    theirs = access and session.user.account and access.owner == session.user.account.id
    if not (theirs or moderation.is_operator(session.user)):
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
        _tell(session, room, f"{session.user.name} has made the room public.")
    elif word == "private":
        _make_private(session, room, access)
    elif word == "uninvite":
        _uninvite(session, room, access, name)
    else:
        _invite_or_give(session, room, word, name)


def _state(session: "Session", room: Room, access: RoomAccess | None) -> str:
    if access is None:
        return f"#{room.name} belongs to nobody: everybody may enter."
    shown = f"#{room.name} belongs to {access.name}"
    if not access.private:
        return f"{shown}: everybody may enter."
    invited = {name for _, name, _ in access.invited}
    sessions = session.chat.sessions
    invited |= {sessions[id].user.name for id in access.guests if id in sessions}
    listed = ", ".join(sorted(invited, key=names.fold))
    return f"{shown}, and is private. Invited: {listed or 'nobody'}."


def _make_private(session: "Session", room: Room, access: RoomAccess) -> None:
    chat = session.chat
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
    _tell(session, room, f"{session.user.name} has made the room private.")


def _uninvite(session: "Session", room: Room, access: RoomAccess, name: str) -> None:
    chat = session.chat
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
            person.notice(f"{session.user.name} has taken back your invitation to #{room.name}.")
    chat.moderation.rooms.set(room.key, now)
    announce(session, f"{name} is not invited any more.")


def _invite_or_give(session: "Session", room: Room, word: str, name: str) -> None:
    chat = session.chat
    moderation = chat.moderation
    person = chat.people.get(names.fold(name))

    async def to(otherwise: str) -> None:
        account = await find(session, name, otherwise)
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
            announce(session, f"#{room.name} belongs to {account.name} now.")
            if told is not None:
                told.notice(f"{session.user.name} has given you #{room.name}.")
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
        announce(session, f"{account.name} is invited.")
        if told is not None:
            told.notice(f"{session.user.name} invites you to #{room.name}: /join {room.name}")

    if person is not None and person.account is None:
        if word == "give":
            raise Refused(
                Code.NO_SUCH_ACCOUNT,
                f"{person.name} is a guest; a room is for who has a name. They can /register.",
            )
        moderation.invite_guests(room.key, {person.origin: room.log.last_id + 1})
        person.notice(f"{session.user.name} invites you to #{room.name}: /join {room.name}")
        session.notice(f"{person.name} is invited as long as they are here.")
    else:
        first = (
            "They have to /register first." if word == "give" else "They have to be here for that."
        )
        run_step(session, to(first))


def _tell(session: "Session", room: Room, text: str) -> None:
    session.chat.submit(room, Told(session.chat.clock.time(), SERVER, text))


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _last_said(spoken: float, now: float) -> str:
    return f"last line {duration(now - spoken)} ago" if spoken else "silent so far"
