"""What tests of names that are claimed need."""

import pytest

from tests.support.doubles import LateClaims


@pytest.fixture
def claims() -> LateClaims:
    return LateClaims()
