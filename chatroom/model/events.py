"""What can happen: one frozen dataclass for each thing that can.

The rule: an event is a value. It is named in the past tense, holds everything a format needs to
show it, and knows nothing of rooms, sessions or bytes. The events of a room go through its
ledger into its log; those at the end of this file are for one person and go to a send queue.
"""

from dataclasses import dataclass, field
from sys import getsizeof
from typing import ClassVar

#: The origin and the user of what no connection did.
SERVER = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    time: when, in seconds since the epoch.
    origin: the id of the connection it came from, or SERVER. "Not to its sender" goes by it.
    user: the id of the user who did it: that of their account, or for a guest minus that of their
    connection; SERVER for nobody, and for a guest of an earlier run. `/ignore` and `/forget` go by
    it, since names change hands.
    """

    time: float
    origin: int
    user: int = field(default=SERVER, kw_only=True)

    #: A line that somebody said: it is counted, kept for newcomers and found by /history.
    line: ClassVar[bool] = False
    #: Changes who is in the room, what they are called or what it is about.
    changes_room: ClassVar[bool] = False
    #: Takes away lines that were said: who reads of it counts on their being deleted.
    removes: ClassVar[bool] = False
    #: Left out for those who ignore its user.
    ignorable: ClassVar[bool] = True
    #: Shown with its time: false for what answers a user or stands between lines.
    timed: ClassVar[bool] = True
    #: Shown to its origin too, whose own terminal does not show it.
    echoed: ClassVar[bool] = False

    def size(self) -> int:
        """About how many bytes of memory its text takes."""
        return 64


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A person said something to the room."""

    name: str
    text: str

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.text)


@dataclass(frozen=True, slots=True)
class Emoted(Event):
    """A person did something (`/me waves`)."""

    name: str
    text: str

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.text)


@dataclass(frozen=True, slots=True)
class Relayed(Event):
    """A line of the bare relay, word for word and without its line end."""

    data: bytes

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.data)


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A member entered. Nobody is shown it: see Announced."""

    name: str

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Announced(Event):
    """A member who entered earlier has stayed or spoken, so the room is told."""

    name: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A member left. It is shown only where the room had been told that they came."""

    name: str
    reason: str
    shown: bool

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class CrowdMoved(Event):
    """Many people joined or left at once: some of their names, and how many there were in all."""

    names: tuple[str, ...]
    count: int
    joined: bool


@dataclass(frozen=True, slots=True)
class Renamed(Event):
    """A member has another name from here on. Shown like Left."""

    name: str
    new: str
    shown: bool

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TopicSet(Event):
    """A member said what the room is about; an empty topic says nothing any more."""

    name: str
    topic: str

    changes_room: ClassVar[bool] = True
    ignorable: ClassVar[bool] = False
    echoed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """The room was made. Nobody is shown it."""

    name: str


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """The room is no more, nor is what was said in it. Nobody is there to be shown it."""

    changes_room: ClassVar[bool] = True
    removes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Told(Event):
    """The server told the room something."""

    text: str

    ignorable: ClassVar[bool] = False
    echoed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TookBack(Event):
    """A person took back lines that they have said here, or an operator removed somebody's.

    users: the ids of the users who said them. since: they were said since then, in seconds since
    the epoch. said_as: the name under which they were said that an operator removes, else empty.
    ids: which lines these are, and count how many; without them it is all of them.
    """

    name: str
    users: frozenset[int] = frozenset()
    since: float = 0.0
    said_as: str = ""
    ids: frozenset[int] = frozenset()
    count: int = 0

    changes_room: ClassVar[bool] = True
    removes: ClassVar[bool] = True
    ignorable: ClassVar[bool] = False
    echoed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Removed(Event):
    """What stands in the log where a line was that is not to be shown any more."""


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """The server tells one person something, in one line or several."""

    text: str

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """So many lines were said that one reader, who was behind, is not shown any more."""

    count: int

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class DayBegan(Event):
    """What follows was said on the day of its time: a heading among lines from before.

    days_ago: 0 for today. first: whether there is no such heading above it.
    """

    days_ago: int
    first: bool

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class ScrollbackEnded(Event):
    """What stood above was said before its reader came; what follows happens from here on."""

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Whispered(Event):
    """One person said something to another alone. `outgoing` is the sender's own copy."""

    sender: str
    recipient: str
    text: str
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Found(Event):
    """A line that one person looked for, in whatever room it was said."""

    event: Event

    timed: ClassVar[bool] = False
