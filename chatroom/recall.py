"""What one person looks up: pages of a room, of a search, of what they missed.

The rule: one thing at a time. Input waits until the answer is there, or the time for it is up, so
that what was looked up stands where it was asked for.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom import ignoring, names
from chatroom.events import SERVER, Event, Found, Noticed
from chatroom.flow import in_time
from chatroom.history import LAST, Gap, Missed, Query
from chatroom.ledger import Entry
from chatroom.mailbox import MAX_BYTES, Letter
from chatroom.room import encode, said_by
from chatroom.times import day, local
from chatroom.words import phrases

if TYPE_CHECKING:
    from chatroom.room import Room
    from chatroom.session import Session

log = Logger()

#: How many lines one page of a search has.
FOUND = 10

#: How many lines one page of what was missed has.
MISSED = 50

#: More bytes than the notice takes with which a day begins, whatever the time zone's name.
HEADING = 96


def recall_of(session: "Session") -> "Recall":
    """What *session* looks up, made with the first question."""
    if session.recall is None:
        session.recall = Recall(session)
    return session.recall


class Recall:
    """What one person looked up last, and how it goes on."""

    __slots__ = ("_next", "_session")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._next: Callable[[], None] | None = None

    def more(self) -> bool:
        """Show the next page of what was looked up last; returns whether there is one."""
        if self._next is None:
            return False
        self._next()
        return True

    def history(self, room: "Room", count: int, before: int = LAST) -> None:
        """Show *count* lines of *room* from before the id *before*, then earlier ones."""
        session = self._session

        def show(entries: Sequence[Entry]) -> None:
            seen = self._allowed(entries)
            page = self._fitting(seen[::-1])[::-1]
            more = len(seen) == count or len(page) < len(seen)
            lines = session.lines([entry.event for entry in page])
            session.post(lines)
            if more:
                self._next = lambda: self.history(room, count, page[0].id)
                session.notice("/more shows what was said before.")
            elif not lines:
                none = "Nothing" if before == LAST else "Nothing earlier"
                session.notice(f"{none} has been said here.")

        self._ask(session.chat.lines_before(room, before, count), show)

    def search(self, query: Query) -> None:
        """Show the newest lines that *query* looks for, then older ones."""
        session = self._session
        chat = session.chat

        def show(entries: Sequence[Entry]) -> None:
            shown = [
                entry
                for entry in reversed(self._allowed(entries))
                if not ignoring.hides(session, entry.event) and entry.room in chat.rooms
            ]
            for key, _, event in shown:
                session.tell(Found(event.time, event.origin, chat.rooms[key].name, event))
            newest = query.before == LAST
            if len(entries) == FOUND:
                older = replace(query, before=entries[0].id)
                self._next = lambda: self.search(older)
                session.notice(f"{'These are the newest. ' * newest}/more shows older ones.")
            elif not shown:
                session.notice("Nothing was found." if newest else "That is all.")

        self._ask(self._found(query), show)

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

        return self._session.chat.history.search(query, FOUND).addCallback(seen)

    def returned(
        self, rooms: Collection[str], name: str, letter: Letter | None = None
    ) -> "Deferred[Any]":
        """Somebody who was here before is back: tell them what they missed, if they did.

        Fires when that is in their mailbox.

        rooms: the keys of those that they read. name: theirs. letter: told when they know.
        """
        session = self._session

        def tell(missed: Sequence[Missed]) -> None:
            count = sum(room.lines for room in missed)
            if not count:
                session.post(b"", letter)
                return
            naming = sum(room.naming for room in missed)
            oldest, now = min(room.since for room in missed), session.chat.clock.time()
            since = when(oldest, now, session.format.zone)
            line = f"You missed {count:,} line{'' if count == 1 else 's'} since {since}"
            if naming:
                them = "which" if count == 1 else f"{naming:,} of them"
                line += f", {them} name{'s' if naming == 1 else ''} you"
            shows = "it" if count == 1 else "them"
            line += f". /missed shows {shows}."
            session.tell(Noticed(session.chat.clock.time(), SERVER, line), letter)
            if session.unread is not None:
                by_time = sorted(missed, key=lambda room: room.since)
                session.unread.sort([room.room for room in by_time])

        gaps = [(room, gap) for room, gap in self._gaps() if room in rooms]
        named = phrases(f'"{name}"')[0]
        return self._ask(session.chat.history.missed(gaps, named, names.fold(name)), tell)

    def missed(self) -> None:
        """Show what was missed, room by room, each from its oldest line on."""
        self._next = None
        gaps = [(room, gap) for room, gap in self._gaps() if not self._is_empty(room, gap)]
        if gaps:
            self._show_missed(gaps, "That is all that you missed.")
        else:
            self._session.notice("You missed nothing.")

    def _show_missed(self, gaps: list[tuple[str, Gap]], otherwise: str) -> None:
        """Show the first page of *gaps*, or say what is to be said *otherwise*."""
        session = self._session
        chat = session.chat
        (key, gap), *others = gaps
        room = chat.rooms[key]

        def show(entries: Sequence[Entry]) -> None:
            within = [entry for entry in entries if entry.id < gap.before]
            page = self._fitting(within)
            whole = len(entries) < MISSED or len(within) < len(entries)
            done = whole and len(page) == len(within)
            last = page[-1].id if page else gap.after
            if session.unread is not None:
                # What comes after an open gap is still to be shown.
                closed = done and gap.before < LAST
                session.unread.read(key, gap, gap.before - 1 if closed else last)
            lines = session.lines([entry.event for entry in page if not self._is_own(entry.event)])
            if lines:
                session.notice(f"In #{room.name}:")
                session.post(lines)
            left = others if done else [(key, Gap(last, gap.before)), *others]
            if not left:
                session.notice(otherwise)
            elif lines or not done:
                self._next = self.missed
                session.notice("/more goes on.")
            else:
                self._show_missed(left, otherwise)

        self._ask(chat.history.after(key, gap.after, MISSED), show)

    def _gaps(self) -> list[tuple[str, Gap]]:
        """What was not shown of the rooms that there are, as far as this person may see it."""
        session = self._session
        return [
            (room, Gap(max(gap.after, self._since(room) - 1), gap.before))
            for room, gap in (session.unread.gaps if session.unread is not None else ())
            if room in session.chat.rooms and self._since(room) < gap.before
        ]

    def _is_empty(self, room: str, gap: Gap) -> bool:
        """Whether it is known that nothing was said in *gap*."""
        return self._session.chat.rooms[room].lines_between(*gap) == 0

    def _is_own(self, event: Event) -> bool:
        """Whether this person said it, here or with a command on another connection."""
        account = self._session.account
        return account is not None and said_by(event, account.key)

    def _allowed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of *entries* that this person may see: of private rooms what they were in for."""
        since = {room: self._since(room) for room in {entry.room for entry in entries}}
        return [entry for entry in entries if entry.id >= since[entry.room]]

    def _since(self, room: str) -> int:
        """From which id on this person may see what is said in the room."""
        since = self._session.chat.moderation.since(self._session, room)
        return LAST if since is None else since

    def _fitting(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The first of *entries*, as many as can be shown at once."""
        session = self._session
        size, last = 0, -1
        for index, (_, _, event) in enumerate(entries):
            if not ignoring.hides(session, event):
                size += len(encode(session.format, event, False))
                number = day(event.time, session.format.zone)
                if number != last:
                    last = number
                    size += HEADING
                if size > MAX_BYTES and index:
                    return entries[:index]
        return entries

    def _ask(
        self, answer: "Deferred[list[Entry]] | Deferred[list[Missed]]", show: Callable[..., None]
    ) -> "Deferred[Any]":
        """Let input wait for *answer*, and *show* it; fires when that is done."""
        session = self._session
        last, self._next = self._next, None

        def failed(failure: Any) -> None:
            # One line: the traceback of an answer says no more.
            log.warn(
                "History could not be read: {error!r}",
                event="history_not_read",
                connection=session.origin,
                error=failure.value,
            )
            if not session.over:
                # What could not be shown can be asked for again.
                self._next = last
                session.notice("That cannot be looked up just now. Please try again later.")

        def answered(found: object) -> None:
            if not session.over:
                try:
                    show(found)
                except Exception:
                    log.failure(
                        "An answer to connection {connection} failed",
                        event="answer_failed",
                        connection=session.origin,
                    )

        told: Deferred[Any] = in_time(answer, session.chat.clock).addCallbacks(answered, failed)
        session.wait_for(told)
        return told


def when(time: float, now: float, zone: tzinfo) -> str:
    """A time as somebody who comes back needs it: the hour, and the day if it was not today."""
    today = day(time, zone) == day(now, zone)
    return f"{local(time, zone):{'%H:%M' if today else '%A %d %B %H:%M'}}"
