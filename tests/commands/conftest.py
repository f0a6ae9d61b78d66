"""Servers on which what operators decide lasts."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.doubles import FakeRecords
from tests.support.operators import MakeServer
from tests.support.world import World


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Makes worlds whose decisions last, as with a store."""
    made: list[World] = []

    def make(**given: Any) -> World:
        given.setdefault("records", FakeRecords())
        made.append(World(**given))
        return made[-1]

    yield make
    for world in made:
        world.end()


@pytest.fixture
def server(make_server: MakeServer) -> World:
    return make_server()
