"""A chat and its SSH door, without sockets."""

from collections.abc import Iterator

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from chatroom.doors.ssh.factory import SshFactory
from tests.support.sshclient import HOST_KEY
from tests.support.wire import UNLIMITED
from tests.support.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A chat without limits, in which everybody has gone and nothing is left when it ends."""
    world = World(limits=UNLIMITED)
    yield world
    world.wait(60)
    world.end()


@pytest.fixture
def factory(world: World) -> Iterator[SshFactory]:
    """An SSH door, which nobody may haunt when a test is over."""
    factory = SshFactory(world.chat, HOST_KEY)
    yield factory
    for client in list(factory.clients):
        client.connectionLost(Failure(ConnectionDone()))
    assert not factory._strangers
    assert not factory._by_source
