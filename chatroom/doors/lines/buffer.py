"""From bytes to lines: what a client of telnet or netcat sends, taken apart.

What a client erases stays in its line as the keys that erase it (see `names.clean`) until that is
whole, so that nothing depends on how it was cut.

The rule: this is a pure object, and however the bytes are cut over reads, the same lines come out.
"""

from chatroom.terminal.editactions import Line


class Lines:
    """The lines of one connection, ended by LF, CR LF or CR NUL.

    line_length: the longest line, in bytes without its end. After `take` the caller looks at what
    it left here, and clears what it has dealt with.
    """

    __slots__ = ("_skipping", "line_length", "lines", "overlong", "tail")

    def __init__(self, line_length: int) -> None:
        #: The longest line taken, in bytes; it may change.
        self.line_length = line_length
        #: Whole lines, oldest first: without their LF, of which one that came in whole may be too
        #: long, or as they were typed at a terminal.
        self.lines: list[bytes | Line] = []
        #: What there is of the next one.
        self.tail = b""
        #: How a line began that grew too long and of which nothing is kept; empty for none.
        self.overlong = b""
        self._skipping = False

    def take(self, data: bytes) -> None:
        """Bytes came in."""
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
        """No more bytes will come: what there is of a line is a line."""
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
        """What came of this line, and what will, is not kept."""
        self._skipping = True
        self.tail = b""
        self.overlong = beginning
