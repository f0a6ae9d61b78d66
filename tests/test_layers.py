"""Who may import whom: the imports of every module are read, those for types included."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import chatroom

ROOT = Path(chatroom.__file__).parent

#: The packages from the lowest to the highest, each with those that it may import besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "text": set(),
    "model": {"text"},
    "formats": {"model", "text"},
    "backends": {"model", "text"},
    "terminal": {"formats", "model", "text"},
    "accounts": {"backends", "model", "text"},
    "chat": {"accounts", "backends", "formats", "model", "text"},
    "actions": {"chat", "accounts", "backends", "formats", "model", "text"},
    "commands": {"actions", "chat", "accounts", "formats", "model", "text"},
    "doors": {"commands", "terminal", "actions", "chat", "formats", "model", "text"},
    "server": {
        *("doors", "commands", "terminal", "actions", "chat", "accounts", "backends"),
        *("formats", "model", "text"),
    },
}

#: What runs without a reactor, a socket or a thread of its own, and what it may use for that.
CORE = {"text", "model", "formats", "terminal", "accounts", "chat", "actions", "commands"}
CORE_LIBRARIES = ("zope.interface", "twisted.logger", "twisted.internet.defer", "regex", "wcwidth")
CORE_FORBIDS = {"asyncio", "select", "selectors", "socket", "ssl", "threading"}

#: Folders inside of a package that may not import one another, and what is shared by them.
APART = {"doors": {"lines"}, "backends": set[str]()}

#: The files that import one another in a circle: without these there is none.
CIRCLE = frozenset({"chat.connection"})

TESTS = Path(__file__).parent

STANDARD = frozenset(sys.stdlib_module_names)


def imports(source: str, package: str) -> Iterator[tuple[str, bool]]:
    """The full names that *source*, a module of *package*, imports, and whether at its top.

    `from a import b` is both `a` and `a.b`, since b may be a module.
    """
    tree = ast.parse(source)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, functions)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        top = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, top
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            yield base, top
            for alias in node.names:
                yield f"{base}.{alias.name}", top


def within(name: str, *packages: str) -> bool:
    """Whether *name* is one of *packages* or in one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def package_of(module: str) -> str:
    """The package that *module*, named from inside of chatroom ("doors.relay"), is in."""
    return module.partition(".")[0]


def folder_of(module: str) -> str:
    """The folder inside of its package that *module* is in; empty for none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


def own_imports(module: str, source: str, modules: frozenset[str]) -> set[str]:
    """The modules of chatroom that *module* imports."""
    package = f"chatroom.{module}".rpartition(".")[0]
    names = {name.removeprefix("chatroom.") for name, _ in imports(source, package)}
    return (names & modules) - {module}


def faults(module: str, source: str, modules: frozenset[str]) -> list[str]:
    """What *module* imports against the rules. modules: all that there are."""
    found = []
    package = package_of(module)
    if package not in MAY_IMPORT:
        # What is in no package starts the program.
        return []
    for own in own_imports(module, source, modules):
        other = package_of(own)
        allowed = other == package or other in MAY_IMPORT[package]
        mine, theirs = folder_of(module), folder_of(own)
        if other == package and package in APART and mine and theirs and mine != theirs:
            allowed = theirs in APART[package]
        if not allowed:
            found.append(f"{module} imports {own}")
    for name, top in imports(source, f"chatroom.{module}".rpartition(".")[0]):
        if within(name, "chatroom"):
            continue
        if within(name, "twisted.internet.reactor") and (top or package != "server"):
            found.append(f"{module} imports the reactor")
        if package in CORE and not _core_may_use(name):
            found.append(f"{module} of the core imports {name}")
        if package == "backends" and name.partition(".")[0] not in STANDARD | {"twisted", "zope"}:
            found.append(f"{module} imports {name}")
    return found


def _core_may_use(name: str) -> bool:
    library = name.partition(".")[0]
    if library in STANDARD:
        return library not in CORE_FORBIDS
    # `from twisted.internet import defer` names its package on the way.
    on_the_way = any(allowed.startswith(f"{name}.") for allowed in CORE_LIBRARIES)
    return on_the_way or within(name, *CORE_LIBRARIES)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, the first of them last as well; none if there is none."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
NAMES = frozenset(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_it_may(module: str) -> None:
    assert faults(module, MODULES[module].read_text(encoding="utf-8"), NAMES) == []


def test_every_package_has_its_row_and_says_what_is_in_it() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)
    for path in ROOT.rglob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_the_folders_of_tests_are_those_of_the_packages() -> None:
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    assert folders == set(MAY_IMPORT)


def test_tests_in_folders_import_no_other_tests() -> None:
    for path in TESTS.glob("*/**/*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"^ *from tests\.\S*\btest_\w+ import", text, re.MULTILINE), path


def test_no_import_runs_back_up() -> None:
    lower: list[str] = []
    for package, allowed in MAY_IMPORT.items():
        assert allowed <= set(lower), package
        lower.append(package)


def test_files_do_not_import_one_another_in_a_circle() -> None:
    graph = {
        module: own_imports(module, path.read_text(encoding="utf-8"), NAMES)
        for module, path in MODULES.items()
    }
    assert circle({m: found for m, found in graph.items() if m not in CIRCLE}) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("chat.room", "from twisted.internet import reactor"),
        ("chat.room", "def f():\n    from twisted.internet import reactor"),
        ("chat.room", "import twisted.internet.reactor"),
        ("chat.room", "from twisted.internet.protocol import Protocol"),
        ("chat.room", "from twisted.internet import defer, task"),
        ("chat.room", "import twisted.python.failure"),
        ("chat.room", "import socket"),
        ("chat.room", "import asyncio.events"),
        ("chat.room", "import numpy"),
        ("chat.room", "from chatroom.doors.writer import Writer"),
        ("chat.room", "from chatroom.doors import writer"),
        ("chat.room", "from chatroom.server import settings"),
        ("chat.room", "import chatroom.server.endpoints"),
        ("chat.room", "from chatroom.actions import greeting"),
        ("chat.room", "if TYPE_CHECKING:\n    from chatroom.doors.relay import RelayProtocol"),
        ("chat.room", "from ..doors import relay"),
        ("text.names", "from chatroom.model.events import Event"),
        ("model.events", "from chatroom.formats.plain import PLAIN"),
        ("formats.plain", "from chatroom.chat.room import Room"),
        ("terminal.screen", "from chatroom.chat.connection import Connection"),
        ("actions.greeting", "from chatroom.commands import COMMANDS"),
        ("commands.people", "from ..doors import relay"),
        ("commands.people", "from chatroom.backends.memory import MemoryLedger"),
        ("doors.relay", "from chatroom.backends.sqlite.store import Store"),
        ("doors.relay", "from chatroom.server.service import makeService"),
        ("doors.relay", "from chatroom.server import service"),
        ("doors.relay", "from twisted.internet import reactor"),
        ("doors.relay", "def f():\n    from twisted.internet import reactor"),
        ("doors.telnet.protocol", "from chatroom.doors.ssh.auth import known_key"),
        ("doors.telnet.protocol", "from chatroom.doors.ssh import auth"),
        ("doors.lines.protocol", "from chatroom.doors.telnet import parser"),
        ("backends.sqlite.store", "from chatroom.doors.relay import RelayFactory"),
        ("backends.sqlite.store", "from chatroom.server.settings import OPTIONS"),
        ("backends.sqlite.store", "from chatroom.chat.room import Room"),
        ("backends.sqlite.store", "from twisted.internet import reactor"),
        ("backends.sqlite.database", "import sqlalchemy"),
        ("chat.room", "from prometheus_client import Counter"),
        ("server.service", "from twisted.internet import reactor"),
        ("server.service", "class A:\n    from twisted.internet import reactor"),
    ],
)
def test_a_module_that_imports_what_it_may_not_is_found(module: str, source: str) -> None:
    assert faults(module, source, NAMES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("chat.room", "import re\nfrom collections.abc import Iterable"),
        ("chat.room", "from twisted.logger import Logger"),
        ("chat.room", "from twisted.internet.defer import Deferred, succeed"),
        ("chat.room", "from twisted.internet import defer"),
        ("chat.room", "from zope.interface import Interface"),
        ("chat.room", "import zope.interface"),
        ("text.names", "import regex\nimport wcwidth"),
        ("chat.room", "from chatroom.text import names\nfrom chatroom.text.names import fold"),
        ("chat.room", "from chatroom.chat.sendqueue import SendQueue"),
        ("doors.relay", "from chatroom.doors.writer import Writer\nfrom . import factory"),
        ("doors.relay", "from twisted.protocols.basic import LineReceiver\nimport socket"),
        ("doors.telnet.protocol", "from chatroom.doors.lines.protocol import Conversation"),
        ("doors.telnet.protocol", "from chatroom.chat.connection import Connection"),
        (
            "backends.sqlite.store",
            "from chatroom.model import entry\nimport sqlite3, threading",
        ),
        ("server.options", "from chatroom.backends.sqlite.directory import Folder"),
        ("server.service", "def makeService():\n    from twisted.internet import reactor"),
        (
            "server.options",
            "from chatroom import __version__\nfrom . import settings",
        ),
    ],
)
def test_a_module_that_imports_what_it_may_is_not_blamed(module: str, source: str) -> None:
    assert faults(module, source, NAMES) == []
