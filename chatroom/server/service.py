"""The service that `twistd chatroom` runs: it puts all parts together.

This is the only module that knows all the others, and the only one that uses the reactor. The
endpoints that the server listens on are in listeners.py.
"""

import gc
import os
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.application.strports import service as listen
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.threadpool import ThreadPool

from chatroom import __version__
from chatroom.actions.reconcile import reconcile
from chatroom.backends.memory import MemoryModeration
from chatroom.backends.sqlite.store import Store
from chatroom.chat.chat import Chat
from chatroom.chat.rules import Moderation
from chatroom.doors.factory import DoorFactory
from chatroom.model.aging import Aging
from chatroom.model.chatsettings import Settings
from chatroom.model.clock import Clock
from chatroom.model.counters import Counters
from chatroom.model.limits import Limits
from chatroom.model.networks import Networks
from chatroom.server import endpoints, logs, systemd
from chatroom.server.listeners import Opening, described, listener, openings
from chatroom.server.logwriter import LogService, open_log
from chatroom.server.manhole import ManholeService
from chatroom.server.options import Options
from chatroom.server.reload import ReloadService
from chatroom.server.systemd import Notifier
from chatroom.text.times import places

__all__ = ["Options", "makeService"]

log = Logger()

#: File descriptors for other things than connections: logs, listening sockets, the reactor, spares.
SPARE_DESCRIPTORS = 32

#: How long the ledger may take to commit pending lines when the server stops, and the store to
#: close its file.
SETTLE_SECONDS = 1.0

#: How often rooms drop events that are too old, and how often the state of accounts is saved.
EXPIRY_SECONDS = 600.0
SAVE_SECONDS = 60.0

#: How often the server checks whether `chatroom-data` has changed anything.
CHECK_SECONDS = 10.0

#: How many passwords are hashed at the same time at most.
MAX_HASHING_THREADS = 4


class ReactorClock:
    """The `Clock` of a server. Make it before anything is scheduled on *reactor*."""

    def __init__(self, reactor: Any) -> None:
        # By default Twisted schedules by `time.time`: if an operator set the system clock back by
        # an hour, all calls would come an hour late. The reactor takes its time only from here.
        reactor.seconds = time.monotonic
        self.seconds = time.monotonic
        self.time = time.time
        self.callLater = reactor.callLater


class ChatService(Service):
    """Starts the chat with its rooms, and ends it for all connections."""

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
        #: Fires when the server has stopped.
        self.stopped: Deferred[None] = Deferred()
        self._loops = {
            LoopingCall(chat.expire): EXPIRY_SECONDS,
            LoopingCall(self._keep): SAVE_SECONDS,
        }
        if store is not None:
            self._loops[LoopingCall(self._look)] = CHECK_SECONDS
        # True if the accounts must be compared even without a change in the file: always at the
        # start, because `chatroom-data` may have been used while no server ran.
        # Then: whether the last comparison failed.
        self._look_due = True
        self._look_failing = False
        for loop in self._loops:
            loop.clock = clock

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        log.info("chatroom {version}", event="started", version=__version__)
        for line in self._described:
            log.info("{line}", event="described", line=line)
        if self._store is not None:
            chat = self._chat
            kept = self._store.open(chat.settings.scrollback, chat.lobby.key)
            chat.moderation.restore(self._store.rules())
            chat.restore(kept)
            self._store.maintenance.configure(chat.settings.keep_days, chat.settings.keep_lines)
            self._store.maintenance.start()
        self._offer_claim()
        for loop, interval in self._loops.items():
            loop.start(interval)
        # Objects made so far stay until the end: the garbage collector can skip them. It also runs
        # more seldom: nearly all later objects are freed by reference counting.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def _offer_claim(self) -> None:
        """If there is no operator yet, offer a code in the log and in a file."""
        code = self._chat.moderation.open_claim()
        if not code:
            if self._store is not None:
                # A file that a crash has left holds a code that is not valid any more.
                with suppress(OSError):
                    self._store.claim.unlink()
            return
        log.info(
            "To keep order: connect, /register or /login, and type /claim {code}",
            event="claim_offered",
            code=code,
        )
        try:
            if self._store is not None:
                self._claim = self._store.claim
                self._claim.unlink(missing_ok=True)
                file = os.open(self._claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            else:
                # mkstemp makes the file with mode 0600, too.
                file, name = mkstemp(prefix="chatroom-claim-")
                self._claim = Path(name)
            with os.fdopen(file, "w") as written:
                written.write(f"{code}\n")
            log.info("The code is in {file} as well.", event="claim_written", file=str(self._claim))
        except OSError as error:
            log.warn("The code is not in a file: {error}", event="claim_not_written", error=error)

    def _keep(self) -> None:
        """Save the state of accounts, and decisions that could not be saved yet."""
        self._chat.logins.save_sessions()
        self._chat.moderation.keep(self._chat.aging.now())
        if not self._chat.moderation.code:
            self._withdraw_claim()

    def look_at_accounts(self) -> None:
        """Compare all users with the accounts in the store, whether or not the file has changed."""
        self._look_due = True
        self._look()

    def _look(self) -> "Deferred[None]":
        """Compare users with the accounts if `chatroom-data` has changed any."""
        assert self._store is not None

        def looked(changed: bool) -> "Deferred[None] | None":
            self._look_due |= changed
            return reconcile(self._chat) if self._look_due else None

        def done(_: object) -> None:
            self._look_due = self._look_failing = False

        def failed(failure: Any) -> None:
            if not self._look_failing and self.running:
                log.warn(
                    "It could not be seen which accounts there are: {why}. Trying again.",
                    event="accounts_not_seen",
                    why=failure.value,
                )
            self._look_failing = True

        return self._store.changed_elsewhere().addCallback(looked).addCallbacks(done, failed)

    def _withdraw_claim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            with suppress(OSError):
                claim.unlink()

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
                "Some lines were not settled when the server stopped: {error!r}",
                event="lines_not_settled",
                error=error,
            )
        people = sum(len(door.clients) for door in self._doors)
        yield DeferredList([door.dismiss() for door in self._doors])
        if self._store is not None:
            try:
                yield self._store.close().addTimeout(SETTLE_SECONDS, self._clock)
            except Exception as error:
                log.warn("The store was left open: {error!r}", event="store_left_open", error=error)
        self._withdraw_claim()
        log.info("Stopped; {people} connections were told.", event="stopped", people=people)
        self.stopped.callback(None)


class HashingService(Service):
    """Threads for hashing passwords, so that hashing delays nothing but other hashing.

    width: the number of threads. They start with the first password.
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
        """Twisted: the server stops. Waits for running hashes, a quarter of a second."""
        super().stopService()
        self._pool.stop()


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit on file descriptors, as far as the hard limit allows.

    wanted: the number of connections to make room for, 0 for as many as possible.
    Returns how many connections there may be.
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
            event="descriptors_short",
            possible=possible,
            wanted=wanted,
            soft=soft,
        )
    return possible


class RootService(MultiService):
    """The parent of all services.

    observer: the log observer for the application, None for the application's own.
    """

    def __init__(self, observer: Any) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: this belongs to *parent*, an application that does not log yet."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)


def settings_of(options: Mapping[str, Any]) -> tuple[Settings, Limits]:
    """Return the settings and limits of the chat that *options* contain.

    options: a value for every row of `settings.OPTIONS`.
    """
    settings = Settings(
        name=options["name"],
        lobby=options["lobby"],
        motd=options["motd"].strip("\n"),
        scrollback=options["scrollback"],
        join_quiet_above=options["join-quiet-above"],
        rooms_per_hour=options["rooms-per-hour"],
        renames_per_hour=options["renames-per-hour"],
        keep_days=options["keep-days"],
        keep_lines=options["keep-lines"],
        keep_names=options["keep-names"],
        names_per_day=options["names-per-day"],
        log_chat=options["log-chat"],
    )
    given = {field.name: options[field.name.replace("_", "-")] for field in fields(Limits)}
    given["max_connections"] = raise_descriptor_limit(given["max_connections"])
    return settings, Limits(**given)


def _read_list(chat: Chat, options: Options) -> None:
    """Read the file of --allow again. Raises SettingError, and then nothing has changed."""
    chat.moderation.allowed = options.reread_allowed()


def makeService(options: Options) -> IService:
    """Return the service that these options ask for."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    clock = ReactorClock(reactor)
    # Reading the time zones takes some 10 ms: do it now, not when the first user asks for one.
    places()
    aging = Aging(clock)
    store = _store(options, reactor, clock, aging)
    # Each thread needs 32 MiB; one processor is left to the reactor.
    width = max(1, min(MAX_HASHING_THREADS, (os.cpu_count() or 1) // 2))
    hashing = HashingService(reactor, width)
    chat = _chat(options, clock, store, hashing, width, aging)
    opened = openings(options, chat)
    doors = list({id(opening.door): opening.door for opening in opened}.values())

    top = _logging(options, reactor, clock)
    _warn(options)
    running = ChatService(clock, chat, doors, _described(options, opened), store)
    notifier, watchdog = systemd.from_environment(os.environ)
    parts: list[Any] = [
        running,
        hashing,
        *(listener(opening, options, chat, clock) for opening in opened),
        *_monitoring(options, clock, chat, doors, len(opened), running, store),
        _reloading(options, reactor, notifier, running, chat, doors, store),
    ]
    if options["manhole"]:
        namespace = {"chat": chat, "service": top}
        parts.append(ManholeService(reactor, options["manhole"], namespace))
    # Services are stopped in reverse order, so systemd is told first.
    parts.append(
        systemd.NotifyService(
            clock, reactor.callWhenRunning, notifier, watchdog, lambda: len(chat.sessions)
        )
    )
    for part in parts:
        part.setServiceParent(top)
    return top


def _monitoring(
    options: Options,
    clock: Clock,
    chat: Chat,
    doors: list[DoorFactory[Any]],
    ports: int,
    running: ChatService,
    store: Store | None,
) -> list[Service]:
    """Return the service for --metrics, or nothing."""
    if not options["monitor"]:
        return []
    # It needs a library that only the extra `metrics` installs.
    from chatroom.server.monitoring import MonitoringService

    where = partial(listen, options["monitor"])
    ledger = store.ledger if store else None
    return [MonitoringService(clock, chat, doors, ports, running, where, ledger)]


def _store(options: Options, reactor: Any, clock: Clock, aging: Aging) -> Store | None:
    """Return the store in the folder of --data, None without one."""
    if options["folder"] is None:
        return None
    return Store(
        clock,
        reactor.callFromThread,
        options["folder"],
        sync=options["sync"],
        aging=aging,
    )


def _chat(
    options: Options,
    clock: Clock,
    store: Store | None,
    hashing: HashingService,
    width: int,
    aging: Aging,
) -> Chat:
    """Return the chat, over *store* or in memory."""
    settings, limits = settings_of(options)
    return Chat(
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
            store.records if store else MemoryModeration(),
            reserved=options["operator"],
            allowed=options["allowed"],
            spared=Networks([ip_network(text) for text in options["proxy-from"]]),
        ),
        counters=Counters(time.perf_counter),
        aging=aging,
    )


def _logging(options: Options, reactor: Any, clock: Clock) -> RootService:
    """Return the service of all services, which logs as *options* say."""
    if options.parent is None:
        return RootService(None)
    try:
        writer = open_log(options.parent)
    except OSError as error:
        raise SystemExit(f"chatroom: the log cannot be written: {error}") from None
    logs.heed_signals(writer, reactor.callFromThread)
    if writer is None:
        return RootService(None)
    observer = logs.Repeats(logs.observer(writer, options["log-format"]), clock)
    reactor.addSystemEventTrigger("before", "shutdown", observer.flush)
    top = RootService(observer)
    LogService(reactor, writer).setServiceParent(top)
    return top


def _warn(options: Options) -> None:
    """Log warnings about the chosen options."""
    if options["host-key-passing"]:
        log.warn(
            "The SSH host key is new in each run, so clients that connect again are warned of a "
            "changed key. Use --data or --ssh-host-key to keep one.",
            event="host_key_passing",
        )
    credentials = options["credentials"]
    if credentials is not None and credentials.concern:
        log.warn("{concern}", event="certificate_concern", concern=credentials.concern)


def _described(options: Options, opened: list[Opening]) -> list[str]:
    """Return lines for the log that say what runs."""
    lines = [described(opening) for opening in opened]
    if options["shells"]:
        from chatroom.server.hostkey import fingerprint

        lines.append(f"The key of SSH is {fingerprint(options['host-key'])}.")
    if options["folder"] is not None:
        lines.append(f"What is said is kept in {options['data']}.")
    else:
        lines.append("What is said is kept in memory and ends with the server; see --data.")
    if options["allowed-fault"]:
        lines.append(options["allowed-fault"])
    if options["monitor"]:
        lines.append(f"Metrics: {endpoints.describe_http(options['monitor'], '/metrics')}")
    return lines


def _reloading(
    options: Options,
    reactor: Any,
    notifier: Notifier,
    running: ChatService,
    chat: Chat,
    doors: list[DoorFactory[Any]],
    store: Store | None,
) -> ReloadService:
    """Return the service that reloads what can change without a restart."""

    def reload() -> None:
        values, changed = options.reread()
        chat.configure(*settings_of(values))
        for door in doors:
            door.configure()
        if store is not None:
            store.maintenance.configure(values["keep-days"], values["keep-lines"])
        for name in changed:
            log.warn(
                "{option} has changed, which needs a restart.", event="needs_restart", option=name
            )

    reloading = ReloadService(reactor, notifier, reload)
    if options["credentials"] is not None:
        reloading.add("the certificates", options["credentials"].reload)
    if options["allow"]:
        reloading.add("the list of those who may connect", partial(_read_list, chat, options))
    if store is not None:
        reloading.add("the accounts", running.look_at_accounts)
    return reloading
