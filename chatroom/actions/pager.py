"""What a user looks up: pages of a room, of a search, and of what they missed.

One thing is looked up at a time. Input waits for the answer, at most until a time limit, so that it
stands where it was asked for. Pages are made in slices of time, see lookups.py.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from chatroom.actions.steps import with_timeout
from chatroom.chat.log import said_by
from chatroom.chat.lookups import piecemeal
from chatroom.chat.sendqueue import MAX_BYTES, Letter
from chatroom.formats.format import encode
from chatroom.formats.plain import transcript
from chatroom.model.entry import Entry
from chatroom.model.events import SERVER, Event, Found, Noticed
from chatroom.model.history import MAX_ID, Gap, Query, UnreadSummary
from chatroom.model.refused import Code, Refused
from chatroom.text import names
from chatroom.text.times import day, local
from chatroom.text.words import named

if TYPE_CHECKING:
    from chatroom.chat.connection import Connection
    from chatroom.chat.room import Room

log = Logger()

#: What is said when all that somebody missed has been shown.
ALL_MISSED = "That is all that you missed."

#: How many lines one page of a search has.
FOUND = 10

#: How many lines one page of what was missed has.
MISSED = 50

#: More bytes than the notice takes with which a day begins, whatever the time zone's name.
HEADING = 96

#: How long, in seconds, one thing may be searched for, and looked up: that may have to wait for a
#: search.
SEARCHING = 1.0
LOOKING = 2.0

SORRY = "That cannot be looked up just now. Please try again later."
TOO_LONG = "That takes too long to look for. Rarer words, or one room, are found sooner."

#: Entries as they are shown, together.
Page = tuple[Sequence[Entry], bytes]


def pager_of(connection: "Connection") -> "HistoryPager":
    """What *connection* looks up, made with the first question."""
    recall = connection.recall
    if not isinstance(recall, HistoryPager):
        recall = connection.recall = HistoryPager(connection)
    return recall


class HistoryPager:
    """What one person looked up last, and how it goes on."""

    __slots__ = ("_asked", "_connection", "_next")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._next: Callable[[], None] | None = None
        self._asked: Deferred[Any] | None = None

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        if self._asked is not None:
            self._asked.cancel()

    def more(self) -> bool:
        """Show the next page of what was looked up last; returns whether there is one."""
        if self._next is None:
            return False
        self._next()
        return True

    def history(
        self, room: "Room", count: int, before: int = MAX_ID, time: float | None = None
    ) -> None:
        """Show *count* lines of *room* from before the id *before*, then earlier ones.

        time: in seconds since the epoch; in place of an id, from before this time.
        """
        connection = self._connection
        chat = connection.chat

        def ask() -> "Deferred[list[Entry]]":
            if time is None:
                return chat.lines_before(room, before, count)
            place = chat.place_of(room, time)
            return place.addCallback(lambda id: chat.lines_before(room, id, count))

        def show(entries: Sequence[Entry]) -> "Deferred[None]":
            seen = self._allowed(entries)
            return self._page(room, seen, newest=True).addCallback(shown, seen)

        def shown(made: Page, seen: Sequence[Entry]) -> None:
            page, lines = made
            more = len(seen) == count or len(page) < len(seen)
            connection.post(lines)
            if more:
                self._next = lambda: self.history(room, count, page[0].id)
                connection.notice("/more shows what was said before.")
            elif not lines:
                none = "Nothing" if before == MAX_ID and time is None else "Nothing earlier"
                connection.notice(f"{none} has been said here.")

        self._ask(ask, show)

    def search(self, query: Query, otherwise: Query | None = None) -> None:
        """Show the newest lines that *query* looks for, then older ones.

        otherwise: what is looked for if there are none.
        """
        connection = self._connection
        chat = connection.chat

        lines: list[bytes] = []

        def steps(entries: Sequence[Entry]) -> Iterator[None]:
            hidden = connection.hider()
            for entry in reversed(self._allowed(entries)):
                key, id, event = entry
                if chat.is_there(entry) and not hidden(event):
                    found = Found(event.time, event.origin, event, user=event.user)
                    lines.append(encode(connection.format, found, chat.rooms[key].name, id))
                    yield

        def show(entries: Sequence[Entry]) -> "Deferred[None]":
            return piecemeal(chat.clock, steps(entries)).addCallback(shown, entries)

        def shown(_: None, entries: Sequence[Entry]) -> None:
            connection.post(b"".join(lines))
            newest = query.before == MAX_ID
            if len(entries) == FOUND:
                older = replace(query, before=entries[0].id)
                self._next = lambda: self.search(older)
                connection.notice(f"{'These are the newest. ' * newest}/more shows older ones.")
            elif not lines and otherwise is not None:
                self.search(otherwise)
            elif not lines:
                connection.notice("Nothing was found." if newest else "That is all.")

        self._ask(lambda: self._found(query), show, searches=True)

    def _found(self, query: Query) -> "Deferred[list[Entry]]":
        """What is found and this person may see; not even how much there is else."""

        def seen(entries: list[Entry]) -> "list[Entry] | Deferred[list[Entry]]":
            allowed = self._allowed(entries)
            if len(allowed) == len(entries):
                return entries
            # A room to which they were invited after something was said has nothing older for them.
            closed = {entry.room for entry in entries if entry not in allowed}
            rooms = set(query.rooms) - closed
            older = self._found(replace(query, rooms=rooms, before=entries[0].id))
            return older.addCallback(lambda found: [*found, *allowed][-FOUND:])

        return self._connection.chat.history.search(query, FOUND).addCallback(seen)

    def returned(
        self, rooms: Collection[str], name: str, letter: Letter | None = None
    ) -> "Deferred[Any]":
        """Somebody who was here before is back: tell them what they missed, if they did.

        Fires when that is in their send queue.

        rooms: the keys of those that they read. name: theirs. letter: told when they know.
        """
        connection = self._connection

        def tell(missed: Sequence[UnreadSummary]) -> None:
            count = sum(room.lines for room in missed)
            if not count:
                connection.post(b"", letter)
                return
            naming = sum(room.naming for room in missed)
            oldest, now = min(room.since for room in missed), connection.chat.clock.time()
            since = when(oldest, now, connection.format.zone)
            line = f"You missed {count:,} line{'' if count == 1 else 's'} since {since}"
            if naming:
                them = "which" if count == 1 else f"{naming:,} of them"
                line += f", {them} name{'s' if naming == 1 else ''} you"
            shows = "it" if count == 1 else "them"
            line += f". /missed shows {shows}."
            connection.tell(Noticed(connection.chat.clock.time(), SERVER, line), letter)
            if connection.unread is not None:
                by_time = sorted(missed, key=lambda room: room.since)
                connection.unread.sort([room.room for room in by_time])

        gaps = [(room, gap) for room, gap in self._gaps() if room in rooms]
        own = names.fold(name)
        return self._ask(lambda: connection.chat.history.missed(gaps, named(name), own), tell)

    def missed(self, otherwise: str = "You missed nothing.") -> None:
        """Show what was missed, room by room, each from its oldest line on.

        otherwise: what is said if that is nothing. Raises Refused.
        """
        if self._connection.one_shot and self._connection.user.account is not None:
            raise Refused(Code.WRONG_CONNECTION, "What you missed waits for when you come to read.")
        self._next = None
        gaps = [(room, gap) for room, gap in self._gaps() if not self._is_empty(room, gap)]
        if gaps:
            self._show_missed(gaps, otherwise)
        else:
            self._connection.notice(otherwise)

    def _show_missed(self, gaps: list[tuple[str, Gap]], otherwise: str) -> None:
        """Show the first page of *gaps*, or say what is to be said *otherwise*."""
        connection = self._connection
        chat = connection.chat
        (key, gap), *others = gaps
        room = chat.rooms[key]

        def show(entries: Sequence[Entry]) -> "Deferred[None]":
            within = [entry for entry in entries if entry.id < gap.before]
            own = {entry.id for entry in within if self._is_own(entry.event)}
            return self._page(room, within, newest=False, hidden=own).addCallback(
                shown, entries, within
            )

        def shown(made: Page, entries: Sequence[Entry], within: Sequence[Entry]) -> None:
            page, lines = made
            whole = len(entries) < MISSED or len(within) < len(entries)
            done = whole and len(page) == len(within)
            last = page[-1].id if page else gap.after
            if connection.unread is not None:
                # What comes after an open gap is still to be shown.
                closed = done and gap.before < MAX_ID
                connection.unread.read(key, gap, gap.before - 1 if closed else last)
            if lines:
                connection.notice(f"In #{room.name}:")
                connection.post(lines)
            left = others if done else [(key, Gap(last, gap.before)), *others]
            if not left:
                connection.notice(ALL_MISSED if lines else otherwise)
            elif lines or not done:
                self._next = lambda: self.missed(ALL_MISSED)
                connection.notice("/more goes on.")
            else:
                self._show_missed(left, otherwise)

        self._ask(lambda: chat.history.after(key, gap.after, MISSED), show)

    def _gaps(self) -> list[tuple[str, Gap]]:
        """What was not shown of the rooms that there are, as far as this person may see it."""
        connection = self._connection
        return [
            (room, Gap(max(gap.after, self._since(room) - 1), gap.before))
            for room, gap in (connection.unread.gaps if connection.unread is not None else ())
            if room in connection.chat.rooms and self._since(room) < gap.before
        ]

    def _is_empty(self, room: str, gap: Gap) -> bool:
        """Whether it is known that nothing was said in *gap*."""
        return self._connection.chat.rooms[room].log.lines_between(*gap) == 0

    def _is_own(self, event: Event) -> bool:
        """Whether this person said it, here or with a command on another connection."""
        account = self._connection.user.account
        return account is not None and said_by(event, account.key)

    def _allowed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of *entries* that this person may see: of private rooms what they were in for."""
        since = {room: self._since(room) for room in {entry.room for entry in entries}}
        return [entry for entry in entries if entry.id >= since[entry.room]]

    def _since(self, room: str) -> int:
        """From which id on this person may see what is said in the room."""
        since = self._connection.chat.moderation.visible_from(self._connection.user, room)
        return MAX_ID if since is None else since

    def _page(
        self,
        room: "Room",
        entries: Sequence[Entry],
        *,
        newest: bool,
        hidden: Collection[int] = (),
    ) -> "Deferred[Page]":
        """As many of *entries* as can be shown at once, and how they are, with their days.

        entries: lines of *room*, oldest first.
        newest: the last of them, else the first. hidden: the ids of those that are left out, beside
        those of whom this person ignores.
        """
        connection = self._connection
        zone = connection.format.zone
        kept: list[Entry] = []
        pieces: dict[int, bytes] = {}

        def steps() -> Iterator[None]:
            hides = connection.hider()
            size, last = 0, -1
            for entry in reversed(entries) if newest else entries:
                if entry.id not in hidden and not hides(entry.event):
                    piece = connection.shown(entry.event, room.name, entry.id)
                    number = day(entry.event.time, zone)
                    size += len(piece) + HEADING * (number != last)
                    last = number
                    if size > MAX_BYTES and pieces:
                        return
                    if len(piece) <= MAX_BYTES:
                        pieces[entry.id] = piece
                kept.append(entry)
                yield

        def made(_: None) -> Page:
            page = kept[::-1] if newest else kept
            said = [(entry.id, entry.event) for entry in page if entry.id in pieces]
            lines = transcript(said, connection.chat.clock.time(), zone)
            shown = [pieces.get(id) or connection.shown(event, room.name) for id, event in lines]
            return page, b"".join(shown)

        return piecemeal(connection.chat.clock, steps()).addCallback(made)

    def _ask(
        self,
        start: "Callable[[], Deferred[Any]]",
        show: Callable[..., "Deferred[None] | None"],
        *,
        searches: bool = False,
    ) -> "Deferred[Any]":
        """Let input wait for what *start* asks for, and *show* it; fires when that is done.

        searches: whether it is searched for, which has turns of its own.
        """
        connection = self._connection
        clock = connection.chat.clock
        last, self._next = self._next, None
        sorry = SORRY

        def look() -> "Deferred[Any]":
            span = SEARCHING if searches else LOOKING
            return with_timeout(start(), clock, span).addCallbacks(answered, late)

        def late(failure: Any) -> Any:
            nonlocal sorry
            if searches and failure.check(TimedOut):
                sorry = TOO_LONG
            return failure

        def failed(failure: Any) -> None:
            if connection.over:
                return
            # One line: the traceback of an answer says no more.
            log.warn(
                "History could not be read: {error!r}",
                event="history_not_read",
                connection=connection.origin,
                error=failure.value,
            )
            # What could not be shown can be asked for again.
            self._next = last
            connection.notice(sorry)

        def answered(found: object) -> "Deferred[Any] | None":
            if connection.over:
                return None
            return maybeDeferred(show, found).addErrback(not_shown)

        def not_shown(failure: Any) -> None:
            if not failure.check(CancelledError):
                log.failure(
                    "An answer to connection {connection} failed",
                    failure,
                    event="answer_failed",
                    connection=connection.origin,
                )

        turns = connection.chat.searches if searches else connection.chat.lookups
        self._asked = asked = turns.ask(connection.source, look)
        told: Deferred[Any] = with_timeout(asked, clock).addErrback(failed)
        connection.gate.wait_for(told)
        return told


def when(time: float, now: float, zone: tzinfo) -> str:
    """A time as somebody who comes back needs it: the hour, and the day if it was not today."""
    today = day(time, zone) == day(now, zone)
    return f"{local(time, zone):{'%H:%M' if today else '%A %d %B %H:%M'}}"
