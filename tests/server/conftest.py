"""What tests of the service of the program need."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def collector() -> Iterator[None]:
    """The service tunes the collector of its process, which is not ours here."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
