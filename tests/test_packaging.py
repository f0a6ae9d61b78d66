"""What is installed: the plugin, the short forms, and the files that say so."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import chatroom
from chatroom import __main__ as short
from tests.support.reactor import DEADLINE

ROOT = Path(chatroom.__file__).parent.parent
VERSION = f"chatroom {chatroom.__version__} (Twisted "


def output(*command: str | Path, cwd: Path) -> str:
    """What *command* prints in *cwd*, where the checkout can be found as if installed."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    ).stdout


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_twistd_knows_the_plugin(tmp_path: Path) -> None:
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    assert "A chat room for everybody" in output(sys.executable, twistd, "--help", cwd=tmp_path)
    shown = output(sys.executable, twistd, "chatroom", "--version", cwd=tmp_path)
    assert shown.startswith(VERSION)


def test_the_module_is_short_for_twistd(tmp_path: Path) -> None:
    assert output(sys.executable, "-m", "chatroom", "--version", cwd=tmp_path).startswith(VERSION)
    shown = output(sys.executable, "-m", "chatroom", "--port", "0", "--check", cwd=tmp_path)
    assert "port = 0\n" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_short_form_passes_all_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(sys, "argv", ["chatroom", "--port", "1", "-x"])
    monkeypatch.setattr(short, "run", lambda: seen.extend(sys.argv))
    short.main()
    assert seen == ["chatroom", "-n", "--pidfile=", "chatroom", "--port", "1", "-x"]


def test_the_console_script_is_short_for_twistd(tmp_path: Path) -> None:
    scripts = setup_cfg()["options.entry_points"]["console_scripts"].split("\n")[1:]
    assert scripts == [
        "chatroom = chatroom.__main__:main",
        "chatroom-data = chatroom.server.datatool:main",
    ]
    code = "import sys, chatroom.__main__; sys.exit(chatroom.__main__.main())"
    assert output(sys.executable, "-c", code, "--version", cwd=tmp_path).startswith(VERSION)


@pytest.mark.parametrize("folder", ["twisted", "twisted/plugins"])
def test_the_folders_of_twisted_stay_twisteds(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_plugin_holds_one_service_maker_and_imports_nothing_of_ours() -> None:
    plugin = (ROOT / "twisted/plugins/chatroom_plugin.py").read_text(encoding="utf-8")
    assert re.findall(r"^(?:from|import) .*", plugin, re.MULTILINE) == [
        "from twisted.application.service import ServiceMaker"
    ]
    assert plugin.count("ServiceMaker(") == 1


def test_a_default_install_needs_only_what_earns_its_place() -> None:
    assert setup_cfg()["options"]["install_requires"].split("\n")[1:] == [
        "Twisted >= 26.10",
        "confusable-homoglyphs >= 3.3.1",
        "regex",
        "tzdata",
        "wcwidth",
    ]


def test_every_python_that_is_promised_is_tested() -> None:
    promised = re.findall(r"Python :: 3\.(\d+)", setup_cfg()["metadata"]["classifiers"])
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert [f"py3{minor}" for minor in promised] == re.findall(r"py\d+", tox["tox"]["env_list"])
    assert setup_cfg()["options"]["python_requires"] == f">=3.{promised[0]}"
    # Without it tox does not find those that pyenv has.
    for section in ("testenv", "pkgenv"):
        assert "PYENV_VERSION" in tox[section]["pass_env"]


def test_coverage_is_checked_with_branches() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    coverage = settings["tool"]["coverage"]
    assert coverage["run"]["branch"] is True
    assert coverage["report"]["fail_under"] >= 95


def ci_run(folder: Path, readme: str, pyenv: str | None = None) -> subprocess.CompletedProcess[str]:
    """.ci/run in a checkout that has only this README, and on a machine with this *pyenv* or none.

    pyenv: a script.
    """
    (folder / ".ci").mkdir()
    (folder / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    (folder / "README.md").write_text(readme)
    programs = folder / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", "grep", "mktemp", "paste", "rm", "sed", "sort", "tee"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if pyenv is not None:
        (programs / "pyenv").write_text(f"#!{programs}/bash\n{pyenv}")
        (programs / "pyenv").chmod(0o755)
    return subprocess.run(
        [programs / "bash", folder / ".ci" / "run"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_ci_runs_the_command_of_the_readme(tmp_path: Path) -> None:
    ended = ci_run(tmp_path, "Say `tox`.\n\n```sh\n$ true && echo .venv/bin/tox; pwd\n```\n")
    assert ended.stdout.splitlines() == [
        "+ true && echo .venv/bin/tox; pwd",
        ".venv/bin/tox",
        str(tmp_path),
    ]


@pytest.mark.parametrize(
    "readme",
    [
        "",
        "Say .venv/bin/tox to test.\n",
        "```\n.venv/bin/tox\n```\n\n```\n.venv/bin/tox -e lint\n```\n",
    ],
)
def test_ci_fails_when_the_readme_names_no_single_command(tmp_path: Path, readme: str) -> None:
    ended = ci_run(tmp_path, readme)
    assert ended.returncode == 1
    assert "README.md must have exactly one line" in ended.stderr


def test_ci_fails_when_the_command_does(tmp_path: Path) -> None:
    ended = ci_run(tmp_path, "```\necho .venv/bin/tox; exit 3\n```\n")
    assert ended.returncode == 3


PYENV = """case $1 in
version-name) echo 3.11.7 ;;
versions) printf '%s\n' 3.9.2 3.11.7 3.11.7/envs/x 3.12.1 3.13.0 3.14-dev pypy3.10-7 x ;;
esac
"""


def test_ci_lets_tox_find_what_pyenv_has(tmp_path: Path) -> None:
    readme = '```\n: .venv/bin/tox; echo "${PYENV_VERSION-none}"\n```\n'
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    ended = ci_run(tmp_path / "with", readme, PYENV)
    assert ended.stdout.splitlines()[-1] == "3.11.7:3.12.1:3.13.0"
    ended = ci_run(tmp_path / "without", readme)
    assert ended.stdout.splitlines()[-1] == "none"


def test_ci_says_last_which_pythons_were_not_there(tmp_path: Path) -> None:
    shown = "  py311: OK (1.0=setup[0.5]+cmd[0.5] seconds)\\n  py312: SKIP (0.00 seconds)\\n"
    shown += "  py313: SKIP (0.00 seconds)\\n  congratulations :) (2.00 seconds)\\n"
    ended = ci_run(tmp_path, f"```\nprintf '{shown}' .venv/bin/tox; exit 3\n```\n")
    last = ended.stdout.splitlines()[-1]
    assert last == ".ci/run: NOT TESTED, for there is no such Python here: py312 py313"
    assert ended.returncode == 3
