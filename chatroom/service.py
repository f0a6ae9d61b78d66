"""The service: what `twistd chatroom` runs.

The rule: this is the only module that knows all the others, and the only one that knows the
reactor. A new door is a module in doors/ and a row in `makeService`.
"""

from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.application.strports import service as listen
from twisted.internet.defer import DeferredList, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatroom import __version__, listening
from chatroom.chat import Chat, Settings
from chatroom.doors.door import DoorFactory
from chatroom.doors.line import ChatFactory
from chatroom.doors.relay import RelayFactory
from chatroom.options import Options

__all__ = ["Options", "makeService"]

log = Logger()

#: How long, in seconds, the ledger has for what is pending when the server stops.
SETTLING = 1.0


class ChatService(Service):
    """Starts the chat and ends it: its rooms, and everybody in them."""

    def __init__(
        self, clock: Any, chat: Chat, doors: list[DoorFactory[Any]], described: list[str]
    ) -> None:
        self._clock = clock
        self._chat = chat
        self._doors = doors
        self._described = described

    def startService(self) -> None:
        """Twisted: the server runs."""
        super().startService()
        log.info("chatroom {version}", version=__version__)
        for line in self._described:
            log.info("{line}", line=line)

    @inlineCallbacks
    def stopService(self) -> Any:
        """Twisted: the server stops. Fires when everybody was told and is gone."""
        super().stopService()
        for door in self._doors:
            door.stop_reading()
        try:
            yield self._chat.close().addTimeout(SETTLING, self._clock)
        except Exception as error:
            log.warn("Some lines were not settled when the server stopped: {error!r}", error=error)
        people = sum(len(door.clients) for door in self._doors)
        yield DeferredList([door.dismiss() for door in self._doors])
        log.info("Stopped; {people} connections were told.", people=people)


def makeService(options: Options) -> IService:
    """The service that these options ask for."""
    from twisted.internet import reactor

    assert IReactorTime.providedBy(reactor)
    clock: Any = reactor
    later = clock.callLater
    settings = Settings(
        name=options["name"],
        lobby=options["lobby"],
        motd=options["motd"].strip("\n"),
        scrollback=options["scrollback"],
        join_quiet_above=options["join-quiet-above"],
    )
    chat = Chat(clock, settings)
    limits = {"line_length": options["line-length"], "stall_timeout": options["stall-timeout"]}
    doors: list[tuple[str, DoorFactory[Any]]] = []
    line = ChatFactory(chat, later, **limits)
    doors += [(endpoint, line) for endpoint in options["endpoints"]]
    doors += [(endpoint, RelayFactory(chat, later, **limits)) for endpoint in options["relays"]]

    top = MultiService()
    described = [f"Listening: {listening.describe(endpoint)}" for endpoint, _ in doors]
    factories = list({id(factory): factory for _, factory in doors}.values())
    ChatService(clock, chat, factories, described).setServiceParent(top)
    for endpoint, factory in doors:
        listen(endpoint, factory).setServiceParent(top)
    return top
