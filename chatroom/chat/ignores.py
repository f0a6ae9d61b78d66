"""Whose lines somebody is not shown, of those that were said before."""

from collections.abc import Callable, Collection, Iterable

from chatroom.model.events import SERVER, Emoted, Event, Said
from chatroom.text import names


def hider(ids: Collection[int], known: Iterable[str]) -> Callable[[Event], bool]:
    """Return a function that tells whether an event is from an ignored user.

    Lines of guests in an earlier run of the server have no user. There the name decides, but for
    guestN, which are given anew.

    :param ids: the ids of the ignored users.
    :param known: their names.
    """
    keys = {names.fold(name) for name in known if not names.is_reserved(name)}

    def hides(event: Event) -> bool:
        if event.user != SERVER:
            return event.user in ids
        return isinstance(event, Said | Emoted) and names.fold(event.name) in keys

    return hides
