"""A room: a log of what happens, the users who are members, and the connections that show it.

Everything that happens in a room is appended to its log when the ledger has committed it; delivery
is catching up, see delivery.py. A member is in the room whether or not a connection of theirs shows
it just now; what no connection shows costs a delivery nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from chatroom.chat.delivery import Delivery
from chatroom.chat.log import Log, Row, said_by
from chatroom.chat.member import Member
from chatroom.chat.reader import Reader, guarded
from chatroom.chat.scrollback import Scrollback
from chatroom.chat.user import User
from chatroom.model.counters import Counters
from chatroom.model.events import SERVER, Closed, Event, Joined, Left, Renamed, TookBack, TopicSet
from chatroom.model.output import Writer
from chatroom.text import names


class Entrant(Protocol):
    """A connection that waits until its user is in a room."""

    origin: int
    writer: Writer

    def joined(self, room: "Room") -> None:
        """The user is a member of *room*."""

    def join_failed(self, room: "Room", why: str) -> None:
        """The user is none, for what half a sentence says."""


class Entering(NamedTuple):
    """A user on the way into a room, and the connections that wait for that."""

    user: User
    entrants: list[Entrant]


class Room:
    """One room.

    name, key, skeleton: as people write it, what it is unique by, what is common to all names that
        look like it.
    listed: whether people may see it and enter it by name.
    closing: why nobody may be here any more, as a sentence; empty for no such reason.
    closed: whether the room is no more: that it is closed was committed.
    maker: the origin of the user who has made it, until they have been greeted in it.
    members: the members by the origins of their users, in the order in which they entered.
    readers: the connections that show the room, by their ids, in the order in which they came.
    counters: what it adds to.
    """

    def __init__(
        self, name: str, key: str, *, listed: bool = True, counters: Counters | None = None
    ) -> None:
        self.name = name
        self.key = key
        self.skeleton = names.skeleton(name)
        self.listed = listed
        self.topic = ""
        self.closing = ""
        self.closed = False
        self.maker = SERVER
        self.members: dict[int, Member] = {}
        self.readers: dict[int, Reader] = {}
        self.log = Log()
        self.delivery = Delivery(self.log, name, counters or Counters(float))
        self.scrollback = Scrollback(self.log, name)
        #: Called with every member who has entered.
        self.on_joined: Callable[[Member], None] = lambda member: None
        self._entering: dict[int, Entering] = {}

    # -- members

    @property
    def deserted(self) -> bool:
        """Whether nobody is here or on the way in."""
        return not (self.members or self._entering)

    def expect(self, user: User, entrant: Entrant | None) -> bool:
        """Make *user* a member when the `Joined` of their origin is committed.

        Returns False if they are on the way in already. *entrant* is told when they are in.
        """
        known = self._entering.get(user.origin)
        entering = known or self._entering.setdefault(user.origin, Entering(user, []))
        if entrant is not None:
            entering.entrants.append(entrant)
        return known is None

    def join_failed(self, origin: int, why: str) -> None:
        """Tell the connections that wait: the `Joined` of this origin will not come."""
        entering = self._entering.pop(origin, None)
        for entrant in entering.entrants if entering is not None else ():
            entrant.join_failed(self, why)

    def remove(self, origin: int) -> None:
        """Take the member out, if there is one: their `Left` is committed, or will not come."""
        member = self.members.pop(origin, None)
        if member is None:
            return
        self.delivery.mentions.forget(origin)
        user = member.user
        if not user.leaving:
            user.rooms = tuple(key for key in user.rooms if key != self.key)
        for one in user.connections:
            guarded(one.origin, one.writer, one.left, self)

    def _add(self, user: User, time: float) -> None:
        """Make *user*, who has entered, a member."""
        member = self.members[user.origin] = Member(user, time)
        if self.key not in user.rooms:
            user.rooms = (*user.rooms, self.key)
        self.listen(user)
        self.on_joined(member)

    # -- readers

    def attach(self, reader: Reader) -> None:
        """Show *reader* what happens from here on."""
        reader.cursor = self.log.end
        self.delivery.note_place(reader)
        self.readers[reader.origin] = reader
        if reader.user is not None:
            self.listen(reader.user)

    def detach(self, reader: Reader) -> int:
        """Show *reader*, if it can take it, what has happened so far, and nothing from here on.

        Returns the id of the last event that it was shown; 0 for none.
        """
        if self.readers.pop(reader.origin, None) is not None:
            self.delivery.serve(reader)
            if reader.user is not None:
                self.listen(reader.user)
        return self.last_shown(reader)

    def listen(self, user: User) -> None:
        """Look for the name of *user*: it, or what is done about lines with it, has changed."""
        member = self.members.get(user.origin)
        if member is None or member.user is not user:
            return
        readers = [self.readers.get(one.origin) for one in user.reading]
        if any(one is None or one.bell is not None or one.format.highlights for one in readers):
            self.delivery.mentions.listen(user.origin, user.name)
        else:
            self.delivery.mentions.forget(user.origin)

    def last_shown(self, reader: Reader) -> int:
        """Return the id of the last event before the cursor of *reader*; 0 for none.

        However much was said since then, and has left the log: it was not shown.
        """
        return self.log.id_before(reader.cursor) or reader.shown

    # -- events

    def append(self, id: int, event: Event) -> None:
        """Put *event*, which is committed, in the log. Delivery is `flush`."""
        self.log.append(id, event)
        if event.changes_room:
            self._change(event)

    def _change(self, event: Event) -> None:
        match event:
            case Joined():
                entering = self._entering.pop(event.origin, None)
                if entering is not None:
                    self._add(entering.user, event.time)
                    for one in entering.entrants:
                        guarded(one.origin, one.writer, one.joined, self)
            case Left():
                self.remove(event.origin)
            case Renamed():
                member = self.members.get(event.origin)
                if member is not None:
                    for device in member.user.connections[:1]:
                        handler = device.handler
                        guarded(device.origin, device.writer, handler.renamed, device, event)
                    self.listen(member.user)
            case TopicSet():
                self.topic = event.topic
            case Closed():
                self.closed = True
            case TookBack() if event.ids:
                self._replace(lambda row: row.id in event.ids)
            case TookBack():
                self._replace(
                    lambda row: row.event.time >= event.since and _is_of(row.event, event)
                )

    def _replace(self, condition: Callable[[Row], bool]) -> None:
        """Show nobody the lines that fulfil *condition* from here on."""
        if self.log.replace(condition):
            self.scrollback.clear()
            self.delivery.forget_encoded()

    def expire(self, before: float, keep: int) -> None:
        """Forget lines said before *before* (seconds since the epoch) and all but the last *keep*.

        keep: how many lines; 0 for all of them.
        """
        oldest = self.log.lines - keep if keep else 0
        # The members for whom it was encoded may be gone.
        self.delivery.forget_encoded()
        self._replace(lambda row: row.event.time < before or row.line < oldest)

    def restore(
        self, topic: str, lines: Sequence[tuple[int, Event]], *, whole: bool = False
    ) -> None:
        """Begin with what a store has kept: the topic, and the last lines with their ids.

        whole: these are all lines that there are.
        """
        self.topic = topic
        self.log.restore(lines, whole=whole)
        self.delivery.flushed = self.log.end

    def flush(self) -> None:
        """Deliver what is new."""
        self.delivery.flush(self.members, self.readers)


def _is_of(said: Event, event: TookBack) -> bool:
    """Return whether *said* is of a user, or under the name, whose lines *event* took back."""
    if event.said_as:
        return said_by(said, names.fold(event.said_as))
    return said.user in event.users
