"""The life of a connection: each event in each state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chatroom.doors.state import State

S = State

EVENTS: dict[str, Callable[[State], State]] = {
    "serve": State.serve,
    "begin": State.begin,
    "leave": State.leave,
    "end input": State.end_input,
    "stop": State.stop,
    "close": State.close,
    "lose properly": lambda state: state.lose(properly=True),
    "lose": lambda state: state.lose(properly=False),
    "release": State.release,
}

#: What each event leads to; where it is not named, the state stays what it is.
ARROWS: dict[State, dict[str, State]] = {
    S.HANDSHAKE: {"serve": S.ARRIVING, "lose properly": S.CLOSED, "lose": S.CLOSED},
    S.ARRIVING: {
        "begin": S.OPEN,
        "stop": S.STOPPED,
        "close": S.CLOSING,
        "lose properly": S.GONE,
        "lose": S.GONE,
    },
    S.OPEN: {
        "leave": S.LEAVING,
        "end input": S.ENDED,
        "stop": S.STOPPED,
        "close": S.CLOSING,
        "lose properly": S.DRAINING,
        "lose": S.GONE,
    },
    S.LEAVING: {
        "end input": S.ENDED,
        "stop": S.STOPPED,
        "close": S.CLOSING,
        "lose properly": S.DRAINING,
        "lose": S.GONE,
    },
    S.ENDED: {
        "stop": S.STOPPED,
        "close": S.CLOSING,
        "lose properly": S.DRAINING,
        "lose": S.GONE,
    },
    S.STOPPED: {"lose properly": S.GONE, "lose": S.GONE},
    S.CLOSING: {"lose properly": S.GONE, "lose": S.GONE},
    S.DRAINING: {"stop": S.GONE, "release": S.CLOSED},
    S.GONE: {"release": S.CLOSED},
    S.CLOSED: {},
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", State)
def test_each_event_in_each_state_leads_where_it_is_drawn(state: State, event: str) -> None:
    assert EVENTS[event](state) is ARROWS[state].get(event, state)


def test_nothing_is_read_or_taken_of_what_is_over() -> None:
    for state in (S.STOPPED, S.CLOSING, S.GONE, S.CLOSED):
        assert not any((state.reads, state.takes_lines, state.ends))


def test_what_has_come_in_still_counts_when_the_client_has_closed() -> None:
    for state in (S.LEAVING, S.ENDED, S.DRAINING):
        assert state.takes_lines
        assert state.ends


def test_from_each_state_a_connection_can_be_closed() -> None:
    """Whatever happens to it, the last event frees what it has."""
    for state in State:
        assert state.lose(properly=True).release() is S.CLOSED
        assert state.close().lose(properly=False).release() is S.CLOSED
