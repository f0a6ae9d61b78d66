"""Commands about people: names, who is here, being away, being left alone."""

from typing import TYPE_CHECKING

from chatroom import ignoring, names, naming
from chatroom.accounts import MAX_IGNORED
from chatroom.chat import Refused
from chatroom.commands import command
from chatroom.formats import duration

if TYPE_CHECKING:
    from chatroom.session import Session

#: How long a reason or an away text may be, in characters.
MAX_REASON = 200


@command("nick", "name", usage="NEWNAME")
def nick(session: "Session", rest: str) -> None:
    """pick another name

    A name has 1 to 24 letters, digits, _ and -, and begins with a letter.
    """
    if session.account is not None:
        raise Refused(f"You are logged in as {session.name}. /logout makes you a guest again.")
    try:
        name = names.check_name(rest)
    except names.NameRefused as error:
        raise Refused(f"{error} You are still {session.name}.") from None
    if session.chat.moderation.is_reserved(name) and not session.claimed:
        raise Refused(f"{name} is kept for an operator. You are still {session.name}.")
    if names.is_reserved(name):
        raise Refused(f"{name} is reserved. You are still {session.name}.")
    if name == session.name:
        raise Refused(f"You are {name} already.")
    naming.rename(session, name)


@command("whois", usage="NAME")
def whois(session: "Session", rest: str) -> None:
    """where somebody is, since when, and whether away"""
    person = session.chat.find(rest)
    now = session.chat.clock.seconds()
    facts = ["logged in"] if person.account is not None else []
    facts.append(f"here for {duration(now - person.opened)}")
    moderation = session.chat.moderation
    if person.room.listed and moderation.since(session, person.room.key) is not None:
        facts.insert(0, f"in #{person.room.name}")
    facts.append(f"idle for {duration(now - person.active)}")
    if person.away is not None:
        facts.append(f"away: {person.away}" if person.away else "away")
    if moderation.keeps_order(session):
        facts.append(f"from {person.connection.place}")
    session.notice(f"{person.name} is {', '.join(facts)}.")


@command("ignore", "block", usage="[NAME]")
def ignore(session: "Session", rest: str) -> None:
    """do not show what somebody says; alone: whom you ignore

    They are not told. Of a guest it holds until they or you leave. If they are
    logged in it holds wherever they come from, and if you are, for good.
    """
    me = session.chat.registry.present(session)
    if not rest:
        chat = session.chat
        ignores = me.preferences.ignores
        here = [
            person.name
            for origin in me.ignored or ()
            if (person := chat.sessions.get(origin)) is not None
            and (person.account is None or person.account.id not in ignores)
        ]
        here = sorted([*here, *ignores.values()], key=names.fold)
        session.notice(f"You ignore {', '.join(here)}." if here else "You ignore nobody.")
        return
    person = session.chat.find(rest)
    if person is me:
        raise Refused("You cannot ignore yourself.")
    if len(me.preferences.ignores) >= MAX_IGNORED:
        raise Refused(f"You ignore {MAX_IGNORED} people already.")
    if me.passing and (me.account is None or person.account is None):
        raise Refused(f"{person.name} would be ignored as long as this command lasts.")
    ignoring.ignore(me, person)
    session.notice(f"You ignore {person.name}. /unignore {person.name} ends it.")


@command("unignore", "unblock", usage="NAME")
def unignore(session: "Session", rest: str) -> None:
    """show what somebody says again"""
    me = session.chat.registry.present(session)
    key = names.fold(rest)
    ignores = me.preferences.ignores.values()
    known = next((name for name in ignores if names.fold(name) == key), None)
    # Who is ignored by account need not be here.
    name = known or session.chat.find(rest).name
    if not ignoring.unignore(me, names.fold(name)):
        raise Refused(f"You do not ignore {name}.")
    session.notice(f"You see what {name} says again.")


@command("away", "afk", usage="[TEXT]")
def away(session: "Session", rest: str) -> None:
    """tell those who message you that you are away"""
    me = session.chat.registry.present(session)
    if me.passing:
        raise Refused("You would be away as long as this command lasts: it is over now.")
    me.away = rest[:MAX_REASON]
    session.notice("You are away. /back says that you are here again.")


@command("back")
def back(session: "Session", rest: str) -> None:
    """you are here again"""
    me = session.chat.registry.present(session)
    if me.away is None:
        raise Refused("You are not away.")
    me.away = None
    session.notice("You are back.")


@command("quit", "exit", "bye", usage="[TEXT]", in_full=True)
def quit(session: "Session", rest: str) -> None:
    """leave, with a last word"""
    silenced = session.chat.moderation.silence(session) is not None
    session.notice("Good-bye.")
    session.end("" if silenced else rest[:MAX_REASON])
