"""A thread that does one thing after another.

The rule: nobody waits for it. It may hang in a disk for ever; the process ends without it.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

#: Calls something in the reactor's thread, soon: `reactor.callFromThread`.
Post = Callable[..., object]


class Worker:
    """Does what it is given in a thread of its own, in that order."""

    def __init__(self, name: str, post: Post) -> None:
        self._post = post
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: the interpreter does not wait for it either.
        Thread(target=self._run, name=name, daemon=True).start()

    def do(self, function: Callable[..., T], *args: object) -> "Deferred[T]":
        """Call *function* with *args* in the thread; fires with what it returns, or fails."""
        answer: Deferred[T] = Deferred(lambda _: None)

        def work() -> None:
            try:
                result = function(*args)
            except Exception:
                self._post(_settle, answer, Failure())
            else:
                self._post(_settle, answer, result)

        self._queue.put(work)
        return answer

    def stop(self) -> None:
        """Nothing more will come: the thread ends after what it was given."""
        self._queue.put(None)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            # While it waits it must not keep what the last one worked on.
            del work


def _settle(answer: "Deferred[object]", result: object) -> None:
    """In the reactor's thread; of an answer that came too late nobody hears."""
    if not answer.called:
        answer.callback(result)
