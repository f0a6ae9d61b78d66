"""The endpoints that the server listens on, and their doors.

A new door is one more row in `openings`.
"""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple

from twisted.application.service import IService
from twisted.application.strports import service as listen
from twisted.internet.protocol import ServerFactory

from chatroom.chat.chat import Chat
from chatroom.doors.factory import DoorFactory
from chatroom.doors.proxy import ProxyFactory
from chatroom.doors.relay import RelayFactory
from chatroom.doors.telnet.console import ConsoleFactory
from chatroom.doors.telnet.protocol import ChatFactory
from chatroom.model.clock import Clock
from chatroom.server import endpoints


class Opening(NamedTuple):
    """An endpoint and the door that it leads to. tls: whether TLS comes first."""

    endpoint: str
    door: DoorFactory[Any]
    tls: bool = False


def openings(options: Mapping[str, Any], chat: Chat) -> list[Opening]:
    """Return all endpoints with their doors; each door is made once."""
    line, console = ChatFactory(chat), ConsoleFactory(chat)
    made = [
        *(Opening(endpoint, line) for endpoint in options["endpoints"]),
        *(Opening(endpoint, line, tls=True) for endpoint in options["secured"]),
        *(Opening(endpoint, console) for endpoint in options["consoles"]),
        *(Opening(endpoint, RelayFactory(chat)) for endpoint in options["relays"]),
    ]
    if options["shells"]:
        # It needs what only the extra `ssh` installs.
        from chatroom.doors.ssh.factory import SshFactory

        shell = SshFactory(chat, options["host-key"])
        made += [Opening(endpoint, shell) for endpoint in options["shells"]]
    return made


def described(opening: Opening) -> str:
    """Return where the server listens, as a line for the operator."""
    endpoint, door, tls = opening
    if door.door == "ssh":
        return f"Listening: {endpoints.describe_ssh(endpoint)}"
    return f"Listening: {endpoints.describe(endpoint, tls)}"


def listener(opening: Opening, options: Mapping[str, Any], chat: Chat, clock: Clock) -> IService:
    """Return the service that listens there."""
    factory: ServerFactory = opening.door
    if opening.tls:
        # Without OpenSSL it cannot be imported.
        from chatroom.server.tls import secured

        factory = secured(opening.door, options["credentials"], clock)
    behind, endpoint = endpoints.behind_proxy(opening.endpoint)
    if behind:
        networks = [ip_network(text) for text in options["proxy-from"]]
        factory = ProxyFactory(factory, chat, networks)
    service: IService = listen(endpoint, factory)
    return service
