"""Each refusal names a code, so that a client can answer it in words or numbers of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import chatroom
from chatroom.model.refused import Code, Refused

ROOT = Path(chatroom.__file__).parent

#: The refusals, by how they are called.
REFUSALS = {"Refused", "Unknown"}


def _refusals(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield each call in *tree* that makes a refusal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
            yield node


def _code(call: ast.Call) -> str | None:
    """Return the name of the code in *call*, or None if it names none."""
    match call.args:
        case [ast.Attribute(value=ast.Name(id="Code"), attr=code), _, *_]:
            return code
    return None


def _codes(tree: ast.AST) -> list[tuple[str | None, int]]:
    return [(_code(call), call.lineno) for call in _refusals(tree)]


def test_each_refusal_names_a_code_and_each_code_is_used() -> None:
    used = set()
    for path in sorted(ROOT.rglob("*.py")):
        for code, line in _codes(ast.parse(path.read_text("utf-8"))):
            assert code is not None, f"{path}:{line} names no code"
            used.add(code)
    assert used == set(Code.__members__)


def test_a_refusal_without_a_code_is_found() -> None:
    for source in ('Refused("No.")', "Refused(why)", 'Refused(code, "No.")', "Refused(Code.GONE)"):
        assert _codes(ast.parse(source)) == [(None, 1)]


def test_a_refusal_is_its_sentences_as_a_string() -> None:
    refusal = Refused(Code.MUTED, "You are muted.")
    assert str(refusal) == "You are muted."
    assert refusal.code == "muted"
