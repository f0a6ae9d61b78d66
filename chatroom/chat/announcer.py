"""Announcements of joins and leaves: when a room is told of them.

A user who leaves soon and says nothing is not announced at all, so that port scans and one-line
scripts make no noise. A crowd that joins or leaves within a second is announced in one line.
"""

from collections import deque
from collections.abc import Callable

from chatroom.chat.member import Member
from chatroom.chat.room import Room
from chatroom.model.clock import Call, Clock
from chatroom.model.events import SERVER, Announced, CrowdMoved, Event

#: How long a user has to stay to be announced without having said anything.
STAY_SECONDS = 2.0

#: How many users who join (or leave) within a second get a line each.
MAX_LINES_PER_SECOND = 3

#: How many of the users in a crowd are named.
MAX_NAMED = 2


class JoinAnnouncer:
    """Announces the joins and leaves of one room.

    submit: submits an event for the room.
    quiet_above: in a room with more members, only those who spoke are announced; 0 for no limit.
    silent: True if nothing is to be announced at all.
    """

    def __init__(
        self,
        room: Room,
        clock: Clock,
        submit: Callable[[Event], None],
        quiet_above: int,
        *,
        silent: bool = False,
    ) -> None:
        self._room = room
        self._clock = clock
        self._submit = submit
        self.quiet_above = quiet_above
        self._silent = silent
        # When to announce, the member's origin, and when they joined. Not the member itself: a
        # member who has left must not be kept in memory for this.
        self._staying: deque[tuple[float, int, float]] = deque()
        #: The origins of members who will be announced if they stay.
        self.arriving: set[int] = set()
        self._stay_call: Call | None = None
        self._joins = _Crowd(self, joined=True)
        self._leaves = _Crowd(self, joined=False)

    def entered(self, member: Member) -> None:
        """Announce *member*, who has just entered, if they stay."""
        if self._silent:
            return
        due = self._clock.seconds() + STAY_SECONDS
        self._staying.append((due, member.origin, member.joined))
        self.arriving.add(member.origin)
        if self._stay_call is None:
            self._stay_call = self._clock.callLater(STAY_SECONDS, self._stayed)

    def spoke(self, member: Member) -> None:
        """Announce *member* before their first message, unless they were announced already."""
        if not member.announced and not self._silent:
            self._announce(member)

    def leaving(self, member: Member) -> bool:
        """Return whether the `Left` of *member* gets a line of its own."""
        self.arriving.discard(member.origin)
        return member.announced and self._leaves.admits(member.name)

    def close(self) -> None:
        """Announce nothing more."""
        for call in (self._stay_call, self._joins.call, self._leaves.call):
            if call is not None and call.active():
                call.cancel()

    def _stayed(self) -> None:
        self._stay_call = None
        now = self._clock.seconds()
        room = self._room
        while self._staying and self._staying[0][0] <= now:
            _, origin, joined = self._staying.popleft()
            member = room.members.get(origin)
            many = self.quiet_above and len(room.members) > self.quiet_above
            # A member who left and came back has another entry.
            if member is not None and member.joined != joined:
                continue
            self.arriving.discard(origin)
            if member is None:
                continue
            if not member.announced and not many:
                self._announce(member)
        if self._staying:
            self._stay_call = self._clock.callLater(self._staying[0][0] - now, self._stayed)

    def _announce(self, member: Member) -> None:
        member.announced = True
        self.arriving.discard(member.origin)
        if self._joins.admits(member.name):
            self._submit(
                Announced(self._clock.time(), member.origin, member.name, user=member.user.id)
            )


class _Crowd:
    """Users who join (or leave) within a second: a few get lines of their own, the others share."""

    def __init__(self, announcer: JoinAnnouncer, *, joined: bool) -> None:
        self._announcer = announcer
        self._joined = joined
        self._since = 0.0
        self._singly = 0
        self._names: list[str] = []
        self._count = 0
        self.call: Call | None = None

    def admits(self, name: str) -> bool:
        """Return whether *name* gets a line of its own; if not, it is in the shared line later."""
        clock = self._announcer._clock
        now = clock.seconds()
        if not 0 <= now - self._since < 1:
            self._since = now
            self._singly = 0
        if self.call is None and self._singly < MAX_LINES_PER_SECOND:
            self._singly += 1
            return True
        self._count += 1
        if len(self._names) < MAX_NAMED and name not in self._names:
            self._names.append(name)
        if self.call is None:
            self.call = clock.callLater(1, self._tell)
        return False

    def _tell(self) -> None:
        self.call = None
        names, count = tuple(self._names), self._count
        self._names, self._count = [], 0
        now = self._announcer._clock.time()
        self._announcer._submit(CrowdMoved(now, SERVER, names, count, self._joined))
