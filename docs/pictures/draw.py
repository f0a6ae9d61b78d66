"""Draw ways.svg from ways.txt: ``python docs/pictures/draw.py``."""

from html import escape
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

# In pixels. ROW and COLUMN are the distances of boxes, WIDTH is that of the picture.
WIDTH, MARGIN, COLUMN, ROW, HEAD = 900, 84, 203, 82, 46
BOX_WIDTH, BOX_HEIGHT = 180, 60

STYLE = """
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2328 }
.head { font-size: 17px; font-weight: 600 }
.package { font-size: 13px; font-weight: 600; fill: #0550ae }
.name { font-family: ui-monospace, monospace; font-size: 12px; font-weight: 700 }
.file { font-family: ui-monospace, monospace; font-size: 11px; fill: #59636e }
.sheet { fill: #ffffff }
.lane { fill: #f6f8fa }
.box { fill: #ffffff; stroke: #8c959f }
.client { fill: #ddf4ff; stroke: #54aeff }
.arrow { stroke: #59636e; stroke-width: 1.3; fill: none }
.tip { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .package { fill: #79c0ff } .file { fill: #9198a1 }
  .sheet { fill: #0d1117 } .lane { fill: #161b22 } .box { fill: #0d1117; stroke: #656c76 }
  .client { fill: #0c2d4d; stroke: #316dca } .arrow { stroke: #9198a1 } .tip { fill: #9198a1 }
}
"""

#: Ends of arrows: at the end, and at the beginning of those that go both ways.
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
)


class Box(NamedTuple):
    """A box.

    column: counted from 0.
    row: counted from 0 over all lanes of the picture.
    """

    package: str
    column: int
    row: int
    name: str
    file: str
    note: str

    @property
    def x(self) -> int:
        """The middle."""
        return MARGIN + self.column * COLUMN + COLUMN // 2

    @property
    def y(self) -> int:
        """The middle, from the top of the picture's lanes."""
        return self.row * ROW + ROW // 2


class Picture(NamedTuple):
    """A picture.

    lanes: the packages, each with its number of rows.
    boxes: by their keys in ways.txt.
    arrows: from a box, of a kind, to a box.
    """

    title: str
    lanes: list[tuple[str, int]]
    boxes: dict[str, Box]
    arrows: list[tuple[str, str, str]]


def read(text: str) -> list[Picture]:
    """Return the pictures that *text* describes; ways.txt says how."""
    pictures: list[Picture] = []
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if not line or mark == "#":
            continue
        if mark == "==":
            pictures.append(Picture(rest, [], {}, []))
        elif mark == "--":
            package, _, rows = rest.partition(" ")
            pictures[-1].lanes.append((package, int(rows or 1)))
        elif mark == ">":
            start, kind, end = rest.split()
            pictures[-1].arrows.append((start, kind, end))
        else:
            lanes, boxes = pictures[-1].lanes, pictures[-1].boxes
            place, name, file, note = (part.strip() for part in rest.split("|"))
            column, _, row = place.partition(".")
            above = sum(rows for _, rows in lanes[:-1])
            at = above + int(row or 1) - 1
            boxes[mark] = Box(lanes[-1][0], int(column) - 1, at, name, file, note)
    return pictures


def path(start: Box, kind: str, end: Box) -> str:
    """Return the way of an arrow, from the edge of one box to that of another."""
    right = 1 if end.column > start.column else -1
    down = 1 if end.row > start.row else -1
    half_width, half_height = BOX_WIDTH // 2, BOX_HEIGHT // 2
    sideways = kind == "-|" or (kind != "|-" and start.row == end.row)
    upright = kind == "-|" or (kind != "|-" and start.column == end.column)
    begin = (
        f"M{start.x + right * half_width} {start.y}"
        if sideways
        else f"M{start.x} {start.y + down * half_height}"
    )
    corner = {"-|": f"H{end.x}", "|-": f"V{end.y}"}.get(kind, "")
    finish = (
        f"V{end.y - down * (half_height + 2)}"
        if upright
        else f"H{end.x - right * (half_width + 2)}"
    )
    return begin + corner + finish


def draw_box(box: Box) -> list[str]:
    """Return the elements of one box."""
    kind = "box" if box.file else "client"
    lines = [("name", box.name), ("file", box.file), ("note", box.note)]
    lines = [(style, text) for style, text in lines if text]
    first = box.y - 8 * len(lines) + 12
    return [
        f'<rect class="{kind}" x="{box.x - BOX_WIDTH // 2}" y="{box.y - BOX_HEIGHT // 2}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>',
        *(
            f'<text class="{style}" x="{box.x}" y="{first + 17 * at}" text-anchor="middle">'
            f"{escape(text)}</text>"
            for at, (style, text) in enumerate(lines)
        ),
    ]


def draw_one(picture: Picture, top: int) -> list[str]:
    """Return the elements of one picture, which begins *top* pixels from the top."""
    out = [
        f'<text class="head" x="8" y="{top + 29}">{escape(picture.title)}</text>',
        f'<g transform="translate(0 {top + HEAD})">',
    ]
    row = 0
    for package, rows in picture.lanes:
        out += [
            f'<rect class="lane" y="{row * ROW + 2}" width="{WIDTH}" height="{rows * ROW - 4}"/>',
            f'<text class="package" x="8" y="{row * ROW + ROW // 2 + 4}">{escape(package)}</text>',
        ]
        row += rows
    for start, kind, end in picture.arrows:
        both = ' marker-start="url(#tip)"' if kind == "<->" else ""
        way = path(picture.boxes[start], kind, picture.boxes[end])
        out.append(f'<path class="arrow" d="{way}" marker-end="url(#tip)"{both}/>')
    for box in picture.boxes.values():
        out += draw_box(box)
    return [*out, "</g>"]


def draw(pictures: list[Picture]) -> str:
    """Return the SVG, the pictures one under the other."""
    body: list[str] = []
    top = 0
    for picture in pictures:
        body += draw_one(picture, top)
        top += HEAD + ROW * sum(rows for _, rows in picture.lanes)
    height = top + 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape('; '.join(picture.title for picture in pictures))}</title>",
            f"<style>{STYLE}</style>",
            TIP,
            f'<rect class="sheet" width="{WIDTH}" height="{height}"/>',
            *body,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    described = (HERE / "ways.txt").read_text(encoding="utf-8")
    (HERE / "ways.svg").write_text(draw(read(described)), encoding="utf-8")
