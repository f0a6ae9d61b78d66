"""Plots as SVG, written by hand so that a newcomer needs no plotting library.

The rule: both axes are logarithmic, every line is named at its end, and the colours are told
apart by the colour-blind (Okabe and Ito's palette).
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
    """Move labels down just enough that none covers another; keeps their order."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + LABEL_GAP) if placed else height)
    return placed


def svg(title: str, y_title: str, series: dict[str, Points], x_title: str = "clients") -> str:
    """One plot: a line per series. Values must be above 0; an empty series is left out."""
    series = {name: points for name, points in series.items() if points}
    xs = [x for points in series.values() for x in points]
    ys = [y for points in series.values() for y in points.values()]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    y_low, y_high = _decades(ys)

    def px(x: float) -> float:
        return LEFT + (math.log10(x) - x_low) / ((x_high - x_low) or 1) * (WIDTH - LEFT - RIGHT)

    def py(y: float) -> float:
        return (
            HEIGHT - BOTTOM - (math.log10(y) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        )

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="28" font-size="17">{escape(title)}</text>',
    ]
    for exponent in range(y_low, y_high + 1):
        for step in (1, 2, 5):
            value = step * 10.0**exponent
            if value > 10.0**y_high:
                break
            y = py(value)
            shade = "#c8c8c8" if step == 1 else "#ececec"
            out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{shade}"/>')
            out.append(
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                f'fill="{"#222222" if step == 1 else "#888888"}">{_number(value)}</text>'
            )
    for x in sorted(set(xs)):
        out.append(
            f'<path d="M{px(x):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ececec"/>'
            f'<text x="{px(x):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{x:,.0f}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(
        f'<text x="{middle}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x_title)}</text>'
    )
    out.append(
        f'<text x="18" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 18 {HEIGHT / 2})">{escape(y_title)}</text>'
    )
    ends = []
    for (name, points), colour in zip(series.items(), COLOURS * 2, strict=False):
        path = sorted(points.items())
        line = "L".join(f"{px(x):.1f} {py(y):.1f}" for x, y in path)
        width = 3 if name == "chatroom" else 1.8
        out.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        out += [
            f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in path
        ]
        ends.append((py(path[-1][1]), px(path[-1][0]), name, colour))
    ends.sort()
    for (y, x, name, colour), label in zip(ends, _spread([e[0] for e in ends]), strict=True):
        edge = WIDTH - RIGHT + 14
        out.append(
            f'<path d="M{x + 5:.1f} {y:.1f}L{edge} {label:.1f}" stroke="{colour}" '
            f'stroke-dasharray="2 3"/>'
            f'<text x="{edge + 4}" y="{label + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        )
    out.append("</svg>\n")
    return "\n".join(out)
