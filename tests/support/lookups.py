"""Pages of what was said, and a history that answers when a test says so."""

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from chatroom.chat.unread import Unread
from chatroom.model.entry import Entry
from chatroom.model.history import Gap, Query, UnreadSummary
from chatroom.text.words import Phrase
from tests.support.world import World

TODAY = "-- Today (times are UTC)"
LATER = "-- That cannot be looked up just now. Please try again later."


class LateHistory:
    """A history that answers when a test says so, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.answers: list[Deferred[Any]] = []

    def _ask(self, *question: object) -> Deferred[Any]:
        self.asked.append(question)
        self.answers.append(Deferred())
        return self.answers[-1]

    def before(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return self._ask("before", room, id, count)

    def after(self, room: str, id: int, count: int) -> Deferred[list[Entry]]:
        return self._ask("after", room, id, count)

    def place(self, room: str, time: float) -> Deferred[int]:
        return self._ask("place", room, time)

    def search(self, query: Query, count: int) -> Deferred[list[Entry]]:
        return self._ask("search", query, count)

    def missed(
        self, gaps: Sequence[tuple[str, Gap]], name: Phrase, own: str
    ) -> Deferred[list[UnreadSummary]]:
        return self._ask("missed", gaps, name, own)


def at(world: World, hours: int, minutes: int = 0) -> None:
    """Wait for this time of the first day, which begins at 08:00."""
    world.wait(1_800_000_000 + ((hours - 8) * 60 + minutes) * 60 - world.clock.seconds())


def said(shown: Sequence[str]) -> list[str]:
    """The lines that somebody said, without what stands before them."""
    return [line.rpartition(": ")[2] for line in shown if not line.startswith("--")]


def numbers(*span: int) -> list[str]:
    return [str(number) for number in range(*span)]


def unread(seen: Mapping[str, int]) -> Unread:
    """What somebody has not been shown who has read each room up to an id."""
    made = Unread()
    made.log_in(seen, "", 0)
    return made


def found(lines: list[str]) -> list[str]:
    return [line.partition(": ")[2] for line in lines if not line.startswith("-- ")]
