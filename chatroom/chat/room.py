"""A room: a log of what happens, and the members who read it, each with a cursor into it.

Everything that happens in a room is appended to its log when the ledger has committed it; delivery
is catching up, see delivery.py.
"""

from collections.abc import Callable, Sequence

from chatroom.chat.delivery import Delivery
from chatroom.chat.log import Log, Row, said_by
from chatroom.chat.member import Member, guarded
from chatroom.chat.scrollback import Scrollback
from chatroom.model.counters import Counters
from chatroom.model.events import SERVER, Closed, Event, Joined, Left, Renamed, TookBack, TopicSet
from chatroom.text import names


class Room:
    """One room.

    name, key, skeleton: as people write it, what it is unique by, what is common to all names that
        look like it.
    listed: whether people may see it and enter it by name.
    closing: why nobody may be here any more, as a sentence; empty for no such reason.
    closed: whether the room is no more: that it is closed was committed.
    maker: the origin of who has made it, until they have been greeted in it.
    members: the members by origin, in the order in which they entered.
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
        self.log = Log()
        self.delivery = Delivery(self.log, name, counters or Counters(float))
        self.scrollback = Scrollback(self.log, name)
        self._entering: dict[int, Member] = {}
        self._passing: dict[int, Member] = {}
        # Who is out, from which position on, and why; until the flush.
        self._leaving: list[tuple[Member, int, Left]] = []

    # -- members

    @property
    def deserted(self) -> bool:
        """Nobody is here or on the way in."""
        return not (self.members or self._entering or self._passing)

    def reader(self, origin: int) -> Member | None:
        """The member of this origin, if it is shown what happens here; None for none."""
        member = self.members.get(origin) or self._passing.get(origin)
        return member if member is not None and member.reads else None

    def expect(self, member: Member) -> None:
        """*member* enters when the `Joined` of its origin is committed."""
        self._entering[member.origin] = member

    def forget(self, origin: int) -> None:
        """The `Joined` or `Left` of *origin* will not come: take the member out at once."""
        self._entering.pop(origin, None)
        self.members.pop(origin, None)
        self._passing.pop(origin, None)
        self.delivery.mentions.forget(origin)

    def listen(self, member: Member) -> None:
        """The name of *member*, or what is done about lines with it, has changed."""
        wanted = member.mentioned is not None or member.format.highlights
        if wanted and self.members.get(member.origin) is member:
            self.delivery.mentions.listen(member.origin, member.name)
        else:
            self.delivery.mentions.forget(member.origin)

    def last_shown(self, member: Member) -> int:
        """Return the id of the last event before the cursor of *member*; 0 for none.

        However much was said since then, and has left the log: it was not shown.
        """
        return self.log.id_before(member.cursor) or member.shown

    # -- events

    def append(self, id: int, event: Event) -> None:
        """*event* is committed: it is in the log from here on. Delivery is `flush`."""
        self.log.append(id, event)
        if event.changes_room:
            self._change(event)

    def _change(self, event: Event) -> None:
        member = self.members.get(event.origin) or self._passing.get(event.origin)
        match event:
            case Joined():
                entering = self._entering.pop(event.origin, None)
                if entering is not None:
                    entering.cursor = self.log.end
                    self.delivery.note_place(entering)
                    entering.joined = event.time
                    here = self._passing if entering.passing else self.members
                    here[event.origin] = entering
                    self.listen(entering)
                    if entering.owner is not None:
                        guarded(entering, entering.owner.entered, entering)
            case Left() if member is not None:
                del (self._passing if member.passing else self.members)[event.origin]
                if not member.reads:
                    member.cursor = self.log.end
                self.listen(member)
                if not member.moves:
                    # Served with all others up to here.
                    self._leaving.append((member, self.log.end, event))
                    return
                # At once: where it goes it is greeted next.
                self.delivery.serve(member)
                if member.owner is not None:
                    guarded(member, member.owner.left, member, event)
            case Renamed() if member is not None:
                member.name = event.new
                self.listen(member)
                if member.owner is not None:
                    guarded(member, member.owner.renamed, event)
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
        leaving, self._leaving = self._leaving, []
        beside = [member for member in self._passing.values() if member.reads]
        self.delivery.flush(self.members, beside, leaving)


def _is_of(said: Event, event: TookBack) -> bool:
    """Return whether *said* is of a user, or under the name, whose lines *event* took back."""
    if event.said_as:
        return said_by(said, names.fold(event.said_as))
    return said.user in event.users
