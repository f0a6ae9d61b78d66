"""Mentions: the names that are looked for in what is said.

A line is split into words once, however many names are looked for, and not at all if there are
none. Names are found as /search finds words: in any case, and among characters of any script.
"""

from typing import Final

from chatroom.text.words import Phrase, named, searchable, words_of

#: So many names are looked for in a line before it is taken apart, which is dear.
FEW: Final = 64


class Mentions:
    """The names that are listened for, by the origins of those who have them."""

    __slots__ = ("_by_beginning", "_phrases")

    def __init__(self) -> None:
        self._phrases: dict[int, Phrase] = {}
        # The origins by the first word of their names.
        self._by_beginning: dict[str, set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def listen(self, origin: int, name: str) -> None:
        """From here on *name* is listened for, instead of another of this origin."""
        self.forget(origin)
        self._phrases[origin] = phrase = named(name)
        self._by_beginning.setdefault(phrase.words[0], set()).add(origin)

    def forget(self, origin: int) -> None:
        """No name of this origin is listened for."""
        phrase = self._phrases.pop(origin, None)
        if phrase is not None:
            origins = self._by_beginning[phrase.words[0]]
            origins.remove(origin)
            if not origins:
                del self._by_beginning[phrase.words[0]]

    def named_in(self, text: str) -> list[int]:
        """The origins whose names are in *text*, in no order."""
        folded = searchable(text)
        few = len(self._by_beginning) <= FEW
        if few and not any(word in folded for word in self._by_beginning):
            return []
        said = words_of(folded)
        # A name of one Han character is the beginning of a pair.
        beginnings = {*said, *(word[0] for word in said)}
        return [
            origin
            for word in beginnings & self._by_beginning.keys()
            for origin in self._by_beginning[word]
            if self._phrases[origin].found_in(said)
        ]
