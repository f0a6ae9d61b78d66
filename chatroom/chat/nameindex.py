"""The directory: who has which name.

The rule: it is a mapping of people by the keys of their names (names.fold), and keeps the keys in
order, so that whose names begin in a certain way is found without looking at everybody. It knows
for a while which names people had who have left, or have another name now.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatroom.chat.session import Session


#: For how long, in seconds, it is known that somebody had a name, and of how many names at most.
REMEMBERED_SECONDS = 3600.0
MAX_REMEMBERED = 10_000


class Directory(MutableMapping[str, "Session"]):
    """Everybody who is here, by the key of their name.

    seconds: see clock.Clock.
    """

    __slots__ = ("_keys", "_left", "_people", "_seconds")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # When each name was given up, the earliest first.
        self._left: dict[str, float] = {}
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
        self._left.pop(key, None)
        self._left[key] = now = self._seconds()
        while len(self._left) > MAX_REMEMBERED or (
            now - self._left[next(iter(self._left))] >= REMEMBERED_SECONDS
        ):
            del self._left[next(iter(self._left))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._people)

    def __len__(self) -> int:
        return len(self._people)

    def left(self, key: str) -> bool:
        """Whether somebody had the name with this *key* within the last hour."""
        time = self._left.get(key)
        return time is not None and self._seconds() - time < REMEMBERED_SECONDS

    def beginning(self, key: str) -> list[str]:
        """The keys that begin with *key*, in order."""
        first = bisect_left(self._keys, key)
        last = bisect_right(self._keys, key, first, key=lambda found: found[: len(key)])
        return self._keys[first:last]
