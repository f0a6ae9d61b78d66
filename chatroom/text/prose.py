"""Phrases for users: lists of names, durations, paragraphs that fit a line."""

from collections.abc import Sequence

from chatroom.text.times import DAY

#: The prefix of the server's own lines, the indent of their continuation rows, and their greatest
#: width in cells, so that terminals of 80 columns do not wrap them.
OWN = "-- "
INDENT = 3
COLUMNS = 79

#: The width of a notice without its prefix, in cells.
WIDTH = COLUMNS - len(OWN)


def enumerate_names(names: Sequence[str], count: int) -> str:
    """Return names as a phrase: 'alice', 'alice and bob', 'alice, bob and 12 others'.

    names: at least one name.
    count: how many users there are in all.
    """
    shown = list(names)
    if count > len(shown):
        others = count - len(shown)
        shown.append(f"{others} other{'s' if others > 1 else ''}")
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def paragraph(*sentences: str) -> str:
    """Return *sentences* in as few lines of WIDTH as possible, broken between them."""
    lines = [sentences[0]]
    for sentence in sentences[1:]:
        if len(lines[-1]) + 1 + len(sentence) <= WIDTH:
            lines[-1] += f" {sentence}"
        else:
            lines.append(sentence)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a duration in its largest unit, as text: '5 minutes', '1 day'."""
    units = {"day": DAY, "hour": 3600, "minute": 60, "second": 1}
    unit = next((unit for unit, length in units.items() if seconds >= length), "second")
    count = max(0, int(seconds // units[unit]))
    return f"{count} {unit}{'' if count == 1 else 's'}"
