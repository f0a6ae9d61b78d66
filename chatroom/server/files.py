"""Open files that the administrator names, without blocking.

Only regular files are opened: opening a pipe would block the server until another program writes
into it.
"""

import errno
import os
import stat
from typing import BinaryIO


def opened(path: str) -> BinaryIO:
    """Return the regular file *path*, opened for reading. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return open(fd, "rb")
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "It is no regular file", path)


def reason(error: Exception) -> str:
    """Return why *error* was raised, in one line that can follow a colon."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    words = " ".join((text or type(error).__name__).split())
    return words[:1].lower() + words[1:]
