"""Events as rows of the table `events`.

The rule: what somebody was shown is kept, and nothing else. Kinds are never given another meaning;
those below schema.LINES_BELOW are lines that somebody said.
"""

import json

from chatroom.model.events import (
    SERVER,
    Announced,
    CrowdMoved,
    Emoted,
    Event,
    Left,
    Renamed,
    Said,
    Told,
    TookBack,
    TopicSet,
)

SAID, EMOTED, JOINED, LEFT, RENAMED, TOPIC, CROWD, TOLD, TOOK_BACK = range(9)

#: What each kind is called where it is exported.
KINDS = ("said", "emoted", "joined", "left", "renamed", "topic", "crowd", "told", "took back")


def encode(event: Event) -> tuple[int, str, str] | None:
    """The kind, name and text of *event*, None for what nobody is shown."""
    match event:
        case Said():
            return SAID, event.name, event.text
        case Emoted():
            return EMOTED, event.name, event.text
        case Announced():
            return JOINED, event.name, ""
        case Left(shown=True):
            return LEFT, event.name, event.reason
        case Renamed(shown=True):
            return RENAMED, event.name, event.new
        case TopicSet():
            return TOPIC, event.name, event.topic
        case CrowdMoved():
            crowd = {"names": event.names, "count": event.count, "joined": event.joined}
            return CROWD, "", json.dumps(crowd, ensure_ascii=False)
        case Told():
            return TOLD, "", event.text
        case TookBack() if event.count:
            # No name begins with a digit.
            return TOOK_BACK, event.name, str(event.count)
        case TookBack():
            return TOOK_BACK, event.name, event.said_as if event.author == SERVER else ""
    return None


def decode(kind: int, time: float, name: str, text: str, origin: int = SERVER) -> Event:
    """The event of a row. origin: of a line of this run of the server, the connection it came from.

    Raises ValueError for a kind that is not known.
    """
    match kind:
        case 0:
            return Said(time, origin, name, text)
        case 1:
            return Emoted(time, origin, name, text)
        case 2:
            return Announced(time, SERVER, name)
        case 3:
            return Left(time, SERVER, name, text, True)
        case 4:
            return Renamed(time, SERVER, name, text, True)
        case 5:
            return TopicSet(time, SERVER, name, text)
        case 6:
            crowd = json.loads(text)
            names = tuple(crowd["names"])
            return CrowdMoved(time, SERVER, names, crowd["count"], crowd["joined"])
        case 7:
            return Told(time, SERVER, text)
        case 8:
            if text.isdigit():
                return TookBack(time, SERVER, name, SERVER, 0.0, count=int(text))
            return TookBack(time, SERVER, name, SERVER, 0.0, text)
    raise ValueError(f"there is no event of kind {kind}")
