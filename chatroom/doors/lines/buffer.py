"""From bytes to lines: what a client of telnet or netcat sends, taken apart.

This is a pure object, and however the bytes are cut over reads, the same lines come out. What a
client erases stays in its line as the keys that erase it (see `names.clean`) until the line is
whole, so that nothing depends on how it was cut.
"""

from chatroom.terminal.editactions import Line


class LineBuffer:
    """The lines of one connection, ended by LF, CR LF or CR NUL (RFC 854).

    After `take` the caller looks at what is left here, and clears what it has dealt with.

    line_length: the longest line that is taken, in bytes without its end; it may change.
    lines: whole lines, oldest first: without their LF, of which one that came in whole may be too
        long, or as they were typed at a terminal.
    tail: what has come of the next line.
    overlong: how a line began that grew too long and of which nothing is kept; empty for none.
    """

    __slots__ = ("_skipping", "line_length", "lines", "overlong", "tail")

    def __init__(self, line_length: int) -> None:
        self.line_length = line_length
        self.lines: list[bytes | Line] = []
        self.tail = b""
        self.overlong = b""
        self._skipping = False

    def take(self, data: bytes) -> None:
        """Make lines of the bytes that came in."""
        data = self.tail + data
        if b"\0" in data:
            # RFC 854: a bare carriage return; Enter in character mode.
            data = data.replace(b"\r\0", b"\n")
        lines = data.split(b"\n")
        tail = self.tail = lines.pop()
        if lines:
            if self._skipping:
                self._skipping = False
                del lines[0]
            self.lines += lines
        ends_cr = tail.endswith(b"\r")
        # Of what may be the end of CR CR NUL nothing counts for the line yet.
        end = ends_cr + tail.endswith(b"\r\r")
        if len(tail) > self.line_length + end and not self._skipping:
            self._skip_line(tail)
        if self._skipping:
            # The NUL that ends the line may be still to come.
            self.tail = b"\r" if ends_cr else b""

    def end(self) -> None:
        """Make a line of the tail: no more bytes will come."""
        tail, self.tail = self.tail, b""
        if tail and not self._skipping:
            self.lines.append(tail)

    def drop(self, count: int) -> None:
        """Forget the oldest *count* lines."""
        del self.lines[:count]

    def clear(self) -> None:
        """Forget all that came in."""
        self.drop(len(self.lines))
        self.tail = b""

    def _skip_line(self, beginning: bytes) -> None:
        """Keep nothing of the line that began so."""
        self._skipping = True
        self.tail = b""
        self.overlong = beginning
