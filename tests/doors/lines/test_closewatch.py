"""Finding out that a client has closed while it is not read."""

from __future__ import annotations

import pytest

from chatroom.doors.lines import closewatch
from chatroom.doors.lines.closewatch import LINGER_SECONDS, LOOK_SECONDS, CloseWatch
from tests.support.wire import Wire
from tests.support.world import World


class Client:
    """A client that is watched; each look at it is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed = False
        self.looks = 0
        self.clock = World().clock
        self.watch = CloseWatch(Wire(), self.clock)
        monkeypatch.setattr(closewatch, "peer_ended", self._look)

    def _look(self, _: object) -> bool:
        self.looks += 1
        return self.closed

    def abandoned_after(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.watch.abandoned()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch)


def test_a_client_that_is_there_is_never_abandoned(client: Client) -> None:
    assert not any(client.abandoned_after(LINGER_SECONDS) for _ in range(5))


def test_the_lines_of_a_client_that_has_closed_may_wait_for_a_while(client: Client) -> None:
    client.closed = True
    assert not client.abandoned_after(1)
    assert not client.abandoned_after(LINGER_SECONDS)
    assert client.abandoned_after(LOOK_SECONDS)


def test_the_kernel_is_asked_seldom(client: Client) -> None:
    for _ in range(100):
        client.abandoned_after(LOOK_SECONDS / 10)
    assert client.looks <= 11
