"""The service: what `twistd chatroom` runs.

The rule: this is the only module that knows all the others, and the only one that knows the
reactor. A new door is a module in doors/ and a row in `makeService`.
"""

import gc
import os
import resource
from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.application.strports import service as listen
from twisted.internet.defer import DeferredList, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from chatroom import __version__, listening
from chatroom.chat import Chat, Settings
from chatroom.doors.door import DoorFactory
from chatroom.doors.line import ChatFactory
from chatroom.doors.relay import RelayFactory
from chatroom.limits import Limits
from chatroom.moderation import Moderation
from chatroom.options import Options
from chatroom.orders import MemoryRecords
from chatroom.store.store import Store

__all__ = ["Options", "makeService"]

log = Logger()

#: Descriptors that are not connections: logs, listening sockets, the reactor's own, a reserve.
SPARE_DESCRIPTORS = 32

#: How long, in seconds, the ledger has for what is pending when the server stops, and the store
#: for closing its file.
SETTLING = 1.0

#: How often, in seconds, the rooms forget what is too old, and it is written what accounts have
#: read.
EXPIRY = 600.0
SAVING = 60.0

#: At most this many passwords at a time.
MOST_HASHING = 4


class ChatService(Service):
    """Starts the chat and ends it: its rooms, and everybody in them."""

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
        self._claim: Path | None = None
        self._loops = {
            LoopingCall(chat.expire): EXPIRY,
            LoopingCall(self._keep): SAVING,
        }
        for loop in self._loops:
            loop.clock = clock

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        log.info("chatroom {version}", version=__version__)
        for line in self._described:
            log.info("{line}", line=line)
        if self._store is not None:
            chat = self._chat
            kept = self._store.open(chat.settings.scrollback, chat.lobby.key)
            chat.moderation.restore(self._store.orders())
            chat.restore(kept)
            self._store.start()
        self._offer_claim()
        for loop, interval in self._loops.items():
            loop.start(interval)
        # What was made so far stays: the collector need not look at it again, nor so often at
        # what comes, nearly all of which dies without it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def _offer_claim(self) -> None:
        """If nobody keeps order yet: how somebody who reads the log or the file can."""
        code = self._chat.moderation.open_claim()
        if not code:
            if self._store is not None:
                # One that a crash has left is good for nothing.
                with suppress(OSError):
                    self._store.claim.unlink()
            return
        log.info("No operator yet: connect, log in and type /claim {code}", code=code)
        try:
            if self._store is not None:
                self._claim = self._store.claim
                self._claim.unlink(missing_ok=True)
                file = os.open(self._claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            else:
                # For its owner alone, too.
                file, name = mkstemp(prefix="chatroom-claim-")
                self._claim = Path(name)
            with os.fdopen(file, "w") as written:
                written.write(f"{code}\n")
            log.info("The code is in {file} as well.", file=str(self._claim))
        except OSError as error:
            log.warn("The code is not in a file: {error}", error=error)

    def _keep(self) -> None:
        """Write what is to be kept of people and of decisions."""
        self._chat.registry.save()
        self._chat.moderation.keep()
        if not self._chat.moderation.code:
            self._withdraw_claim()

    def _withdraw_claim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            with suppress(OSError):
                claim.unlink()

    @inlineCallbacks
    def stopService(self) -> Any:
        """Twisted: the server stops. Fires when everybody was told and is gone."""
        super().stopService()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        for door in self._doors:
            door.stop_reading()
        # What could not be kept has one more chance.
        self._chat.moderation.keep()
        try:
            yield self._chat.close().addTimeout(SETTLING, self._clock)
        except Exception as error:
            log.warn("Some lines were not settled when the server stopped: {error!r}", error=error)
        people = sum(len(door.clients) for door in self._doors)
        yield DeferredList([door.dismiss() for door in self._doors])
        if self._store is not None:
            try:
                yield self._store.close().addTimeout(SETTLING, self._clock)
            except Exception as error:
                log.warn("The store was left open: {error!r}", error=error)
        self._withdraw_claim()
        log.info("Stopped; {people} connections were told.", people=people)


class HashingService(Service):
    """Threads of their own for passwords, so that these hold up nothing but one another.

    width: how many of them. None is started before there is a password.
    """

    def __init__(self, reactor: Any, width: int) -> None:
        self._pool = ThreadPool(0, width, "passwords")
        #: Calls a function with its arguments in one of the threads.
        self.run = partial(deferToThreadPool, reactor, self._pool)

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """Twisted: the server stops. It waits for what is being hashed, a quarter of a second."""
        super().stopService()
        self._pool.stop()


def descriptors(wanted: int) -> int:
    """Make room for *wanted* connections, 0 for as many as can be; returns how many there may be.

    The soft limit on descriptors is raised as far as the hard limit allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_DESCRIPTORS if wanted else hard
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, soft - SPARE_DESCRIPTORS)
    if wanted <= possible and wanted:
        return wanted
    if wanted:
        log.warn(
            "At most {possible} connections, not {wanted}: this process may have {soft} "
            "descriptors. Raise the hard limit (ulimit -Hn, LimitNOFILE=) for more.",
            possible=possible,
            wanted=wanted,
            soft=soft,
        )
    return possible


def makeService(options: Options) -> IService:
    """The service that these options ask for."""
    from twisted.internet import reactor

    assert IReactorTime.providedBy(reactor)
    clock: Any = reactor
    settings = Settings(
        name=options["name"],
        lobby=options["lobby"],
        motd=options["motd"].strip("\n"),
        scrollback=options["scrollback"],
        join_quiet_above=options["join-quiet-above"],
        rooms_per_hour=options["rooms-per-hour"],
        keep_days=options["keep-days"],
        keep_lines=options["keep-lines"],
        keep_names=options["keep-names"],
        names_per_day=options["names-per-day"],
    )
    given = {field.name: options[field.name.replace("_", "-")] for field in fields(Limits)}
    given["max_connections"] = descriptors(given["max_connections"])
    limits = Limits(**given)
    store = None
    if options["folder"] is not None:
        store = Store(
            clock,
            clock.callFromThread,
            options["folder"],
            sync=options["sync"],
            keep_days=options["keep-days"],
            keep_lines=options["keep-lines"],
        )
    # One thread and 32 MiB for each, and the reactor keeps a processor.
    width = max(1, min(MOST_HASHING, (os.cpu_count() or 1) // 2))
    hashing = HashingService(clock, width)
    chat = Chat(
        clock,
        settings,
        limits,
        ledger=store.ledger if store else None,
        history=store,
        accounts=store.accounts if store else None,
        run=hashing.run,
        width=width,
        moderation=Moderation(
            clock,
            store.records if store else MemoryRecords(),
            reserved=options["operator"],
            allowed=options["allowed"],
        ),
    )
    doors: list[tuple[str, DoorFactory[Any]]] = []
    line = ChatFactory(chat)
    doors += [(endpoint, line) for endpoint in options["endpoints"]]
    doors += [(endpoint, RelayFactory(chat)) for endpoint in options["relays"]]

    top = MultiService()
    described = [f"Listening: {listening.describe(endpoint)}" for endpoint, _ in doors]
    if store is not None:
        described.append(f"What is said is kept in {options['data']}.")
    else:
        described.append("What is said is kept in memory and ends with the server; see --data.")
    if options["allowed-fault"]:
        described.append(options["allowed-fault"])
    factories = list({id(factory): factory for _, factory in doors}.values())
    ChatService(clock, chat, factories, described, store).setServiceParent(top)
    hashing.setServiceParent(top)
    for endpoint, factory in doors:
        listen(endpoint, factory).setServiceParent(top)
    return top
