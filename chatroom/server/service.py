"""Make the service that `twistd chatroom` runs, from all parts.

This is the only module that imports the reactor. The endpoints that the server listens on are in
listeners.py.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from ipaddress import ip_network
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.application.strports import service as listen
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

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
from chatroom.server.chatservice import ChatService
from chatroom.server.descriptors import raise_descriptor_limit
from chatroom.server.hashing import HashingService
from chatroom.server.listeners import Opening, listener, openings
from chatroom.server.logwriter import LogService, open_log
from chatroom.server.manhole import ManholeService
from chatroom.server.options import Options, described
from chatroom.server.reload import ReloadService
from chatroom.server.systemd import Notifier
from chatroom.text.times import places

__all__ = ["Options", "makeService"]

log = Logger()

#: How many passwords are hashed at the same time at most.
MAX_HASHING_THREADS = 4


class ReactorClock:
    """The `Clock` of a server. Make it before anything is scheduled on *reactor*."""

    def __init__(self, reactor: Any) -> None:
        # By default Twisted schedules calls by `time.time`: if the system clock is set back by an
        # hour, all calls are an hour late.
        reactor.seconds = time.monotonic
        self.seconds = time.monotonic
        self.time = time.time
        self.callLater = reactor.callLater


class RootService(MultiService):
    """The parent of all services.

    observer: the log observer for the application, None for the application's own.
    """

    def __init__(self, observer: Any) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: add this to *parent*, an application that does not log yet."""
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
        rooms_per_person=options["rooms-per-person"],
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
    """Return the service for these options (called by twistd)."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    clock = ReactorClock(reactor)
    # Reading the time zones takes some 10 ms: do it now, not when the first user asks for one.
    places()
    aging = Aging(clock)
    store = _store(options, reactor, clock, aging)
    # Each thread needs 32 MiB; half of the processors are left to the reactor and others.
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
            clock, reactor.callWhenRunning, notifier, watchdog, lambda: len(chat.connections)
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
    if not options.metrics_endpoint:
        return []
    # It needs a library that only the extra `metrics` installs.
    from chatroom.server.monitoring import MonitoringService

    where = partial(listen, options.metrics_endpoint)
    ledger = store.ledger if store else None
    return [MonitoringService(clock, chat, doors, ports, running, where, ledger)]


def _store(options: Options, reactor: Any, clock: Clock, aging: Aging) -> Store | None:
    """Return the store in the folder of --data, None without one."""
    if options.folder is None:
        return None
    return Store(
        clock,
        reactor.callFromThread,
        options.folder,
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
            allowed=options.allowed,
            spared=Networks([ip_network(text) for text in options["proxy-from"]]),
        ),
        counters=Counters(time.perf_counter),
        aging=aging,
    )


def _logging(options: Options, reactor: Any, clock: Clock) -> RootService:
    """Return the parent of all services, with the log that *options* ask for."""
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
    if options.host_key_is_temporary:
        log.warn(
            "The SSH host key is new in each run, so SSH warns users of a changed key when they "
            "connect again. Use --data or --ssh-host-key to keep one.",
            event="host_key_passing",
        )
    credentials = options.certificate
    if credentials is not None and credentials.concern:
        log.warn("{concern}", event="certificate_concern", concern=credentials.concern)


def _described(options: Options, opened: list[Opening]) -> list[str]:
    """Return lines for the log that say what runs."""
    lines = [f"Listening: {described(one.option, one.endpoint)}" for one in opened]
    if options.endpoints["ssh"]:
        from chatroom.server.hostkey import fingerprint

        lines.append(f"The SSH host key is {fingerprint(options.host_key)}.")
    if options.folder is not None:
        lines.append(f"Messages are stored in {options['data']}.")
    else:
        lines.append("Messages are kept in memory and lost at the end; use --data to store them.")
    if options.allowed_fault:
        lines.append(options.allowed_fault)
    if options.metrics_endpoint:
        lines.append(f"Metrics: {endpoints.describe_http(options.metrics_endpoint, '/metrics')}")
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
                "{option} has changed. Restart the server to apply it.",
                event="needs_restart",
                option=name,
            )

    reloading = ReloadService(reactor, notifier, reload)
    if options.certificate is not None:
        reloading.add("the certificates", options.certificate.reload)
    if options["allow"]:
        reloading.add("the allowed networks", partial(_read_list, chat, options))
    if store is not None:
        reloading.add("the accounts", running.reconcile_accounts)
    return reloading
