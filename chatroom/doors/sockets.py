"""The socket under a connection: what the kernel is told and asked about it."""

import select
import socket
from typing import Any, Final

from twisted.internet.interfaces import ISSLTransport, ISystemHandle
from twisted.protocols.policies import ProtocolWrapper

from chatroom.model.limits import Limits

#: How much the kernel holds for a client that does not read; it doubles what it is told
#: (socket(7)). The less it is, the sooner it shows that a client does not read.
SEND_BUFFER_BYTES: Final = 32 * 1024

#: How many keepalive probes an unresponsive peer is sent.
PROBES: Final = 4


def _bottom_of(transport: Any) -> Any:
    """Return the transport of the socket under *transport*."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def _socket_of(transport: Any) -> Any:
    """Return the socket under *transport*, None where there is none, or none any more."""
    # The handle of a TLS transport is not a socket.
    transport = _bottom_of(transport)
    there = getattr(transport, "connected", False) and ISystemHandle.providedBy(transport)
    return transport.getHandle() if there else None


def tune(transport: Any, limits: Limits) -> None:
    """Tell the kernel what a new connection needs.

    Lines go out at once: Nagle's algorithm would hold them back for 40 ms. Urgent data stays in
    its place, telnet sends the IAC of a Synch so (RFC 854, "The TELNET Synch signal"). A peer that
    is gone without a word is noticed by keepalive and by TCP_USER_TIMEOUT (RFC 5482).
    """
    handle = _socket_of(transport)
    if handle is None:
        return
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if limits.dead_after:
        interval = max(1, limits.dead_after // (2 * PROBES))
        idle = max(1, limits.dead_after - interval * (PROBES + 1))
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        unanswered = 1000 * (idle + PROBES * interval)
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unanswered)


def is_encrypted(transport: Any) -> bool:
    """Return whether nobody on the way can read along.

    So it is with TLS, and with a socket of this machine (unix(7)) unless it leads to a proxy, which
    says nothing of the way to the proxy.
    """
    handle = _socket_of(transport)
    local = handle is not None and handle.family == socket.AF_UNIX
    local = local and not getattr(_bottom_of(transport), "proxied", False)
    return local or ISSLTransport.providedBy(transport) or bool(getattr(transport, "TLS", False))


def peer_ended(transport: Any) -> bool:
    """Return whether the peer has closed its side, even behind unread data."""
    handle = _socket_of(transport)
    if handle is None:
        return False
    poll = select.poll()
    poll.register(handle.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
