"""What only operators may do is refused to all others, whatever door they ask at."""

from collections.abc import Callable, Coroutine
from inspect import iscoroutine
from ipaddress import ip_network

import pytest

from chatroom.actions import appointing, closing, sanctions
from chatroom.chat.connection import Connection
from chatroom.model.refused import Code, Refused
from tests.support.operators import operator
from tests.support.world import World

Action = Callable[[Connection], object]

NETWORK = ip_network("198.51.100.0/24")

ACTIONS: dict[str, Action] = {
    "kick": lambda one: sanctions.kick(one, "bob", ""),
    "ban a network": lambda one: sanctions.ban_network(one, NETWORK, 0, ""),
    "ban": lambda one: sanctions.ban(one, "bob", 0, ""),
    "unban": lambda one: sanctions.unban(one, "bob", None),
    "mute": lambda one: sanctions.mute(one, "bob", 60, ""),
    "unmute": lambda one: sanctions.unmute(one, "bob"),
    "close a room": lambda one: closing.close_room(one, one.here(), ""),
    "announce": lambda one: closing.announce_to_all(one, "hello"),
    "lock down": closing.lock_down,
    "end a lockdown": closing.end_lockdown,
    "appoint": lambda one: appointing.appoint(one, "bob"),
    "dismiss": lambda one: appointing.dismiss(one, "olga"),
}


def begin(answer: object) -> None:
    """Run the steps of an action that waits as far as it does not."""
    if iscoroutine(answer):
        steps: Coroutine[object, object, object] = answer
        try:
            steps.send(None)
        finally:
            steps.close()


@pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))
def test_a_guest_may_not(world: World, action: Action) -> None:
    olga = operator(world)
    guest, bob = world.people("greta", "bob")
    guest.says("/join den")
    _ = bob.sees
    with pytest.raises(Refused) as refused:
        begin(action(guest.connection))
    assert refused.value.code is Code.NOT_OPERATOR
    assert bob.sees == []
    assert [one.connection.over for one in (olga, guest, bob)] == [False, False, False]
    assert world.chat.moderation.is_operator(olga.connection.user)
