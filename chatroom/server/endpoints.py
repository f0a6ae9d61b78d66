"""Where the server listens: its default endpoints, and whether an endpoint would work.

A server that cannot listen must say so before it daemonises, so endpoints are tried while the
options are parsed. The rule: nothing here imports the reactor (``twistd -r`` chooses it), and
trying an endpoint leaves no trace, neither in the file system nor among the descriptors.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import re
import socket
import stat
from typing import Any, NoReturn

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from chatroom.server import files

# Connections the kernel holds until they are accepted. Of 5,000 that come at once, those that find
# it full try again after 1 s, then 3 s: with 1,024 half of them waited so, with 4,096 (as many as
# Linux allows unless told otherwise, net.core.somaxconn) none.
BACKLOG = 4096

# What is written before an endpoint to which a proxy connects.
PROXY = "proxy:"

# The fields of the endpoints that take a backlog, in the order in which they may go unnamed.
_FIELDS = {
    "tcp": ("kind", "port", "interface", "backlog"),
    "tcp6": ("kind", "port", "backlog", "interface"),
    "ssl": ("kind", "port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
    "tls": ("kind", "path", "port", "backlog", "interface"),
    "unix": ("kind", "address", "mode", "backlog"),
}

_MEANINGS = {
    errno.EADDRINUSE: "the port is already in use",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "no permission (the lowest ports are for root)",
}


class EndpointError(ValueError):
    """An endpoint the server could not listen on; the text says which and why, in one line."""


class IPv6(enum.Enum):
    """What a listening socket on ``::`` takes on this machine."""

    NONE = "no IPv6 here"
    ALONE = "IPv6 only"
    DUAL = "IPv6 and IPv4"


def ipv6_here() -> IPv6:
    """Ask the kernel; on Linux the answer depends on ``net.ipv6.bindv6only``."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe_socket:
            probe_socket.bind(("::", 0))
            alone = probe_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return IPv6.NONE
    return IPv6.ALONE if alone else IPv6.DUAL


def default_endpoints(port: int, interface: str = "") -> list[str]:
    """The endpoint strings for TCP port *port* (0: any free one) on *interface*.

    *interface* is an IPv4 or IPv6 address; without one they cover IPv4 and, where there is
    IPv6, IPv6.
    """
    if interface:
        kind = "tcp6" if isIPv6Address(interface) else "tcp"
        return [f"{kind}:{port}:interface={quoteStringArgument(interface)}:backlog={BACKLOG}"]
    kinds = {IPv6.NONE: ["tcp"], IPv6.ALONE: ["tcp", "tcp6"], IPv6.DUAL: ["tcp6"]}[ipv6_here()]
    return [f"{kind}:{port}:backlog={BACKLOG}" for kind in kinds]


def behind_proxy(description: str) -> tuple[bool, str]:
    """Whether a PROXY protocol header begins each connection to *description*, and what for
    Twisted is the endpoint.
    """
    rest = description.removeprefix(PROXY)
    return rest != description, rest


def check(description: str, tls: bool, proxies: bool) -> None:
    """Find out whether *description* makes sense for what was asked.

    tls: it is for TLS. proxies: some address from which proxies connect is known.

    Raises EndpointError.
    """
    behind, plain = behind_proxy(description)
    kind, fields = _by_name(plain)
    named = description.removesuffix(f":backlog={BACKLOG}")
    if kind in ("ssl", "tls") and tls:
        raise EndpointError(
            f"cannot listen on {named}: {kind}: has TLS already; write --listen {named}"
        )
    if behind and kind in ("ssl", "tls"):
        raise EndpointError(
            f"cannot listen on {named}: a proxy's header comes before TLS; write "
            f"--tls {PROXY}tcp:{fields.get('port', 'PORT')}"
        )
    if behind and kind in ("haproxy", "proxy"):
        raise EndpointError(f"cannot listen on {named}: there is but one header to a connection")
    domain = fields.get("domain") or "".join(_parsed(plain)[0][1:2])
    local = kind == "unix" or (kind == "systemd" and domain == "UNIX")
    if behind and not local and not proxies:
        raise EndpointError(
            f"cannot listen on {named}: say with --proxy-from from which address or network the "
            "proxy connects, such as --proxy-from 127.0.0.1"
        )


def with_backlog(description: str) -> str:
    """*description* with ``backlog=4096`` where its kind takes a backlog and it names none."""
    positional, named = _parsed(behind_proxy(description)[1].removeprefix("haproxy:"))
    fields = _FIELDS.get(positional[0], ())
    if "backlog" not in fields[len(positional) :] or "backlog" in named:
        return description
    return f"{description}:backlog={BACKLOG}"


def on_loopback(description: str) -> str:
    """*description* for this machine only, where its kind takes an interface and it names none."""
    positional, named = _parsed(description.removeprefix("haproxy:"))
    fields = _FIELDS.get(positional[0], ())
    if "interface" not in fields[len(positional) :] or "interface" in named:
        return description
    address = "::1" if positional[0] == "tcp6" else "127.0.0.1"
    return f"{description}:interface={quoteStringArgument(address)}"


def describe_http(description: str, path: str) -> str:
    """The address of *path* where HTTP is served on the endpoint *description*, for a log line."""
    kind, fields = _by_name(description)
    if kind == "unix":
        return f"curl --unix-socket {fields.get('address')} http://localhost{path}"
    if kind not in _FIELDS:
        return f"{description}, {path}"
    address = fields.get("interface", "")
    host = "HOST" if address in ("", "::", "0.0.0.0") else address
    port = "PORT" if fields.get("port") == "0" else fields.get("port", "443")
    scheme = "http" if kind in ("tcp", "tcp6") else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def describe(description: str, tls: bool = False) -> str:
    """How to connect to the endpoint *description*, for a log line: ``telnet HOST 8008``.

    tls: TLS is spoken on it.
    """
    behind, description = behind_proxy(description)
    notes = ", ".join(["TLS"] * tls + ["behind a proxy"] * behind)
    return _connecting(description, tls) + (notes and f" ({notes})")


def describe_ssh(description: str) -> str:
    """How to connect to the endpoint *description* by SSH, for a log line: ``ssh -p 2222 HOST``."""
    behind, description = behind_proxy(description)
    kind, fields = _by_name(description.removeprefix("haproxy:"))
    note = " (behind a proxy)" if behind or description.startswith("haproxy:") else ""
    if kind not in ("tcp", "tcp6"):
        return f"{description} (SSH){note}"
    address = fields.get("interface", "")
    host = "HOST" if address in ("", "::", "0.0.0.0") else address
    port = "PORT" if fields.get("port") == "0" else fields.get("port", "")
    return f"ssh -p {port} {host}{note}"


def _connecting(description: str, tls: bool) -> str:
    if description.startswith("haproxy:"):
        rest = _connecting(description.removeprefix("haproxy:"), tls)
        return f"{rest} (a PROXY protocol balancer)"
    kind, fields = _by_name(description)
    if kind == "unix":
        client = "openssl s_client -quiet -unix" if tls else "nc -U"
        return f"{client} {fields.get('address')}"
    if kind not in _FIELDS:
        return description
    address = fields.get("interface", "")
    host = "HOST" if address in ("", "::", "0.0.0.0") else address
    # Which port 0 will be is not known before the server listens.
    port = "PORT" if fields.get("port") == "0" else fields.get("port", "443")
    if kind in ("tcp", "tcp6") and not tls:
        return f"telnet {host} {port}"
    return f"openssl s_client -quiet -connect {f'[{host}]' if ':' in host else host}:{port}"


def probe(*descriptions: str, rundir: str = ".", chroot: str | None = None) -> None:
    """Find out whether a server could listen on all of *descriptions* together.

    Sockets are bound as Twisted would bind them and closed again. *rundir* and *chroot* are
    where the server will be when it opens UNIX sockets.

    Raises EndpointError for the first that would not work.
    """
    reactor = _TryingReactor(rundir, chroot)
    try:
        for description in descriptions:
            try:
                _try(reactor, behind_proxy(description)[1])
            except Exception as error:
                named = description.removesuffix(f":backlog={BACKLOG}")
                raise EndpointError(f"cannot listen on {named}: {_reason(error)}") from error
    finally:
        reactor.close()


def _try(reactor: _TryingReactor, description: str) -> None:
    kind, fields = _by_name(description)
    if kind.isdigit():
        raise ValueError(f"for a port write tcp:{kind}")
    # Twisted waits for certificates to appear in a folder that is not there.
    if kind == "tls" and not os.path.isdir(fields.get("path", "")):
        raise ValueError(f"there is no folder {fields.get('path', '')} with certificates")
    for field in ("privateKey", "certKey", "extraCertChain", "dhParameters"):
        if kind == "ssl" and field in fields:
            # Twisted would wait for whoever writes into a pipe.
            files.opened(fields[field]).close()
    try:
        endpoint = serverFromString(reactor, description)
    except (IndexError, KeyError) as error:
        if kind != "systemd":
            raise
        raise ValueError("systemd handed over no such socket (is there a .socket unit?)") from error
    failures: list[Failure] = []
    with contextlib.suppress(_NothingToTry):
        endpoint.listen(_TryingFactory()).addErrback(failures.append)
        if failures:
            failures[0].raiseException()


class _NothingToTry(Exception):
    """Stops an endpoint whose descriptor exists already before it takes it over."""


class _TryingFactory(Factory):
    def buildProtocol(self, addr: object) -> Protocol | None:
        raise _NothingToTry


class _TryingReactor:
    """The part of a reactor that endpoints listen with; it holds what it binds until `close`."""

    def __init__(self, rundir: str, chroot: str | None) -> None:
        self._rundir = rundir
        self._chroot = chroot
        self._sockets: list[socket.socket] = []
        self._paths: set[str] = set()

    def close(self) -> None:
        for bound in self._sockets:
            bound.close()

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        if not 0 <= port <= 65535:
            raise ValueError("a port is a number from 0 to 65535")
        address: Any = (interface, port)
        family = socket.AF_INET
        if isIPv6Address(interface):
            family = socket.AF_INET6
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            address = socket.getaddrinfo(interface, port, family, flags=flags)[0][4]
        trial = socket.socket(family, socket.SOCK_STREAM)
        self._sockets.append(trial)
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
        # With SO_REUSEADDR two sockets may bind the same port; only one may listen on it.
        trial.listen(1)

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(
        self,
        address: str,
        factory: object,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> None:
        # Nothing is bound: that would leave a file, and removing it might hit somebody else's.
        if self._chroot is not None or address.startswith("\0"):
            return
        path = os.path.abspath(os.path.join(self._rundir, address))
        if len(os.fsencode(address)) > 107:
            raise ValueError("the path of a socket has at most 107 bytes")
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise ValueError(f"there is no folder {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(f"no permission to create a file in {folder}")
        stale = False
        if wantPID:
            owner = _lock_owner(path + ".lock")
            if owner is not None and _alive(owner):
                raise ValueError(f"the socket belongs to the running process {owner}")
            stale = owner is not None
        # Twisted removes a socket whose lock names a dead process, and nothing else.
        if path in self._paths or (os.path.lexists(path) and not (stale and _is_socket(path))):
            raise ValueError(f"{path} exists already; remove it if no server uses it")
        self._paths.add(path)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: object) -> NoReturn:
        # The endpoint closes the descriptor after success: fail, so that the server finds it.
        with socket.socket(fileno=os.dup(fileDescriptor)) as adopted:
            if adopted.family != addressFamily:
                raise ValueError(f"the socket handed over is {adopted.family.name}")
            if not adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ValueError("the socket handed over does not listen")
        raise _NothingToTry


def _lock_owner(lock: str) -> int | None:
    """The process a Twisted lock file names (it is a link to the number), None without one."""
    try:
        return int(os.readlink(lock))
    except FileNotFoundError:
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_socket(path: str) -> bool:
    return os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode)


def _parsed(description: str) -> tuple[list[str], dict[str, str]]:
    """The positional and the named fields of an endpoint string, unquoted."""
    fields: list[str] = []
    named: dict[str, str] = {}
    for field in re.findall(r"(?:^|:)((?:[^:\\]|\\.)*)", description, re.DOTALL):
        name, equals, value = field.partition("=")
        if equals:
            named[name] = _unquoted(value)
        else:
            fields.append(_unquoted(field))
    return fields or [""], named


def _by_name(description: str) -> tuple[str, dict[str, str]]:
    """The kind of an endpoint string and its fields by name; empty for a kind unknown here."""
    positional, named = _parsed(description)
    kind = positional[0]
    return kind, dict(zip(_FIELDS.get(kind, ()), positional, strict=False)) | named


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _reason(error: Exception) -> str:
    """Why *error* was raised, on one line and without the names of functions."""
    if isinstance(error, socket.gaierror):
        return "that is not an address of this machine"
    if isinstance(error, OSError):
        system = (error.strerror or str(error)).lower()
        if error.filename:
            return f"{os.fsdecode(error.filename)}: {system}"
        return _MEANINGS.get(error.errno or 0, system)
    # Without OpenSSL Twisted's tls: parser runs into a name it did not import.
    if isinstance(error, (ImportError, NameError)):
        return "TLS needs more of Twisted: pip install 'chatroom[tls]'"
    if type(error).__module__.startswith("OpenSSL"):
        return "its files hold no certificate with its key in PEM format"
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"invalid literal for int\(\).*: (.*)", r"\1 is not a number", text)
    text = re.sub(r"^[\w.]+\(\) ", "", text)
    return text[:1].lower() + text[1:]
