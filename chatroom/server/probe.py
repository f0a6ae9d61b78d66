"""Probe endpoints: check whether a server could listen, before twistd daemonises.

Nothing here imports the reactor (``twistd -r`` chooses it). Probing leaves neither files nor open
descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from typing import Any, NoReturn

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from chatroom.server import files
from chatroom.server.endpoints import EndpointError, behind_proxy, by_name, without_backlog

_MEANINGS = {
    errno.EADDRINUSE: "the port is already in use",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "no permission (the lowest ports are for root)",
}


def probe(*descriptions: str, rundir: str = ".", chroot: str | None = None) -> None:
    """Raise EndpointError for the first endpoint on which a server could not listen.

    All sockets are bound as Twisted would bind them, and closed at the end.

    rundir: the working directory of the server.
    chroot: the root directory of the server, None for this process's.
    """
    with contextlib.ExitStack() as bound:
        reactor = _Reactor(bound, rundir, chroot)
        for description in descriptions:
            try:
                _try(reactor, behind_proxy(description)[1])
            except Exception as error:
                raise EndpointError(
                    f"cannot listen on {without_backlog(description)}: {_reason(error)}"
                ) from error


def _try(reactor: _Reactor, description: str) -> None:
    kind, fields = by_name(description)
    if kind.isdigit():
        raise ValueError(f"for a port write tcp:{kind}")
    # Twisted would wait for certificates in a folder that does not exist.
    if kind == "tls" and not os.path.isdir(fields.get("path", "")):
        raise ValueError(f"there is no folder {fields.get('path', '')} with certificates")
    for field in ("privateKey", "certKey", "extraCertChain", "dhParameters"):
        if kind == "ssl" and field in fields:
            # Twisted would wait for a writer if it were a pipe.
            files.opened(fields[field]).close()
    try:
        endpoint = serverFromString(reactor, description)
    except (IndexError, KeyError) as error:
        if kind != "systemd":
            raise
        raise ValueError("systemd handed over no such socket (is there a .socket unit?)") from error
    failures: list[Failure] = []
    with contextlib.suppress(_LeftAlone):
        endpoint.listen(Factory.forProtocol(_leave_alone)).addErrback(failures.append)
        for failure in failures:
            failure.raiseException()


class _LeftAlone(Exception):
    """Stops an endpoint whose descriptor exists already before it takes that over."""


def _leave_alone() -> NoReturn:
    raise _LeftAlone


class _Reactor:
    """The part of a reactor that endpoints listen with; what it binds is closed with *bound*."""

    def __init__(self, bound: contextlib.ExitStack, rundir: str, chroot: str | None) -> None:
        self._bound = bound
        self._rundir = rundir
        self._chroot = chroot
        self._paths: set[str] = set()

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        if not 0 <= port <= 65535:
            raise ValueError("a port is a number from 0 to 65535")
        address: Any = (interface, port)
        family = socket.AF_INET
        if isIPv6Address(interface):
            family = socket.AF_INET6
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            address = socket.getaddrinfo(interface, port, family, flags=flags)[0][4]
        trial = self._bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)
        # With SO_REUSEADDR two sockets may bind the same port; only one may listen on it.
        trial.listen(1)

    def listenSSL(self, port: int, factory: object, contextFactory: object, **where: Any) -> None:
        self.listenTCP(port, factory, **where)

    def listenUNIX(self, address: str, factory: object, wantPID: bool, **_: object) -> None:
        # Nothing is bound: that would leave a file, and removing it could remove another program's.
        if self._chroot is not None or address.startswith("\0"):
            return
        path = os.path.abspath(os.path.join(self._rundir, address))
        folder = os.path.dirname(path)
        if len(os.fsencode(address)) > 107:
            raise ValueError("the path of a socket has at most 107 bytes")
        if not os.path.isdir(folder):
            raise ValueError(f"there is no folder {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(f"no permission to create a file in {folder}")
        # Twisted removes a socket whose lock names a dead process, and nothing else.
        replaced = wantPID and _is_stale(path)
        if path in self._paths or (os.path.lexists(path) and not replaced):
            raise ValueError(f"{path} exists already; remove it if no server uses it")
        self._paths.add(path)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: object) -> NoReturn:
        with socket.socket(fileno=os.dup(fileDescriptor)) as adopted:
            if adopted.family != addressFamily:
                raise ValueError(f"the socket handed over is {adopted.family.name}")
            if not adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ValueError("the socket handed over does not listen")
        # After success the endpoint would close the descriptor, which the server needs: fail.
        _leave_alone()


def _is_stale(path: str) -> bool:
    """Return whether the socket *path* was left by a process that has ended.

    Twisted's lock file is a symbolic link to the number of the process. Raises ValueError if the
    process is running.
    """
    try:
        owner = int(os.readlink(f"{path}.lock"))
    except FileNotFoundError:
        return False
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode)
    except PermissionError:
        pass  # Another user's, and alive.
    raise ValueError(f"the socket belongs to the running process {owner}")


def _reason(error: Exception) -> str:
    """Return why *error* was raised, in one line and without names of functions."""
    if isinstance(error, socket.gaierror):
        return "that is not an address of this machine"
    if isinstance(error, OSError):
        system = (error.strerror or str(error)).lower()
        if error.filename:
            return f"{os.fsdecode(error.filename)}: {system}"
        return _MEANINGS.get(error.errno or 0, system)
    # Without OpenSSL Twisted's parser of tls: fails with a NameError.
    if isinstance(error, (ImportError, NameError)):
        return "tls needs more packages: pip install 'chatroom[tls]'"
    if type(error).__module__.startswith("OpenSSL"):
        return "its files hold no certificate with its key in PEM format"
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"invalid literal for int\(\).*: (.*)", r"\1 is not a number", text)
    text = re.sub(r"^[\w.]+\(\) ", "", text)
    return text[:1].lower() + text[1:]
