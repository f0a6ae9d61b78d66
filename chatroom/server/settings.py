"""The options, one row for each, and reading the configuration file.

From its row in `OPTIONS` an option gets its flag on the command line, its key in the file, its
help, its checks and its line in ``--check``.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chatroom.model.networks import Networks, read_networks
from chatroom.server import files
from chatroom.text import names

MOTD_BYTES = 64 * 1024


class SettingError(ValueError):
    """A value is invalid; the message says where it stands and what is wrong."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of values for options.

    *type* is their type in a TOML file, *expected* says in words what they are, and *convert*
    checks and returns a value, from the file or (as text) from the command line; it raises
    ValueError. Of a *repeated* option the values are a list.
    """

    type: type
    expected: str
    convert: Callable[[Any], Any]
    repeated: bool = False


def whole(low: int, high: int, unit: str = "") -> Kind:
    """Return the kind for whole numbers from *low* to *high*."""

    def convert(value: Any) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(int, f"a whole number from {low} to {high}{unit and f' ({unit})'}", convert)


def number(low: float, high: float, unit: str = "") -> Kind:
    """Return the kind for numbers from *low* to *high*, with or without a fraction."""

    def convert(value: Any) -> float:
        # By way of text, because an integer in TOML may be too large for float().
        number = float(str(value))
        if not low <= number <= high:
            raise ValueError
        return number

    return Kind(float, f"a number from {low:g} to {high:g}{unit and f' ({unit})'}", convert)


def _label(value: str) -> str:
    if not value.strip() or len(value) > 60 or not value.isprintable():
        raise ValueError
    return value


def _address(value: str) -> str:
    if value:
        ipaddress.ip_address(value)
    return value


def _endpoint(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError
    return value


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _endpoint_or_none(value: str) -> str:
    return value and _endpoint(value)


def _name(value: str) -> str:
    name = names.check_name(value)
    if names.is_reserved(name):
        raise names.NameRefused("nobody can register that name")
    return name


def _one_of(*words: str) -> Kind:
    """Return the kind for one of a few words."""

    def convert(value: str) -> str:
        if value not in words:
            raise ValueError
        return value

    return Kind(str, " or ".join(words), convert)


SWITCH = Kind(bool, "true or false", bool)
LABEL = Kind(str, "a text of 1 to 60 printable characters", _label)
ADDRESS = Kind(str, "an IPv4 or IPv6 address", _address)
ROOM = Kind(str, "the name of a room", names.check_room)
FILE = Kind(str, "the name of a file", str)
FOLDER = Kind(str, "the name of a folder", str)
NETWORKS = Kind(str, "an address or a network such as 10.0.0.0/8", _network, repeated=True)
NAMES = Kind(str, "a name", _name, repeated=True)
ENDPOINTS = Kind(str, "an endpoint such as tcp:8009", _endpoint, repeated=True)
ENDPOINT = Kind(str, "an endpoint such as tcp:9108", _endpoint_or_none)


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
        _one_of("normal", "full"),
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
        _one_of("text", "json"),
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


def read_config(path: str) -> dict[str, Any]:
    """Return the values in the TOML file *path*; names of files in it are relative to its folder.

    Raises SettingError, which names the file, the key and what was expected.
    """
    try:
        with files.opened(path) as file:
            table = tomllib.load(file)
    except OSError as error:
        raise SettingError(f"cannot read {path}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not TOML: {reason(error)}") from error
    return {key: _from_file(key, value, path) for key, value in table.items()}


def _from_file(key: str, value: Any, path: str) -> Any:
    option = BY_NAME.get(key)
    if option is None:
        raise SettingError(f"{path}: unknown key {key!r}{did_you_mean(key, BY_NAME)}")
    kind, where = option.kind, f"{path}: {key}"
    # By type(), not isinstance(): in Python a bool is an int, in TOML it is not.
    allowed = {int, float} if kind.type is float else {kind.type}
    if not kind.repeated:
        if type(value) not in allowed:
            raise SettingError(f"{where}: expected {kind.expected}, not {value!r}")
        fitting = fit(option, value, where)
        is_path = kind in (FILE, FOLDER) and value
        return os.path.join(os.path.dirname(path), value) if is_path else fitting
    if not isinstance(value, list) or not all(type(item) in allowed for item in value):
        raise SettingError(
            f"{where}: expected a list of texts, each {kind.expected}, not {value!r}"
        )
    return [fit(option, item, where) for item in value]


def read_allowed(path: str) -> tuple[Networks, str]:
    """Return the networks in the file of --allow, and what is wrong with it, or "".

    If the file is empty or cannot be read, no address is allowed.
    """
    try:
        with files.opened(path) as file:
            allowed = read_networks(file.read().decode("utf-8-sig").splitlines())
    except UnicodeDecodeError:
        return Networks(), f"{path} lets nobody in: it is not UTF-8 text"
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Networks(), f"{path} lets nobody in: {why}"
    return allowed, "" if allowed else f"{path} lets nobody in: it is empty"


def read_motd(path: str) -> str:
    """Return the text of the file *path*, at most 64 KiB of UTF-8. Raises SettingError."""
    try:
        with files.opened(path) as file:
            data = file.read(MOTD_BYTES + 1)
    except OSError as error:
        raise SettingError(f"motd: cannot read {path}: {reason(error)}") from error
    if len(data) > MOTD_BYTES:
        raise SettingError(f"motd: {path} has more than {MOTD_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingError(f"motd: {path} is not UTF-8 text") from error


def did_you_mean(wrong: str, choices: Iterable[str], dashes: str = "") -> str:
    """Return the end of a sentence about a *wrong* word: a suggestion, or ""."""
    close = names.suggest(wrong, choices)
    return f"; did you mean {dashes}{close}?" if close else ""


def reason(error: Exception) -> str:
    """Return why *error* was raised, in one line that can follow a colon."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    words = " ".join((text or type(error).__name__).split())
    return words[:1].lower() + words[1:]
