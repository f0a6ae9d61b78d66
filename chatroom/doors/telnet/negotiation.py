"""The negotiation of one telnet option, on one side of the connection.

An answer is never answered, and whatever the other end does or does not answer, the two fall
silent. This is a pure object; its user puts the words on the wire.

RFC 1143 (section 7, the Q method) waits for the answer to what was said last before it says the
opposite. Not so here, because some clients never answer WONT and DONT (TinTin++), and an end that
waits for that waits for ever. What was said is counted instead, as BSD's telnet does, and a missing
answer is noticed when the next one comes. Where all changes are answered it comes to the same.
"""

from __future__ import annotations

from typing import Final

#: How often an end may change its mind by itself. More often than a person does; without a bound
#: an end that answers twice what it is told, while that changes, is answered without end.
MAX_CHANGES: Final = 20


class Negotiation:
    """One option on one side.

    On that of the client the server says DO and DONT, and on its own WILL and WONT.
    What is said and heard is "on" for DO and WILL, and "off" for DONT and WONT.
    """

    __slots__ = ("_agreed", "_changes", "_unanswered", "offered", "wanted")

    wanted: bool
    """What this end said last: "off" if it has said nothing."""
    offered: bool
    """The last "on" came from the other end by itself."""

    def __init__(self) -> None:
        self.wanted = False
        self.offered = False
        # The other end has said "on" to the "on" that was said last.
        self._agreed = False
        # So many of the things said are not answered yet. They alternate, and the last one is
        # `wanted`.
        self._unanswered = 0
        self._changes = 0

    @property
    def agreed(self) -> bool:
        """Both have said "on"."""
        return self.wanted and self._agreed

    def say(self, wanted: bool) -> bool:
        """Want the option on or off; return whether the other end has to be told."""
        if wanted is self.wanted:
            return False
        self.wanted = wanted
        self.offered = False
        self._agreed = False
        self._unanswered += 1
        return True

    def hear(self, on: bool, welcome: bool) -> bool:
        """Take what the other end has said, as an answer or by itself.

        Return whether the other end must be told `wanted`; never twice for one thing heard.

        welcome: whether an "on" that was not asked for is agreed to.
        """
        must_tell = False
        if self._unanswered:
            oldest_is_on = (self._unanswered % 2 == 1) is self.wanted
            # Two at once, if the other end says nothing to an "off", as some do always, and all
            # if they have refused the "on" before it.
            answered = 1 if on is oldest_is_on else 2
            self._unanswered = max(0, self._unanswered - answered)
            if self._unanswered:
                # There is another answer to come, to what was said later.
                return False
            # An "on" after an "off" that was not answered: the other end asks by itself.
            must_tell = on and not self.wanted
        elif on is not self.wanted:
            must_tell = True
            if on and welcome and self._changes < MAX_CHANGES:
                self._changes += 1
                self.wanted = self.offered = True
        if self.wanted:
            self.wanted = self._agreed = on
        return must_tell
