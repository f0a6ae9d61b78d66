"""The folder of a store: its permissions, and the lock that lets one server use it.

The folder has mode 0700 and its files 0600 from the moment they are made, so that only the server's
user can read them.
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

#: The SSH host key, unless --ssh-host-key names another file.
HOST_KEY = "ssh_host_ed25519_key"

#: The names of all files that this program makes in the folder.
OURS = {DATABASE, LOCK, CLAIM, HOST_KEY, f"{DATABASE}-wal", f"{DATABASE}-shm"}


class StoreError(Exception):
    """The store cannot be used; the message says why, in one line."""


class Folder:
    """A store's folder, locked by this process until `close` or the end of the process.

    path: the absolute path.
    owner: the user id and group id that the server will have, None for those of this process.

    Raises StoreError.
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
        """The file for the code with which a user becomes an operator."""
        return self.path / CLAIM

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            # If there are other files in it, its permissions are the owner's business.
            if set(os.listdir(self.path)) <= OURS:
                self.path.chmod(0o700)
        if self._owner:
            os.chown(self.path, *self._owner)

    def _open(self, name: str) -> int:
        """Open the file *name* (made if necessary) with mode 0600, and return its descriptor."""
        file = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(file, 0o600)
        if self._owner:
            os.fchown(file, *self._owner)
        return file


def check(database: Path, *, thorough: bool = False) -> None:
    """Raise StoreError if *database* exists and this program cannot use it.

    thorough: search the whole file for damage.
    """
    if not database.exists():
        return
    if not database.stat().st_size and not _waits(database):
        # An administrator or a broken file system has emptied it; a new database would hide that.
        raise StoreError(
            f"cannot use {database}: it is empty, and whatever was in it is lost. Put a backup in "
            "its place, or remove it to begin anew"
        )
    try:
        # The mode rw creates no file, and can recover the database after a server was killed.
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
    """Return the StoreError for *error*, which SQLite or the schema raised."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT:
        return damaged(database, str(error))
    return StoreError(f"cannot use {database}: {error}")


def damaged(database: Path, what: str) -> StoreError:
    """Return the StoreError for a damaged file; *what* is SQLite's description."""
    return StoreError(
        f"cannot use {database}: it is damaged ({what}). `chatroom-data check` says more; put a "
        "backup in its place"
    )


def _waits(database: Path) -> bool:
    """Return whether there is a write-ahead log with pages for the database."""
    try:
        return database.with_name(f"{database.name}-wal").stat().st_size > 0
    except OSError:
        return False


def check_folder(path: str, *, thorough: bool = False) -> None:
    """Raise StoreError if a server could not use the folder; makes no file.

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
