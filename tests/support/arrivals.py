"""People who arrive with an identity, and what they are shown first."""

from __future__ import annotations

from chatroom.model.identity import Identity
from tests.support.accounts import made_key, now, register
from tests.support.world import World

KEY, OTHER_KEY = made_key(1), made_key(2)
FIRST = "-- Welcome to chatroom. You are "
SECOND = "-- Type to talk. /nick NAME picks a name, /help lists the rest, /quit leaves."
LAST = "-- You were last here 08:00. This server keeps names only as long as it runs."


def as_owner(world: World, name: str = "alice") -> Identity:
    """How the owner of *name*, which is registered here and now, arrives."""
    account = register(world, name)
    return Identity(account.name, account)


def with_key(world: World, name: str = "alice", *, proven: bool = True) -> Identity:
    """How the owner of *name* arrives by a key that was added to it here and now."""
    account = register(world, name)
    now(world.chat.logins.accounts.add_key(account.id, KEY, world.clock.seconds(), proven))
    return Identity(account.name, account, KEY, by_key=True)
