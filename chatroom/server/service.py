"""The service: what `twistd chatroom` runs.

The rule: this is the only module that knows all the others, and the only one that knows the
reactor. What the server listens on is in listeners.py.
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
from chatroom.model.sanctions import Networks
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

#: Descriptors that are not connections: logs, listening sockets, the reactor's own, a reserve.
SPARE_DESCRIPTORS = 32

#: How long, in seconds, the ledger has for what is pending when the server stops, and the store
#: for closing its file.
SETTLE_SECONDS = 1.0

#: How often, in seconds, the rooms forget what is too old, and it is written what accounts have
#: read.
EXPIRY_SECONDS = 600.0
SAVE_SECONDS = 60.0

#: How often, in seconds, it is looked whether `chatroom-data` has changed anything.
CHECK_SECONDS = 10.0

#: At most this many passwords at a time.
MAX_HASHING_THREADS = 4


class ReactorClock:
    """The `Clock` of a server. To be made before *reactor* is given any call to put off."""

    def __init__(self, reactor: Any) -> None:
        # Twisted's own is `time.time`: set back by an hour it would put off every call by that
        # hour. All of a reactor's timing goes by this method of it.
        reactor.seconds = time.monotonic
        self.seconds = time.monotonic
        self.time = time.time
        self.callLater = reactor.callLater


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
        #: Fires when the server has stopped.
        self.stopped: Deferred[None] = Deferred()
        self._loops = {
            LoopingCall(chat.expire): EXPIRY_SECONDS,
            LoopingCall(self._keep): SAVE_SECONDS,
        }
        if store is not None:
            self._loops[LoopingCall(self._look)] = CHECK_SECONDS
        # Whether it is to be looked in any case, as at the start: much was done while no server
        # ran; and whether that failed the last time.
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
                # For its owner alone, too.
                file, name = mkstemp(prefix="chatroom-claim-")
                self._claim = Path(name)
            with os.fdopen(file, "w") as written:
                written.write(f"{code}\n")
            log.info("The code is in {file} as well.", event="claim_written", file=str(self._claim))
        except OSError as error:
            log.warn("The code is not in a file: {error}", event="claim_not_written", error=error)

    def _keep(self) -> None:
        """Write what is to be kept of people and of decisions."""
        self._chat.logins.save_sessions()
        self._chat.moderation.keep(self._chat.aging.now())
        if not self._chat.moderation.code:
            self._withdraw_claim()

    def look_at_accounts(self) -> None:
        """Hold everybody to the accounts that there are now, whether or not they look changed."""
        self._look_due = True
        self._look()

    def _look(self) -> "Deferred[None]":
        """See whether another program, `chatroom-data`, has changed an account."""
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
        """Twisted: the server stops. Fires when everybody was told and is gone."""
        super().stopService()
        for loop in self._loops:
            if loop.running:
                loop.stop()
        for door in self._doors:
            door.stop_reading()
        # What could not be kept has one more chance.
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


def raise_descriptor_limit(wanted: int) -> int:
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
            event="descriptors_short",
            possible=possible,
            wanted=wanted,
            soft=soft,
        )
    return possible


class RootService(MultiService):
    """All that runs. The application that it is put into logs with *observer*, None for its own."""

    def __init__(self, observer: Any) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: this belongs to *parent*, an application that does not log yet."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)


def settings_of(options: Mapping[str, Any]) -> tuple[Settings, Limits]:
    """What *options*, a value for every row of `settings.OPTIONS`, say of the chat."""
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
    """Read once more who may connect. Raises SettingError, and then nothing has changed."""
    chat.moderation.allowed = options.reread_allowed()


def makeService(options: Options) -> IService:
    """Return the service that these options ask for."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    clock = ReactorClock(reactor)
    # It takes some 10 ms: now, and not when the first person asks for a time zone.
    places()
    aging = Aging(clock)
    store = _store(options, reactor, clock, aging)
    # One thread and 32 MiB for each, and the reactor keeps a processor.
    width = max(1, min(MAX_HASHING_THREADS, (os.cpu_count() or 1) // 2))
    hashing = HashingService(reactor, width)
    chat = _chat(options, clock, store, hashing, width, aging)
    opened = openings(options, chat)
    doors = list({id(opening.door): opening.door for opening in opened}.values())

    top = _logging(options, reactor, clock)
    _warn(options)
    running = ChatService(clock, chat, doors, _described(options, opened), store)
    parts: list[Any] = [running, hashing]
    parts += [listener(opening, options, chat, clock) for opening in opened]
    if options["monitor"]:
        # It needs what only the extra `metrics` installs.
        from chatroom.server.monitoring import MonitoringService

        where = partial(listen, options["monitor"])
        ledger = store.ledger if store else None
        parts.append(MonitoringService(clock, chat, doors, len(opened), running, where, ledger))
    notifier, watchdog = systemd.from_environment(os.environ)
    parts.append(_reloading(options, reactor, notifier, running, chat, doors, store))
    if options["manhole"]:
        namespace = {"chat": chat, "service": top}
        parts.append(ManholeService(reactor, options["manhole"], namespace))
    # Last, so that it is the first to be stopped.
    parts.append(
        systemd.NotifyService(
            clock, reactor.callWhenRunning, notifier, watchdog, lambda: len(chat.sessions)
        )
    )
    for part in parts:
        part.setServiceParent(top)
    return top


def _store(options: Options, reactor: Any, clock: Clock, aging: Aging) -> Store | None:
    """Return the store in the folder of --data, None without one."""
    if options["folder"] is None:
        return None
    return Store(
        clock,
        reactor.callFromThread,
        options["folder"],
        sync=options["sync"],
        keep_days=options["keep-days"],
        keep_lines=options["keep-lines"],
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
    """Log what an operator should know of what they have chosen."""
    if options["host-key-passing"]:
        log.warn(
            "The key of SSH is of this run only: whoever comes again is warned of another one. "
            "--data or --ssh-host-key keeps it.",
            event="host_key_passing",
        )
    credentials = options["credentials"]
    if credentials is not None and credentials.concern:
        log.warn("{concern}", event="certificate_concern", concern=credentials.concern)


def _described(options: Options, opened: list[Opening]) -> list[str]:
    """Return what runs, in lines for the log."""
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
    """Return the service that reads everything again which can change without a restart."""

    def reload() -> None:
        values, changed = options.reread()
        chat.configure(*settings_of(values))
        for door in doors:
            door.configure()
        if store is not None:
            store.keep_days, store.keep_lines = values["keep-days"], values["keep-lines"]
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
