"""Usages: the arguments of a command, in the notation that help shows.

    WORD                    an argument, which the user fills in
    word                    the word itself
    [...]                   an optional part
    a|b                     alternatives

Examples are `[public|invite NAME]` and `NAME [REASON]`. A usage is written once, with its command;
help shows it, and completion parses it. All functions are pure.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cache

from chatroom.text.names import fold


@dataclass(frozen=True, slots=True)
class Group:
    """Alternative sequences, of which the user types one.

    sequences: the alternatives.
    optional: whether the user may type none of them.
    """

    sequences: tuple[Sequence, ...]
    optional: bool


#: Words and groups in their order.
Sequence = tuple["str | Group", ...]

_TOKEN = re.compile(r"[\[\]|]|[^\s\[\]|]+")


@cache
def parse(usage: str) -> Sequence:
    """Return *usage* as a sequence. Raises ValueError for brackets that do not match."""
    levels: list[list[list[str | Group]]] = [[[]]]
    for token in _TOKEN.findall(usage):
        if token == "[":
            levels.append([[]])
        elif token == "|":
            levels[-1].append([])
        elif token != "]":
            levels[-1][-1].append(token)
        elif len(levels) > 1:
            inner = _group(levels.pop(), optional=True)
            levels[-1][-1].append(inner)
        else:
            raise ValueError(f"{usage!r} closes a bracket that is not open")
    if len(levels) > 1:
        raise ValueError(f"{usage!r} leaves a bracket open")
    (sequences,) = levels
    return tuple(sequences[0]) if len(sequences) == 1 else (_group(sequences, optional=False),)


def _group(sequences: list[list[str | Group]], *, optional: bool) -> Group:
    return Group(tuple(map(tuple, sequences)), optional)


def is_argument(word: str) -> bool:
    """Return whether a *word* of a usage is an argument, rather than the word itself."""
    return word.isupper()


def words(usage: str) -> list[str]:
    """Return all words of *usage*, in their order."""
    return [token for token in _TOKEN.findall(usage) if token not in "[]|"]


@cache
def steps(sequence: Sequence) -> tuple[tuple[str, Sequence], ...]:
    """Return the words that *sequence* can begin with, and what can follow each."""
    found: list[tuple[str, Sequence]] = []
    for index, item in enumerate(sequence):
        rest = sequence[index + 1 :]
        if isinstance(item, str):
            found.append((item, rest))
            break
        found += [
            (word, following + rest) for inner in item.sequences for word, following in steps(inner)
        ]
        if not item.optional:
            break
    return tuple(found)


def remaining(usage: str, typed: Iterable[str], many: Container[str]) -> list[Sequence]:
    """Return the sequences that can follow the words *typed* in *usage*.

    There is none if the words do not fit it.

    many: the arguments that may be more than one word each.
    """
    sequences = [parse(usage)]
    literals = {word for word in words(usage) if not is_argument(word)}
    # Whether one more word that is none of these changes nothing: text may be long.
    settled = False
    for word in typed:
        key = fold(word)
        if settled and key not in literals:
            continue
        found: list[Sequence] = []
        for sequence in sequences:
            possible = steps(sequence)
            itself = any(step == key for step, _ in possible)
            for step, rest in possible:
                if step in many:
                    found += [(step, *rest), rest]
                elif step == key or (is_argument(step) and not itself):
                    found.append(rest)
        former, sequences = sequences, list(dict.fromkeys(found))
        settled = sequences == former and key not in literals
    return sequences
