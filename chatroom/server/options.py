"""The command line of ``twistd chatroom``.

Errors are found here as far as possible, before twistd daemonises, and end the program with one
line. The options themselves are rows in `settings`.
"""

from __future__ import annotations

import getopt
import io
import itertools
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import twisted
from twisted.python import usage

from chatroom import __version__
from chatroom.backends.sqlite.directory import HOST_KEY, Folder, StoreError, check_folder
from chatroom.backends.sqlite.store import try_open
from chatroom.model.networks import Networks
from chatroom.server import endpoints, manhole, probe
from chatroom.server.configfile import did_you_mean, read_allowed, read_config, read_motd
from chatroom.server.kinds import FILE, FOLDER
from chatroom.server.settings import OPTIONS, Option, SettingError, fit
from chatroom.text import names

#: The options with endpoints of doors.
DOOR_OPTIONS = ("listen", "tls", "telnet", "relay", "ssh")


class Options(usage.Options):
    """The parsed options: a value for every row of `settings.OPTIONS`, by its name.

    After parsing options["motd"] is the text itself, and paths are absolute. Besides:

    endpoints: the endpoint strings by option: "listen" (with the default port), "tls", "telnet",
        "relay" and "ssh".
    metrics_endpoint: the endpoint string for --metrics, empty for none.
    host_key: the SSH host key, or None.
    host_key_is_temporary: whether it is not stored.
    certificate: the `tls.Certificate`, or None.
    folder: the folder of the store, or None.
    allowed: the networks that may connect, None for all.
    allowed_fault: what is wrong with the list of allowed networks, as a sentence, or "".
    """

    synopsis = "[options]"
    longdesc = (
        "A chat server for everybody with a terminal: users connect with telnet or netcat, and "
        "need no other client. 'chatroom' and 'python -m chatroom' are short for "
        "'twistd -n --pidfile= chatroom'. Every option except --config, --check, --help and "
        "--version can be in the configuration file, under its own name: port = 8008"
    )
    optFlags: ClassVar = [["check", None, "Say what would run, or what is wrong, and exit."]]
    optParameters: ClassVar = [
        ["config", None, None, "Read options from this TOML file; the command line overrides it."]
    ]

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[str, Any] = {}
        self._default_port = True
        self._motd_file = ""
        self._config = ""
        # The value of every row at the start, for `reread`.
        self._started: dict[str, Any] = {}
        for option in OPTIONS:
            self[option.name] = list(option.default) if option.kind.repeated else option.default
        self.endpoints: dict[str, list[str]] = {option: [] for option in DOOR_OPTIONS}
        self.metrics_endpoint = ""
        self.host_key: Any = None
        self.host_key_is_temporary = False
        self.certificate: Any = None
        self.folder: Folder | None = None
        self.allowed: Networks | None = None
        self.allowed_fault = ""

    def opt_version(self) -> None:
        """Print the versions of chatroom, Twisted and Python, and exit."""
        python = platform.python_version()
        _print(f"chatroom {__version__} (Twisted {twisted.__version__}, Python {python})")
        sys.exit(0)

    def opt_help(self) -> None:
        """Print this text and exit."""
        _print(str(self))
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse a command line and check whether a server could start with it.

        Raises SystemExit with the line to print if not: for a UsageError twistd would print its
        whole help. Also raises SystemExit after --check, --help and --version.
        """
        try:
            super().parseOptions(options)
        except (
            usage.UsageError,
            SettingError,
            StoreError,
            endpoints.EndpointError,
            manhole.ManholeError,
        ) as error:
            raise SystemExit(f"chatroom: {self._explained(error)}") from None

    def parseArgs(self, *args: str) -> None:
        if args:
            raise SettingError(f"unexpected argument {args[0]!r}; options begin with --")

    def postOptions(self) -> None:
        values = read_config(self["config"]) if self["config"] else {}
        values.update(self._given)
        self.update(values)
        # twistd may change the working directory.
        self._config = os.path.abspath(self["config"]) if self["config"] else ""
        self._started = _absolute(self)
        if self["interface"] and "port" not in values:
            self._refuse_idle_interface()
        self._motd_file = os.path.abspath(self["motd"]) if self["motd"] else ""
        self["motd"] = read_motd(self._motd_file) if self._motd_file else ""
        self._default_port = "port" in values or not (self["listen"] or self["tls"])
        self._collect_endpoints()
        self._check_endpoints()
        self._read_certificate()
        self._check_metrics()
        server: dict[str, Any] = self.parent or {}
        self._probe(server)
        if self["allow"]:
            # twistd may change the working directory.
            self["allow"] = os.path.abspath(self["allow"])
            self.allowed, self.allowed_fault = read_allowed(self["allow"])
        self._check_manhole(server)
        if self["data"]:
            self["data"] = os.path.abspath(self["data"])
            self._open_folder(server)
        self._read_host_key(server)
        if self["check"]:
            if isinstance(sys.stdout, io.TextIOWrapper):
                # TOML is UTF-8, whatever the locale is.
                sys.stdout.reconfigure(encoding="utf-8", errors="replace")
            _print(self._summary())
            sys.exit(0)

    def _refuse_idle_interface(self) -> None:
        """Refuse --interface without the default port, which it would have no effect on."""
        for option in ("listen", "tls"):
            if self[option]:
                raise SettingError(
                    f"interface goes with port; for {option} write tcp:PORT:interface=ADDRESS"
                )

    def _collect_endpoints(self) -> None:
        """Collect the endpoint strings of all doors."""
        if self._default_port:
            port, interface = self["port"], self["interface"]
            self.endpoints["listen"] += endpoints.default_endpoints(port, interface)
        for option in DOOR_OPTIONS:
            self.endpoints[option] += map(endpoints.with_backlog, self[option])

    def _check_metrics(self) -> None:
        if self["metrics"]:
            self.metrics_endpoint = endpoints.on_loopback(self["metrics"])
            if find_spec("prometheus_client") is None:
                raise SettingError(
                    "metrics needs prometheus-client: pip install 'chatroom[metrics]'"
                )

    def _probe(self, server: dict[str, Any]) -> None:
        """Check whether the server could listen, with twistd's options applied."""
        probe.probe(
            *itertools.chain.from_iterable(self.endpoints.values()),
            *filter(None, [self.metrics_endpoint]),
            rundir=server.get("rundir", "."),
            chroot=server.get("chroot"),
        )

    def _check_manhole(self, server: dict[str, Any]) -> None:
        if self["manhole"]:
            if server.get("chroot"):
                raise SettingError("manhole does not go with twistd's --chroot")
            self["manhole"] = os.path.abspath(self["manhole"])
            manhole.check(self["manhole"])

    def _check_endpoints(self) -> None:
        for option, descriptions in self.endpoints.items():
            for text in descriptions:
                endpoints.check(text, tls=option == "tls", proxies=bool(self["proxy-from"]))
        every = itertools.chain.from_iterable(self.endpoints.values())
        if self["proxy-from"] and not any(endpoints.behind_proxy(text)[0] for text in every):
            raise SettingError(
                "proxy-from goes with an endpoint for proxies, such as --listen proxy:tcp:8008"
            )

    def _read_certificate(self) -> None:
        """Read the certificate now, since twistd may change to a user who cannot read it."""
        for option in ("certificate", "key"):
            # twistd may change the working directory.
            self[option] = os.path.abspath(self[option]) if self[option] else ""
            if self[option] and not self["tls"]:
                raise SettingError(f"{option} goes with tls, such as --tls tcp:8443")
        if not self["tls"]:
            return
        if not self["certificate"]:
            raise SettingError(
                "tls needs --certificate FILE, and --key FILE if the key is in another file"
            )
        try:
            from chatroom.server.tls import Certificate
        except ImportError:
            raise SettingError("tls needs more packages: pip install 'chatroom[tls]'") from None
        self.certificate = Certificate(self["certificate"], self["key"])

    def _read_host_key(self, server: dict[str, Any]) -> None:
        """Read the key of the SSH door, or make one."""
        if self["ssh-host-key"]:
            # twistd may change the working directory.
            self["ssh-host-key"] = os.path.abspath(self["ssh-host-key"])
            if not self["ssh"]:
                raise SettingError("ssh-host-key goes with ssh, such as --ssh tcp:2222")
        if not self["ssh"]:
            return
        try:
            from chatroom.server import hostkey

            # Imported to find out now whether its packages are installed.
            import_module("chatroom.doors.ssh.factory")
        except ImportError:
            raise SettingError("ssh needs more packages: pip install 'chatroom[ssh]'") from None
        if self["ssh-host-key"]:
            self.host_key = hostkey.read(self["ssh-host-key"])
        elif not self["data"]:
            self.host_key, self.host_key_is_temporary = hostkey.generate(), True
        elif not self["check"]:
            self.host_key = hostkey.load_or_generate(self["data"], _owner(server))
        elif os.path.lexists(os.path.join(self["data"], HOST_KEY)):
            self.host_key = hostkey.read(os.path.join(self["data"], HOST_KEY))

    def reread_allowed(self) -> Networks:
        """Read the file of --allow again. Raises SettingError if it allows no address."""
        allowed, fault = read_allowed(self["allow"])
        if fault:
            raise SettingError(fault)
        return allowed

    def reread(self) -> tuple[dict[str, Any], list[str]]:
        """Read the files again, and return the values of a server that would start now.

        Returns a value for every row ("motd" is the text), and the names of the options that have
        changed since the start and need a restart. Raises SettingError.
        """
        values = {option.name: option.default for option in OPTIONS}
        if self._config:
            values |= read_config(self._config)
        values = _absolute(values | self._given)
        if values["motd"]:
            values["motd"] = read_motd(values["motd"])
        changed = [
            option.name
            for option in OPTIONS
            if not option.live and values[option.name] != self._started[option.name]
        ]
        return values, changed

    def _open_folder(self, server: dict[str, Any]) -> None:
        if server.get("chroot"):
            raise SettingError("data does not go with twistd's --chroot")
        check_folder(self["data"], thorough=self["check"])
        if not self["check"]:
            self.folder = Folder(self["data"], _owner(server))
            try_open(self.folder, self["scrollback"], names.fold(self["lobby"]))

    def _summary(self) -> str:
        """Return what would run, as a configuration file with these options."""
        lines = [f"# chatroom {__version__} can start. It would listen for:"]
        for door, descriptions in self.endpoints.items():
            note = f" ({door})" if door in ("telnet", "relay") else ""
            lines += [f"#   {described(door, text)}{note}" for text in descriptions]
        if self.host_key is not None and not self.host_key_is_temporary:
            from chatroom.server.hostkey import fingerprint

            lines.append(f"# The SSH host key is {fingerprint(self.host_key)}.")
        elif self.endpoints["ssh"]:
            lines.append("# The SSH host key is made when the server starts.")
        if self.certificate is not None and self.certificate.concern:
            lines.append(f"# {self.certificate.concern}")
        if self.metrics_endpoint:
            lines.append(f"#   {endpoints.describe_http(self.metrics_endpoint, '/metrics')}")
        if self.allowed_fault:
            lines.append(f"# {self.allowed_fault}")
        for option in OPTIONS:
            if option.name in ("port", "interface") and not self._default_port:
                continue
            value = self._motd_file if option.name == "motd" else self[option.name]
            lines.append(f"{option.name} = {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines)

    def _explained(self, error: Exception) -> str:
        cause = error.__context__
        if not isinstance(cause, getopt.GetoptError) or "not recognized" not in cause.msg:
            return str(error)
        name = f"--{cause.opt}" if len(cause.opt) > 1 else f"-{cause.opt}"
        if self.parent is not None and cause.opt in self.parent.synonyms:
            return f"option {name} is twistd's: write it before the word chatroom"
        known = [option.rstrip("=") for option in self.longOpt]
        return f"unknown option {name}{did_you_mean(cause.opt, known, '--')}"


def described(option: str, endpoint: str) -> str:
    """Return how to connect to an endpoint of *option*, one of DOOR_OPTIONS."""
    if option == "ssh":
        return endpoints.describe_ssh(endpoint)
    return endpoints.describe(endpoint, tls=option == "tls")


def _print(text: str) -> None:
    """Print *text*; a reader that closes the pipe (`chatroom --help | head`) is no error."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Python must not flush the output again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise SystemExit(f"chatroom: cannot write the output: {error.strerror}") from None


def _absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every row, with absolute paths."""
    found = {}
    for option in OPTIONS:
        value = values[option.name]
        if option.kind in (FILE, FOLDER) and value:
            value = os.path.abspath(value)
        found[option.name] = list(value) if option.kind.repeated else value
    return found


def _owner(server: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the user and group id for files that are made now, None for the current ones."""
    uid, gid = server.get("uid"), server.get("gid")
    # -1 leaves the one that was not given as it is.
    owner = (-1 if uid is None else uid, -1 if gid is None else gid)
    return None if owner == (-1, -1) else owner


def _method(option: Option) -> Callable[..., None]:
    """Return the method that usage.Options calls for *option* on the command line."""

    def method(self: Options, text: str) -> None:
        value = fit(option, text, f"--{option.name}")
        if option.kind in (FILE, FOLDER) and value:
            value = os.path.abspath(value)
        if option.kind.repeated:
            self._given.setdefault(option.name, []).append(value)
        else:
            self._given[option.name] = value

    def switch(self: Options) -> None:
        self._given[option.name] = True

    if option.kind.type is bool:
        switch.__doc__ = option.help
        return switch
    default = f"{option.default:g}" if isinstance(option.default, float) else option.default
    method.__doc__ = option.help + (f" [default: {default}]" if default not in ("", ()) else "")
    return method


for _option in OPTIONS:
    setattr(Options, f"opt_{_option.name.replace('-', '_')}", _method(_option))
