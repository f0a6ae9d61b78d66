"""Names in order: a mapping by folded name that also finds names by their beginning."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar

T = TypeVar("T")

#: How long a name is remembered after nobody has it any more, and how many such names at most.
REMEMBERED_SECONDS = 3600.0
MAX_REMEMBERED = 10_000


class NameIndex(MutableMapping[str, T]):
    """What belongs to each name, by the name's folded form (`names.fold`).

    seconds: see clock.Clock.
    """

    __slots__ = ("_keys", "_left", "_seconds", "_values")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # When each name was given up, the earliest first.
        self._left: dict[str, float] = {}
        self._values: dict[str, T] = {}
        # All keys, sorted.
        self._keys: list[str] = []

    def __getitem__(self, key: str) -> T:
        return self._values[key]

    def __setitem__(self, key: str, value: T) -> None:
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        del self._keys[bisect_left(self._keys, key)]
        self._left.pop(key, None)
        self._left[key] = now = self._seconds()
        while len(self._left) > MAX_REMEMBERED or (
            now - self._left[next(iter(self._left))] >= REMEMBERED_SECONDS
        ):
            del self._left[next(iter(self._left))]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def left(self, key: str) -> bool:
        """Return whether a user gave up the name *key* within the last hour."""
        time = self._left.get(key)
        return time is not None and self._seconds() - time < REMEMBERED_SECONDS

    def beginning(self, key: str) -> list[str]:
        """Return the folded names that begin with *key*, in order."""
        first = bisect_left(self._keys, key)
        last = bisect_right(self._keys, key, first, key=lambda found: found[: len(key)])
        return self._keys[first:last]
