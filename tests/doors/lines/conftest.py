"""The line door over each kind of ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.doubles import DelayedLedger
from tests.support.lines import Door, made


@pytest.fixture(params=["immediate", "late"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    opened = made(ledger=DelayedLedger if request.param == "late" else None)
    yield opened
    opened.world.end()
