"""The kinds of values that options have: how they are checked and converted."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatroom.text import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of values for options.

    type: the type of a value in a TOML file.
    expected: a description of the values.
    convert: checks and returns a value, from the file or, as text, from the command line. Raises
        ValueError.
    repeated: whether an option has a list of values.
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
        # Converted to text first, because an integer in TOML may be too large for float().
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


def one_of(*words: str) -> Kind:
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
