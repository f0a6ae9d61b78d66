"""Draws ways.svg from ways.txt: ``python docs/pictures/draw.py``."""

from html import escape
from pathlib import Path

HERE = Path(__file__).parent

WIDTH, COLUMN, GAP = 900, 435, 30
TOP, BOX, STEP = 56, 52, 74

STYLE = """
text { font-family: system-ui, sans-serif; font-size: 13px; fill: #1f2328 }
.head { font-size: 18px; font-weight: 600 }
.package { font-weight: 600; fill: #0550ae }
.file { font-family: ui-monospace, monospace; font-size: 12.5px }
.note { fill: #59636e }
rect { fill: #f6f8fa; stroke: #8c959f }
path { stroke: #59636e; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .package { fill: #79c0ff } .note { fill: #9198a1 }
  rect { fill: #161b22; stroke: #656c76 } path { stroke: #9198a1 }
}
"""


def read(text: str) -> dict[str, list[tuple[str, str, str]]]:
    """Return the boxes of each way by its heading."""
    ways: dict[str, list[tuple[str, str, str]]] = {}
    heading = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 3:
            ways[heading].append((parts[0], parts[1], parts[2]))
        else:
            heading = line
            ways[heading] = []
    return ways


def draw(ways: dict[str, list[tuple[str, str, str]]]) -> str:
    """Return the picture: one column for each way."""
    height = TOP + STEP * max(map(len, ways.values()))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(' and '.join(ways))}, from file to file</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8"/></marker></defs>',
    ]
    for column, (heading, boxes) in enumerate(ways.items()):
        x = column * (COLUMN + GAP)
        out.append(f'<text class="head" x="{x + 2}" y="30">{escape(heading)}</text>')
        for row, (package, file, note) in enumerate(boxes):
            y = TOP + row * STEP
            out += [
                f'<rect x="{x + 1}" y="{y}" width="{COLUMN - 2}" height="{BOX}" rx="6"/>',
                f'<text x="{x + 14}" y="{y + 21}"><tspan class="package">{escape(package)}</tspan>'
                f'<tspan class="file" dx="8">{escape(file)}</tspan></text>',
                f'<text class="note" x="{x + 14}" y="{y + 41}">{escape(note)}</text>',
            ]
            if row:
                middle = x + COLUMN // 2
                out.append(
                    f'<path d="M{middle} {y - STEP + BOX + 2}V{y - 3}" marker-end="url(#tip)"/>'
                )
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    (HERE / "ways.svg").write_text(draw(read((HERE / "ways.txt").read_text())))
