"""The table of options.

From its row in `OPTIONS` an option gets its flag on the command line, its key in the file, its
help, its checks and its line in ``--check``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chatroom.server.kinds import (
    ADDRESS,
    ENDPOINT,
    ENDPOINTS,
    FILE,
    FOLDER,
    LABEL,
    NAMES,
    NETWORKS,
    ROOM,
    SWITCH,
    Kind,
    number,
    one_of,
    whole,
)
from chatroom.text import names


class SettingError(ValueError):
    """A value is invalid; the message says where it stands and what is wrong."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    name: the flag without dashes, and the key in the configuration file.
    default: the default value.
    kind: the kind of its values.
    help: says what it is for, and why there is a limit.
    live: whether a new value takes effect on reloading; else it needs a restart.
    """

    name: str
    default: Any
    kind: Kind
    help: str
    live: bool = False


OPTIONS = (
    Option(
        "port",
        8008,
        whole(0, 65535),
        "TCP port to listen on, over IPv4 and IPv6; 0 chooses a free one.",
    ),
    Option(
        "interface",
        "",
        ADDRESS,
        "Listen with --port on this address only, not on all.",
    ),
    Option(
        "listen",
        (),
        ENDPOINTS,
        "Listen on this Twisted endpoint (tcp:, unix:, systemd:, ssl: ...) instead of the "
        "default port; can be given several times. If --port is given, too, both are open.",
    ),
    Option(
        "tls",
        (),
        ENDPOINTS,
        "Listen on this plain endpoint for TLS instead of the default port; can be given "
        "several times. Needs --certificate.",
    ),
    Option(
        "certificate",
        "",
        FILE,
        "The server's certificate for --tls in PEM format, followed by its chain; read again "
        "when it changes.",
    ),
    Option(
        "key",
        "",
        FILE,
        "The key of --certificate in PEM format, if it is not in the same file.",
    ),
    Option(
        "telnet",
        (),
        ENDPOINTS,
        "Listen on this endpoint for telnet clients, and edit their lines in the server from "
        "the start, as /terminal does elsewhere; can be given several times.",
    ),
    Option(
        "relay",
        (),
        ENDPOINTS,
        "Open the bare relay, which passes on every line unchanged, on this endpoint; can be "
        "given several times.",
    ),
    Option(
        "ssh",
        (),
        ENDPOINTS,
        "Listen on this endpoint for SSH, such as tcp:2222; can be given several times.",
    ),
    Option(
        "ssh-host-key",
        "",
        FILE,
        "The private key of --ssh (Ed25519, ECDSA or RSA), without a passphrase; by default "
        "ssh_host_ed25519_key in the folder of --data, which is made if it does not exist.",
    ),
    Option(
        "proxy-from",
        (),
        NETWORKS,
        "The address or network of proxies that may connect to endpoints of the form "
        "proxy:ENDPOINT, and whose headers with client addresses are trusted; can be given "
        "several times. Not needed for UNIX sockets.",
    ),
    Option("name", "chatroom", LABEL, "The server's name in its welcome.", live=True),
    Option("motd", "", FILE, "Show the text of this UTF-8 file after the welcome.", live=True),
    Option("lobby", "lobby", ROOM, "The room that users enter first."),
    Option(
        "scrollback",
        20,
        whole(0, 1000, "lines"),
        "How many earlier lines a user is shown on joining a room; 0 shows none.",
        live=True,
    ),
    Option(
        "data",
        "",
        FOLDER,
        "Store messages and accounts in this folder, which is made if it does not exist; "
        "without it they are kept in memory and lost when the server stops.",
    ),
    Option(
        "sync",
        "normal",
        one_of("normal", "full"),
        "What --data survives: normal survives a crash of the server; full survives a power "
        "failure, too, and is slower.",
    ),
    Option(
        "keep-days",
        0.0,
        number(0, 100_000, "days"),
        "Delete messages after this many days; 0 never does.",
        live=True,
    ),
    Option(
        "keep-lines",
        0,
        whole(0, 1_000_000_000, "lines"),
        "Keep only this many messages of each room; 0 keeps all.",
        live=True,
    ),
    Option(
        "operator",
        (),
        NAMES,
        "Reserve this name for an operator, who takes it with /nick NAME CODE, with the code "
        "that is logged at the start; can be given several times.",
    ),
    Option(
        "allow",
        "",
        FILE,
        "Accept connections only from the addresses in this file: one address or network a "
        "line, # begins a comment. If it is empty or cannot be read, no connection is accepted.",
    ),
    Option(
        "keep-names",
        180.0,
        number(0, 100_000, "days"),
        "Remove an account after this many days without a login, so that names become free "
        "again; 0 never does.",
        live=True,
    ),
    Option(
        "names-per-day",
        3,
        whole(0, 1_000_000, "names"),
        "How many names one source may register in a day, so that no user takes them all. 0 "
        "sets no limit.",
        live=True,
    ),
    Option(
        "line-length",
        2048,
        whole(64, 65536, "bytes"),
        "The greatest length of a line, in bytes; longer ones are refused, so that no user "
        "fills the screens of others or the memory.",
        live=True,
    ),
    Option(
        "rate",
        2.0,
        number(0, 1_000_000, "lines a second"),
        "How many lines and commands a second one user may send; further ones wait and are not "
        "dropped, so that no user floods a room. 0 sets no limit.",
        live=True,
    ),
    Option(
        "burst",
        10,
        whole(0, 1_000_000, "lines"),
        "How many lines a user may send at once before --rate holds, so that pasting works; 0 "
        "is none but the first.",
        live=True,
    ),
    Option(
        "byte-rate",
        16384,
        whole(0, 1_000_000_000, "bytes a second"),
        "How many bytes a second are read from one connection, so that input that makes no "
        "lines does not slow others down. 0 sets no limit.",
        live=True,
    ),
    Option(
        "max-connections",
        10_000,
        whole(0, 1_000_000, "connections"),
        "How many connections there may be at the same time, so that descriptors and memory "
        "suffice; 0 allows as many as the process has descriptors for.",
        live=True,
    ),
    Option(
        "connections-per-source",
        64,
        whole(0, 1_000_000, "connections"),
        "How many connections there may be from one IPv4 address or IPv6 /64, so that no user "
        "fills the server; loopback is exempt. 0 sets no limit.",
        live=True,
    ),
    Option(
        "attempts-per-minute",
        120,
        whole(0, 1_000_000, "connections"),
        "How often one source may connect in a minute, including refused connections; loopback "
        "is exempt. 0 sets no limit.",
        live=True,
    ),
    Option(
        "rooms-per-hour",
        5,
        whole(0, 1_000_000, "rooms"),
        "How many rooms one source may create in an hour, so that no user fills the list of "
        "rooms. 0 sets no limit.",
        live=True,
    ),
    Option(
        "rooms-per-person",
        20,
        whole(0, 1000, "rooms"),
        "How many rooms one user may be in at the same time. 0 sets no limit.",
        live=True,
    ),
    Option(
        "renames-per-hour",
        30,
        whole(0, 1_000_000, "times"),
        "How often the guests of one source may change their names in an hour, so that renames "
        "are not used to talk. A first name chosen right after connecting does not count; on "
        "this machine each connection counts separately. 0 sets no limit.",
        live=True,
    ),
    Option(
        "dead-after",
        90,
        whole(0, 30_000, "seconds"),
        "Disconnect a peer that has not answered TCP keepalives for about this many seconds; "
        "users who are only silent stay. 0 waits for ever.",
        live=True,
    ),
    Option(
        "stall-timeout",
        30.0,
        number(0, 86400, "seconds"),
        "Disconnect a client that has not read any output for this many seconds, so that dead "
        "connections do not stay in the room; 0 never does.",
        live=True,
    ),
    Option(
        "join-quiet-above",
        50,
        whole(0, 1_000_000, "people"),
        "In rooms with more users than this, announce only those who have spoken, so that joins"
        " and leaves do not drown the messages; 0 announces all.",
        live=True,
    ),
    Option(
        "log-format",
        "text",
        one_of("text", "json"),
        "The format of twistd's log: text for people, json for programs, one object a line.",
    ),
    Option(
        "log-chat",
        False,
        SWITCH,
        "Log messages in rooms, too; private messages never are.",
        live=True,
    ),
    Option(
        "manhole",
        "",
        FILE,
        "Open a Python prompt in the running server on this UNIX socket, for the server's user "
        "only.",
    ),
    Option(
        "metrics",
        "",
        ENDPOINT,
        "Serve metrics for Prometheus and the server's health over HTTP on this endpoint, such "
        "as tcp:9108; on this machine only, unless interface= is given.",
    ),
)
BY_NAME = {option.name: option for option in OPTIONS}


def fit(option: Option, value: Any, where: str) -> Any:
    """Return *value*, checked and converted for the option.

    Raises SettingError, which names *where* the value stands.
    """
    try:
        return option.kind.convert(value)
    except names.NameRefused as error:
        raise SettingError(f"{where}: {value!r}: {error}") from error
    except ValueError as error:
        raise SettingError(f"{where}: expected {option.kind.expected}, not {value!r}") from error
