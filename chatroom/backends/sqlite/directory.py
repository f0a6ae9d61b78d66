"""The folder of a store: who may read it, and that one server has it.

The rule: what is in it is for the server alone, mode 0700 and 0600, from the first moment on.
"""

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

from chatroom.backends.sqlite import schema

DATABASE = "chatroom.sqlite"
LOCK = "lock"
CLAIM = "claim-code"

#: The key of the SSH door, which is kept here unless it is kept elsewhere.
HOST_KEY = "ssh_host_ed25519_key"

#: All that this program puts into it.
OURS = {DATABASE, LOCK, CLAIM, HOST_KEY, f"{DATABASE}-wal", f"{DATABASE}-shm"}


class StoreError(Exception):
    """The store cannot be used; the text says why, in one line."""


class Folder:
    """A folder that this process has to itself until it ends, or `close`.

    path: absolute. owner: the user and group ids that the server will run as when that is not who
    starts it. Raises StoreError.
    """

    def __init__(self, path: str, owner: tuple[int, int] | None = None) -> None:
        self.path = Path(path)
        self._owner = owner
        try:
            self._make()
            self._lock = self._open(LOCK)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreError(f"{path} is in use by another server") from None
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot use {path}: {_reason(error)}") from error
        try:
            check(self.database)
            os.close(self._open(DATABASE))
        except OSError as error:
            self.close()
            raise StoreError(f"cannot use {path}: {_reason(error)}") from error
        except StoreError:
            self.close()
            raise

    @property
    def database(self) -> Path:
        """The database file."""
        return self.path / DATABASE

    @property
    def claim(self) -> Path:
        """Where the code is written with which somebody becomes an operator."""
        return self.path / CLAIM

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            # A folder that somebody has other things in is left as it is.
            if set(os.listdir(self.path)) <= OURS:
                self.path.chmod(0o700)
        if self._owner:
            os.chown(self.path, *self._owner)

    def _open(self, name: str) -> int:
        """Open the file *name*, made if there is none, for nobody else to read."""
        file = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(file, 0o600)
        if self._owner:
            os.fchown(file, *self._owner)
        return file


def check(database: Path, *, thorough: bool = False) -> None:
    """Whether the file, if there is one, can be used by this program. Raises StoreError.

    thorough: all of it is looked through for damage.
    """
    if not database.exists():
        return
    if not database.stat().st_size and not _waits(database):
        # Somebody, or a file system that lost it, has emptied it; a new one would hide that.
        raise StoreError(
            f"cannot use {database}: it is empty, and whatever was in it is lost. Put a backup in "
            "its place, or remove it to begin anew"
        )
    try:
        # The mode rw makes nothing, and can be used when a server was killed.
        connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)
        try:
            schema.version(connection)
            if thorough and (damage := schema.damage(connection)):
                raise damaged(database, damage)
        finally:
            connection.close()
    except (sqlite3.Error, schema.SchemaError) as error:
        raise unusable(database, error) from error


def unusable(database: Path, error: Exception) -> StoreError:
    """The error of a file with which *error* came up."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
        return damaged(database, str(error))
    return StoreError(f"cannot use {database}: {error}")


def damaged(database: Path, what: str) -> StoreError:
    """The error of a file that is damaged; *what* is SQLite's word for it."""
    return StoreError(
        f"cannot use {database}: it is damaged ({what}). `chatroom-data check` says more; put a "
        "backup in its place"
    )


def _waits(database: Path) -> bool:
    """Whether what SQLite has still to put into the file is beside it."""
    try:
        return database.with_name(f"{database.name}-wal").stat().st_size > 0
    except OSError:
        return False


def check_folder(path: str, *, thorough: bool = False) -> None:
    """Whether a server could use the folder, without making anything. Raises StoreError.

    thorough: see `check`.
    """
    folder = Path(path)
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        if not os.access(folder.parent, os.W_OK | os.X_OK):
            raise StoreError(f"cannot use {path}: it is not there and cannot be made") from None
        return
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot use {path}: {_reason(error)}") from error
    if not stat.S_ISDIR(mode):
        raise StoreError(f"cannot use {path}: it is not a folder")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(f"cannot use {path}: permission denied")
    check(folder / DATABASE, thorough=thorough)


def _reason(error: OSError | ValueError) -> str:
    text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return text[:1].lower() + text[1:]
