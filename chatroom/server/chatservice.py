"""The service that runs the chat: starting, regular work, and stopping."""

import gc
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from chatroom import __version__
from chatroom.actions.reconcile import reconcile
from chatroom.backends.sqlite.store import Store
from chatroom.chat.chat import Chat
from chatroom.doors.factory import DoorFactory
from chatroom.server.claimfile import ClaimFile

log = Logger()

#: How long the ledger may take to commit pending lines when the server stops, and the store to
#: close its file.
SETTLE_SECONDS = 1.0

#: How often rooms drop events that are too old, and how often the state of accounts is saved.
EXPIRY_SECONDS = 600.0
SAVE_SECONDS = 60.0

#: How often the server checks whether `chatroom-data` has changed anything.
CHECK_SECONDS = 10.0


class ChatService(Service):
    """Starts the chat with its rooms, and ends it with all connections.

    described: lines for the log that say what runs.
    """

    def __init__(
        self,
        clock: Any,
        chat: Chat,
        doors: list[DoorFactory[Any]],
        described: list[str],
        store: Store | None = None,
    ) -> None:
        self._clock = clock
        self._chat = chat
        self._doors = doors
        self._described = described
        self._store = store
        self._claim = ClaimFile(store.claim if store is not None else None)
        #: Fires when the server has stopped.
        self.stopped: Deferred[None] = Deferred()
        self._loops = {
            LoopingCall(chat.expire): EXPIRY_SECONDS,
            LoopingCall(self._keep): SAVE_SECONDS,
        }
        if store is not None:
            self._loops[LoopingCall(self._reconcile)] = CHECK_SECONDS
        # Whether the accounts must be compared even if the file has not changed. At the start they
        # must, because `chatroom-data` may have been used while no server ran.
        self._reconcile_due = True
        # Whether the last comparison failed.
        self._reconcile_failing = False
        for loop in self._loops:
            loop.clock = clock

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        log.info("chatroom {version}", event="started", version=__version__)
        for line in self._described:
            log.info("{line}", event="described", line=line)
        chat = self._chat
        if self._store is not None:
            kept = self._store.open(chat.settings.scrollback, chat.lobby.key)
            chat.moderation.restore(self._store.rules())
            chat.restore(kept)
            self._store.maintenance.configure(chat.settings.keep_days, chat.settings.keep_lines)
            self._store.maintenance.start()
        self._claim.offer(chat.moderation.open_claim())
        for loop, interval in self._loops.items():
            loop.start(interval)
        # Objects made so far stay until the end: the garbage collector can skip them. It also runs
        # more seldom: nearly all later objects are freed by reference counting.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def _keep(self) -> None:
        """Save the state of accounts, and rules that could not be saved before."""
        self._chat.logins.save_users()
        self._chat.moderation.keep(self._chat.aging.now())
        if not self._chat.moderation.code:
            self._claim.withdraw()

    def reconcile_accounts(self) -> None:
        """Compare all users with the accounts in the store, even if the file has not changed."""
        self._reconcile_due = True
        self._reconcile()

    def _reconcile(self) -> "Deferred[None]":
        """Compare users with the accounts if `chatroom-data` has changed any."""
        assert self._store is not None

        def compare(changed: bool) -> "Deferred[None] | None":
            self._reconcile_due |= changed
            return reconcile(self._chat) if self._reconcile_due else None

        def done(_: object) -> None:
            self._reconcile_due = self._reconcile_failing = False

        def failed(failure: Any) -> None:
            if not self._reconcile_failing and self.running:
                log.warn(
                    "The accounts could not be read: {why}. Trying again.",
                    event="accounts_not_seen",
                    why=failure.value,
                )
            self._reconcile_failing = True

        return self._store.changed_elsewhere().addCallback(compare).addCallbacks(done, failed)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Twisted: the server stops. Fires when all users were told and disconnected."""
        super().stopService()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        for door in self._doors:
            door.stop_reading()
        # Try once more to save decisions that could not be saved before.
        self._chat.moderation.keep(self._chat.aging.now())
        try:
            yield self._chat.close().addTimeout(SETTLE_SECONDS, self._clock)
        except Exception as error:
            log.warn(
                "Some messages were not committed when the server stopped: {error!r}",
                event="lines_not_settled",
                error=error,
            )
        people = sum(len(door.clients) for door in self._doors)
        yield DeferredList([door.dismiss() for door in self._doors])
        if self._store is not None:
            try:
                yield self._store.close().addTimeout(SETTLE_SECONDS, self._clock)
            except Exception as error:
                log.warn(
                    "The store was not closed: {error!r}", event="store_left_open", error=error
                )
        self._claim.withdraw()
        log.info("Stopped; {people} connections were told.", event="stopped", people=people)
        self.stopped.callback(None)
