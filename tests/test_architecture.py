"""The documents about the code: their picture is what it is made from, their files exist."""

import re
import runpy
from pathlib import Path

import pytest

from test_layers import MAY_IMPORT

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_the_picture_is_made_from_its_description() -> None:
    drawing = runpy.run_path(str(DOCS / "pictures" / "draw.py"))
    ways = drawing["read"]((DOCS / "pictures" / "ways.txt").read_text())
    assert drawing["draw"](ways) == (DOCS / "pictures" / "ways.svg").read_text()


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md"])
def test_the_files_that_are_named_are_there(page: str) -> None:
    text = (DOCS / page).read_text()
    names = re.findall(r"`(\w+(?:/\w+)*/\w*\.py|\w+/)(?:: (\w+))?`", text)
    assert len(names) > 15
    for name, function in names:
        where = next(
            (base / name for base in (ROOT, ROOT / "chatroom") if (base / name).exists()), None
        )
        where = where or next(iter((ROOT / "chatroom").glob(f"*/{name}")), None)
        assert where is not None, name
        assert not function or re.search(rf"(def|class) {function}\b", where.read_text()), function


def test_what_stands_in_the_picture_is_in_the_code() -> None:
    drawing = runpy.run_path(str(DOCS / "pictures" / "draw.py"))
    for boxes in drawing["read"]((DOCS / "pictures" / "ways.txt").read_text()).values():
        for package, label, _ in boxes:
            folder = ROOT / "chatroom" / package
            files, _, functions = label.rpartition(": ") if ".py:" in label else (label, "", "")
            for file in re.findall(r"\w+\.py", files):
                text = (folder / file).read_text()
                for name in re.findall(r"\w+", functions):
                    assert re.search(rf"(def|class) {name}\b", text), f"{file}: {name}"


def test_the_packages_stand_in_their_order() -> None:
    text = (DOCS / "architecture.md").read_text()
    table = text[text.index("## The packages") : text.index("## Four ways")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(MAY_IMPORT)
