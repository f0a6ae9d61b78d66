"""Completion: what the word that somebody types may become, when they press Tab.

The rule: it tells nobody what they could not find out with a command, and costs next to nothing
however many people and rooms there are, and however often the key is pressed. It asks what is in
memory, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import regex

from chatroom.commands import beginning, usable, usage
from chatroom.model.limits import TokenBucket
from chatroom.text import names
from chatroom.text.times import places

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
from chatroom.chat.user import User

#: How many choices of a kind are offered, and about how many code points all may have that a word
#: of text may become.
MAX_CHOICES: Final = 200
MAX_SIZE: Final = 10_000

#: Of how many people it is looked up who was active last.
MAX_RANKED: Final = 1000

#: More often than that nothing is completed: a client can send a thousand Tabs at once.
PACE: Final = TokenBucket(rate=10.0, burst=30)

# How many code points of the end of a word may be a name that begins within it: what is typed may
# be taken apart, a letter into itself and its marks.
_MAX_TYPED: Final = 4 * names.MAX_NAME

# Where a name, or the # of a room, may begin: with the word, with a quote that begins it, and
# after punctuation, but for what joins words, as in "it's" and example.org/path. In scripts without
# blanks between words (UAX 14: ID and CJ, Han and Kana; SA, Thai and its like) anywhere.
_DENSE: Final = r"[\p{lb=ID}\p{lb=CJ}\p{lb=SA}&&[\p{L}\p{M}]]"
_BEGINNING: Final = regex.compile(
    rf"""
      \A | (?<=\A['’]) | (?<=[^\p{{L}}\p{{M}}\p{{N}}_\-./\\'’])
      | (?<={_DENSE})(?!\p{{M}}) | (?={_DENSE})(?!\p{{M}})
    """,
    regex.V1 | regex.VERBOSE,
)

#: What is found: what it is sorted by, at last its key and itself.
_Found = tuple[float | str, ...]


def complete(connection: Connection, before: str, after: str) -> Sequence[str]:
    """What the word at the end of *before* may become; the rest of the line is *after*.

    Best first: whoever spoke last, then by the alphabet. A choice comes with a blank, or a colon
    and a blank, behind it where the line goes on with that. It begins with the word, whatever the
    case and the form of its letters (names.fold); of a time zone its city may do so instead.
    Nothing is offered to who asks more often than PACE allows.
    """
    now = connection.chat.clock.seconds()
    if PACE.wait(connection.prompt.completed, now) > 0:
        return ()
    connection.prompt.completed = PACE.spend(connection.prompt.completed, now)
    word = before.rpartition(" ")[2]
    # As the connection understands a line.
    if not before.startswith("/") or before.startswith("//"):
        choices = _spoken(connection, word, first=before.lstrip(" ") == word)
    elif word == before:
        choices = [
            f"/{name}{' ' if connection.commands[name].usage else ''}"
            for name in _commands(connection, word[1:])
        ]
    else:
        choices = _argument(connection, before, word)
    return [_before(after, choice) for choice in choices]


def _before(after: str, choice: str) -> str:
    """*choice* without what stands there already, *after* it."""
    if after.startswith(":"):
        return choice.removesuffix(": ")
    return choice.rstrip(" ") if after.startswith(" ") else choice


def _some(found: list[_Found], most: int = MAX_CHOICES) -> list[str]:
    """The *most* best of what was *found*, each once.

    They begin with nothing in common that not all have, since an editor puts that in.
    """
    if len(found) <= most:
        best = sorted(found)
    else:
        ends = [min(found, key=itemgetter(-2)), max(found, key=itemgetter(-2))]
        best = nsmallest(most - len(ends), found) + ends
    return list(dict.fromkeys(str(text) for *_, text in best))


def _alphabetical(texts: Iterable[str]) -> list[str]:
    return _some([(names.fold(text), text) for text in texts])


# -- what is said


def _spoken(connection: Connection, word: str, *, first: bool) -> list[str]:
    """A room, or somebody who is here, in text that is said. first: as the line begins."""
    starts = [match.start() for match in _BEGINNING.finditer(word, max(0, len(word) - _MAX_TYPED))]
    start, behind = word.rfind("#"), " "
    if start in starts:
        found = _rooms(connection, word[start + 1 :])
        sign = "#"
    else:
        start, found = _people_here(connection, word, starts)
        sign = ""
        behind = ": " if first else " "
    head = word[:start]
    # Within a word it goes on as whoever types it likes.
    behind = behind if head in ("", "@") else ""
    # All of it is held and shown: what is long comes less often.
    most = max(2, min(MAX_CHOICES, MAX_SIZE // (len(head) + names.MAX_NAME)))
    return [f"{head}{sign}{name}{behind}" for name in _some(found, most)]


def _people_here(connection: Connection, word: str, starts: list[int]) -> tuple[int, list[_Found]]:
    """Where in *word* the longest beginning of a name is, and whose names begin so."""
    # An empty word becomes nothing: a tab in what is pasted is no question.
    keys = {
        start: key
        for start in starts
        if (key := names.fold(word[start:]))[:1].isalpha() or word == "@"
    }
    members = connection.room.members if connection.room is not None else {}
    ignored = connection.user.ignores or ()
    for start, key in keys.items():
        found = _ranked(
            connection,
            [
                (one, person)
                for one, person in _beginning(connection, key)
                if person.origin in members and person.id not in ignored
            ],
        )
        if found:
            return start, found
    return 0, []


def _beginning(connection: Connection, key: str) -> list[tuple[str, User]]:
    """Who else has a name that begins with *key*, with the keys of their names.

    Of very many some in this room, and the first and the last.
    """
    people = connection.chat.people
    keys = people.beginning(key)
    if len(keys) > MAX_RANKED:
        members = connection.room.members.values() if connection.room is not None else ()
        here = [names.fold(member.name) for member in islice(members, MAX_RANKED)]
        some = keys[:MAX_CHOICES] + keys[-MAX_CHOICES:]
        some += [one for one in here if one.startswith(key) and one in people]
        keys = list(dict.fromkeys(some))
    return [(one, person) for one in keys if (person := people[one]) is not connection.user]


def _ranked(connection: Connection, people: list[tuple[str, User]]) -> list[_Found]:
    """Those in the room of *connection* before others, whoever spoke there last, was active last.

    people: with their keys.
    """
    room = connection.room
    here, members = (room.key, room.members) if room is not None else ("", {})
    return [
        (
            person.origin not in members,
            -person.said.get(here, 0.0) if person.said else 0.0,
            -person.active,
            key,
            person.name,
        )
        for key, person in people
    ]


# -- commands and their arguments


def _commands(connection: Connection, word: str) -> list[str]:
    """The names of commands that begin with *word*; other names for them if there are none."""
    key = names.fold(word)
    found = [
        (name, command)
        for name, command in usable(connection).items()
        if names.fold(name).startswith(key)
    ]
    return _alphabetical([name for name, command in found if name == command.name]) or (
        _alphabetical(name for name, _ in found)
    )


def _argument(connection: Connection, before: str, word: str) -> list[str]:
    """What the last argument of the command in *before* may become, by the command's usage."""
    name, _, rest = before[1:].partition(" ")
    words, name = usable(connection), name.lower()
    meant = [name] if name in words else beginning(words, name)
    if len(meant) != 1:
        return []
    command = words[meant[0]]
    typed = [one for one in rest.removesuffix(word).split(" ") if one]
    found: dict[str, str] = {}
    spoken = False
    for sequence in usage.remaining(command.usage, typed, SPOKEN):
        for step, following in usage.steps(sequence):
            spoken = spoken or step in SPOKEN
            behind = " " if usage.steps(following) else ""
            if not usage.is_argument(step):
                choices = [step] if step.startswith(names.fold(word)) else []
            else:
                choices = COMPLETED[step](connection, word) if step in COMPLETED else []
            for choice in choices:
                found.setdefault(choice, behind)
    if not found and spoken:
        return _spoken(connection, word, first=False)
    return [choice + behind for choice, behind in found.items()]


def _people(connection: Connection, word: str) -> list[str]:
    """Whoever is online; if nobody's name begins so oneself, and who is ignored and not here."""
    key = names.fold(word)
    if found := _beginning(connection, key):
        return _some(_ranked(connection, found))
    others = [connection.user.name, *connection.user.preferences.ignores.values()]
    return _alphabetical(name for name in others if names.fold(name).startswith(key))


def _rooms(connection: Connection, word: str) -> list[_Found]:
    """The rooms that this person may enter, as /rooms lists them; where was spoken last first."""
    key = names.fold(word)
    return [
        (-room.log.spoken, room.key, room.name)
        for room in connection.chat.rooms_of(connection)
        if room.key.startswith(key)
    ]


def _room_argument(connection: Connection, word: str) -> list[str]:
    """The same, with or without its # as it is typed."""
    bare = word.removeprefix("#")
    return [word[: len(word) - len(bare)] + room for room in _some(_rooms(connection, bare))]


def _command_argument(connection: Connection, word: str) -> list[str]:
    """A command, with or without its slash as it is typed."""
    bare = word.removeprefix("/")
    return [word[: len(word) - len(bare)] + name for name in _commands(connection, bare)]


def _groups(connection: Connection, word: str) -> list[str]:
    """The groups of commands that /help is about."""
    key = names.fold(word)
    groups = {command.group for command in usable(connection).values()}
    return _alphabetical(group for group in groups if group.startswith(key))


def _zones(connection: Connection, word: str) -> list[str]:
    """Time zones up to their next slash, like folders; if none begins so those of a city."""
    key = names.fold(word)
    found = {
        name[: (name.find("/", len(key)) + 1) or len(name)]
        for lower, name in {"utc": "UTC", **places()}.items()
        if lower.startswith(key)
    }
    return _alphabetical(
        found
        or (name for lower, name in places().items() if lower.rpartition("/")[2].startswith(key))
    )


#: What the words in usages stand for: arguments that are completed, ...
COMPLETED: Final[dict[str, Callable[[Connection, str], list[str]]]] = {
    "NAME": _people,
    "WHOM": _people,
    "ROOM": _room_argument,
    "COMMAND": _command_argument,
    "GROUP": _groups,
    "ZONE": _zones,
}
#: ... text of any number of words, in which names and rooms are as in what is said, ...
SPOKEN: Final = frozenset({"TEXT", "WORDS", "REASON"})
#: ... and what nobody can guess, or should see.
FREE: Final = frozenset(
    {
        *("PASSWORD", "OLD", "NEW", "CODE", "KEY", "FINGERPRINT"),
        *("NEWNAME", "N", "NUMBER", "TIME"),
    }
)
