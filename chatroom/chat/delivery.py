"""Delivery: from the log of a room to the writers of its members.

Theory of operation. A reader has a cursor, the position in the log of the next event that it is to
be shown; there are no queues of what is still to be sent.

* At the end of a turn `flush` encodes what is new once for each format, and hands the same bytes to
  every reader whose cursor stands where the new events begin: one `write`, and the cursor moves.
* A reader whose writer takes only a part stays where it stopped and is congested. Nothing is kept
  for it but its cursor; the rest of the piece in which it stopped goes to its writer (`_stall`).
* When its writer has drained, `catch_up` serves it from the log, a portion at a time, until it
  stands at the end again. What left the log meanwhile is told as a number of missed lines.

`flush` is the hot path: what it does for each reader it does ten thousand times a turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import length_hint
from sys import maxsize

from chatroom.chat.batch import Batch, Batches
from chatroom.chat.log import Log, Row
from chatroom.chat.member import Member
from chatroom.chat.mentions import Mentions
from chatroom.chat.reader import Reader, drop, guarded, hides
from chatroom.formats.format import Format, encode
from chatroom.model.counters import Counters
from chatroom.model.events import SERVER, Emoted, Said, Skipped

#: About how much one event of what was sent to members who were behind takes, in bytes, beside its
#: text.
PIECE_BYTES = 160


class Delivery:
    """Delivery of the log of one room to its members.

    log: the log of the room.
    name: the name of the room.
    counters: the counters that it adds to.
    flushed: the position up to which the log was delivered.
    mentions: whose names are looked for in what is said.
    portion: about how many bytes a reader who is behind is sent at a time, at most.
    max_encoded: how many bytes of what was sent to members who were behind are kept for others.
    """

    def __init__(
        self,
        log: Log,
        name: str,
        counters: Counters,
        *,
        portion: int = 64 * 1024,
        max_encoded: int = 512 * 1024,
    ) -> None:
        self.flushed = 0
        self.mentions = Mentions()
        self.portion = portion
        self.max_encoded = max_encoded
        self._log = log
        self._name = name
        self._counters = counters
        # What was sent to members who were behind, by format and id, and about how much memory that
        # takes in bytes.
        self._encoded: dict[Format, dict[int, bytes]] = {}
        self._encoded_size = 0

    def flush(self, members: Mapping[int, Member], readers: Mapping[int, Reader]) -> None:
        """Hand what is new in the log to every reader who can take it, in one write each.

        members: the members of the room, by the origins of their users.
        readers: the connections that show the room, by their ids.
        """
        start, self.flushed = self.flushed, self._log.end
        rows = self._log.since(start)
        if not rows:
            return
        named = self._tell_of_mentions(members, readers, rows, start) if self.mentions else {}
        batches = Batches(self._name, rows, named, members)
        self._hand_out(list(readers.values()), batches, start)
        self._counters.lines += batches.lines
        self._log.trim()

    def _hand_out(self, readers: Sequence[Reader], batches: Batches, start: int) -> None:
        """Send *readers* the batches, which begin at *start*: the hot path."""
        count = len(batches.rows)
        end = start + count
        differing = batches.differing
        format = None
        # Counting deliveries must not cost anything per reader. Members are visited in runs that
        # share a format; when a run ends, everyone visited in it minus those who were handled
        # individually (`apart`) received the whole batch. `ahead` members were left when it began.
        rest = iter(readers)
        ahead, apart, size = len(readers), 0, 0
        served = written = 0
        for reader in rest:
            writer = reader.writer
            if writer.congested:
                apart += 1
                if reader.cursor == start:
                    self.note_place(reader)
                continue
            try:
                if reader.format is not format:
                    batch = batches[reader.format]
                    here = length_hint(rest) + 1
                    served += ahead - here - apart
                    written += size * (ahead - here - apart)
                    ahead, apart = here, 0
                    data, size = batch.data, len(batch.data)
                    format = reader.format
                if (
                    reader.cursor != start
                    or reader.origin in differing
                    or reader.ignores is not None
                ):
                    apart += 1
                    self._deliver(reader, batch, start, count)
                    continue
                # What nearly everybody gets, nearly always.
                if size and (taken := writer.write(data)) != size:
                    apart += 1
                    self._stall(reader, batch.places(start, 0, count, (), {}), taken)
                    self._count_lines(reader, start)
                else:
                    reader.cursor = end
            except Exception:
                # One reader's fault must not cost the others their lines.
                drop(reader.origin, writer)
        self._counters.deliveries += batches.lines * (served + ahead - apart)
        self._counters.bytes += written + size * (ahead - apart)

    def _tell_of_mentions(
        self,
        members: Mapping[int, Member],
        readers: Mapping[int, Reader],
        rows: Sequence[Row],
        start: int,
    ) -> dict[int, list[int]]:
        """Tell the members whom *rows*, which begin at *start*, name, once for each row.

        A connection that shows another room is sent the line at once. Returns the indexes of the
        rows that are marked, by the ids of the connections that show this room.
        """
        named: dict[int, list[int]] = {}
        for position, row in enumerate(rows, start):
            event = row.event
            if not isinstance(event, Said | Emoted):
                continue
            for origin in self.mentions.named_in(event.text):
                user = members[origin].user
                if event.user == user.id or user.hides(event):
                    continue
                for one in user.reading:
                    reader = readers.get(one.origin)
                    if reader is None:
                        guarded(one.origin, one.writer, one.mentioned, self._name, row.id, event)
                    elif reader.cursor <= position:
                        # A reader that came in this batch is not shown what came before.
                        named.setdefault(one.origin, []).append(position - start)
                        if reader.bell is not None:
                            guarded(one.origin, one.writer, reader.bell)
        return named

    def _deliver(self, reader: Reader, batch: Batch, start: int, last: int) -> None:
        """Send the batch, which begins at *start*, up to its index *last*."""
        # Who entered in this batch is shown what came after that.
        first = reader.cursor - start
        skip = batch.left_out(reader, first, last)
        marked = batch.marked(reader) if batch.named else {}
        if skip or marked or first or last != len(batch.pieces):
            data = batch.part(first, last, skip, marked)
        else:
            data = batch.data
        if data and (taken := reader.writer.write(data)) != len(data):
            self._stall(reader, batch.places(start, first, last, skip, marked), taken)
        else:
            counters = self._counters
            counters.bytes += len(data)
            reader.cursor = start + last
            if batch.talk:
                counters.deliveries += last - first - len(skip)
                return
        self._count_lines(reader, start + first, [start + index for index in skip])

    def _count_lines(self, reader: Reader, start: int, hidden: Iterable[int] = ()) -> None:
        """Count the lines from *start* to the cursor of *reader*, but for those at *hidden*."""
        events, cursor = self._log, reader.cursor
        said = events.lines_before(cursor) - events.lines_before(start)
        skipped = sum(events.rows[at - events.base].event.line for at in hidden if at < cursor)
        self._counters.deliveries += said - skipped

    def catch_up(self, reader: Reader) -> bool:
        """Serve a reader who was congested and has drained, at most a portion.

        Returns whether the reader stands at the end and its writer took all of it.
        """
        taken = self._serve(reader, self.flushed, self.portion)
        return taken and reader.cursor >= self.flushed

    def serve(self, reader: Reader) -> None:
        """Send *reader*, unless it is congested, all that it was not sent yet."""
        if not reader.writer.congested:
            guarded(reader.origin, reader.writer, self._serve, reader, self._log.end, maxsize)

    def _serve(self, reader: Reader, end: int, size: int) -> bool:
        """Send the events from the reader's cursor to *end*, up to about *size* bytes.

        Returns whether the writer took all that was handed to it.
        """
        pieces: list[tuple[int, bytes]] = []
        hidden: list[int] = []
        missed = 0
        format = reader.format
        known = self._encoded.get(format, {})
        events = self._log
        cursor = start = max(reader.cursor, events.base)
        if reader.cursor < start:
            missed = events.rows[0].line - reader.line
            if missed:
                skipped = Skipped(events.rows[0].event.time, SERVER, missed)
                pieces.append((cursor, encode(format, skipped, self._name)))
        for index in range(cursor - events.base, end - events.base):
            cursor += 1
            row = events.rows[index]
            event = row.event
            if not hides(reader, event):
                piece = known.get(row.id)
                if piece is None:
                    piece = self._encode(format, row)
                if format.highlights and event.line and event.origin != reader.origin:
                    piece = format.highlighted(piece, reader.user.name if reader.user else "")
                pieces.append((cursor, piece))
                size -= len(piece)
                if size <= 0:
                    break
            else:
                hidden.append(cursor - 1)
        data = b"".join([piece for _, piece in pieces])
        taken = reader.writer.write(data) if data else 0
        if taken != len(data):
            self._stall(reader, pieces, taken)
            if reader.cursor < start:
                # Nothing of it was taken: it will be told again what it missed.
                return False
        else:
            self._counters.bytes += len(data)
            reader.cursor = cursor
            # The log may move past the rest before there is another portion.
            self.note_place(reader)
        self._counters.missed += missed
        self._count_lines(reader, start, hidden)
        return taken == len(data)

    def _encode(self, format: Format, row: Row) -> bytes:
        """Return *row* as *format* shows it; that is kept for others who are behind as well."""
        piece = encode(format, row.event, self._name, row.id)
        if self._encoded_size > self.max_encoded:
            self.forget_encoded()
        self._encoded_size += len(piece) + PIECE_BYTES
        self._encoded.setdefault(format, {})[row.id] = piece
        return piece

    def forget_encoded(self) -> None:
        """Forget what was encoded for members who are behind: lines of it were removed."""
        self._encoded.clear()
        self._encoded_size = 0

    def _stall(self, reader: Reader, pieces: Iterable[tuple[int, bytes]], taken: int) -> None:
        """Put the cursor after the line in which the writer stopped, and give it the rest of that.

        pieces: what was written, each piece after the cursor that follows it.
        taken: how many bytes of it the writer took.
        """
        rest = b""
        self._counters.bytes += taken
        for after, piece in pieces:
            if taken <= 0:
                break
            reader.cursor = after
            rest = piece[taken:]
            taken -= len(piece)
        self.note_place(reader)
        self._counters.bytes += len(rest)
        reader.writer.finish(rest)

    def note_place(self, reader: Reader) -> None:
        """Note what there was before the cursor of *reader*, who is behind."""
        events, cursor = self._log, reader.cursor
        # Before the log begins it stays: what was missed has still to be told.
        if cursor >= events.base:
            reader.line = events.lines_before(cursor)
        if cursor > events.base:
            reader.shown = events.id_before(cursor)
