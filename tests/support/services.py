"""The service of the program, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService

from chatroom.server.service import Options, makeService
from tests.support.reactor import services


def made(folder: Path, *arguments: str) -> MultiService:
    options = Options()
    options.parseOptions(["--listen", f"unix:{folder / 'line'}", *arguments])
    top: Any = makeService(options)
    assert IService.providedBy(top)
    assert isinstance(top, MultiService)
    services.append(top)
    return top
