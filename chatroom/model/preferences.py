"""How one user is shown things."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from chatroom.text import names

#: How many people one account may ignore.
MAX_IGNORED = 200

#: What may be chosen for `timestamps` and for `bell`.
TIMESTAMPS = ("off", "on", "seconds")
BELLS = ("off", "mentions", "on")

#: Whether names have colours: as the terminal has it (NO_COLOR), or whatever it says.
COLORS = ("auto", "on", "off")


@dataclass(frozen=True, slots=True)
class Preferences:
    """How one person wants to be shown things.

    ignores: the accounts whose lines are left out, by id, with the name each had then.
    timestamps: one of TIMESTAMPS, whether lines are shown with their time as they come. timezone:
    see times.zone. quiet: joins, leaves and renames are left out. bell: one of BELLS, when the
    terminal's bell rings. color: one of COLORS. reader: a screen reader reads this out. room: the
    key of the room to return to, empty for the lobby.
    """

    ignores: Mapping[int, str] = field(default_factory=dict)
    timestamps: str = "off"
    timezone: str = "UTC"
    quiet: bool = False
    bell: str = "off"
    color: str = "auto"
    reader: bool = False
    room: str = ""

    def dump(self) -> str:
        """As JSON, without what is as it is for everybody."""
        default = asdict(Preferences())
        return json.dumps(
            {key: value for key, value in asdict(self).items() if value != default[key]},
            ensure_ascii=False,
        )

    @classmethod
    def load(cls, text: str) -> "Preferences":
        """What `dump` made; whatever is not understood is as it is for everybody."""
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
}
