"""Read the files that options name: the configuration, the MOTD, allowed networks."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from typing import Any

from chatroom.model.networks import Networks, read_networks
from chatroom.server import files
from chatroom.server.files import reason
from chatroom.server.kinds import FILE, FOLDER
from chatroom.server.settings import BY_NAME, SettingError, fit
from chatroom.text import names

MOTD_BYTES = 64 * 1024


def read_config(path: str) -> dict[str, Any]:
    """Return the values in the TOML file *path*, by option.

    Names of files in it are relative to its folder. Raises SettingError, which names the file, the
    key and what is expected.
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
    """Return the networks in the file of --allow, and a sentence about its fault, or "".

    If the file is empty or cannot be read, no address is allowed.
    """
    try:
        with files.opened(path) as file:
            allowed = read_networks(file.read().decode("utf-8-sig").splitlines())
    except UnicodeDecodeError:
        return Networks(), f"{path} allows no connections: it is not UTF-8 text"
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Networks(), f"{path} allows no connections: {why}"
    return allowed, "" if allowed else f"{path} allows no connections: it is empty"


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
    """Return a suggestion to append to a sentence about the word *wrong*, or ""."""
    close = names.suggest(wrong, choices)
    return f"; did you mean {dashes}{close}?" if close else ""
