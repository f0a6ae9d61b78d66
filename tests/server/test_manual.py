"""The manual says of each option what the program says."""

from pathlib import Path

from chatroom.server.settings import OPTIONS, Option

PAGE = Path(__file__).parents[2] / "docs" / "options.md"

HEAD = """\
# Options

Every option, its default, and what it is for. In the file of `--config` they have the same names,
without the dashes before them. The command line wins.

| option | default | what it is for |
|---|---|---|
"""


def row(option: Option) -> str:
    """What the page has of *option*."""
    default = f"{option.default:g}" if isinstance(option.default, float) else option.default
    shown = "" if default in ("", ()) else f"`{default}`"
    return f"| `--{option.name}` | {shown} | {option.help} |\n"


def test_the_page_of_options_is_that_of_the_program() -> None:
    assert PAGE.read_text(encoding="utf-8") == HEAD + "".join(map(row, OPTIONS))
