"""Events as rows: of the table `events`, and for whatever carries them to another process.

The rule: nothing is lost, an event that was written as a row is read back as it was. What of it a
history keeps is for the history to choose. Kinds are never given another meaning; those below
schema.LINES_BELOW are lines that somebody said.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from chatroom.model.events import (
    SERVER,
    Announced,
    Closed,
    CrowdMoved,
    DayBegan,
    Emoted,
    Event,
    Found,
    Joined,
    Left,
    Noticed,
    Opened,
    Relayed,
    Removed,
    Renamed,
    Said,
    ScrollbackEnded,
    Skipped,
    Told,
    TookBack,
    TopicSet,
    Whispered,
)

SAID, EMOTED, JOINED, LEFT, RENAMED, TOPIC, CROWD, TOLD, TOOK_BACK = range(9)

#: What each kind is called where it is exported; a history has no others.
KINDS = ("said", "emoted", "joined", "left", "renamed", "topic", "crowd", "told", "took back")


class Row(NamedTuple):
    """An event as numbers and texts.

    text: the one field of the event that says most, or all but its name as JSON, see _FORMS.
    """

    kind: int
    time: float
    name: str
    text: str
    origin: int = SERVER
    user: int = SERVER


class _Form(NamedTuple):
    """How the events of one kind are written.

    type: what they are. text: the name of the field that the text of a row is, None if that is
    the JSON of all fields but the name. fixed: what the other fields are.
    """

    type: type[Event]
    text: str | None = None
    fixed: Mapping[str, Any] = {}


#: The forms by kind.
_FORMS = (
    _Form(Said, "text"),
    _Form(Emoted, "text"),
    _Form(Announced),
    _Form(Left, "reason", {"shown": True}),
    _Form(Renamed, "new", {"shown": True}),
    _Form(TopicSet, "topic"),
    _Form(CrowdMoved),
    _Form(Told, "text"),
    _Form(TookBack),
    _Form(Joined),
    _Form(Left, "reason", {"shown": False}),
    _Form(Renamed, "new", {"shown": False}),
    _Form(Opened),
    _Form(Closed),
    _Form(Relayed),
    _Form(Removed),
    _Form(Noticed, "text"),
    _Form(Skipped),
    _Form(DayBegan),
    _Form(ScrollbackEnded),
    _Form(Whispered),
    _Form(Found),
)

_KINDS = {(form.type, form.fixed.get("shown")): kind for kind, form in enumerate(_FORMS)}

#: The fields that are written as JSON, by type.
_FIELDS = {
    form.type: [
        field.name
        for field in fields(form.type)
        if field.name not in ("time", "origin", "user", "name")
    ]
    for form in _FORMS
}

#: What is made of the JSON of some fields.
_READ: Mapping[str, Callable[[Any], object]] = {
    "names": tuple,
    "users": frozenset,
    "ids": frozenset,
    "data": lambda text: text.encode("latin-1"),
    "event": lambda row: decode(*row),
}


def encode(event: Event) -> Row:
    """Return *event* as a row."""
    kind = _KINDS[type(event), getattr(event, "shown", None)]
    form = _FORMS[kind]
    if form.text is not None:
        text = getattr(event, form.text)
    else:
        given = {field: getattr(event, field) for field in _FIELDS[form.type]}
        text = json.dumps(given, ensure_ascii=False, default=_as_json) if given else ""
    return Row(kind, event.time, getattr(event, "name", ""), text, event.origin, event.user)


def _as_json(value: object) -> object:
    match value:
        case bytes():
            return value.decode("latin-1")
        case frozenset():
            return sorted(value)
        case Event():
            return encode(value)
    raise TypeError(f"an event has a {type(value).__name__}")


def decode(
    kind: int, time: float, name: str, text: str, origin: int = SERVER, user: int = SERVER
) -> Event:
    """Return the event of a row. Raises ValueError for a kind that is not known."""
    if not 0 <= kind < len(_FORMS):
        raise ValueError(f"there is no event of kind {kind}")
    form = _FORMS[kind]
    if form.text is not None:
        given = {form.text: text, **form.fixed}
    elif kind == TOOK_BACK and not text.startswith("{"):
        # As earlier versions wrote it; no name begins with a digit.
        given = {"count": int(text)} if text.isdigit() else {"said_as": text}
    else:
        given = json.loads(text or "{}")
        given = {field: _READ.get(field, _same)(given[field]) for field in _FIELDS[form.type]}
    if "name" in form.type.__slots__:
        given["name"] = name
    return form.type(time, origin, user=user, **given)


def _same(value: object) -> object:
    return value
