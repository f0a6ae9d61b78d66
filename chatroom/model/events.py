"""Events: one frozen dataclass for each thing that can happen.

An event is a value, named in the past tense. It contains everything that a format needs to show it,
and refers to no room, connection or bytes. The events of a room go through the ledger into its
log. Those from `Noticed` on are for one user and go to a send queue.
"""

from dataclasses import dataclass, field
from sys import getsizeof
from typing import ClassVar

#: The origin and the user of events that the server itself causes.
SERVER = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    time: when, in seconds since the epoch.
    origin: the id of the connection that caused it, or SERVER; this connection is not sent the
    event unless `echoed` is true.
    user: the id of the user who caused it. That is the id of the account; for a guest it is minus
        the id of the connection; SERVER if there is none, and for guests of an earlier run.
        `/ignore` and `/forget` compare it, since a name may pass to another user.
    """

    time: float
    origin: int
    user: int = field(default=SERVER, kw_only=True)

    #: Whether it is a message by a user: counted, kept for newcomers and found by /history.
    line: ClassVar[bool] = False
    #: Whether it changes the members of the room, their names or the topic.
    changes_room: ClassVar[bool] = False
    #: Whether it removes messages; users who were shown it rely on their being deleted.
    removes: ClassVar[bool] = False
    #: Whether it is hidden from users who ignore its user.
    ignorable: ClassVar[bool] = True
    #: Whether it is shown with its time; false for answers to one user and for headings.
    timed: ClassVar[bool] = True
    #: Whether its origin is sent it, too.
    echoed: ClassVar[bool] = False

    def size(self) -> int:
        """Return about how many bytes of memory its text takes."""
        return 64


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A user said something to the room."""

    name: str
    text: str

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.text)


@dataclass(frozen=True, slots=True)
class Emoted(Event):
    """A user described an action (`/me waves`)."""

    name: str
    text: str

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.text)


@dataclass(frozen=True, slots=True)
class Relayed(Event):
    """A line of the bare relay, unchanged and without its line end."""

    data: bytes

    line: ClassVar[bool] = True

    def size(self) -> int:
        return getsizeof(self.data)


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A user entered the room. It is not shown; see Announced."""

    name: str

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Announced(Event):
    """The room is told that a user has joined, once the user has stayed a while or spoken."""

    name: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A user left the room.

    shown: whether the room is told, as it is if it was told that the user had joined.
    """

    name: str
    reason: str
    shown: bool

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class CrowdMoved(Event):
    """Many users joined or left at once.

    names: the names of some of them.
    count: how many they are in all.
    joined: false if they left.
    """

    names: tuple[str, ...]
    count: int
    joined: bool


@dataclass(frozen=True, slots=True)
class Renamed(Event):
    """A user has a new name from here on.

    shown: see Left.
    """

    name: str
    new: str
    shown: bool

    changes_room: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TopicSet(Event):
    """A user set the room's topic, or removed it: then *topic* is empty."""

    name: str
    topic: str

    changes_room: ClassVar[bool] = True
    ignorable: ClassVar[bool] = False
    echoed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """The room was created. It is not shown."""

    name: str


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """The room was removed with all its messages. It is not shown: the room is empty."""

    changes_room: ClassVar[bool] = True
    removes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Told(Event):
    """The server told the room *text*."""

    text: str

    ignorable: ClassVar[bool] = False
    echoed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TookBack(Event):
    """A user took back messages of their own, or an operator removed messages of a user.

    name: the user or operator.
    users: the ids of the authors.
    since: the time of the first of the messages, in seconds since the epoch.
    said_as: the author's name if an operator removed them, else empty.
    ids: the ids of the messages; empty for all messages since then.
    count: the number of ids.
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
    """A placeholder in a log for a message that was removed."""


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """The server told one user *text*, which may have several lines."""

    text: str

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """A slow reader was behind, and is not shown *count* messages."""

    count: int

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class DayBegan(Event):
    """A heading among earlier messages: those below it are of the day of its time.

    days_ago: how many days ago that was, 0 for today.
    first: whether it is the first such heading.
    """

    days_ago: int
    first: bool

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class ScrollbackEnded(Event):
    """A heading after the scrollback: what follows happens from now on."""

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Whispered(Event):
    """A private message.

    outgoing: whether this is the sender's own copy.
    """

    sender: str
    recipient: str
    text: str
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Found(Event):
    """A message that a search has found."""

    event: Event

    timed: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Mentioned(Event):
    """A line that names one person, said in a room that their connection does not show."""

    event: Event
