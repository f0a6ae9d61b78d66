"""A thread that does one thing after another.

The rule: nobody waits for it. It may hang in a disk for ever; the process ends without it.
"""

from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

#: Calls something in the reactor's thread, soon: `reactor.callFromThread`.
CallInReactor = Callable[..., object]


class _Job:
    """What is to be done, and whether anybody still waits for it."""

    __slots__ = ("answer", "given_up", "work")

    def __init__(self, work: Callable[[], object], answer: "Deferred[Any]") -> None:
        self.work = work
        self.answer = answer
        self.given_up = False


class Worker:
    """Does what it is given in a thread of its own, in that order.

    interrupt: makes fail what is being done, called in the reactor's thread. With it, what nobody
    waits for any more is not begun, and ends if it has begun; without it everything is done.
    """

    def __init__(
        self, name: str, post: CallInReactor, interrupt: Callable[[], object] | None = None
    ) -> None:
        self._post = post
        self._interrupt = interrupt
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        # Held while `_current` changes, so that an interrupt meets the job it is for.
        self._lock = Lock()
        self._current: _Job | None = None
        # A daemon: the interpreter does not wait for it either.
        Thread(target=self._run, name=name, daemon=True).start()

    def do(self, function: Callable[..., T], *args: object) -> "Deferred[T]":
        """Call *function* with *args* in the thread; fires with what it returns, or fails."""
        answer: Deferred[T] = Deferred(lambda _: self._give_up(job))
        job = _Job(partial(function, *args), answer)
        self._queue.put(job)
        return answer

    def stop(self) -> None:
        """Nothing more will come: the thread ends after what it was given."""
        self._queue.put(None)

    @property
    def given_up(self) -> bool:
        """Whether nobody waits any more for what is being done; for the thread to ask.

        An interrupt ends only what has begun in the database, and misses what is about to.
        """
        job = self._current
        return self._interrupt is not None and job is not None and job.given_up

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            job.given_up = True
            if self._interrupt is not None and self._current is job:
                self._interrupt()

    def _begin(self, job: _Job) -> bool:
        """Whether *job* is to be done."""
        with self._lock:
            wanted = self._interrupt is None or not job.given_up
            self._current = job if wanted else None
        return wanted

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if self._begin(job):
                self._do(job)
            # While it waits it must not keep what the last one worked on.
            del job

    def _do(self, job: _Job) -> None:
        result: object
        try:
            result = job.work()
        except Exception:
            result = Failure()
        with self._lock:
            self._current = None
        self._post(_settle, job.answer, result)


def _settle(answer: "Deferred[object]", result: object) -> None:
    """In the reactor's thread; of an answer that came too late nobody hears."""
    if not answer.called:
        answer.callback(result)
