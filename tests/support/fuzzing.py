"""How much the tests try that make things up."""

import os

from hypothesis import settings

#: Where changes are checked for all: there is more time, and nobody waits.
THOROUGH = bool(os.environ.get("CI"))


def seeds(few: int, many: int) -> range:
    """The seeds of a test: *few* at somebody's desk, *many* where changes are checked for all.

    They are the same each time, so that what was found is found again.
    """
    return range(many if THOROUGH else few)


def examples(many: int) -> settings:
    """How many examples hypothesis makes up: *many*, or at somebody's desk a fifth of them."""
    return settings(max_examples=many if THOROUGH else max(10, many // 5), deadline=None)
