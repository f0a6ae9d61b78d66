"""Completion: the choices for the word before the cursor when a user presses Tab.

It shows a user nothing that a command would not. Its cost is bounded, however many users and rooms
there are, and however often a client sends the key. It reads only memory, and waits for nothing.
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

#: How many choices of a kind are offered, and about how many code points all choices for a word of
#: text may have together.
MAX_CHOICES: Final = 200
MAX_SIZE: Final = 10_000

#: How many users are sorted by when they were active last.
MAX_RANKED: Final = 1000

#: How often a connection may complete: a client can send a thousand Tabs at once.
PACE: Final = TokenBucket(rate=10.0, burst=30)

# How many code points at the end of a word can be a name that begins within it: the client may send
# decomposed text, each letter followed by its marks.
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

#: A choice: the values that it is sorted by, then its key and its text.
_Found = tuple[float | str, ...]


def complete(connection: Connection, before: str, after: str) -> Sequence[str]:
    """Return the choices for the word at the end of *before*.

    There is none if the client asks too often, see PACE. The best comes first: the users who spoke
    last, then the others by the alphabet. A choice has a blank, or a colon and a blank, at its end
    where the line goes on with that. It begins with the word, whatever the case and the form of its
    letters (names.fold); of a time zone its city may begin so instead.

    after: the rest of the line.
    """
    now = connection.chat.clock.seconds()
    if PACE.wait(connection.prompt.completed, now) > 0:
        return ()
    connection.prompt.completed = PACE.spend(connection.prompt.completed, now)
    word = before.rpartition(" ")[2]
    # As the interpreter reads a line.
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
    """Return *choice* without the end that is in the line already, *after* it."""
    if after.startswith(":"):
        return choice.removesuffix(": ")
    return choice.rstrip(" ") if after.startswith(" ") else choice


def _some(found: list[_Found], most: int = MAX_CHOICES) -> list[str]:
    """Return the texts of the best of *found*, each once, and at most *most* of them.

    The first and the last by the alphabet are among them: an editor inserts the common beginning
    of all choices, which must be that of all that was found.
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
    """Return choices for a word of text: rooms, or users who are here.

    first: whether the line begins with the word.
    """
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
    # Within a word the user may go on as they like.
    behind = behind if head in ("", "@") else ""
    # The head is repeated in each choice: of long words there are fewer choices.
    most = max(2, min(MAX_CHOICES, MAX_SIZE // (len(head) + names.MAX_NAME)))
    return [f"{head}{sign}{name}{behind}" for name in _some(found, most)]


def _people_here(connection: Connection, word: str, starts: list[int]) -> tuple[int, list[_Found]]:
    """Return where in *word* the longest beginning of a name is, and these users."""
    # An empty word has no choices: a tab in pasted text asks for nothing.
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
    """Return the other users whose names begin with *key*, with the names' keys.

    If there are very many, these are some in this room, and the first and the last.
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
    """Return *people* as choices that sort users in the room first.

    Then these sort by when they last spoke there, and by when they were last active.

    people: the users with the keys of their names.
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
    """Return the names of commands that begin with *word*; if none does, the aliases."""
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
    """Return choices for the last argument of the command in *before*, by its usage."""
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
    """Return users who are online; if none fits, the user, and those they ignore."""
    key = names.fold(word)
    if found := _beginning(connection, key):
        return _some(_ranked(connection, found))
    others = [connection.user.name, *connection.user.preferences.ignores.values()]
    return _alphabetical(name for name in others if names.fold(name).startswith(key))


def _rooms(connection: Connection, word: str) -> list[_Found]:
    """Return the rooms that /rooms lists, by when somebody last spoke in them."""
    key = names.fold(word)
    return [
        (-room.log.spoken, room.key, room.name)
        for room in connection.chat.rooms_of(connection)
        if room.key.startswith(key)
    ]


def _room_argument(connection: Connection, word: str) -> list[str]:
    """Return the rooms that /rooms lists, with # if *word* has one."""
    bare = word.removeprefix("#")
    return [word[: len(word) - len(bare)] + room for room in _some(_rooms(connection, bare))]


def _command_argument(connection: Connection, word: str) -> list[str]:
    """Return commands, with a slash if *word* has one."""
    bare = word.removeprefix("/")
    return [word[: len(word) - len(bare)] + name for name in _commands(connection, bare)]


def _groups(connection: Connection, word: str) -> list[str]:
    """Return the groups of commands, for /help."""
    key = names.fold(word)
    groups = {command.group for command in usable(connection).values()}
    return _alphabetical(group for group in groups if group.startswith(key))


def _zones(connection: Connection, word: str) -> list[str]:
    """Return time zones up to their next slash; if none fits, those of a city."""
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


#: The arguments in usages that are completed, with the functions that do it.
COMPLETED: Final[dict[str, Callable[[Connection, str], list[str]]]] = {
    "NAME": _people,
    "WHOM": _people,
    "ROOM": _room_argument,
    "COMMAND": _command_argument,
    "GROUP": _groups,
    "ZONE": _zones,
}
#: Arguments that are text of any number of words, in which names and rooms are completed.
SPOKEN: Final = frozenset({"TEXT", "WORDS", "REASON"})
#: Arguments that are not completed: they are secret, or can be anything.
FREE: Final = frozenset(
    {
        *("PASSWORD", "OLD", "NEW", "CODE", "KEY", "FINGERPRINT"),
        *("NEWNAME", "N", "NUMBER", "TIME"),
    }
)
