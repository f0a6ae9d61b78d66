"""Commands of those who keep order: whom they send away, or quiet, and when nobody may come."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from chatroom.actions.addressing import exactly
from chatroom.actions.steps import announce, required, run_step, tell_if_later
from chatroom.chat.rules import SOURCE_BAN
from chatroom.chat.user import User
from chatroom.commands import command
from chatroom.commands.people import checked_reason
from chatroom.model.accounts import Account
from chatroom.model.events import SERVER, Told
from chatroom.model.limits import LOCAL
from chatroom.model.networks import as_network
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Sanction
from chatroom.text import names
from chatroom.text.times import DAY, leading_span

if TYPE_CHECKING:
    from chatroom.chat.chat import Chat
    from chatroom.chat.connection import Connection

#: For how long, in seconds, somebody is muted if nobody says for how long.
MUTE = 3600.0

#: The longest time, in seconds, that a ban or a mute may be given.
LONGEST = 10 * 365 * DAY

#: How many orders of a kind there may be.
MAX_ORDERS = 10_000


# -- sending away


@command("kick", usage="NAME [REASON]", operator=True, in_full=True, group="moderation")
def kick(connection: "Connection", rest: str) -> None:
    """send somebody away, who may come back"""
    name, _, why = rest.partition(" ")
    why = checked_reason(why)
    people = _to_kick(connection.chat, name)
    if connection.user in people:
        raise Refused(Code.YOURSELF, "You cannot send yourself away. /quit leaves.")
    _spare_operators(connection, people[0])
    kicked = people[0].name
    for person in people:
        told = f"{connection.user.name} has sent you away{why and f': {why}'}."
        person.expel(told, "kicked", why)
    announce(connection, f"{kicked} is sent away.")
    connection.chat.moderation.record(connection, "kicked", kicked, why)


@command("ban", usage="WHOM [TIME] [REASON]", operator=True, in_full=True, group="moderation")
def ban(connection: "Connection", rest: str) -> None:
    """keep somebody away: for 30m, 12h, 7 days, or for good

    By name it is the account, and for 24 hours the address that they come from;
    of a guest it is only that. By address or network (192.0.2.0/24) it is all
    who come from there. This machine, proxies and operators are never banned.
    """
    target, _, rest = rest.partition(" ")
    length, why = _length_and_reason(rest)
    moderation = connection.chat.moderation
    given = len(moderation.account_bans.items()) + len(moderation.network_bans.items())
    if given >= MAX_ORDERS:
        raise Refused(Code.TOO_MANY, "There are too many bans. /bans lists them, /unban ends one.")
    network = as_network(target)
    if network is None:
        run_step(connection, _ban_name(connection, target, length, why))
        return
    now = connection.chat.clock.time()
    if spared := moderation.why_unbannable(network, connection.chat.connections.values()):
        raise Refused(Code.PROTECTED, f"Not banned: {spared}")
    order = Sanction(str(network), length and now + length, why, connection.user.name, now)
    moderation.network_bans.set(network, order)
    _note_ban(connection, order)


async def _ban_name(connection: "Connection", name: str, length: float, why: str) -> None:
    chat = connection.chat
    moderation = chat.moderation
    person, account = await _somebody(connection, name)
    now = chat.clock.time()
    if account is not None:
        if moderation.operators.get(account.id):
            raise Refused(
                Code.PROTECTED, f"{account.name} is an operator. /deop {account.name} comes first."
            )
        # Also of who is logged in and has another name for a moment yet, or only passes.
        person = next(iter(chat.users_of(account.id)), None)
    if person is not None:
        _spare_operators(connection, person)
    source = as_network(person.source) if person is not None else None
    spared: str | None = "it is this machine's."
    if source is not None:
        spared = moderation.why_unbannable(source, chat.connections.values())
    if account is None and spared is not None:
        raise Refused(
            Code.PROTECTED, f"A guest is banned by address, and {spared} /kick sends them away."
        )
    banned = _name_of(person, account)
    order = Sanction(banned, length and now + length, why, connection.user.name, now)
    shorter = Sanction(
        person.source if person is not None else "",
        now + min(length or SOURCE_BAN, SOURCE_BAN),
        why,
        connection.user.name,
        now,
        banned,
    )
    if account is not None:
        moderation.account_bans.set(account.id, order)
    else:
        assert person is not None
        order = replace(shorter, target=banned)
        # Not what holds for all who come from there.
        person.expel(f"You are banned{moderation.until(order)}.", "banned", why)
    if source is not None and spared is None:
        moderation.network_bans.set(source, shorter)
    _note_ban(connection, order)


def _note_ban(connection: "Connection", order: Sanction) -> None:
    moderation = connection.chat.moderation
    until = moderation.until(order)
    announce(connection, f"{order.target} is banned{until}.")
    moderation.record(connection, "banned", order.target, until.strip(" :"))


@command("unban", usage="WHOM", operator=True, group="moderation")
def unban(connection: "Connection", rest: str) -> None:
    """end a ban"""
    moderation = connection.chat.moderation
    key = names.fold(rest)
    network = as_network(rest)

    def meant(ban: Sanction) -> bool:
        return key in (names.fold(ban.target), ban.about and names.fold(ban.about))

    accounts = [found for found in moderation.account_bans.items() if meant(found[1])]
    networks = [
        found for found in moderation.network_bans.items() if meant(found[1]) or found[0] == network
    ]
    if not accounts and not networks:
        raise Refused(Code.NOTHING_FOUND, f"{rest[:60]} is not banned. /bans lists who is.")
    for id, _ in accounts:
        moderation.account_bans.remove(id)
    for banned, _ in networks:
        moderation.network_bans.remove(banned)
    for _, ban in (*accounts, *networks):
        announce(connection, f"{ban.target} is banned no more.")
    moderation.record(connection, "unbanned", rest[:60])


@command("bans", operator=True, group="moderation")
def bans(connection: "Connection", rest: str) -> None:
    """who is banned or muted, until when, by whom and why"""
    moderation = connection.chat.moderation
    bans = (moderation.account_bans, moderation.network_bans)
    mutes = (moderation.account_mutes, moderation.source_mutes)
    found = [("banned", ban) for table in bans for _, ban in table.items()]
    found += [("muted", mute) for table in mutes for _, mute in table.items()]
    found += [("muted", mute) for mute in moderation.muted_guests(connection.chat.people.values())]
    lines = [
        f"{order.target} is {state}"
        f"{moderation.until(order)} (by {order.by}{order.about and f', about {order.about}'})"
        for state, order in sorted(found, key=lambda one: one[1].time)
    ]
    if len(lines) > 50:
        lines = [f"... and {len(lines) - 50:,} before these.", *lines[-50:]]
    connection.notice("\n".join(lines) or "Nobody is banned or muted.")


# -- quiet


@command("mute", usage="NAME [TIME] [REASON]", operator=True, in_full=True, group="moderation")
def mute(connection: "Connection", rest: str) -> None:
    """let somebody read but not talk: for 30m, 12h, 7 days, or an hour"""
    name, _, rest = rest.partition(" ")
    length, why = _length_and_reason(rest)
    run_step(connection, _mute(connection, name, length or MUTE, why))


async def _mute(connection: "Connection", name: str, length: float, why: str) -> None:
    chat = connection.chat
    moderation = chat.moderation
    person, account = await _somebody(connection, name)
    if account is not None and moderation.operators.get(account.id):
        raise Refused(
            Code.PROTECTED, f"{account.name} is an operator. /deop {account.name} comes first."
        )
    if account is not None:
        # They may have logged in while the account was looked for.
        person = next(iter(chat.users_of(account.id)), None)
    if person is not None:
        _spare_operators(connection, person)
    muted = _name_of(person, account)
    now = chat.clock.time()
    order = Sanction(muted, now + length, why, connection.user.name, now)
    moderation.mute(person, account.id if account is not None else 0, order)
    until = moderation.until(order)
    if person is not None:
        person.notice(f"{connection.user.name} has muted you{until}.")
    announce(connection, f"{muted} is muted{until}.")
    if person is not None and person.source == LOCAL:
        announce(connection, "So is every guest who comes from this machine until then.")
    moderation.record(connection, "muted", muted, until.strip(" :"))


@command("unmute", usage="NAME", operator=True, group="moderation")
def unmute(connection: "Connection", rest: str) -> None:
    """let somebody talk again"""

    async def lift() -> None:
        person, account = await _somebody(connection, rest, gone=True)
        moderation = connection.chat.moderation
        if person is None and account is not None:
            person = next(iter(connection.chat.users_of(account.id)), None)
        name = account.name if account is not None else rest
        if not moderation.unmute(person, account.id if account is not None else 0, name):
            raise Refused(
                Code.NOTHING_FOUND, f"{name[: names.MAX_NAME]} is not muted. /bans lists who is."
            )
        if person is not None:
            person.notice("You may talk again.")
        announce(connection, f"{name} may talk again.")
        moderation.record(connection, "unmuted", name)

    run_step(connection, lift())


@command("close", usage="ROOM [REASON]", operator=True, in_full=True, group="moderation")
def close(connection: "Connection", rest: str) -> None:
    """close a room: what was said there is deleted

    Who is in it goes to the room that everybody enters first. Anybody may make
    a room of that name again, which is a new one.
    """
    chat = connection.chat
    name, _, why = rest.removeprefix("#").partition(" ")
    why = checked_reason(why)
    room = chat.rooms.get(names.fold(name))
    if room is None or room.closing:
        raise Refused(
            Code.NO_SUCH_ROOM, f"There is no room #{name[: names.MAX_NAME]}. /rooms lists them."
        )
    if room is chat.lobby:
        raise Refused(
            Code.PROTECTED,
            f"#{room.name} is where everybody enters. /lockdown on keeps guests out.",
        )
    told = f"{connection.user.name} has closed #{room.name}{why and f': {why}'}."
    connection.notice(f"#{room.name} is closed. Who is in it goes to #{chat.lobby.name}.")
    tell_if_later(connection)
    chat.moderation.record(connection, "closed", f"#{room.name}", why)
    chat.close_room(room, told)


@command("announce", usage="TEXT", operator=True, in_full=True, group="moderation")
def announce_to_all(connection: "Connection", rest: str) -> None:
    """say something in all rooms"""
    _tell_all(connection, f"{connection.user.name} announces: {rest}")
    connection.chat.moderation.record(connection, "announced", "", rest)


@command("lockdown", usage="[on|off]", operator=True, in_full=True, group="moderation")
def lockdown(connection: "Connection", rest: str) -> None:
    """let only registered people enter and talk, and nobody register"""
    moderation = connection.chat.moderation
    word = rest.lower()
    if word not in ("", "on", "off"):
        raise Refused(Code.USAGE, "Usage: /lockdown on or /lockdown off")
    if not word or (word == "on") is moderation.locked:
        state = "on: only registered people enter and talk" if moderation.locked else "off"
        connection.notice(f"The lockdown is {state}.")
        return
    if word == "on":
        now = connection.chat.clock.time()
        moderation.lockdown.set("", Sanction("", 0.0, "", connection.user.name, now))
        _tell_all(connection, "From now on only registered people enter and talk.")
    else:
        moderation.lockdown.remove("")
        _tell_all(connection, "Everybody may enter and talk again.")
    moderation.record(connection, f"switched the lockdown {word}")


# -- what these have in common


async def _somebody(
    connection: "Connection", name: str, *, gone: bool = False
) -> tuple[User | None, Account | None]:
    """Who is called *name*: the connection and the account, of which one may be None.

    Raises Refused if there is neither, unless *gone*.
    """
    chat = connection.chat
    key = names.fold(name)
    person = chat.people.get(key)

    if person is not None:
        # A guest who has somebody's name is not that somebody.
        account = person.account
    else:
        account = await required(connection, chat.logins.accounts.find(key))
    if not chat.moderation.is_operator(connection.user):
        raise Refused(Code.NOT_OPERATOR, "You are no operator any more. /ops lists who is.")
    if person is None and account is None and not gone:
        shown = names.clean(name)[: names.MAX_NAME]
        text = f"Nobody here is called {shown}, and nobody has registered that."
        raise Refused(Code.NO_SUCH_USER, f"{text} /who lists who is in your room.")
    return person, account


def _name_of(person: User | None, account: Account | None) -> str:
    """Return the name of what `_somebody` has found."""
    if account is not None:
        return account.name
    assert person is not None
    return person.name


def _to_kick(chat: "Chat", name: str) -> list[User]:
    """Return who has this *name*, with those who are here by it for one command alone.

    Raises Refused if nobody is.
    """
    key = names.fold(name)
    if key not in chat.people:
        # Who is here for one command is found by their name nowhere else.
        for id in chat.logins.connections:
            users = chat.users_of(id)
            if users and users[0].account is not None and users[0].account.key == key:
                return users
    person = exactly(chat, name)
    return chat.users_of(person.account.id) if person.account is not None else [person]


def _spare_operators(connection: "Connection", person: User) -> None:
    if connection.chat.moderation.is_operator(person):
        raise Refused(
            Code.PROTECTED, f"{person.name} is an operator. /deop {person.name} comes first."
        )


def _length_and_reason(text: str) -> tuple[float, str]:
    """How long, in seconds (0 if that is not said), and why. Raises Refused."""
    text = text.strip()
    length, why = leading_span(text)
    # What was meant as a time and is none must not become a reason, and the ban one for good.
    if length == 0 or (length is None and re.match("[-+.]?[0-9]", why)):
        shown = text.split()[0][: names.MAX_NAME]
        raise Refused(
            Code.BAD_VALUE, f"{shown} is no time. A time is 30m, 90 min, 12h, 1d12h or 7 days."
        )
    if length is not None and length > LONGEST:
        raise Refused(
            Code.BAD_VALUE, "A time is 10 years at most. Without a time, /ban is for good."
        )
    return length or 0.0, checked_reason(why)


def _tell_all(connection: "Connection", text: str) -> None:
    chat = connection.chat
    for room in list(chat.rooms.values()):
        if room.listed and room.members:
            chat.submit(room, Told(chat.clock.time(), SERVER, text))
