"""Endpoint strings: defaults, checks, and how to connect to them.

Nothing here imports the reactor: ``twistd -r`` chooses it.
"""

from __future__ import annotations

import re
import socket

from twisted.internet.abstract import isIPv6Address
from twisted.internet.endpoints import quoteStringArgument

#: How many connections the kernel holds until they are accepted. If it is full, clients try again
#: after 1 s, then 3 s: of 5,000 at once half did so with 1,024, none with 4,096, which is the most
#: that Linux allows by default (net.core.somaxconn).
BACKLOG = 4096

#: The prefix of an endpoint to which a proxy connects.
PROXY = "proxy:"

# The fields of endpoints that take a backlog, in the order in which they may be given unnamed.
_FIELDS = {
    "tcp": ("kind", "port", "interface", "backlog"),
    "tcp6": ("kind", "port", "backlog", "interface"),
    "ssl": ("kind", "port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
    "tls": ("kind", "path", "port", "backlog", "interface"),
    "unix": ("kind", "address", "mode", "backlog"),
}


class EndpointError(ValueError):
    """The server cannot listen on an endpoint; the message says which and why, in one line."""


def kinds_here() -> tuple[str, ...]:
    """Return the kinds of endpoint that cover IPv4 and, if this machine has it, IPv6.

    Whether a socket on ``::`` takes IPv4 as well is what ``net.ipv6.bindv6only`` says on Linux.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
            trial.bind(("::", 0))
            alone = trial.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    except OSError:
        return ("tcp",)
    return ("tcp", "tcp6") if alone else ("tcp6",)


def default_endpoints(port: int, interface: str = "") -> list[str]:
    """Return the endpoint strings for a TCP port.

    port: the number, 0 for any free one.
    interface: an IPv4 or IPv6 address, empty for all addresses.
    """
    if interface:
        kind = "tcp6" if isIPv6Address(interface) else "tcp"
        return [f"{kind}:{port}:interface={quoteStringArgument(interface)}:backlog={BACKLOG}"]
    return [f"{kind}:{port}:backlog={BACKLOG}" for kind in kinds_here()]


def behind_proxy(description: str) -> tuple[bool, str]:
    """Return whether *description* is for a proxy, and the endpoint for Twisted."""
    rest = description.removeprefix(PROXY)
    return rest != description, rest


def check(description: str, tls: bool, proxies: bool) -> None:
    """Raise EndpointError if *description* does not fit the other options.

    tls: whether it was given with --tls.
    proxies: whether --proxy-from was given.
    """
    behind, plain = behind_proxy(description)
    kind, fields = by_name(plain)
    named = without_backlog(description)
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
        raise EndpointError(
            f"cannot listen on {named}: a connection has only one proxy header; write it once"
        )
    domain = fields.get("domain") or "".join(_parsed(plain)[0][1:2])
    local = kind == "unix" or (kind == "systemd" and domain == "UNIX")
    if behind and not local and not proxies:
        raise EndpointError(
            f"cannot listen on {named}: say with --proxy-from from which address or network the "
            "proxy connects, such as --proxy-from 127.0.0.1"
        )


def with_backlog(description: str) -> str:
    """Return *description* with ``backlog=4096``, if it may have a backlog and has none."""
    if not _lacks(behind_proxy(description)[1], "backlog"):
        return description
    return f"{description}:backlog={BACKLOG}"


def without_backlog(description: str) -> str:
    """Return *description* as it was before `with_backlog`, for messages."""
    return description.removesuffix(f":backlog={BACKLOG}")


def on_loopback(description: str) -> str:
    """Return *description* on the loopback interface, if it does not name another one."""
    if not _lacks(description, "interface"):
        return description
    kind = by_name(description.removeprefix("haproxy:"))[0]
    address = "::1" if kind == "tcp6" else "127.0.0.1"
    return f"{description}:interface={quoteStringArgument(address)}"


def describe_http(description: str, path: str) -> str:
    """Return the URL of *path* on the endpoint *description*, for a log line."""
    kind, fields = by_name(description)
    if kind == "unix":
        return f"curl --unix-socket {fields.get('address')} http://localhost{path}"
    if kind not in _FIELDS:
        return f"{description}, {path}"
    host, port = _host_and_port(fields)
    scheme = "http" if kind in ("tcp", "tcp6") else "https"
    return f"{scheme}://{_bracketed(host)}:{port}{path}"


def describe_ssh(description: str) -> str:
    """Return how to connect to an endpoint by SSH, for the log: ``ssh -p 2222 HOST``."""
    behind, description = behind_proxy(description)
    kind, fields = by_name(description.removeprefix("haproxy:"))
    note = " (behind a proxy)" if behind or description.startswith("haproxy:") else ""
    if kind not in ("tcp", "tcp6"):
        return f"{description} (SSH){note}"
    host, port = _host_and_port(fields)
    return f"ssh -p {port} {host}{note}"


def describe(description: str, tls: bool = False) -> str:
    """Return how to connect to an endpoint, for the log: ``telnet HOST 8008``.

    tls: whether TLS is spoken on it.
    """
    behind, description = behind_proxy(description)
    notes = ", ".join(["TLS"] * tls + ["behind a proxy"] * behind)
    return _connecting(description, tls) + (notes and f" ({notes})")


def _connecting(description: str, tls: bool) -> str:
    if description.startswith("haproxy:"):
        rest = _connecting(description.removeprefix("haproxy:"), tls)
        return f"{rest} (a PROXY protocol balancer)"
    kind, fields = by_name(description)
    if kind == "unix":
        client = "openssl s_client -quiet -unix" if tls else "nc -U"
        return f"{client} {fields.get('address')}"
    if kind not in _FIELDS:
        return description
    host, port = _host_and_port(fields)
    if kind in ("tcp", "tcp6") and not tls:
        return f"telnet {host} {port}"
    return f"openssl s_client -quiet -connect {_bracketed(host)}:{port}"


def _host_and_port(fields: dict[str, str]) -> tuple[str, str]:
    """Return the host and port of an endpoint; HOST and PORT if they are not known yet."""
    address, port = fields.get("interface", ""), fields.get("port", "443")
    host = "HOST" if address in ("", "::", "0.0.0.0") else address
    return host, "PORT" if port == "0" else port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def by_name(description: str) -> tuple[str, dict[str, str]]:
    """Return the kind of an endpoint string and its fields by name."""
    positional, named = _parsed(description)
    kind = positional[0]
    return kind, dict(zip(_FIELDS.get(kind, ()), positional, strict=False)) | named


def _lacks(description: str, field: str) -> bool:
    """Return whether the kind of *description* takes *field* and it is not given."""
    kind, fields = by_name(description.removeprefix("haproxy:"))
    return field in _FIELDS.get(kind, ()) and field not in fields


def _parsed(description: str) -> tuple[list[str], dict[str, str]]:
    """Return the positional and the named fields of an endpoint string, unquoted."""
    fields: list[str] = []
    named: dict[str, str] = {}
    for field in re.findall(r"(?:^|:)((?:[^:\\]|\\.)*)", description, re.DOTALL):
        name, equals, value = field.partition("=")
        if equals:
            named[name] = _unquoted(value)
        else:
            fields.append(_unquoted(field))
    return fields or [""], named


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
