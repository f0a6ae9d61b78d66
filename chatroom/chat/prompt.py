"""What the next line of a text connection may be, beside something to say."""

from collections.abc import Callable

#: How long a question is confirmed by typing it once more, in seconds.
CONFIRM_SECONDS = 60.0

#: How long, in seconds, a single word is not said after a password was typed, or a command for
#: one, that did not lead to what it was typed for.
GUARD_SECONDS = 60.0


class Prompt:
    """The questions and warnings that the next line of one connection may answer.

    answer: called with the next line, which the client does not show, and whether that was so;
        None if nothing was asked.
    guarded_until: until then, by `Clock.seconds`, a line may be a password that nobody asked for.
    reminded: the hints that were given when a lone "help" or "quit" was held back.
    completed: the state of the token bucket for completions, see limits.TokenBucket.
    """

    __slots__ = ("_asked", "_asked_until", "answer", "completed", "guarded_until", "reminded")

    def __init__(self) -> None:
        self.answer: Callable[[str, bool], None] | None = None
        self.guarded_until = 0.0
        self.reminded: tuple[str, ...] = ()
        self.completed = 0.0
        self._asked = ""
        self._asked_until = 0.0

    def guard(self, now: float) -> None:
        """Treat what comes next as a possible password, also if nothing asks for one."""
        self.guarded_until = now + GUARD_SECONDS

    def confirms(self, command: str, now: float) -> bool:
        """Return whether *command* is typed for the second time within CONFIRM_SECONDS.

        The first time, the caller has to tell the user to type it once more.
        """
        if self._asked == command and now < self._asked_until:
            self._asked = ""
            return True
        self._asked, self._asked_until = command, now + CONFIRM_SECONDS
        return False
