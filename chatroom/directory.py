"""The directory: who has which name.

The rule: it is a mapping of people by the keys of their names (names.fold), and keeps the keys in
order, so that whose names begin in a certain way is found without looking at everybody.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatroom.session import Session


class Directory(MutableMapping[str, "Session"]):
    """Everybody who is here, by the key of their name."""

    __slots__ = ("_keys", "_people")

    def __init__(self) -> None:
        self._people: dict[str, Session] = {}
        self._keys: list[str] = []

    def __getitem__(self, key: str) -> "Session":
        return self._people[key]

    def __setitem__(self, key: str, person: "Session") -> None:
        if key not in self._people:
            insort(self._keys, key)
        self._people[key] = person

    def __delitem__(self, key: str) -> None:
        del self._people[key]
        del self._keys[bisect_left(self._keys, key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._people)

    def __len__(self) -> int:
        return len(self._people)

    def beginning(self, key: str) -> list[str]:
        """The keys that begin with *key*, in order."""
        first = bisect_left(self._keys, key)
        last = bisect_right(self._keys, key, first, key=lambda found: found[: len(key)])
        return self._keys[first:last]
