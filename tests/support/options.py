"""The command line in this process, and in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from chatroom.server.options import Options
from tests.support.process import ROOT
from tests.support.reactor import DEADLINE


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(arguments)
    return options


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, in which the checkout can be found as if installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )


def twistd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return python(str(Path(sysconfig.get_path("scripts")) / "twistd"), *arguments, cwd=cwd)


def refusal(*arguments: str) -> str:
    """The line with which a start with *arguments* ends."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert isinstance(ended.value.code, str)
    assert "\n" not in ended.value.code
    return ended.value.code
