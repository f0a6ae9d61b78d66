"""Builds the sdist and the wheel, installs each in an environment of its own and runs it there.

Everything runs in a folder other than the checkout, so that nothing is found that is not
installed. Needs ``build`` and ``check-wheel-contents``; run by ``tox -e package``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    """The output of *command*; ends this program when it fails."""
    print("+", *command, flush=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, text=True, capture_output=True
    )
    if result.returncode:
        sys.exit(f"{result.stdout}{result.stderr}exit status {result.returncode}")
    return result.stdout


def build(folder: Path) -> list[Path]:
    """Both archives; the wheel is built from the sdist, which proves that that one is whole."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    wheel, sdist = sorted(folder.glob("*.whl")) + sorted(folder.glob("*.tar.gz"))
    scripts = Path(sys.executable).parent
    run(scripts / "check-wheel-contents", "--toplevel", "chatroom,twisted", wheel, cwd=folder)
    return [wheel, sdist]


def check(archive: Path, folder: Path) -> None:
    """Install *archive* and start what it brings, from *folder*."""
    environment = folder / f"environment{archive.suffix}"
    venv.create(environment, with_pip=True)
    scripts = environment / "bin"
    run(scripts / "python", "-m", "pip", "install", "--quiet", archive, cwd=folder)
    for command in (
        (scripts / "twistd", "chatroom", "--version"),
        (scripts / "python", "-m", "chatroom", "--version"),
        (scripts / "chatroom", "--version"),
        (scripts / "chatroom-data", "--version"),
    ):
        if not run(*command, cwd=folder).startswith("chatroom "):
            sys.exit("that is not the version of chatroom")
    if "--port=" not in run(scripts / "twistd", "chatroom", "--help", cwd=folder):
        sys.exit("that is not the help of chatroom")
    run(scripts / "python", "-m", "chatroom", "--port", "0", "--check", cwd=folder)
    # --check ends before the service is made, and the service imports all modules.
    run(scripts / "python", "-c", "import chatroom.server.service", cwd=folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for archive in build(folder):
            check(archive, folder)
    print("The wheel and the sdist install and run.")


if __name__ == "__main__":
    main()
