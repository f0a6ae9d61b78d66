"""The endpoints that the server listens on, and their doors.

A new door is one more row in `openings`.
"""

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
from chatroom.server.endpoints import behind_proxy
from chatroom.server.options import Options


class Opening(NamedTuple):
    """An endpoint that leads to a door.

    option: the option with which it was given, one of options.DOOR_OPTIONS.
    """

    option: str
    endpoint: str
    door: DoorFactory[Any]


def openings(options: Options, chat: Chat) -> list[Opening]:
    """Return all endpoints with their doors."""
    given = options.endpoints
    lines, console = ChatFactory(chat), ConsoleFactory(chat)
    made = [
        *(Opening("listen", endpoint, lines) for endpoint in given["listen"]),
        *(Opening("tls", endpoint, lines) for endpoint in given["tls"]),
        *(Opening("telnet", endpoint, console) for endpoint in given["telnet"]),
        # Each relay is separate from the others.
        *(Opening("relay", endpoint, RelayFactory(chat)) for endpoint in given["relay"]),
    ]
    if given["ssh"]:
        # It needs packages that only the extra `ssh` installs.
        from chatroom.doors.ssh.factory import SshFactory

        ssh = SshFactory(chat, options.host_key)
        made += [Opening("ssh", endpoint, ssh) for endpoint in given["ssh"]]
    return made


def listener(opening: Opening, options: Options, chat: Chat, clock: Clock) -> IService:
    """Return the service that listens on *opening*."""
    factory: ServerFactory = opening.door
    if opening.option == "tls":
        # It needs OpenSSL, which may not be installed.
        from chatroom.server.tls import secured

        factory = secured(opening.door, options.certificate, clock)
    behind, endpoint = behind_proxy(opening.endpoint)
    if behind:
        networks = [ip_network(text) for text in options["proxy-from"]]
        factory = ProxyFactory(factory, chat, networks)
    service: IService = listen(endpoint, factory)
    return service
