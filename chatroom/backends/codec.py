"""Encode events as rows of a table, and decode them.

Nothing is lost: `decode` returns an event equal to the one that `encode` was given. A history may
store only some of the events (see sqlite/kept.py). A kind never gets another meaning; the kinds
below schema.LINES_BELOW are messages of users.
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
    Mentioned,
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

#: The names of the kinds in exports; a history contains no other kinds.
KINDS = ("said", "emoted", "joined", "left", "renamed", "topic", "crowd", "told", "took back")


class Row(NamedTuple):
    """An event as a row.

    text: one field of the event, or all fields without a column of their own as JSON; see _FORMS.
    """

    kind: int
    time: float
    name: str
    text: str
    origin: int = SERVER
    user: int = SERVER


class _Form(NamedTuple):
    """How the events of one kind are encoded.

    type: their type.
    text: the name of the field that is the text of the row; None if all fields are JSON.
    fixed: the values of other fields, which this kind implies.
    """

    type: type[Event]
    text: str | None = None
    fixed: Mapping[str, Any] = {}


#: The forms of all kinds, indexed by kind.
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
    _Form(Mentioned),
)

_KINDS = {(form.type, form.fixed.get("shown")): kind for kind, form in enumerate(_FORMS)}

#: The fields that are encoded as JSON, by type.
_FIELDS = {
    form.type: [
        field.name
        for field in fields(form.type)
        if field.name not in ("time", "origin", "user", "name")
    ]
    for form in _FORMS
}

#: The converters from JSON for the fields that need one.
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
        # The form of earlier versions; a name cannot begin with a digit.
        given = {"count": int(text)} if text.isdigit() else {"said_as": text}
    else:
        given = json.loads(text or "{}")
        given = {field: _READ.get(field, _same)(given[field]) for field in _FIELDS[form.type]}
    if "name" in form.type.__slots__:
        given["name"] = name
    return form.type(time, origin, user=user, **given)


def _same(value: object) -> object:
    return value
