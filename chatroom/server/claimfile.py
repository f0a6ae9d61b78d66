"""The file with the code by which the first user becomes an operator."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from twisted.logger import Logger

log = Logger()


class ClaimFile:
    """Offers the code in the log and in a file of mode 0600, as long as there is no operator.

    path: the file, None for a temporary one.
    """

    def __init__(self, path: Path | None) -> None:
        self._kept = path
        # The file, while there is one.
        self._path: Path | None = None

    def offer(self, code: str) -> None:
        """Offer *code*; it is empty if there is an operator already."""
        if not code:
            if self._kept is not None:
                # A file that a crash has left contains a code that is not valid any more.
                with suppress(OSError):
                    self._kept.unlink()
            return
        log.info(
            "There is no operator yet. To become one: connect, /register or /login, and type "
            "/claim {code}",
            event="claim_offered",
            code=code,
        )
        try:
            self._write(code)
        except OSError as error:
            log.warn(
                "The code could not be written to a file: {error}",
                event="claim_not_written",
                error=error,
            )
            return
        log.info("The code is also in {file}", event="claim_written", file=str(self._path))

    def _write(self, code: str) -> None:
        if self._kept is not None:
            self._path = self._kept
            self._path.unlink(missing_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        else:
            # mkstemp makes the file with mode 0600, too.
            file, name = mkstemp(prefix="chatroom-claim-")
            self._path = Path(name)
        with os.fdopen(file, "w") as written:
            written.write(f"{code}\n")

    def withdraw(self) -> None:
        """Remove the file."""
        path, self._path = self._path, None
        if path is not None:
            with suppress(OSError):
                path.unlink()
