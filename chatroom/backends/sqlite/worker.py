"""A thread that runs one job after another.

The thread is never joined: it may hang for ever if a disk does not answer, and the process must end
nevertheless.
"""

from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")

#: Calls a function in the reactor's thread, soon: `reactor.callFromThread`.
CallInReactor = Callable[..., object]


class _Job:
    """A function to call, the Deferred for its result, and whether that was cancelled."""

    __slots__ = ("answer", "given_up", "work")

    def __init__(self, work: Callable[[], object], answer: "Deferred[Any]") -> None:
        self.work = work
        self.answer = answer
        self.given_up = False


class Worker:
    """Runs jobs in a thread of its own, in the order in which they were given.

    name: the name of the thread.
    post: see CallInReactor.
    interrupt: called in the reactor's thread to make the running job fail. With it, a job whose
    Deferred is cancelled is not begun, or ends; without it all jobs are carried out.
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
        """Call *function* with *args* in the thread. Fires with its result, or fails."""
        answer: Deferred[T] = Deferred(lambda _: self._give_up(job))
        job = _Job(partial(function, *args), answer)
        self._queue.put(job)
        return answer

    def stop(self) -> None:
        """End the thread after the jobs that it was given."""
        self._queue.put(None)

    @property
    def given_up(self) -> bool:
        """Whether the running job was cancelled; for the thread itself to ask.

        An interrupt ends only a statement that has begun in the database. It misses a job that is
        just about to begin one, so such a job has to ask.
        """
        job = self._current
        return self._interrupt is not None and job is not None and job.given_up

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            job.given_up = True
            if self._interrupt is not None and self._current is job:
                self._interrupt()

    def _begin(self, job: _Job) -> bool:
        """Return whether *job* has to be run; if so, it is the running job."""
        with self._lock:
            wanted = self._interrupt is None or not job.given_up
            self._current = job if wanted else None
        return wanted

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if self._begin(job):
                self._do(job)
            # The last job's objects must not be kept while the thread waits for the next one.
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
    """Fire *answer* with *result* in the reactor's thread, unless it was cancelled."""
    if not answer.called:
        answer.callback(result)
