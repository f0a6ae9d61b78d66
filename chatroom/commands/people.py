"""Commands about people: names, who is here, being away, being left alone."""

from typing import TYPE_CHECKING

from chatroom import names
from chatroom.chat import Refused
from chatroom.commands import command
from chatroom.formats import duration

if TYPE_CHECKING:
    from chatroom.session import Session

#: How long a reason or an away text may be, in characters.
MAX_REASON = 200


@command("nick", "name", usage="NAME")
def nick(session: "Session", rest: str) -> None:
    """pick another name

    A name has 1 to 24 letters, digits, _ and -, and begins with a letter.
    """
    try:
        name = names.check_name(rest)
    except names.NameRefused as error:
        raise Refused(f"{error} You are still {session.name}.") from None
    if names.is_reserved(name):
        raise Refused(f"{name} is reserved. You are still {session.name}.")
    if name == session.name:
        raise Refused(f"You are {name} already.")
    session.rename(name)


@command("whois", usage="NAME")
def whois(session: "Session", rest: str) -> None:
    """where somebody is, since when, and whether away"""
    person = session.chat.find(rest)
    now = session.chat.clock.seconds()
    facts = [f"here for {duration(now - person.opened)}"]
    if person.room.listed:
        facts.insert(0, f"in #{person.room.name}")
    facts.append(f"idle for {duration(now - person.active)}")
    if person.away is not None:
        facts.append(f"away: {person.away}" if person.away else "away")
    session.notice(f"{person.name} is {', '.join(facts)}.")


@command("ignore", usage="[NAME]")
def ignore(session: "Session", rest: str) -> None:
    """do not show what somebody says; alone: whom you ignore

    They are not told. It lasts until they or you leave.
    """
    if not rest:
        ignored = session.ignored or {}
        here = sorted(
            session.chat.sessions[origin].name
            for origin in ignored
            if origin in session.chat.sessions
        )
        session.notice(f"You ignore {', '.join(here)}." if here else "You ignore nobody.")
        return
    person = session.chat.find(rest)
    if person is session:
        raise Refused("You cannot ignore yourself.")
    session.ignore(person.origin, person.name)
    session.notice(f"You ignore {person.name}. /unignore {person.name} ends it.")


@command("unignore", usage="NAME")
def unignore(session: "Session", rest: str) -> None:
    """show what somebody says again"""
    person = session.chat.find(rest)
    if person.origin not in (session.ignored or {}):
        raise Refused(f"You do not ignore {person.name}.")
    session.unignore(person.origin)
    session.notice(f"You see what {person.name} says again.")


@command("away", usage="[TEXT]")
def away(session: "Session", rest: str) -> None:
    """tell those who message you that you are away"""
    session.away = rest[:MAX_REASON]
    session.notice("You are away. /back says that you are here again.")


@command("back")
def back(session: "Session", rest: str) -> None:
    """you are here again"""
    if session.away is None:
        raise Refused("You are not away.")
    session.away = None
    session.notice("You are back.")


@command("quit", "exit", "bye", usage="[TEXT]")
def quit(session: "Session", rest: str) -> None:
    """leave, with a last word"""
    session.notice("Good-bye.")
    session.end(rest[:MAX_REASON])
