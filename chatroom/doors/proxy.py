"""The PROXY protocol: a proxy in front of a door says where a client comes from.

A header is believed of no peer but the proxies that were named, and whatever is wrong with one
closes the connection. Once it was read, the transport belongs to the door's own protocol, as if the
client had connected by itself.

"The specification" is HAProxy's doc/proxy-protocol.txt, of versions 1 and 2.
"""

import ipaddress
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatroom.chat.chat import Chat
from chatroom.model.clock import Timer
from chatroom.model.limits import LOCAL, source_of

log = Logger()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: How long a proxy may take for its header.
HEADER_SECONDS: Final = 5.0

#: How a header begins (the specification, sections 2.1 and 2.2).
V1: Final = b"PROXY "
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"

#: The longest line of version 1, with its CR LF (section 2.1).
V1_BYTES: Final = 107

#: The longest header of version 2 that is taken. A sender may count on no more than fits into the
#: smallest TCP segment (section 2).
V2_BYTES: Final = 536

#: A port without leading zeros (section 2.1).
PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")

#: Version 2 by its family and protocol: how the addresses of a TCP connection are laid out, source
#: first, then both ports (section 2.2).
LAYOUTS: Final = {0x11: "!4s4sHH", 0x21: "!16s16sHH"}

#: Families of version 2 without a client's address, and how long what they have is: none, and the
#: names of UNIX sockets.
NAMELESS: Final = {0x00: 0, 0x31: 216}


class HeaderError(ValueError):
    """This is no header; the text says what is wrong, and contains nothing of it."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header.

    host, port: the client's address; None and 0 where the proxy speaks for itself.
    length: its bytes; what follows is the client's.
    """

    host: str | None
    port: int
    length: int


def parse(data: bytes) -> Header | None:
    """Return the header with which *data* begins, or None if more of it is to come.

    Raises HeaderError as soon as there is none.
    """
    if V2.startswith(data[: len(V2)]):
        return _version_2(data) if len(data) >= len(V2) else None
    if V1.startswith(data[: len(V1)]):
        return _version_1(data)
    raise HeaderError("no header")


def _version_1(data: bytes) -> Header | None:
    """Parse a line of text (the specification, section 2.1)."""
    line, end, _ = data[:V1_BYTES].partition(b"\r\n")
    if b"\n" in line or b"\r" in (line if end else line[:-1]):
        raise HeaderError("the header does not end with CR LF")
    if not end:
        if len(data) >= V1_BYTES:
            raise HeaderError("the header is too long")
        return None
    length = len(line) + len(end)
    try:
        words = line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise HeaderError("the header is not ASCII") from None
    if words[1] == "UNKNOWN":
        # Whatever else the line says is to be ignored.
        return Header(None, 0, length)
    if words[1] not in ("TCP4", "TCP6"):
        raise HeaderError("the header names no protocol that is known")
    if len(words) != 6:
        raise HeaderError("the header does not have two addresses and two ports")
    kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        if b"%" in line:
            # Python would take it for the name of an interface.
            raise ValueError
        source, _ = [kind(word) for word in words[2:4]]
    except ValueError:
        raise HeaderError("the header has an address that is none") from None
    if not all(PORT.fullmatch(word) and int(word) <= 65535 for word in words[4:]):
        raise HeaderError("the header has a port that is none")
    return Header(_host(source), int(words[4]), length)


def _version_2(data: bytes) -> Header | None:
    """Parse binary (the specification, section 2.2); skip what follows the addresses."""
    fixed = len(V2) + 4
    # What is wrong is said as soon as it can be seen.
    if len(data) > len(V2) and data[len(V2)] not in (0x20, 0x21):
        raise HeaderError("the header is of no version and command that are known")
    if len(data) < fixed:
        return None
    command, family, size = struct.unpack_from("!BBH", data, len(V2))
    length = fixed + size
    if length > V2_BYTES:
        raise HeaderError("the header is too long")
    proxied = command == 0x21
    layout = LAYOUTS.get(family)
    if proxied:
        # A LOCAL connection's family is to be ignored.
        if layout is None and family not in NAMELESS:
            raise HeaderError("the header is of no family and protocol that are known")
        if size < (struct.calcsize(layout) if layout else NAMELESS[family]):
            raise HeaderError("the header has no room for its addresses")
    if len(data) < length:
        return None
    if not proxied or layout is None:
        return Header(None, 0, length)
    source, _, port, _ = struct.unpack_from(layout, data, fixed)
    return Header(_host(ipaddress.ip_address(source)), port, length)


def _host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return *address* as the client would name it (RFC 4291, section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class Waiting(Protocol):
    """A connection until its header has come; then a door's protocol takes over."""

    transport: Any
    factory: "ProxyFactory"

    def __init__(self, peer: IAddress | None) -> None:
        self._peer = peer
        self._data = b""
        self._over = False

    def connectionMade(self) -> None:
        """Twisted: the connection is there."""
        # So that little of what is the client's is read with the header.
        self.transport.bufferSize = V2_BYTES
        self._overdue = Timer(self.factory.chat.call_later)
        self._overdue.start(HEADER_SECONDS, self._late)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came in."""
        if self._over:
            return
        self._data += data
        try:
            header = parse(self._data)
        except HeaderError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._hand_over(header)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone, before its header was whole."""
        self._end()

    def _hand_over(self, header: Header) -> None:
        """Let the door's protocol take the transport."""
        transport, peer = self.transport, self._peer
        # The place that was taken for the proxy is the client's.
        self._end()
        if header.host is not None:
            kind = IPv6Address if ":" in header.host else IPv4Address
            peer = kind("TCP", header.host, header.port)
        client = self.factory.door.buildProtocol(peer)
        if client is None:
            transport.abortConnection()
            return
        transport.bufferSize = FileDescriptor.bufferSize
        # A UNIX socket to the proxy says nothing of the way to the proxy.
        transport.proxied = True
        transport.protocol = client
        client.makeConnection(transport)
        rest = self._data[header.length :]
        if rest:
            client.dataReceived(rest)

    def _late(self) -> None:
        self._refuse(f"no whole header in {HEADER_SECONDS:g} seconds")

    def _refuse(self, why: str) -> None:
        self.factory.refused(self._peer, why)
        self.drop()

    def drop(self) -> None:
        """Close at once."""
        self._end()
        self.transport.abortConnection()

    def _end(self) -> None:
        """Wait no longer."""
        if self._over:
            return
        self._over = True
        self._overdue.stop()
        self.factory.ended(self)


class ProxyFactory(ServerFactory):
    """Stands before the factory of a door, on an endpoint to which proxies connect.

    Only peers in one of the networks may connect, and peers at a UNIX socket. A connection that
    waits for its header counts for the limits.

    door: the factory of the door.
    networks: those of the proxies.
    """

    noisy = False

    def __init__(self, door: Any, chat: Chat, networks: Iterable[Network]) -> None:
        self.door = door
        self.chat = chat
        self._networks = tuple(networks)
        self._waiting: set[Waiting] = set()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted: a peer connects from *addr*; None closes the connection."""
        if not self._trusted(addr):
            self.refused(addr, "not a proxy that --proxy-from names")
            return None
        limiter = self.chat.limiter
        if limiter.why_refused(LOCAL) is not None:
            self.refused(addr, "the server is full")
            return None
        limiter.entered(LOCAL)
        waiting = Waiting(addr)
        waiting.factory = self
        self._waiting.add(waiting)
        return waiting

    def _trusted(self, addr: Any) -> bool:
        """Return whether a peer at *addr* is one of the proxies."""
        if isinstance(addr, UNIXAddress):
            return True
        try:
            address = ipaddress.ip_address(getattr(addr, "host", "").partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def ended(self, waiting: Waiting) -> None:
        """Forget *waiting*, which waits no longer."""
        self._waiting.discard(waiting)
        self.chat.limiter.left(LOCAL)

    def refused(self, addr: IAddress | None, why: str) -> None:
        """Log that a connection from *addr* was closed, and *why*."""
        host = getattr(addr, "host", None)
        log.warn(
            "Closed a connection from {peer} that was to come by a proxy: {why}.",
            event="proxy_refused",
            source=source_of(host),
            peer=host or "this machine",
            why=why,
        )

    def stopFactory(self) -> None:
        """Twisted: the endpoint is closed. Close the connections that wait, too."""
        for waiting in list(self._waiting):
            waiting.drop()
