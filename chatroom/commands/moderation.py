"""Commands of operators: to disconnect, ban and mute users, and to close rooms and the server."""

import re
from typing import TYPE_CHECKING

from chatroom.actions import closing, sanctions
from chatroom.actions.reasons import check_reason
from chatroom.actions.steps import announce, run_step, tell_if_later
from chatroom.commands import command
from chatroom.model.networks import as_network
from chatroom.model.refused import Code, Refused
from chatroom.model.sanctions import Sanction
from chatroom.text import names
from chatroom.text.times import DAY, leading_span

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection

#: How long a mute lasts if the operator gives no time.
MUTE_SECONDS = 3600.0

#: The longest time that a ban or a mute may be given.
LONGEST_SECONDS = 10 * 365 * DAY


# -- bans


@command("kick", usage="NAME [REASON]", operator=True, in_full=True, group="moderation")
def kick(connection: "Connection", rest: str) -> None:
    """send somebody away, who may come back"""
    name, _, why = rest.partition(" ")
    kicked, written = sanctions.kick(connection, name, why.strip())
    announce(connection, f"{kicked} is sent away.", written)


@command("ban", usage="WHOM [TIME] [REASON]", operator=True, in_full=True, group="moderation")
def ban(connection: "Connection", rest: str) -> None:
    """keep somebody away: for 30m, 12h, 7 days, or for good

    By name it is the account, and for 24 hours the address that they come from;
    of a guest it is only that. By address or network (192.0.2.0/24) it is all
    who come from there. This machine, proxies and operators are never banned.
    """
    target, _, rest = rest.partition(" ")
    length, why = _length_and_reason(rest)
    network = as_network(target)
    if network is not None:
        _announce_ban(connection, sanctions.ban_network(connection, network, length, why))
        return

    async def ban_by_name() -> None:
        _announce_ban(connection, await sanctions.ban(connection, target, length, why))

    run_step(connection, ban_by_name())


def _announce_ban(connection: "Connection", ban: Sanction) -> None:
    announce(connection, f"{ban.target} is banned{connection.chat.moderation.until(ban)}.")


@command("unban", usage="WHOM", operator=True, group="moderation")
def unban(connection: "Connection", rest: str) -> None:
    """end a ban"""
    for ban in sanctions.unban(connection, rest, as_network(rest)):
        announce(connection, f"{ban.target} is banned no more.")


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


# -- mutes


@command("mute", usage="NAME [TIME] [REASON]", operator=True, in_full=True, group="moderation")
def mute(connection: "Connection", rest: str) -> None:
    """let somebody read but not talk: for 30m, 12h, 7 days, or an hour"""
    name, _, rest = rest.partition(" ")
    length, why = _length_and_reason(rest)

    async def mute_by_name() -> None:
        order, local = await sanctions.mute(connection, name, length or MUTE_SECONDS, why)
        until = connection.chat.moderation.until(order)
        announce(connection, f"{order.target} is muted{until}.")
        if local:
            announce(connection, "So is every guest who comes from this machine until then.")

    run_step(connection, mute_by_name())


@command("unmute", usage="NAME", operator=True, group="moderation")
def unmute(connection: "Connection", rest: str) -> None:
    """let somebody talk again"""

    async def unmute_by_name() -> None:
        name = await sanctions.unmute(connection, rest)
        announce(connection, f"{name} may talk again.")

    run_step(connection, unmute_by_name())


@command("close", usage="ROOM [REASON]", operator=True, in_full=True, group="moderation")
def close(connection: "Connection", rest: str) -> None:
    """close a room: what was said there is deleted

    Its users leave it, and see another of their rooms. Anybody may make
    a room of that name again, which is a new one.
    """
    chat = connection.chat
    name, _, why = rest.removeprefix("#").partition(" ")
    why = why.strip()
    check_reason(why)
    room = closing.find_room_to_close(chat, name)
    connection.notice(f"#{room.name} is closed, and its users leave it.")
    tell_if_later(connection)
    closing.close_room(connection, room, why)


@command("announce", usage="TEXT", operator=True, in_full=True, group="moderation")
def announce_to_all(connection: "Connection", rest: str) -> None:
    """say something in all rooms"""
    closing.announce_to_all(connection, rest)


@command("lockdown", usage="[on|off]", operator=True, in_full=True, group="moderation")
def lockdown(connection: "Connection", rest: str) -> None:
    """let only registered people enter and talk, and nobody register"""
    locked = connection.chat.moderation.locked
    match rest.lower():
        case "on" if not locked:
            closing.lock_down(connection)
        case "off" if locked:
            closing.end_lockdown(connection)
        case "" | "on" | "off":
            state = "on: only registered people enter and talk" if locked else "off"
            connection.notice(f"The lockdown is {state}.")
        case _:
            raise Refused(Code.USAGE, "Usage: /lockdown on or /lockdown off")


# -- what was typed


def _length_and_reason(text: str) -> tuple[float, str]:
    """Return the seconds, 0 if no time was typed, and the reason. Raises Refused."""
    text = text.strip()
    length, why = leading_span(text)
    # What was meant as a time and is none must not become a reason, and the ban one for good.
    if length == 0 or (length is None and re.match("[-+.]?[0-9]", why)):
        shown = text.split()[0][: names.MAX_NAME]
        raise Refused(
            Code.BAD_VALUE, f"{shown} is no time. A time is 30m, 90 min, 12h, 1d12h or 7 days."
        )
    if length is not None and length > LONGEST_SECONDS:
        raise Refused(
            Code.BAD_VALUE, "A time is 10 years at most. Without a time, /ban is for good."
        )
    return length or 0.0, why.strip()
