"""Commands about users: their names, being away, ignoring others, leaving."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from chatroom.actions import away as actions
from chatroom.actions import ignoring, naming
from chatroom.actions.addressing import with_person
from chatroom.actions.reasons import MAX_REASON
from chatroom.actions.steps import announce
from chatroom.chat.user import User
from chatroom.commands import command
from chatroom.model.accounts import Account
from chatroom.text import names
from chatroom.text.prose import duration, enumerate_names

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection


@command("nick", "name", usage="NEWNAME", group="people")
def nick(connection: "Connection", rest: str) -> None:
    """pick another name

    A name has 1 to 24 letters, digits, _ and -, and begins with a letter.
    """
    name, _, code = rest.partition(" ")
    if code and connection.chat.moderation.is_reserved(name):
        naming.pick(connection, name, code.strip())
    else:
        naming.pick(connection, rest)


@command("whois", usage="NAME", group="people")
def whois(connection: "Connection", rest: str) -> None:
    """where somebody is, since when, and whether away"""
    with_person(connection, rest, lambda person: _show(connection, person))


def _show(connection: "Connection", person: User) -> None:
    """Tell *connection* about *person*."""
    now = connection.chat.clock.seconds()
    chat = connection.chat
    facts = ["logged in"] if person.account is not None else []
    facts.append(f"here for {duration(now - person.opened)}")
    visible = [
        f"#{room.name}"
        for room in chat.rooms_with(person)
        if chat.moderation.visible_from(connection.user, room.key) is not None
    ]
    if visible:
        facts.insert(0, f"in {enumerate_names(visible, len(visible))}")
    facts.append(f"idle for {duration(now - person.active)}")
    if person.away is not None:
        facts.append(f"away: {person.away}" if person.away else "away")
    if chat.moderation.is_operator(connection.user):
        places = list(dict.fromkeys(one.client.place for one in chat.connections_by(person)))
        facts.append(f"from {enumerate_names(places, len(places))}")
    connection.notice(f"{person.name} is {', '.join(facts)}.")


@command("ignore", "block", usage="[NAME]", group="people")
def ignore(connection: "Connection", rest: str) -> None:
    """do not show what somebody says; alone: whom you ignore

    They are not told. Of a guest it holds until they or you leave. If they are
    registered it holds wherever they come from, here or not; for good if you
    are logged in. What /history and /search show is without their lines, too.
    """
    if not rest:
        listed = sorted(ignoring.ignored_names(connection), key=names.fold)
        connection.notice(f"You ignore {', '.join(listed)}." if listed else "You ignore nobody.")
        return

    def here(person: User) -> None:
        ignored(person.name, ignoring.ignore(connection, person))

    async def absent(account: Account) -> None:
        ignored(account.name, ignoring.ignore_account(connection, account))

    def ignored(name: str, kept: "Deferred[bool]") -> None:
        announce(connection, f"You ignore {name}. /unignore {name} ends it.", kept)

    with_person(connection, rest, here, absent)


@command("unignore", "unblock", usage="NAME", group="people")
def unignore(connection: "Connection", rest: str) -> None:
    """show what somebody says again"""
    name, kept = ignoring.unignore(connection, rest)
    announce(connection, f"You see what {name} says again.", kept)


@command("away", "afk", usage="[TEXT]", group="people")
def away(connection: "Connection", rest: str) -> None:
    """tell those who message you that you are away"""
    actions.go_away(connection, rest)
    connection.notice("You are away. /back says that you are here again.")


@command("back", "unaway", group="people")
def back(connection: "Connection", rest: str) -> None:
    """you are here again"""
    actions.come_back(connection)
    connection.notice("You are back.")


@command("quit", "exit", "bye", usage="[TEXT]", in_full=True, group="people")
def quit(connection: "Connection", rest: str) -> None:
    """leave, with a last word"""
    silenced = connection.chat.moderation.why_muted(connection) is not None
    connection.notice("Good-bye.")
    connection.end("" if silenced else rest[:MAX_REASON])
