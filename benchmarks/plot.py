"""Plots as SVG, drawn without a plotting library.

Both axes are logarithmic, every line has its name at its end, and the colours can be told apart by
the colour-blind (Okabe and Ito's palette).
"""

from __future__ import annotations

import math
from html import escape

WIDTH, HEIGHT = 820, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 250, 50, 60
COLOURS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#999999", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
LABEL_GAP = 17

Points = dict[float, float]


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _number(value: float) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _spread(heights: list[float]) -> list[float]:
    """Return the heights of labels, moved down so that none covers another."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + LABEL_GAP) if placed else height)
    return placed


class _Scale:
    """Maps values to pixels; both axes are logarithmic."""

    def __init__(self, series: dict[str, Points]) -> None:
        self.xs = sorted({x for points in series.values() for x in points})
        ys = [y for points in series.values() for y in points.values()]
        self._x_low, self._x_high = math.log10(self.xs[0]), math.log10(self.xs[-1])
        self.y_low, self.y_high = _decades(ys)

    def x(self, value: float) -> float:
        part = (math.log10(value) - self._x_low) / ((self._x_high - self._x_low) or 1)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        part = (math.log10(value) - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _grid(scale: _Scale) -> list[str]:
    """Return the lines of the grid, with the numbers of both axes."""
    out = []
    for exponent in range(scale.y_low, scale.y_high + 1):
        for step in (1, 2, 5):
            value = step * 10.0**exponent
            if value > 10.0**scale.y_high:
                break
            y = scale.y(value)
            shade = "#c8c8c8" if step == 1 else "#ececec"
            out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{shade}"/>')
            out.append(
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                f'fill="{"#222222" if step == 1 else "#888888"}">{_number(value)}</text>'
            )
    for value in scale.xs:
        x = scale.x(value)
        out.append(
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ececec"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:,.0f}</text>'
        )
    return out


def _titles(x_title: str, y_title: str) -> list[str]:
    """Return the titles of both axes."""
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        f'<text x="{middle}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text x="18" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 18 {HEIGHT / 2})">{escape(y_title)}</text>',
    ]


def _curves(scale: _Scale, series: dict[str, Points]) -> list[str]:
    """Return the lines of all series, and their names at the ends."""
    out = []
    ends = []
    for (name, points), colour in zip(series.items(), COLOURS * 2, strict=False):
        path = [(scale.x(x), scale.y(y)) for x, y in sorted(points.items())]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in path)
        width = 3 if name == "chatroom" else 1.8
        out.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in path]
        x, y = path[-1]
        ends.append((y, x, name, colour))
    ends.sort()
    for (y, x, name, colour), label in zip(ends, _spread([e[0] for e in ends]), strict=True):
        edge = WIDTH - RIGHT + 14
        out.append(
            f'<path d="M{x + 5:.1f} {y:.1f}L{edge} {label:.1f}" stroke="{colour}" '
            f'stroke-dasharray="2 3"/>'
            f'<text x="{edge + 4}" y="{label + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        )
    return out


def svg(title: str, y_title: str, series: dict[str, Points], x_title: str = "clients") -> str:
    """Return a plot with a line for each series that has points. Values must be above 0."""
    series = {name: points for name, points in series.items() if points}
    scale = _Scale(series)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="28" font-size="17">{escape(title)}</text>',
            *_grid(scale),
            *_titles(x_title, y_title),
            *_curves(scale, series),
            "</svg>\n",
        ]
    )
