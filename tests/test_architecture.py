"""The documents about the code: their links lead somewhere, and what they name exists."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.test_layers import MAY_IMPORT

ROOT = Path(__file__).parent.parent
CODE = ROOT / "chatroom"
PICTURES = ROOT / "docs" / "pictures"

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]

#: A file or folder of the code, and perhaps what is defined there: `chat/chat.py: submit`.
FILE = re.compile(r"`(\w+(?:/\w+)*/(?:\w+\.py)?)(?:: (\w+))?`")

#: A member of a class: `NameClaims.take`.
MEMBER = re.compile(r"`([A-Z][a-z]\w*)\.([a-z]\w*)`")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """The text of *page* without its blocks of code."""
    return re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def anchors(page: Path) -> set[str]:
    """What links to headings of *page* may end with, as GitHub makes it of them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defines(text: str, name: str) -> bool:
    return re.search(rf"\b(?:def|class) {name}\b", text) is not None


def find(name: str) -> Path | None:
    """The file or folder that a document calls *name*."""
    places = [ROOT / name, CODE / name, *CODE.glob(f"*/{name}")]
    return next((place for place in places if place.exists()), None)


def pictures() -> dict[str, Any]:
    return runpy.run_path(str(PICTURES / "draw.py"))


def described() -> list[Any]:
    found: list[Any] = pictures()["read"]((PICTURES / "ways.txt").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            linked = (page.parent / name) if name else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"])
def test_what_is_named_is_there(name: str) -> None:
    text = prose(ROOT / name)
    files = FILE.findall(text)
    assert len(files) > 15
    for file, defined in files:
        found = find(file)
        assert found is not None, file
        assert not defined or defines(found.read_text(encoding="utf-8"), defined), (
            f"{file}: {defined}"
        )
    sources = [path.read_text(encoding="utf-8") for path in CODE.rglob("*.py")]
    for owner, member in MEMBER.findall(text):
        having = [source for source in sources if defines(source, owner)]
        assert any(defines(source, member) for source in having), f"{owner}.{member}"


def test_the_picture_is_made_from_its_description() -> None:
    assert pictures()["draw"](described()) == (PICTURES / "ways.svg").read_text(encoding="utf-8")


def test_what_stands_in_the_picture_is_in_the_code() -> None:
    for picture in described():
        for box in picture.boxes.values():
            if box.file:
                text = (CODE / box.package / box.file).read_text(encoding="utf-8")
                for name in re.findall(r"\w+", box.name):
                    assert defines(text, name), f"{box.package}/{box.file}: {name}"


def test_what_stands_in_the_picture_fits_into_its_boxes() -> None:
    for picture in described():
        for box in picture.boxes.values():
            assert len(box.name) <= 24
            assert max(len(box.file), len(box.note)) <= 26


def test_the_packages_of_the_picture_stand_in_their_order() -> None:
    order = [*MAY_IMPORT, "clients"]
    for picture in described():
        lanes = [order.index(package) for package, _ in picture.lanes]
        assert lanes == sorted(lanes, reverse=True)


def test_the_packages_stand_in_their_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text[text.index("## The packages") : text.index("## Four ways")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(MAY_IMPORT)
