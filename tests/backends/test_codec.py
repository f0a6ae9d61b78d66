"""Every event can be written as a row, carried as text, and read back with nothing lost."""

import json
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.backends import codec
from chatroom.model import events
from chatroom.model.events import Event, Said, TookBack

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]

LINES = st.builds(Said, st.just(1.0), st.integers(), st.text(), st.text(), user=st.integers())


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_comes_back_from_a_row_as_it_was(kind: type[Event]) -> None:
    hints = get_type_hints(kind)
    given_as = {
        name: LINES if hints[name] is Event else st.from_type(hints[name]).filter(_is_number)
        for name in kind.__init__.__annotations__
        if name != "return"
    }

    @given(st.builds(kind, **given_as))
    def comes_back(event: Event) -> None:
        carried = json.loads(json.dumps(codec.encode(event)))
        assert codec.decode(*carried) == event

    comes_back()


def _is_number(value: object) -> bool:
    return value == value  # what is not a number is no time


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("", TookBack(1.0, 0, "alice")),
        ("alice", TookBack(1.0, 0, "alice", said_as="alice")),
        ("3", TookBack(1.0, 0, "alice", count=3)),
    ],
)
def test_what_earlier_versions_wrote_of_lines_taken_back_is_read(text: str, event: Event) -> None:
    assert codec.decode(codec.TOOK_BACK, 1.0, "alice", text) == event
