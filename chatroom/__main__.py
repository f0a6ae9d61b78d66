"""``python -m chatroom ARGUMENTS``, the short form of ``twistd -n --pidfile= chatroom ARGUMENTS``.

Nothing may happen here that does not happen under ``twistd``: the arguments pass unread.
"""

import sys

from twisted.scripts.twistd import run


def main() -> None:
    """Run ``twistd`` in the foreground without a pid file; ends with its exit status."""
    sys.argv[1:1] = ["-n", "--pidfile=", "chatroom"]
    run()


if __name__ == "__main__":
    main()
