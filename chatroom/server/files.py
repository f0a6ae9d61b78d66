"""Files that an operator names: opening them never waits.

The rule: what is named is to be a file. Opening a pipe would wait for whoever writes into it, and
the start, or everybody who is served, with it.
"""

import errno
import os
import stat
from typing import BinaryIO


def opened(path: str) -> BinaryIO:
    """The regular file *path*, to be read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return open(fd, "rb")
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "It is no regular file", path)
