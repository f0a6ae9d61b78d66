"""Commands about rooms."""

from typing import TYPE_CHECKING

from chatroom.actions import invitations, topics
from chatroom.actions import rooms as actions
from chatroom.actions.steps import announce, run_step
from chatroom.chat.room import Room
from chatroom.chat.user import User
from chatroom.commands import command
from chatroom.model.accounts import Account
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.prose import duration

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How many users /who names, and how many rooms /rooms lists.
MAX_NAMED = 200
MAX_LISTED = 50


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
    topics.set_topic(connection, room, "" if rest == "-" else names.clean_topic(rest))


@command("room", usage="[private|public|invite NAME|uninvite NAME|give NAME]", group="rooms")
def room(connection: "Connection", rest: str) -> None:
    """whose the room is, and who may enter it

    It belongs to who made it while logged in, or was given it, and they change
    that: /room private, public, invite NAME, uninvite NAME, give NAME. In a
    private room are only those who are invited, and they see what is said from
    then on. Who is in it when it becomes private is invited.
    """
    room = connection.here()
    word, _, name = rest.partition(" ")
    name = name.strip()
    match word.lower():
        case "":
            connection.notice(_access_to(connection, room))
        case "public" if not name:
            invitations.make_public(connection, room)
        case "private" if not name:
            invitations.make_private(connection, room)
        case "invite" if name:
            run_step(connection, _invite(connection, room, name))
        case "uninvite" if name:
            invitations.uninvite(connection, room, name)
            announce(connection, f"{name} is not invited any more.")
        case "give" if name:
            run_step(connection, _give(connection, room, name))
        case _:
            raise Refused(
                Code.USAGE, "Usage: /room [private|public|invite NAME|uninvite NAME|give NAME]"
            )


def _access_to(connection: "Connection", room: Room) -> str:
    """Return what `/room` says about who may enter *room*."""
    access = connection.chat.moderation.rooms.get(room.key)
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


async def _invite(connection: "Connection", room: Room, name: str) -> None:
    invited = await invitations.invite(connection, room, name)
    invitation = f"{connection.user.name} invites you to #{room.name}: /join {room.name}"
    if isinstance(invited, User):
        invited.notice(invitation)
        connection.notice(f"{invited.name} is invited as long as they are here.")
    else:
        announce(connection, f"{invited.name} is invited.")
        _tell_if_online(connection, invited, invitation)


async def _give(connection: "Connection", room: Room, name: str) -> None:
    owner = await invitations.give(connection, room, name)
    announce(connection, f"#{room.name} belongs to {owner.name} now.")
    _tell_if_online(connection, owner, f"{connection.user.name} has given you #{room.name}.")


def _tell_if_online(connection: "Connection", account: Account, text: str) -> None:
    user = connection.chat.logins.online.get(account.id)
    if user is not None:
        user.notice(text)


def _people(count: int) -> str:
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _last_said(spoken: float, now: float) -> str:
    return f"last line {duration(now - spoken)} ago" if spoken else "silent so far"
