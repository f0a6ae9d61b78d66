"""A room is a log of events; a member is a cursor into it.

The rule: everything that happens in a room is appended to its log by the ledger, and delivery is
catching up: once per turn the room hands its new events to its members and moves their cursors.
A member who does not take their output stays where they are, and is served from the log later.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate, islice, takewhile
from operator import attrgetter, length_hint
from sys import maxsize
from typing import NamedTuple, Protocol

from twisted.logger import Logger

from chatroom.chat.mentions import Mentions
from chatroom.chat.sendqueue import SendQueue
from chatroom.formats.format import Format, encode
from chatroom.formats.plain import transcript
from chatroom.model.counters import Counters
from chatroom.model.events import (
    SERVER,
    Closed,
    Emoted,
    Event,
    Joined,
    Left,
    Removed,
    Renamed,
    Said,
    ScrollbackEnded,
    Skipped,
    TookBack,
    TopicSet,
)
from chatroom.model.output import Writer
from chatroom.text import names
from chatroom.text.times import day

log = Logger()

#: The log keeps the larger of this many events and this many bytes.
LOG_EVENTS = 1000
LOG_BYTES = 4 * 1024 * 1024

#: At most this many bytes at a time for a member who is behind.
PORTION = 64 * 1024

#: About what an event costs in memory beside its text: the row, the event and its numbers.
EVENT_BYTES = 320

#: Of how many formats a room keeps what newcomers are shown.
MAX_SCROLLBACKS = 16


#: How much memory, in bytes, a room keeps what it sent to members who were behind in, and about how
#: much one event of that takes beside its text.
MAX_ENCODED = 512 * 1024
PIECE_BYTES = 160


class Owner(Protocol):
    """Who has a member; told what the log says of it."""

    @property
    def user_id(self) -> int: ...

    def entered(self, member: "Member", room: "Room") -> None:
        """The member is in the room; `member.cursor` is the end of its log."""

    def left(self, member: "Member", event: Left) -> None:
        """The member was served up to *event* and is out of the room."""

    def renamed(self, event: Renamed) -> None:
        """The name changed."""


class Member:
    """One connection in one room."""

    __slots__ = (
        "announced",
        "cursor",
        "echo",
        "format",
        "ignores",
        "joined",
        "line",
        "mentioned",
        "moves",
        "name",
        "origin",
        "owner",
        "passing",
        "queue",
        "reads",
        "shown",
        "writer",
    )

    def __init__(
        self,
        origin: int,
        name: str,
        format: Format,
        writer: Writer,
        queue: SendQueue,
        owner: Owner | None = None,
    ) -> None:
        #: The id of the connection.
        self.origin = origin
        self.name = name
        self.format = format
        self.writer = writer
        self.queue = queue
        self.owner = owner
        #: The position of the next event to be shown.
        self.cursor = 0
        #: How many lines the log had had before the cursor, and the id of the last event before it;
        #: kept only while congested.
        self.line = self.shown = 0
        #: Whether the room was told that this member joined.
        self.announced = False
        #: Whether it leaves for another room, rather than for good.
        self.moves = False
        #: Whether it is here only to say or ask something: it is in no list.
        self.passing = False
        #: Whether it is shown what happens here.
        self.reads = True
        #: Whether this member is shown what it said itself, too (doors that draw their own screen).
        self.echo = False
        #: The ids of the users whose events are left out; None for nobody.
        self.ignores: frozenset[int] | None = None
        #: Called before a line that names this member is delivered; None if nobody wants to know.
        #: Whoever changes it, or the format, in a room says so with `Room.listen`.
        self.mentioned: Callable[[], None] | None = None
        #: When this member entered, in seconds since the epoch.
        self.joined = 0.0

    @property
    def user(self) -> int:
        """The id of the user, see `Event.user`."""
        return self.owner.user_id if self.owner is not None else -self.origin


class Row(NamedTuple):
    """One place in the log.

    line, weight: how many lines were said before it, and how many bytes all before it took.
    """

    id: int
    event: Event
    line: int
    weight: int


class Batch:
    """The new events of one turn as one format writes them.

    own: the indexes of *rows* by the origin of their events. named: the indexes of those that name
    somebody, by the origins of these.
    """

    __slots__ = ("_format", "_own", "_rows", "_starts", "_users", "data", "named", "pieces", "talk")

    def __init__(
        self,
        format: Format,
        room: str,
        rows: Sequence[Row],
        own: dict[int, list[int]],
        named: dict[int, list[int]],
    ) -> None:
        self.pieces = [encode(format, row.event, room, row.id) for row in rows]
        self.data = b"".join(self.pieces)
        #: Whether all of it are lines that were said, so that they need no counting.
        self.talk = rows[-1].line + rows[-1].event.line - rows[0].line == len(rows)
        self._rows = rows
        self._format = format
        self._own = own
        self.named = named if format.highlights else {}
        self._starts: list[int] | None = None
        self._users: frozenset[int] | None = None

    def left_out(self, member: Member, first: int, last: int) -> Sequence[int]:
        """The indexes from *first* up to *last* that *member* is not shown, in order."""
        indexes: Sequence[int] = self._own.get(member.origin, ())
        if member.ignores is not None:
            if self._users is None:
                self._users = frozenset([row.event.user for row in self._rows])
            if not self._users.isdisjoint(member.ignores):
                indexes = range(first, last)
        if not indexes:
            return ()
        return [
            index
            for index in indexes
            if first <= index < last and _hidden(member, self._rows[index].event)
        ]

    def marked(self, member: Member) -> dict[int, bytes]:
        """What *member* is shown otherwise, by its index, since it names them."""
        return {
            index: self._format.highlighted(self.pieces[index], member.name)
            for index in self.named.get(member.origin, ())
        }

    def part(self, first: int, last: int, skip: Sequence[int], marked: dict[int, bytes]) -> bytes:
        """The bytes of the events from *first* up to *last*, but for the indexes *skip*.

        marked: what stands in the place of some of them.
        """
        if marked:
            return b"".join([piece for _, piece in self.places(0, first, last, skip, marked)])
        if self._starts is None:
            self._starts = [0, *accumulate(map(len, self.pieces))]
        starts, data = self._starts, self.data
        kept, place = [], starts[first]
        for index in skip:
            kept.append(data[place : starts[index]])
            place = starts[index + 1]
        kept.append(data[place : starts[last]])
        return b"".join(kept)

    def places(
        self, start: int, first: int, last: int, skip: Sequence[int], marked: dict[int, bytes]
    ) -> list[tuple[int, bytes]]:
        """What `part` joins, each piece with the cursor after it; the batch begins at *start*."""
        return [
            (start + index + 1, marked.get(index, self.pieces[index]))
            for index in range(first, last)
            if index not in skip
        ]


class Room:
    """One room: its log, its members, its topic.

    name, key, skeleton: as people write it, what it is unique by, what is common to all names that
    look like it. counters: what it adds to.
    """

    def __init__(
        self, name: str, key: str, *, listed: bool = True, counters: Counters | None = None
    ) -> None:
        self.name = name
        self.key = key
        self.skeleton = names.skeleton(name)
        #: Whether people may see it and enter it by name.
        self.listed = listed
        self.topic = ""
        #: Why nobody may be here any more, as a sentence; empty for no such reason. And whether the
        #: room is no more: that it is closed was committed.
        self.closing = ""
        self.closed = False
        #: The origin of who has made it, until they have been greeted in it.
        self.maker = SERVER
        #: The members by origin, in the order in which they entered.
        self.members: dict[int, Member] = {}
        #: When something was last said, in seconds since the epoch; 0 for never.
        self.spoken = 0.0
        self._entering: dict[int, Member] = {}
        self._passing: dict[int, Member] = {}
        # Who is out, from which position on, and why; until the flush.
        self._leaving: list[tuple[Member, int, Left]] = []
        self._log: list[Row] = []
        self._weight = 0
        self._base = 0
        # Whether more was said before the log than it ever had.
        self._restored = False
        # Whether lines were removed since, which `Row.line` counts all the same.
        self._holes = False
        self._flushed = 0
        self._lines = 0
        self._scrollback: dict[Format, tuple[tuple[int, int, int], bytes]] = {}
        # What was sent to members who were behind, by format and id, and about how much memory that
        # takes in bytes.
        self._encoded: dict[Format, dict[int, bytes]] = {}
        self._encoded_size = 0
        self._mentions = Mentions()
        self._counters = counters or Counters(float)

    # -- the log

    @property
    def end(self) -> int:
        """The position after the last event."""
        return self._base + len(self._log)

    @property
    def lines(self) -> int:
        """How many lines were ever said here."""
        return self._lines

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
        self._mentions.forget(origin)

    def listen(self, member: Member) -> None:
        """The name of *member*, or what is done about lines with it, has changed."""
        wanted = member.mentioned is not None or member.format.highlights
        if wanted and self.members.get(member.origin) is member:
            self._mentions.listen(member.origin, member.name)
        else:
            self._mentions.forget(member.origin)

    def append(self, id: int, event: Event) -> None:
        """*event* is committed: it is in the log from here on. Delivery is `flush`."""
        self._log.append(Row(id, event, self._lines, self._weight))
        self._weight += EVENT_BYTES + event.size()
        if event.line:
            self._lines += 1
            self.spoken = event.time
        elif event.changes_room:
            self._change(event)

    def _change(self, event: Event) -> None:
        member = self.members.get(event.origin) or self._passing.get(event.origin)
        match event:
            case Joined():
                entering = self._entering.pop(event.origin, None)
                if entering is not None:
                    entering.cursor = self.end
                    self._note_place(entering)
                    entering.joined = event.time
                    here = self._passing if entering.passing else self.members
                    here[event.origin] = entering
                    self.listen(entering)
                    if entering.owner is not None:
                        _guarded(entering, entering.owner.entered, entering, self)
                    # The greeting comes before whatever follows in the same batch.
                    if not entering.writer.congested:
                        _guarded(entering, self._serve, entering, self.end, maxsize)
            case Left() if member is not None:
                del (self._passing if member.passing else self.members)[event.origin]
                if not member.reads:
                    member.cursor = self.end
                self.listen(member)
                if not member.moves:
                    # Served with all others up to here.
                    self._leaving.append((member, self.end, event))
                    return
                # At once: where it goes it is greeted next.
                if not member.writer.congested:
                    _guarded(member, self._serve, member, self.end, maxsize)
                if member.owner is not None:
                    _guarded(member, member.owner.left, member, event)
            case Renamed() if member is not None:
                member.name = event.new
                self.listen(member)
                if member.owner is not None:
                    _guarded(member, member.owner.renamed, event)
            case TopicSet():
                self.topic = event.topic
            case Closed():
                self.closed = True
            case TookBack() if event.ids:
                self._replace(lambda row: row.id in event.ids)
            case TookBack():
                self._remove(lambda said: said.time >= event.since and _is_of(said, event))

    def expire(self, before: float, keep: int) -> None:
        """Forget lines said before *before* (seconds since the epoch) and all but the last *keep*.

        keep: how many lines; 0 for all of them.
        """
        oldest = self._lines - keep if keep else 0
        # Whoever was behind may be no more.
        self._forget_encoded()
        self._remove(lambda said: said.time < before)
        self._replace(lambda row: row.line < oldest)

    def _remove(self, condition: Callable[[Event], bool]) -> None:
        self._replace(lambda row: condition(row.event))

    def _replace(self, condition: Callable[[Row], bool]) -> None:
        """Nobody is shown the lines that fulfil *condition* from here on.

        They keep their places, since cursors count them.
        """
        indexes = [
            index for index, row in enumerate(self._log) if row.event.line and condition(row)
        ]
        for index in indexes:
            row = self._log[index]
            self._log[index] = row._replace(event=Removed(row.event.time, SERVER))
        if indexes:
            self._holes = True
            self._scrollback.clear()
            self._forget_encoded()
            left = (row.event.time for row in reversed(self._log) if row.event.line)
            self.spoken = next(left, 0.0)

    def restore(
        self, topic: str, lines: Sequence[tuple[int, Event]], *, whole: bool = False
    ) -> None:
        """Begin with what a store has kept: the topic, and the last lines with their ids.

        whole: these are all lines that there are.
        """
        self._restored = not whole
        self.topic = topic
        for id, event in lines:
            self.append(id, event)
        self._flushed = self.end

    def _trim(self) -> None:
        """Cut the log to its size; events that were not delivered yet are never cut."""
        rows = self._log
        most = len(rows) - LOG_EVENTS
        drop = bisect_left(rows, self._weight - LOG_BYTES, 0, most, key=attrgetter("weight"))
        del rows[:drop]
        self._base += drop

    def recent(self, count: int) -> list[Event]:
        """The last *count* lines that were said, oldest first, as far as the log goes back."""
        return [event for _, event in self.before(maxsize, count)]

    def before(self, id: int, count: int) -> list[tuple[int, Event]]:
        """The last *count* lines with smaller ids than *id*, and their ids, oldest first."""
        rows = self._log[: bisect_left(self._log, id, key=attrgetter("id"))]
        said = ((row.id, row.event) for row in reversed(rows) if row.event.line)
        return list(islice(said, count))[::-1]

    def rows(self, first: int = 0, end: int = maxsize) -> Sequence[Row]:
        """What is in the log with ids from *first* up to *end*; a copy, which does not change."""
        start = bisect_left(self._log, first, key=attrgetter("id"))
        return self._log[start : bisect_left(self._log, end, key=attrgetter("id"))]

    def place(self, time: float) -> int:
        """The id after that of the latest line from before *time*; 0 if the log has none.

        time: in seconds since the epoch.
        """
        lines = (row for row in reversed(self._log) if row.event.line and row.event.time < time)
        last = next(lines, None)
        return last.id + 1 if last is not None else 0

    def has_line(self, id: int) -> bool:
        """Whether the log has a line with this id."""
        at = bisect_left(self._log, id, key=attrgetter("id"))
        return at < len(self._log) and self._log[at].id == id and self._log[at].event.line

    def lines_between(self, after: int, before: int) -> int | None:
        """How many lines were said between two ids; None if the log does not go back so far."""
        if (self._base or self._restored) and self.first_id > after + 1:
            return None
        start, end = (
            bisect_left(self._log, id, key=attrgetter("id")) for id in (after + 1, before)
        )
        if self._holes:
            return sum(row.event.line for row in self._log[start:end])
        lines = [
            self._log[place].line if place < len(self._log) else self._lines
            for place in (start, max(start, end))
        ]
        return lines[1] - lines[0]

    def last_ids(self, condition: Callable[[Event], bool], since: float, count: int) -> list[int]:
        """The ids of the last *count* lines that fulfil *condition* and were said since then."""
        recent = takewhile(lambda row: row.event.time >= since, reversed(self._log))
        found = (row.id for row in recent if row.event.line and condition(row.event))
        return list(islice(found, count))

    def may_have(self, condition: Callable[[Event], bool], since: float) -> bool:
        """Whether a line that fulfils *condition* was said since then, as far as the log knows."""
        return self.has(condition, since) or not self.goes_back_to(since)

    def has(self, condition: Callable[[Event], bool], since: float) -> bool:
        """Whether the log has a line that fulfils *condition* and was said since then."""
        said = (row.event for row in self._log if row.event.line and row.event.time >= since)
        return any(map(condition, said))

    @property
    def used(self) -> bool:
        """Whether there is a line that was said here, as far as the log knows."""
        return bool(self.spoken or self._base or self._restored)

    def goes_back_to(self, since: float) -> bool:
        """Whether the log has all that was said since then, in seconds since the epoch."""
        cut = bool(self._base) or self._restored
        return not cut or (bool(self._log) and self._log[0].event.time < since)

    @property
    def first_id(self) -> int:
        """The id of the first event of the log; what is older is in a store, or nowhere."""
        return self._log[0].id if self._log else maxsize

    @property
    def last_id(self) -> int:
        """The id of the last event of the log; 0 for none."""
        return self._log[-1].id if self._log else 0

    def last_shown(self, member: Member) -> int:
        """The id of the last event before the cursor of *member*; 0 for none.

        However much was said since then, and has left the log: it was not shown.
        """
        place = member.cursor - self._base
        return self._log[place - 1].id if place > 0 else member.shown

    def scrollback(self, format: Format, count: int, now: float) -> bytes:
        """The last *count* lines as a newcomer is shown them, with 'Now' below; empty for none.

        Until something is said all newcomers of a day share the same bytes.
        """
        made = (self._lines, count, day(now, format.zone))
        known, data = self._scrollback.get(format, (None, b""))
        if known != made:
            shown = transcript(self.before(maxsize, count), now, format.zone)
            if shown:
                shown.append((0, ScrollbackEnded(now, SERVER)))
            data = b"".join(
                [encode(format, event, self.name, id, live=False) for id, event in shown]
            )
            if known is None and len(self._scrollback) >= MAX_SCROLLBACKS:
                del self._scrollback[next(iter(self._scrollback))]
            self._scrollback[format] = (made, data)
        return data

    # -- delivery

    def flush(self) -> None:
        """Hand what is new in the log to every member who can take it, in one write each."""
        start, end = self._flushed, self.end
        self._flushed = end
        rows = self._log[start - self._base :]
        if not rows:
            return
        own: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            own.setdefault(row.event.origin, []).append(index)
        named = self._tell_of_mentions(rows, start) if self._mentions else {}
        # To whom it is not what everybody gets.
        differing: Collection[int] = own.keys() | named.keys() if named else own
        batches: dict[Format, Batch] = {}

        def batch_for(format: Format) -> Batch:
            if format not in batches:
                batches[format] = Batch(format, self.name, rows, own, named)
            return batches[format]

        def deliver_up_to(member: Member, last: int) -> None:
            self._deliver(member, batch_for(member.format), start, last - start)

        leaving, self._leaving = self._leaving, []
        for member, last, left in leaving:
            if not member.writer.congested:
                _guarded(member, deliver_up_to, member, last)
            if member.owner is not None:
                _guarded(member, member.owner.left, member, left)
        format = None
        count = len(rows)
        members = list(self.members.values())
        if self._passing:
            members += [member for member in self._passing.values() if member.reads]
        # Who gets what nearly everybody gets is not counted one by one: it is all of those with one
        # format after another, `ahead` when the first of them came, but for the `others`.
        rest = iter(members)
        ahead, others, size = len(members), 0, 0
        served = written = 0
        for member in rest:
            writer = member.writer
            if writer.congested:
                others += 1
                if member.cursor == start:
                    self._note_place(member)
                continue
            try:
                if member.format is not format:
                    batch = batch_for(member.format)
                    here = length_hint(rest) + 1
                    served += ahead - here - others
                    written += size * (ahead - here - others)
                    ahead, others = here, 0
                    data, size = batch.data, len(batch.data)
                    format = member.format
                if (
                    member.cursor != start
                    or member.origin in differing
                    or member.ignores is not None
                    or member.queue.size
                ):
                    others += 1
                    self._deliver(member, batch, start, count)
                    continue
                # What nearly everybody gets, nearly always.
                if size and (taken := writer.write(data)) != size:
                    others += 1
                    self._stall(member, batch.places(start, 0, count, (), {}), taken)
                    self._count_lines(member, start)
                else:
                    member.cursor = end
            except Exception:
                # One member's fault must not cost the others their lines.
                log.failure(
                    "Delivery to connection {connection} failed",
                    event="delivery_failed",
                    connection=member.origin,
                )
                member.writer.abort()
        lines = self._lines - rows[0].line
        counters = self._counters
        counters.lines += lines
        counters.deliveries += lines * (served + ahead - others)
        counters.bytes += written + size * (ahead - others)
        if len(self._log) > LOG_EVENTS:
            self._trim()

    def _tell_of_mentions(self, rows: Sequence[Row], start: int) -> dict[int, list[int]]:
        """Tell the members whom *rows*, which begin at *start*, name, once for each row.

        Returns the indexes of these rows by the origins of those members.
        """
        named: dict[int, list[int]] = {}
        for position, row in enumerate(rows, start):
            event = row.event
            if not isinstance(event, Said | Emoted):
                continue
            for origin in self._mentions.named_in(event.text):
                member = self.members[origin]
                # Who entered in this batch is not shown what came before.
                if (
                    origin != event.origin
                    and member.cursor <= position
                    and not _hidden(member, event)
                ):
                    named.setdefault(origin, []).append(position - start)
                    if member.mentioned is not None:
                        _guarded(member, member.mentioned)
        return named

    def _deliver(self, member: Member, batch: Batch, start: int, last: int) -> None:
        """Send the batch, which begins at *start*, up to its index *last*, then the send queue."""
        # Who entered in this batch is shown what came after that.
        first = member.cursor - start
        skip = batch.left_out(member, first, last)
        marked = batch.marked(member) if batch.named else {}
        if skip or marked or first or last != len(batch.pieces):
            data = batch.part(first, last, skip, marked)
        else:
            data = batch.data
        queue = member.queue
        if queue.size:
            data += queue.contents()
        if data and (taken := member.writer.write(data)) != len(data):
            self._stall(member, batch.places(start, first, last, skip, marked), taken)
        else:
            counters = self._counters
            counters.bytes += len(data)
            member.cursor = start + last
            if queue.size:
                queue.clear()
            if batch.talk:
                counters.deliveries += last - first - len(skip)
                return
        self._count_lines(member, start + first, [start + index for index in skip])

    def _count_lines(self, member: Member, start: int, hidden: Iterable[int] = ()) -> None:
        """*member* was handed the lines from *start* to its cursor, but for those at *hidden*."""
        log, base, cursor = self._log, self._base, member.cursor
        end = log[cursor - base].line if cursor < self.end else self._lines
        begun = log[start - base].line if start < self.end else self._lines
        skipped = sum(log[at - base].event.line for at in hidden if at < cursor)
        self._counters.deliveries += end - begun - skipped

    def catch_up(self, member: Member) -> bool:
        """Serve a member who was congested and has drained, at most PORTION bytes.

        Returns whether nothing is left to send: no event, no mail.
        """
        self._serve(member, self._flushed, PORTION)
        return member.cursor >= self._flushed and not member.queue.size

    def _serve(self, member: Member, end: int, size: int) -> None:
        """Send the events from the member's cursor to *end*, then the send queue, if all fits."""
        pieces: list[tuple[int, bytes]] = []
        hidden: list[int] = []
        missed = 0
        format = member.format
        known = self._encoded.get(format, {})
        cursor = start = max(member.cursor, self._base)
        if member.cursor < start:
            missed = self._log[0].line - member.line
            if missed:
                skipped = Skipped(self._log[0].event.time, SERVER, missed)
                pieces.append((cursor, encode(format, skipped, self.name)))
        for index in range(cursor - self._base, end - self._base):
            cursor += 1
            row = self._log[index]
            event = row.event
            if not _hidden(member, event):
                piece = known.get(row.id)
                if piece is None:
                    piece = self._encode(format, row)
                if format.highlights and event.line and event.origin != member.origin:
                    piece = format.highlighted(piece, member.name)
                pieces.append((cursor, piece))
                size -= len(piece)
                if size <= 0:
                    break
            else:
                hidden.append(cursor - 1)
        data = b"".join([piece for _, piece in pieces])
        if cursor >= end:
            data += member.queue.contents()
        if data and (taken := member.writer.write(data)) != len(data):
            self._stall(member, pieces, taken)
            if member.cursor < start:
                # Nothing of it was taken: it will be told again what it missed.
                return
        else:
            self._counters.bytes += len(data)
            member.cursor = cursor
            # The log may move past the rest before there is another portion.
            self._note_place(member)
            if cursor >= end:
                member.queue.clear()
        self._counters.missed += missed
        self._count_lines(member, start, hidden)

    def _encode(self, format: Format, row: Row) -> bytes:
        """*row* as *format* shows it, which is kept for others who are behind as well."""
        piece = encode(format, row.event, self.name, row.id)
        if self._encoded_size > MAX_ENCODED:
            self._forget_encoded()
        self._encoded_size += len(piece) + PIECE_BYTES
        self._encoded.setdefault(format, {})[row.id] = piece
        return piece

    def _forget_encoded(self) -> None:
        self._encoded.clear()
        self._encoded_size = 0

    def _stall(self, member: Member, pieces: Iterable[tuple[int, bytes]], taken: int) -> None:
        """The writer took only *taken* bytes of *pieces* and the mail after them.

        The line in which it stopped goes to the writer, the cursor stands after it.
        """
        rest = b""
        self._counters.bytes += taken
        for after, piece in pieces:
            if taken <= 0:
                break
            member.cursor = after
            rest = piece[taken:]
            taken -= len(piece)
        else:
            if taken > 0:
                rest = member.queue.sent(taken)
        self._note_place(member)
        self._counters.bytes += len(rest)
        member.writer.finish(rest)

    def _note_place(self, member: Member) -> None:
        """Note what there was before the cursor of *member*, who is behind."""
        row = member.cursor - self._base
        # Before the log begins it stays: what was missed has still to be told.
        if row >= 0:
            member.line = self._log[row].line if row < len(self._log) else self._lines
        if row > 0:
            member.shown = self._log[row - 1].id


def _is_of(said: Event, event: TookBack) -> bool:
    """Return whether *said* is of a user, or under the name, whose lines *event* took back."""
    if event.said_as:
        return said_by(said, names.fold(event.said_as))
    return said.user in event.users


def said_by(event: Event, key: str) -> bool:
    """Whether *event* is a line that was said under the name with this *key*."""
    return isinstance(event, Said | Emoted) and names.fold(event.name) == key


def _guarded(member: Member, call: Callable[..., object], *args: object) -> None:
    """Do for *member* what must not cost the others the rest of a batch when it fails."""
    try:
        call(*args)
    except Exception:
        log.failure(
            "Delivery to connection {connection} failed",
            event="delivery_failed",
            connection=member.origin,
        )
        member.writer.abort()


def _hidden(member: Member, event: Event) -> bool:
    """Whether *event* is left out for *member*."""
    if event.origin == member.origin:
        return not (event.echoed or (member.echo and event.line))
    return member.ignores is not None and event.ignorable and event.user in member.ignores
