"""The options, one row for each, and reading the configuration file.

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
    """One option; its *help* says what it is for, and of a limit why there is one.

    live: whether another value holds as soon as it is reloaded; else it needs a restart.
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
        "TCP port to listen on, over IPv4 and IPv6; 0 takes a free one.",
    ),
    Option(
        "interface",
        "",
        ADDRESS,
        "Listen with --port on this address only, rather than on all.",
    ),
    Option(
        "listen",
        (),
        ENDPOINTS,
        "Listen on this Twisted endpoint (tcp:, unix:, systemd:, ssl: ...) in place of the "
        "default port; can be given several times. With --port given, both are open.",
    ),
    Option(
        "tls",
        (),
        ENDPOINTS,
        "Listen on this plain endpoint for TLS in place of the default port; can be given "
        "several times. It needs --certificate.",
    ),
    Option(
        "certificate",
        "",
        FILE,
        "The server's certificate for --tls in PEM format, and those that lead to one that "
        "clients know; read again when it changes.",
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
        "Have telnet clients edit their lines here from the start, as /terminal does elsewhere, "
        "on this endpoint; can be given several times.",
    ),
    Option(
        "relay",
        (),
        ENDPOINTS,
        "Open the bare relay, which passes every line on word for word, on this endpoint; "
        "can be given several times.",
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
        "The private key of --ssh (Ed25519, ECDSA or RSA), without a passphrase; without one, "
        "ssh_host_ed25519_key in the folder of --data is made and kept.",
    ),
    Option(
        "proxy-from",
        (),
        NETWORKS,
        "The address or network of the proxies that may connect to the endpoints written as "
        "proxy:ENDPOINT, and are believed about who their clients are; can be given several "
        "times. UNIX sockets need none.",
    ),
    Option("name", "chatroom", LABEL, "The server's name in its welcome.", live=True),
    Option("motd", "", FILE, "Show the text of this UTF-8 file after the welcome.", live=True),
    Option("lobby", "lobby", ROOM, "The room that everybody enters first."),
    Option(
        "scrollback",
        20,
        whole(0, 1000, "lines"),
        "How many lines said earlier are shown to who enters a room; 0 shows none.",
        live=True,
    ),
    Option(
        "data",
        "",
        FOLDER,
        "Keep what is said in this folder, which is made if there is none, over restarts; "
        "without it, it is kept in memory and ends with the server.",
    ),
    Option(
        "sync",
        "normal",
        one_of("normal", "full"),
        "What --data survives: normal is a crash of the server, full is a loss of power, too, "
        "and slower.",
    ),
    Option(
        "keep-days",
        0.0,
        number(0, 100_000, "days"),
        "Forget what was said after so many days; 0 never does.",
        live=True,
    ),
    Option(
        "keep-lines",
        0,
        whole(0, 1_000_000_000, "lines"),
        "Forget in each room all but so many of the last lines; 0 keeps all.",
        live=True,
    ),
    Option(
        "operator",
        (),
        NAMES,
        "Keep this name for an operator, who takes it with /nick NAME CODE, the code that the "
        "start writes into the log; can be given several times.",
    ),
    Option(
        "allow",
        "",
        FILE,
        "Let only those connect whose address is in this file: one address or network a line, "
        "# begins a comment. A file that is empty or cannot be read lets nobody in.",
    ),
    Option(
        "keep-names",
        180.0,
        number(0, 100_000, "days"),
        "A registered name lapses when nobody has logged in with it for so many days, so that "
        "names are not lost for ever; 0 never does.",
        live=True,
    ),
    Option(
        "names-per-day",
        3,
        whole(0, 1_000_000, "names"),
        "How many names one source may register in a day, so that nobody takes them all. 0 "
        "sets no limit.",
        live=True,
    ),
    Option(
        "line-length",
        2048,
        whole(64, 65536, "bytes"),
        "Longest line taken, in bytes; a longer one is refused, so that nobody fills "
        "everybody's screen or the memory.",
        live=True,
    ),
    Option(
        "rate",
        2.0,
        number(0, 1_000_000, "lines a second"),
        "Lines a second that one person may say or command; further ones wait, none is "
        "dropped, so that nobody floods a room. 0 sets no limit.",
        live=True,
    ),
    Option(
        "burst",
        10,
        whole(0, 1_000_000, "lines"),
        "How many lines may come at once before --rate holds, so that a paste goes through; 0 "
        "is none but the first.",
        live=True,
    ),
    Option(
        "byte-rate",
        16384,
        whole(0, 1_000_000_000, "bytes a second"),
        "Bytes a second that are read from one connection, whatever they are, so that what "
        "makes no lines costs nobody else anything. 0 sets no limit.",
        live=True,
    ),
    Option(
        "max-connections",
        10_000,
        whole(0, 1_000_000, "connections"),
        "How many may be connected at the same time, so that descriptors and memory last; 0 "
        "takes as many as the process may have descriptors for.",
        live=True,
    ),
    Option(
        "connections-per-source",
        64,
        whole(0, 1_000_000, "connections"),
        "How many of them may come from one IPv4 address or IPv6 /64, so that nobody fills "
        "the server alone; loopback is exempt. 0 sets no limit.",
        live=True,
    ),
    Option(
        "attempts-per-minute",
        120,
        whole(0, 1_000_000, "connections"),
        "How often one source may connect in a minute, whether or not it stays; loopback is "
        "exempt. 0 sets no limit.",
        live=True,
    ),
    Option(
        "rooms-per-hour",
        5,
        whole(0, 1_000_000, "rooms"),
        "How many rooms one source may create in an hour, so that nobody fills the list. 0 "
        "sets no limit.",
        live=True,
    ),
    Option(
        "renames-per-hour",
        30,
        whole(0, 1_000_000, "times"),
        "How often the guests of one source may change their names in an hour, so that names "
        "are not talk. The first name that somebody picks at once does not count; on this "
        "machine each connection is counted by itself. 0 sets no limit.",
        live=True,
    ),
    Option(
        "dead-after",
        90,
        whole(0, 30_000, "seconds"),
        "Give up a peer that has not answered at all for about this many seconds (TCP "
        "keepalive); who is only silent is kept. 0 waits for ever.",
        live=True,
    ),
    Option(
        "stall-timeout",
        30.0,
        number(0, 86400, "seconds"),
        "Disconnect who has not taken any output for this many seconds, so that dead "
        "connections do not stay in the room; 0 never does.",
        live=True,
    ),
    Option(
        "join-quiet-above",
        50,
        whole(0, 1_000_000, "people"),
        "In rooms of more than this many people announce only those who have spoken, so "
        "that comings and goings do not drown the talk.",
        live=True,
    ),
    Option(
        "log-format",
        "text",
        one_of("text", "json"),
        "How twistd's log is written: text for people, json for programs, one object a line.",
    ),
    Option(
        "log-chat",
        False,
        SWITCH,
        "Log what is said in rooms as well; private lines never are.",
        live=True,
    ),
    Option(
        "manhole",
        "",
        FILE,
        "Open a Python prompt in the running server on this UNIX socket, for its own user alone.",
    ),
    Option(
        "metrics",
        "",
        ENDPOINT,
        "Serve numbers for Prometheus, and whether the server is well, over HTTP on this "
        "endpoint, such as tcp:9108; on this machine only, unless it says interface=.",
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
