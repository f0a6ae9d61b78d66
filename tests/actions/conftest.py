"""A history that is late."""

import pytest

from tests.support.lookups import LateHistory
from tests.support.world import World


@pytest.fixture
def late(world: World) -> LateHistory:
    """The history of *world* answers late."""
    history = LateHistory()
    world.chat.history = history
    return history
