"""Sentences for users: lists of names, spans of time, paragraphs that fit."""

from collections.abc import Sequence

from chatroom.text.times import DAY

#: What a line of the server's own begins with, how far it is indented where it goes on, and how
#: wide it is, so that terminals of 80 columns do not wrap it, in cells.
OWN = "-- "
INDENT = 3
COLUMNS = 79

#: How wide a notice may be, without what it begins with, in cells.
WIDTH = COLUMNS - len(OWN)


def enumerate_names(names: Sequence[str], count: int) -> str:
    """Some people as a phrase: 'alice', 'alice and bob', 'alice, bob and 12 others'.

    *count* is how many there are in all, *names* at least one of them.
    """
    shown = list(names)
    if count > len(shown):
        others = count - len(shown)
        shown.append(f"{others} other{'s' if others > 1 else ''}")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def paragraph(*sentences: str) -> str:
    """*sentences* in as few lines as fit a terminal of 80 columns, broken between sentences."""
    lines = [sentences[0]]
    for sentence in sentences[1:]:
        if len(lines[-1]) + 1 + len(sentence) <= WIDTH:
            lines[-1] += f" {sentence}"
        else:
            lines.append(sentence)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A span of time as people say it, in its largest unit: '5 minutes', '1 day'."""
    units = {"day": DAY, "hour": 3600, "minute": 60, "second": 1}
    unit = next((unit for unit, length in units.items() if seconds >= length), "second")
    count = max(0, int(seconds // units[unit]))
    return f"{count} {unit}{'' if count == 1 else 's'}"
