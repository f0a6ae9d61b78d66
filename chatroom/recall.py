"""What one person looks up: pages of a room, of a search, of what they missed.

The rule: one thing at a time. Input waits until the answer is there, or the time for it is up, so
that what was looked up stands where it was asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from chatroom import ignoring
from chatroom.events import SERVER, Found, Noticed
from chatroom.flow import in_time
from chatroom.history import LAST, Missed, Query
from chatroom.ledger import Entry
from chatroom.mailbox import MAX_BYTES, Letter
from chatroom.room import encode
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
        self, seen: Mapping[str, int], name: str, letter: Letter | None = None
    ) -> "Deferred[Any]":
        """Somebody who was here before is back: tell them what they missed, if they did.

        Fires when that is in their mailbox.

        seen: the id of the last line that they were shown, by the key of its room. name: theirs.
        letter: told when they know.
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
            rooms = [room.room for room in sorted(missed, key=lambda room: room.since)]
            session.missed = {room: seen[room] for room in rooms}

        seen = {
            key: max(id, self._since(key) - 1)
            for key, id in seen.items()
            if self._since(key) < LAST
        }
        return self._ask(session.chat.history.missed(seen, phrases(f'"{name}"')[0]), tell)

    def missed(self) -> None:
        """Show what was missed, room by room, each from its oldest line on."""
        session = self._session
        chat = session.chat
        left = {
            key: max(id, self._since(key) - 1)
            for key, id in (session.missed or {}).items()
            if key in chat.rooms and self._since(key) < LAST
        }
        session.missed = left or None
        if not left:
            self._next = None
            session.notice("You missed nothing.")
            return
        key, after = next(iter(left.items()))
        room = chat.rooms[key]

        def show(entries: Sequence[Entry]) -> None:
            page = self._fitting(entries)
            if len(entries) == MISSED or len(page) < len(entries):
                left[key] = page[-1].id
            else:
                del left[key]
            session.missed = left or None
            lines = session.lines([entry.event for entry in page])
            if lines:
                session.notice(f"In #{room.name}:")
                session.post(lines)
            if left:
                self._next = self.missed
                session.notice("/more goes on.")
            else:
                session.notice("That is all that you missed.")

        self._ask(chat.history.after(key, after, MISSED), show)

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
