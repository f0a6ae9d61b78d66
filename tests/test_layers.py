"""Who may import whom, enforced by reading the imports of every module."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatroom

ROOT = Path(chatroom.__file__).parent

CORE = frozenset(
    {
        *("events", "room", "ledger", "mailbox", "formats", "presence", "clock", "aging"),
        *("chat", "session", "commands", "names", "limits", "history", "recall", "lookups"),
        *("times", "words", "lookalikes"),
        *(
            "mentions",
            "accounts",
            "passwords",
            "attempts",
            "registry",
            "login",
            "addressing",
            "adoption",
            "bookkeeping",
            "metrics",
        ),
        *("orders", "moderation", "cells", "styles", "flow", "waiting"),
        *("naming", "ignoring", "usage", "completion", "directory"),
        *("publickeys", "keyring", "arriving", "greeting", "model", "text", "strays", "unread"),
    }
)
#: What the core may use beside the standard library and itself.
CORE_LIBRARIES = ("zope.interface", "twisted.logger", "twisted.internet.defer", "regex", "wcwidth")

#: What the doors share.
SHARED_DOORS = frozenset(
    {
        *("outlet", "telnet", "negotiation", "subnegotiation"),
        *("intake", "door", "proxy", "keys", "editor", "screen"),
        *("conversation", "terminal", "takeover", "openings"),
        *("sshtransport", "sshauth", "sshchannel", "sshprotocol"),
    }
)

#: Doors that are another one with something before or around it.
BEYOND = {"doors.console": "doors.line"}

#: What belongs to the start of the program, and who may import it.
STARTING = {
    "service": frozenset[str](),
    "options": frozenset({"service"}),
    "listening": frozenset({"service", "options"}),
    "tls": frozenset({"service", "options"}),
    "hostkey": frozenset({"service", "options"}),
    "settings": frozenset({"options", "tls", "hostkey"}),
    "monitoring": frozenset({"service"}),
}

#: The standard library, as far as it can stand in for what the core may not have.
FORBIDDEN_STANDARD = frozenset({"asyncio", "select", "selectors", "socket", "ssl", "threading"})


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


def faults(module: str, source: str, modules: frozenset[str]) -> list[str]:
    """What *module*, named from inside the package ("doors.line"), imports against the rules.

    modules: the names of all modules of the package, named so too.
    """
    found = []
    area = module.partition(".")[0]
    package = f"chatroom.{module}".rpartition(".")[0]
    for name, top in imports(source, package):
        if within(name, "twisted.internet.reactor") and (top or module != "service"):
            found.append(f"{module} imports the reactor")
        own = name.removeprefix("chatroom.") if within(name, "chatroom") else None
        if own is not None:
            if own not in modules:
                continue
            other = own.partition(".")[0]
            if other in STARTING and other != area and area not in STARTING[other]:
                found.append(f"{module} imports {own}")
            elif area in CORE and other not in CORE:
                found.append(f"{module} of the core imports {own}")
            elif area in ("store", "monitoring") and other not in CORE | {"store", area}:
                found.append(f"{module} imports {own}")
            elif area == "doors":
                shared = other == "doors" and own.removeprefix("doors.") in SHARED_DOORS | {"doors"}
                if other not in CORE and not shared and own != BEYOND.get(module):
                    found.append(f"{module} imports {own}")
        elif area in CORE:
            library = name.partition(".")[0]
            if library in ("twisted", "zope"):
                # `from twisted.internet import defer` names its package on the way.
                on_the_way = any(allowed.startswith(f"{name}.") for allowed in CORE_LIBRARIES)
                if not on_the_way and not within(name, *CORE_LIBRARIES):
                    found.append(f"{module} of the core imports {name}")
            elif library in FORBIDDEN_STANDARD or not (
                library in STANDARD or within(name, *CORE_LIBRARIES)
            ):
                found.append(f"{module} of the core imports {name}")
        elif area == "store" and name.partition(".")[0] not in STANDARD | {"twisted"}:
            found.append(f"{module} imports {name}")
    return found


STANDARD = frozenset(sys.stdlib_module_names)

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
NAMES = frozenset(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_it_may(module: str) -> None:
    assert faults(module, MODULES[module].read_text(encoding="utf-8"), NAMES) == []


def test_every_module_of_the_core_is_there() -> None:
    assert {name.partition(".")[0] for name in NAMES} >= CORE


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("room", "from twisted.internet import reactor"),
        ("room", "def f():\n    from twisted.internet import reactor"),
        ("room", "import twisted.internet.reactor"),
        ("room", "from twisted.internet.protocol import Protocol"),
        ("room", "from twisted.internet import defer, task"),
        ("room", "import twisted.python.failure"),
        ("room", "import socket"),
        ("room", "import asyncio.events"),
        ("room", "import numpy"),
        ("room", "from chatroom.doors.outlet import Outlet"),
        ("room", "from chatroom.doors import outlet"),
        ("room", "from chatroom import settings"),
        ("room", "import chatroom.listening"),
        ("room", "if TYPE_CHECKING:\n    from chatroom.doors.line import ChatProtocol"),
        ("commands.people", "from ..doors import line"),
        ("doors.line", "from chatroom.doors.relay import RelayFactory"),
        ("doors.line", "from chatroom.doors import relay"),
        ("doors.line", "from . import relay"),
        ("doors.line", "from chatroom.service import makeService"),
        ("doors.line", "from chatroom import service"),
        ("doors.line", "import chatroom.options"),
        ("doors.line", "from chatroom.tls import Certificate"),
        ("doors.proxy", "from chatroom.doors.line import ChatFactory"),
        ("room", "from chatroom.doors.proxy import parse"),
        ("doors.line", "from twisted.internet import reactor"),
        ("doors.line", "def f():\n    from twisted.internet import reactor"),
        ("service", "from twisted.internet import reactor"),
        ("service", "class A:\n    from twisted.internet import reactor"),
        ("options", "from chatroom import service"),
        ("listening", "from chatroom.options import Options"),
        ("names", "from chatroom.listening import describe"),
        ("room", "from chatroom.store.ledger import StoredLedger"),
        ("doors.line", "from chatroom.store.store import Store"),
        ("store.store", "from chatroom.doors.line import ChatFactory"),
        ("store.store", "from chatroom.settings import OPTIONS"),
        ("store.store", "from chatroom import service"),
        ("store.store", "from twisted.internet import reactor"),
        ("store.database", "import sqlalchemy"),
        ("chat", "from chatroom.monitoring import Pages"),
        ("doors.line", "from chatroom import monitoring"),
        ("options", "from chatroom.monitoring import Pages"),
        ("room", "from prometheus_client import Counter"),
        ("monitoring", "from chatroom.doors.door import DoorFactory"),
        ("monitoring", "from chatroom.service import ChatService"),
        ("monitoring", "from chatroom.options import Options"),
        ("monitoring", "from twisted.internet import reactor"),
    ],
)
def test_a_module_that_imports_what_it_may_not_is_found(module: str, source: str) -> None:
    assert faults(module, source, NAMES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("room", "import re\nfrom collections.abc import Iterable"),
        ("room", "from twisted.logger import Logger"),
        ("room", "from twisted.internet.defer import Deferred, succeed"),
        ("room", "from twisted.internet import defer"),
        ("room", "from zope.interface import Interface"),
        ("room", "import zope.interface"),
        ("names", "import regex\nimport wcwidth"),
        ("room", "from chatroom import names\nfrom chatroom.names import fold"),
        ("chat", "if TYPE_CHECKING:\n    from chatroom.session import Session"),
        ("doors.line", "from chatroom.doors.outlet import Outlet\nfrom . import telnet"),
        ("doors.line", "from twisted.protocols.basic import LineReceiver\nimport socket"),
        ("doors.line", "from chatroom.session import Session"),
        ("store.store", "from chatroom.ledger import Entry\nimport sqlite3, threading"),
        ("options", "from chatroom.store.folder import Folder"),
        ("service", "from chatroom.doors.line import ChatFactory\nimport chatroom.options"),
        ("service", "def makeService():\n    from twisted.internet import reactor"),
        ("options", "from chatroom import __version__, listening, settings"),
        ("monitoring", "from chatroom.chat import Chat\nfrom twisted.web.server import Site"),
        ("service", "def f():\n    from chatroom.monitoring import MonitoringService"),
    ],
)
def test_a_module_that_imports_what_it_may_is_not_blamed(module: str, source: str) -> None:
    assert faults(module, source, NAMES) == []
