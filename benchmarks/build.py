"""Compile the generator and the peers in C, each time, into a temporary folder.

Only a C compiler is needed. Without OpenSSL's headers the TLS scenario is reported as missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
GENERATOR = [HERE / "generator" / f"{n}.c" for n in ("loadgen", "check", "wire", "flood")]
FLAGS = ["-O2", "-std=gnu11", "-Wall"]


class BuildError(Exception):
    """There is no compiler, or it refuses; the message is for who runs the benchmark."""


def _compile(compiler: str, target: Path, sources: list[Path], *more: str) -> str:
    """Compile; gives the compiler's complaint, or nothing when it succeeded."""
    command = [compiler, *FLAGS, "-o", str(target), *map(str, sources), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stderr if done.returncode else ""


def build(folder: Path) -> tuple[dict[str, Path], bool]:
    """Compile everything into FOLDER: the programs by name, and whether TLS is among them.

    Raises BuildError.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildError("No C compiler: apt-get install gcc libc6-dev")
    loadgen = folder / "loadgen"
    tls = not _compile(compiler, loadgen, GENERATOR, "-DWITH_TLS", "-lssl", "-lcrypto")
    programs = {"loadgen": loadgen}
    wanted: list[tuple[str, list[Path], tuple[str, ...]]] = (
        [] if tls else [("loadgen", GENERATOR, ())]
    )
    peers = HERE / "peers"
    wanted += [("bare", [peers / "bare.c"], ()), ("blast", [peers / "blast.c"], ())]
    wanted.append(("nodelay", [peers / "nodelay.c"], ("-shared", "-fPIC", "-ldl")))
    for name, sources, more in wanted:
        complaint = _compile(compiler, folder / name, sources, *more)
        if complaint:
            raise BuildError(complaint)
        programs[name] = folder / name
    return programs, tls
