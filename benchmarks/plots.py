"""Line plots as plain SVG, for the growth figures in the documentation. Pure: values in, text out. Used by `growth`.

By hand rather than by a library: plotly, which the report uses, makes still images only with a browser beside it, and
matplotlib would be 30 MB of development dependencies for a few polylines. Both axes may be logarithmic. The colours
read on white and on dark pages, and each line is named at its end, so that none is told by its colour alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Line", "Plot", "svg", "ticks"]

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 96, 34, 44
COLOURS = ("#2f7ed8", "#c8553d", "#3a9d5d", "#8a63c9")
INK, GRID = "#777777", "#99999955"


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; points in the order of x."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One plot. `goal`: a dashed line at that height."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    log_x: bool = True
    log_y: bool = False
    goal: float | None = None


def ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`: powers of ten, or 1, 2, 5 times one."""
    if log:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    rough = max(high - low, 1e-12) / 4
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    begin, end = math.floor(low / step), math.ceil(high / step - 1e-9)
    return [number * step for number in range(begin, max(end, begin + 1) + 1)]


def label(value: float) -> str:
    """A short number: 500, 20k, 10M, 0.2."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


class _Axis:
    """Where a value lies on an axis."""

    def __init__(self, marks: list[float], begin: float, end: float, *, log: bool) -> None:
        self._log = log
        self._low, self._high = (self._of(mark) for mark in (marks[0], marks[-1]))
        self._begin, self._end = begin, end

    def _of(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def at(self, value: float) -> float:
        """Its place in the picture."""
        share = (self._of(value) - self._low) / (self._high - self._low)
        return round(self._begin + share * (self._end - self._begin), 1)


def svg(plot: Plot) -> str:
    """The picture."""
    xs = [x for line in plot.lines for x, _ in line.points]
    ys = [y for line in plot.lines for _, y in line.points] + ([plot.goal] if plot.goal is not None else [])
    x_marks = ticks(min(xs), max(xs), log=plot.log_x)
    y_marks = ticks(min(ys) if plot.log_y else 0.0, max(ys), log=plot.log_y)
    across = _Axis(x_marks, LEFT, WIDTH - RIGHT, log=plot.log_x)
    up = _Axis(y_marks, HEIGHT - BOTTOM, TOP, log=plot.log_y)
    right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="11" role="img">'
    )
    parts = [
        head,
        f"<title>{escape(plot.title)}</title>",
        _text(LEFT, 16, plot.title, size=13),
        _text((LEFT + right) / 2, HEIGHT - 8, plot.x, anchor="middle"),
        _text(14, (TOP + foot) / 2, plot.y, anchor="middle", turned=True),
    ]
    for mark in y_marks:
        y = up.at(mark)
        parts += [
            f'<path d="M{LEFT} {y}H{right}" stroke="{GRID}"/>',
            _text(LEFT - 6, y + 4, label(mark), anchor="end"),
        ]
    for mark in x_marks:
        x = across.at(mark)
        parts += [
            f'<path d="M{x} {foot}v5" stroke="{INK}"/>',
            _text(x, foot + 17, label(mark), anchor="middle"),
        ]
    if plot.goal is not None:
        y = up.at(plot.goal)
        parts += [
            f'<path d="M{LEFT} {y}H{right}" stroke="{INK}" stroke-dasharray="5 4"/>',
            _text(right + 4, y + 4, f"goal {label(plot.goal)}"),
        ]
    names = _apart([up.at(line.points[-1][1]) for line in plot.lines], up, plot.goal)
    for line, colour, y in zip(plot.lines, COLOURS, names, strict=False):
        places = [(across.at(x), up.at(value)) for x, value in line.points]
        path = " ".join(f"{x},{height}" for x, height in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{height}" r="3" fill="{colour}"/>' for x, height in places]
        parts.append(_text(right + 4, y + 4, line.name, colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _apart(wanted: list[float], up: _Axis, goal: float | None) -> list[float]:
    """Heights for the lines' names: near their ends, at least a line of text from each other and from the goal's."""
    taken = [up.at(goal)] if goal is not None else []
    placed: dict[int, float] = {}
    for number in sorted(range(len(wanted)), key=lambda which: wanted[which]):
        y = wanted[number]
        while any(abs(y - other) < 13 for other in taken):
            y += 1
        taken.append(y)
        placed[number] = y
    return [placed[number] for number in range(len(wanted))]


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 11,
    colour: str = INK,
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x} {y})"' if turned else ""
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{turn}>'
        f"{escape(words)}</text>"
    )
