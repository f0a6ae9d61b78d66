"""The preferences of a user: how events are shown to them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from chatroom.text import names

#: How many users one account may ignore.
MAX_IGNORED = 200

#: In how many rooms a user is again after a login, at most.
MAX_ROOMS = 1000

#: The choices for `timestamps` and for `bell`.
TIMESTAMPS = ("off", "on", "seconds")
BELLS = ("off", "mentions", "on")

#: The choices for `color`: "auto" goes by what the terminal says (NO_COLOR).
COLORS = ("auto", "on", "off")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of one user.

    ignores: the ignored accounts by id, with the name that each had when it was ignored.
    timestamps: one of TIMESTAMPS, whether new lines are shown with their time.
    timezone: see times.zone.
    quiet: True to leave out joins, leaves and renames.
    bell: one of BELLS, when the terminal's bell rings.
    color: one of COLORS.
    reader: True if the user has a screen reader.
    room: the key of the room to show after a login, empty for the lobby.
    rooms: the keys of the rooms to enter after a login; empty for the lobby alone.
    """

    ignores: Mapping[int, str] = field(default_factory=dict)
    timestamps: str = "off"
    timezone: str = "UTC"
    quiet: bool = False
    bell: str = "off"
    color: str = "auto"
    reader: bool = False
    room: str = ""
    rooms: tuple[str, ...] = ()

    def dump(self) -> str:
        """Return the preferences that differ from the defaults, as JSON."""
        default = asdict(Preferences())
        return json.dumps(
            {key: value for key, value in asdict(self).items() if value != default[key]},
            ensure_ascii=False,
        )

    @classmethod
    def load(cls, text: str) -> "Preferences":
        """Parse the result of `dump`; an invalid preference gets its default."""
        made = cls()
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            return made
        for known in fields(cls) if isinstance(given, dict) else ():
            try:
                made = replace(made, **{known.name: _LOADERS[known.name](given[known.name])})
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
        return made


def _one_of(*choices: str) -> Any:
    def load(value: object) -> object:
        if value not in choices:
            raise ValueError
        return value

    return load


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return names.clean(value)


_LOADERS: dict[str, Any] = {
    "ignores": lambda given: {int(id): _text(name) for id, name in given.items()},
    "timestamps": _one_of(*TIMESTAMPS),
    "timezone": _text,
    "quiet": bool,
    "bell": _one_of(*BELLS),
    "color": _one_of(*COLORS),
    "reader": bool,
    "room": _text,
    "rooms": lambda given: tuple(_text(key) for key in given)[:MAX_ROOMS],
}


#: The preferences of users who have set none.
DEFAULT = Preferences()
