"""The folder of a store is for one server, and for nobody else to read."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chatroom.backends.sqlite import schema
from chatroom.backends.sqlite.directory import DATABASE, LOCK, Folder, StoreError, check_folder
from chatroom.backends.sqlite.writer import Writer


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _open(path: Path, stack: ExitStack) -> Folder:
    folder = Folder(str(path))
    stack.callback(folder.close)
    return folder


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_made_for_the_server_alone(tmp_path: Path, opened: ExitStack) -> None:
    folder = _open(tmp_path / "data", opened)
    assert _mode(folder.path) == 0o700
    assert _mode(folder.database) == 0o600
    assert _mode(folder.path / LOCK) == 0o600


def test_what_others_could_read_they_cannot_any_more(tmp_path: Path, opened: ExitStack) -> None:
    path = tmp_path / "data"
    path.mkdir(0o755)
    path.chmod(0o755)
    with closing(sqlite3.connect(path / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 0")
        schema.migrate(connection)
    (path / DATABASE).chmod(0o644)
    folder = _open(path, opened)
    assert _mode(path) == 0o700
    assert _mode(folder.database) == 0o600


def test_a_folder_with_other_things_in_it_stays_as_open_as_it_is(
    tmp_path: Path, opened: ExitStack
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "something").touch()
    folder = _open(tmp_path, opened)
    assert _mode(tmp_path) == 0o755
    assert _mode(folder.database) == 0o600


def test_a_second_server_is_refused_until_the_first_is_gone(
    tmp_path: Path, opened: ExitStack
) -> None:
    first = Folder(str(tmp_path / "data"))
    with pytest.raises(StoreError, match="in use by another server"):
        Folder(str(tmp_path / "data"))
    Writer(first.database).close()
    first.close()
    _open(tmp_path / "data", opened)


def test_its_files_belong_to_whom_the_server_will_run_as(tmp_path: Path) -> None:
    owner = (os.getuid(), os.getgid())
    folder = Folder(str(tmp_path / "data"), owner)
    folder.close()
    assert (folder.database.stat().st_uid, folder.database.stat().st_gid) == owner


@pytest.mark.parametrize("check", [Folder, check_folder])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, check: type[Folder]) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "not" / "there"):
        with pytest.raises(StoreError, match="cannot use"):
            check(str(path))


@pytest.mark.parametrize("check", [Folder, check_folder])
@pytest.mark.parametrize("what", ["garbage", "newer", "another's"])
def test_a_file_that_is_no_store_of_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, check: type[Folder], what: str
) -> None:
    path = tmp_path / "data"
    path.mkdir()
    database = path / DATABASE
    if what == "garbage":
        database.write_bytes(b"no database, but long enough to be looked at" * 100)
    else:
        with closing(sqlite3.connect(database)) as connection:
            if what == "newer":
                schema.migrate(connection)
                connection.execute("PRAGMA user_version = 999")
            else:
                connection.execute("CREATE TABLE things (x)")
            connection.commit()
    before = database.read_bytes()
    with pytest.raises(StoreError, match="cannot use"):
        check(str(path))
    assert database.read_bytes() == before


def test_a_file_that_was_emptied_is_not_taken_for_a_new_one(
    tmp_path: Path, opened: ExitStack
) -> None:
    path = tmp_path / "data"
    Writer(_open(path, opened).database).close()
    opened.close()
    os.truncate(path / DATABASE, 0)
    for look in (check_folder, Folder):
        with pytest.raises(StoreError, match="it is empty, and whatever was in it is lost"):
            look(str(path))
    # As the line says.
    (path / DATABASE).unlink()
    _open(path, opened)


def test_a_file_of_which_all_is_in_its_log_is_not_empty(tmp_path: Path, opened: ExitStack) -> None:
    path = tmp_path / "data"
    writer = Writer(_open(path, opened).database)
    opened.close()
    whole = (path / f"{DATABASE}-wal").read_bytes()
    writer.close()
    os.truncate(path / DATABASE, 0)
    (path / f"{DATABASE}-wal").write_bytes(whole)
    check_folder(str(path))


def test_looking_makes_nothing(tmp_path: Path, opened: ExitStack) -> None:
    check_folder(str(tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o755)
    check_folder(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    Writer(_open(tmp_path / "data", opened).database).close()
    check_folder(str(tmp_path / "data"))


def test_where_nothing_can_be_made_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="cannot be made"):
        check_folder(str(tmp_path / "data"))


def test_a_database_that_cannot_be_opened_leaves_the_folder_to_others(
    tmp_path: Path, opened: ExitStack
) -> None:
    path = tmp_path / "data"
    (path / DATABASE).mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot use"):
        Folder(str(path))
    (path / DATABASE).rmdir()
    _open(path, opened)
