"""What the SSH door takes of Conch by private names: Conch has it, and one module takes it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.conch.ssh import channel, connection, service, transport
from twisted.internet.testing import StringTransport

from chatroom.doors.ssh import conch
from tests.support.sshclient import HOST_KEY

CONCH: list[ModuleType] = [channel, connection, service, transport]

#: The door's other modules.
OTHERS = sorted(set(Path(conch.__file__).parent.glob("*.py")) - {Path(conch.__file__)})

#: The classes of the door's module, each with the one of Conch's that it is based on.
CLASSES: list[type[Any]] = [
    each
    for _, each in inspect.getmembers(conch, inspect.isclass)
    if each.__module__ == conch.__name__ and each is not conch.Silent
]


def private_names(tree: ast.AST) -> set[str]:
    """The private names that are defined in *tree*, or are those of some object."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if re.match(r"_[^_]", name)}


def names_of_conch() -> set[str]:
    return set().union(*(private_names(ast.parse(inspect.getsource(each))) for each in CONCH))


def base_of(door: type[Any]) -> type[Any]:
    base: type[Any]
    (base,) = door.__bases__
    return base


@pytest.mark.parametrize("door", CLASSES)
def test_conch_has_what_the_door_takes_of_it_by_private_names(door: type[Any]) -> None:
    names = private_names(ast.parse(inspect.getsource(door)))
    assert names
    assert not {name for name in names if not hasattr(base_of(door), name)}


@pytest.mark.parametrize("name", ["_getHostKeys", "_keySetup"])
def test_conch_calls_what_the_door_overrides(name: str) -> None:
    assert name in vars(conch.ConchTransport)
    assert f"self.{name}(" in inspect.getsource(transport)


def test_while_keys_are_agreed_on_conch_sends_only_what_belongs_to_that() -> None:
    server: Any = conch.ConchTransport()
    server.supportedPublicKeys = [b"ssh-ed25519"]
    server.host_key = HOST_KEY
    assert not server.exchanging
    server.makeConnection(StringTransport())
    assert server.exchanging
    assert server.is_of_exchange(transport.MSG_NEWKEYS)
    assert not server.is_of_exchange(connection.MSG_CHANNEL_DATA)
    assert server.put_off(connection.MSG_CHANNEL_DATA, b"x") == 1
    assert server.put_off(connection.MSG_CHANNEL_DATA, b"x") == 2


@pytest.mark.parametrize("module", OTHERS, ids=lambda path: path.stem)
def test_no_other_module_uses_a_private_name_of_conch(module: Path) -> None:
    names = private_names(ast.parse(module.read_text(encoding="utf-8")))
    assert not names & names_of_conch()
