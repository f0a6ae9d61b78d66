"""What the server says of passwords, and people whose telnet does not show them."""

from __future__ import annotations

from chatroom.text.prose import paragraph
from tests.support.world import Person

WARNED = "-- Use it nowhere else."
NOT_SAID = "-- Not said: it may be a password. If it is none, /say says it."
CANCELS = "It is not shown; an empty line cancels."
PLAIN = "This connection is not encrypted: take one that you use nowhere else."


def notice(*sentences: str) -> list[str]:
    """How *sentences* of the server are shown."""
    return [f"-- {line}" for line in paragraph(*sentences).split("\n")]


def telnet(person: Person) -> Person:
    """*person* has a telnet that does as it is asked."""
    person.telnet = True
    return person


def hides(person: Person) -> bool:
    """Whether its client does not show what is typed."""
    return person.hidden


def wary(person: Person) -> bool:
    """Whether what they type may be a password that nobody asked for."""
    connection = person.connection
    return connection.chat.clock.seconds() < connection.prompt.guarded_until
