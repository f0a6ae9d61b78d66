"""Books of accounts, in memory and in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatroom.backends.interfaces import AccountStore
from chatroom.backends.memory import MemoryAccounts
from chatroom.backends.sqlite.accounts import AccountTables, StoredAccounts
from chatroom.backends.sqlite.reader import Reader
from chatroom.backends.sqlite.writer import Writer
from tests.support.accounts import at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chatroom.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path)
    yield writer
    writer.close()


@pytest.fixture
def stored(path: Path, writer: Writer) -> Iterator[StoredAccounts]:
    """A book in a file, which is written and read over two connections."""
    reader = Reader(path)
    yield StoredAccounts(
        at_once(AccountTables(writer.connection)), at_once(AccountTables(reader.connection))
    )
    reader.close()


@pytest.fixture(params=["memory", "stored"])
def accounts(request: pytest.FixtureRequest) -> AccountStore:
    """A book of each kind."""
    made: AccountStore = MemoryAccounts()
    if request.param == "stored":
        made = request.getfixturevalue("stored")
    return made
