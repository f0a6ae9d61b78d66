"""The threads that hash passwords."""

from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool


class HashingService(Service):
    """A pool of threads for hashing passwords, so that hashing delays only other hashing.

    width: the number of threads. They start with the first password.
    """

    def __init__(self, reactor: Any, width: int) -> None:
        self._pool = ThreadPool(0, width, "passwords")
        #: Calls a function in one of the threads. Fires with its result, or fails.
        self.run = partial(deferToThreadPool, reactor, self._pool)

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """Twisted: the server stops. Waits for running hashes, a quarter of a second."""
        super().stopService()
        self._pool.stop()
