"""Presence: when a room is told who joins and leaves.

The rule: whoever neither spoke nor stayed comes and goes in silence, so that port scans and
one-line scripts make no noise, and a crowd is one line.
"""

from collections import deque
from collections.abc import Callable

from chatroom.chat.room import Member, Room
from chatroom.model.clock import Call, Clock
from chatroom.model.events import SERVER, Announced, CrowdMoved, Event

#: How long, in seconds, somebody has to stay to be announced without a word.
STAY_SECONDS = 2.0

#: How many people who join (or leave) in a second get a line each.
MAX_LINES_PER_SECOND = 3

#: How many of a crowd are named.
MAX_NAMED = 2


class JoinAnnouncer:
    """What one room is told of coming and going.

    submit: hands an event to the room's ledger.
    quiet_above: in a room of more people only those who spoke are announced; 0 for no such limit.
    silent: whether nothing is told at all.
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
        # When, whose and when that member joined: who has gone is not kept for it.
        self._staying: deque[tuple[float, int, float]] = deque()
        #: The origins of those who have entered, and of whom the room is told if they stay.
        self.arriving: set[int] = set()
        self._stay_call: Call | None = None
        self._joins = _Crowd(self, joined=True)
        self._leaves = _Crowd(self, joined=False)

    def entered(self, member: Member) -> None:
        """*member* is in; if they stay, the room is told."""
        if self._silent:
            return
        due = self._clock.seconds() + STAY_SECONDS
        self._staying.append((due, member.origin, member.joined))
        self.arriving.add(member.origin)
        if self._stay_call is None:
            self._stay_call = self._clock.callLater(STAY_SECONDS, self._stayed)

    def spoke(self, member: Member) -> None:
        """*member* is about to say something: the room is told first that they are here."""
        if not member.announced and not self._silent:
            self._announce(member)

    def leaving(self, member: Member) -> bool:
        """Whether the `Left` of *member* is a line of its own."""
        self.arriving.discard(member.origin)
        return member.announced and self._leaves.admits(member.name)

    def close(self) -> None:
        """Nothing more is told."""
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
            # Who went and came again has an entry of their own.
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
                Announced(self._clock.time(), member.origin, member.name, user=member.user)
            )


class _Crowd:
    """Those who move the same way within a second: the first few singly, the others together."""

    def __init__(self, announcer: JoinAnnouncer, *, joined: bool) -> None:
        self._announcer = announcer
        self._joined = joined
        self._since = 0.0
        self._singly = 0
        self._names: list[str] = []
        self._count = 0
        self.call: Call | None = None

    def admits(self, name: str) -> bool:
        """Whether *name* gets a line of its own; otherwise it is in the line to come."""
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
