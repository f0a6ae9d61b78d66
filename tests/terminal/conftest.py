"""A chat without limits, for terminals at its doors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire import UNLIMITED
from tests.support.world import World


@pytest.fixture
def world() -> Any:
    made = World(limits=UNLIMITED)
    yield made
    made.end()
