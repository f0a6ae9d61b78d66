"""Completion: what the word that somebody types may become, when they press Tab.

The rule: it tells nobody what they could not find out with a command, and costs next to nothing
however many people and rooms there are. It asks what is in memory, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import regex

from chatroom import names, usage
from chatroom.times import places

if TYPE_CHECKING:
    from chatroom.commands import Command
    from chatroom.session import Session

#: How many choices of a kind are offered.
MAX_CHOICES: Final = 200

# How many code points of the end of a word may be a name that begins within it: what is typed may
# be taken apart, a letter into itself and its marks.
_MAX_NAME: Final = 4 * names.MAX_NAME

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

#: What a choice is sorted by, its key, and itself.
_Found = tuple[tuple[float, ...], str, str]


def complete(session: Session, before: str, after: str) -> Sequence[str]:
    """What the word at the end of *before* may become; the rest of the line is *after*.

    Best first: whoever spoke last, then by the alphabet. A choice comes with a blank, or a colon
    and a blank, behind it where the line goes on with that. It begins with the word, whatever the
    case and the form of its letters (names.fold); of a time zone its city may do so instead.
    """
    word = before.rpartition(" ")[2]
    # As the session understands a line.
    if not before.startswith("/") or before.startswith("//"):
        choices = _spoken(session, word, first=before.lstrip(" ") == word)
    elif word == before:
        choices = [
            f"/{name}{' ' if session.commands[name].usage else ''}"
            for name in _commands(session, word[1:])
        ]
    else:
        choices = _argument(session, before, word)
    return [_before(after, choice) for choice in choices]


def _before(after: str, choice: str) -> str:
    """*choice* without what stands there already, *after* it."""
    if after.startswith(":"):
        return choice.removesuffix(": ")
    return choice.rstrip(" ") if after.startswith(" ") else choice


def _some(found: list[_Found]) -> list[str]:
    """The best of what was *found*, each once.

    They begin with nothing in common that not all have, since an editor puts that in.
    """
    if len(found) <= MAX_CHOICES:
        best = sorted(found)
    else:
        ends = [min(found, key=itemgetter(1)), max(found, key=itemgetter(1))]
        best = nsmallest(MAX_CHOICES - len(ends), found) + ends
    return list(dict.fromkeys(text for _, _, text in best))


def _alphabetical(texts: Iterable[str]) -> list[str]:
    return _some([((), names.fold(text), text) for text in texts])


# -- what is said


def _spoken(session: Session, word: str, *, first: bool) -> list[str]:
    """A room, or somebody who is here, in text that is said. first: as the line begins."""
    starts = [match.start() for match in _BEGINNING.finditer(word, max(0, len(word) - _MAX_NAME))]
    sign = word.rfind("#")
    if sign in starts:
        behind = "" if sign else " "
        return [f"{word[:sign]}#{room}{behind}" for room in _rooms(session, word[sign + 1 :])]
    # An empty word becomes nothing: a tab in what is pasted is no question.
    starts = [start for start in starts if start < len(word) or word == "@"]
    start, people = _people_here(session, word, starts)
    head = word[:start]
    behind = "" if head not in ("", "@") else ": " if first else " "
    return [f"{head}{name}{behind}" for name in people]


def _people_here(session: Session, word: str, starts: list[int]) -> tuple[int, list[str]]:
    """Where in *word* the longest beginning of a name is, and whose names begin so."""
    keys = tuple(names.fold(word[start:]) for start in starts)
    members = session.room.members
    ignored = session.ignored or {}
    here = [
        (key, person)
        for key, person in session.chat.people.items()
        if key.startswith(keys)
        and person.origin in members
        and person is not session
        and person.origin not in ignored
    ]
    for start, beginning in zip(starts, keys, strict=True):
        found = [
            (_rank(session, person), key, person.name)
            for key, person in here
            if key.startswith(beginning)
        ]
        if found:
            return start, _some(found)
    return 0, []


def _rank(session: Session, person: Session) -> tuple[float, ...]:
    """Those in the room of *session* before others, whoever spoke there last, was active last."""
    room = session.room
    here = person.origin in room.members
    spoke = person.said.get(room.key, 0.0) if here and person.said else 0.0
    return (not here, -spoke, -person.active)


# -- commands and their arguments


def _usable(session: Session) -> list[tuple[str, Command]]:
    """The commands that this person may use, by name and by alias."""
    keeps_order = session.chat.moderation.keeps_order(session)
    return [
        (name, command)
        for name, command in session.commands.items()
        if keeps_order or not command.operator
    ]


def _commands(session: Session, word: str) -> list[str]:
    """The names of commands that begin with *word*; other names for them if there are none."""
    key = names.fold(word)
    found = [
        (name, command) for name, command in _usable(session) if names.fold(name).startswith(key)
    ]
    return _alphabetical([name for name, command in found if name == command.name]) or (
        _alphabetical(name for name, _ in found)
    )


def _argument(session: Session, before: str, word: str) -> list[str]:
    """What the last argument of the command in *before* may become, by the command's usage."""
    name, _, rest = before[1:].partition(" ")
    command = dict(_usable(session)).get(name.lower())
    if command is None:
        return []
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
                choices = COMPLETED[step](session, word) if step in COMPLETED else []
            for choice in choices:
                found.setdefault(choice, behind)
    if not found and spoken:
        return _spoken(session, word, first=False)
    return [choice + behind for choice, behind in found.items()]


def _people(session: Session, word: str) -> list[str]:
    """Whoever is online; if nobody's name begins so oneself, and who is ignored and not here."""
    key = names.fold(word)
    found = [
        (_rank(session, person), name, person.name)
        for name, person in session.chat.people.items()
        if name.startswith(key) and person is not session
    ]
    if found:
        return _some(found)
    others = [session.name, *session.preferences.ignores.values()]
    return _alphabetical(name for name in others if names.fold(name).startswith(key))


def _rooms(session: Session, word: str) -> list[str]:
    """The rooms that this person may enter, as /rooms lists them; where was spoken last first."""
    key = names.fold(word)
    return _some(
        [
            ((-room.spoken,), room.key, room.name)
            for room in session.chat.rooms_of(session)
            if room.key.startswith(key)
        ]
    )


def _room_argument(session: Session, word: str) -> list[str]:
    """The same, with or without its # as it is typed."""
    bare = word.removeprefix("#")
    return [word[: len(word) - len(bare)] + room for room in _rooms(session, bare)]


def _command_argument(session: Session, word: str) -> list[str]:
    """A command, with or without its slash as it is typed."""
    bare = word.removeprefix("/")
    return [word[: len(word) - len(bare)] + name for name in _commands(session, bare)]


def _groups(session: Session, word: str) -> list[str]:
    """The groups of commands that /help is about."""
    key = names.fold(word)
    groups = {command.group for _, command in _usable(session)}
    return _alphabetical(group for group in groups if group.startswith(key))


def _zones(session: Session, word: str) -> list[str]:
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
COMPLETED: Final[dict[str, Callable[[Session, str], list[str]]]] = {
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
FREE: Final = frozenset({"PASSWORD", "OLD", "NEW", "CODE", "NEWNAME", "N", "NUMBER", "TIME"})
