"""The stack of panels that the timeline and latency charts are made of: one block a contender, one x axis for all.

Panels are placed by pixels from the top, because a block's height follows from its number of replicas. A private
helper of `charts`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from breakroom.report.charts.style import Figure, axis, base_layout
from breakroom.report.charts.text import plain

__all__ = ["Stack"]

TITLE_PX = 22
LABEL_PX = 17
MARGIN_TOP = 6
MARGIN_BOTTOM = 20
WIDTH_PX = 820
"""Width for which the labels are laid out; narrower pages scroll the chart."""


@dataclass(slots=True)
class Stack:
    """Collects panels from top to bottom; `figure` computes where each one lies."""

    x_range: tuple[float, float]
    x_title: str
    traces: list[dict[str, Any]] = field(default_factory=list)
    _panels: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    _shapes: list[dict[str, Any]] = field(default_factory=list)
    _notes: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _top: int = 0

    def space(self, px: int) -> None:
        """Leave room."""
        self._top += px

    def title(self, text: str, detail: str) -> None:
        """A block's heading."""
        words = f"<b>{plain(text)}</b>  <span style='font-size:12px'>{plain(detail)}</span>"
        self._notes.append((self._top, _note(words, size=14, color="var(--text)")))
        self._top += TITLE_PX

    def panel(self, height: int, name: str, **settings: Any) -> str:
        """Add a panel and return the reference of its y axis, such as `y3`."""
        self._notes.append((self._top - 1, _note(plain(name), size=11, color="var(--muted)")))
        self._top += 15
        self._panels.append((self._top, height, settings))
        self._top += height
        return "y" if len(self._panels) == 1 else f"y{len(self._panels)}"

    def end_block(self) -> None:
        """The panels so far belong to one contender: tick labels of time stand under its last one."""
        self._ends.append(len(self._panels))
        self._top += 30

    @property
    def x(self) -> str:
        """The reference of the current block's x axis."""
        return "x" if not self._ends else f"x{len(self._ends) + 1}"

    def line(self, y: str, at: float, *, color: str, dash: str, width: float = 1.4) -> None:
        """A vertical line through one panel."""
        self._shapes.append(
            {
                "type": "line",
                "xref": self.x,
                "yref": f"{y} domain",
                "x0": at,
                "x1": at,
                "y0": 0,
                "y1": 1,
                "line": {"color": color, "dash": dash, "width": width},
            }
        )

    def shade(
        self,
        y: str,
        start: float,
        end: float,
        *,
        color: str,
        between: tuple[float, float] = (0, 1),
    ) -> None:
        """A stretch of a panel with another ground: what was broken, or not observed any more.

        `between`: lower and upper edge as shares of the panel's height.
        """
        self._shapes.append(
            {
                "type": "rect",
                "layer": "below",
                "xref": self.x,
                "yref": f"{y} domain",
                "x0": start,
                "x1": end,
                "y0": between[0],
                "y1": between[1],
                "line": {"width": 0},
                "fillcolor": color,
            }
        )

    def labels(self, entries: list[tuple[float, str]]) -> None:
        """Labels of moments above the next panel, on as many lines as they need so that none covers another."""
        low, high = self.x_range
        free: list[float] = []
        for at, text in entries:
            share = (at - low) / (high - low)
            width = sum(11.5 if ord(letter) > 0x1100 else 6.3 for letter in text) / WIDTH_PX
            right = share + width > 1
            start = share - width if right else share
            level = next((i for i, end in enumerate(free) if start > end), len(free))
            free[level : level + 1] = [start + width + 0.02]
            note = _note(plain(text), size=11, color="var(--text)")
            note |= {
                "xref": self.x,
                "x": at,
                "xanchor": "right" if right else "left",
                "xshift": -4 if right else 1,
            }
            self._notes.append((self._top + level * LABEL_PX, note))
        self._top += len(free) * LABEL_PX

    def figure(self) -> Figure:
        """The whole chart."""
        height = max(self._top, 1)
        layout = base_layout(height + MARGIN_TOP + MARGIN_BOTTOM)
        layout |= {"margin": {"l": 62, "r": 16, "t": MARGIN_TOP, "b": MARGIN_BOTTOM}, "showlegend": False}
        layout |= {"hovermode": "closest", "hoverdistance": -1, "barmode": "overlay", "bargap": 0.25}
        for number, (top, px, settings) in enumerate(self._panels, start=1):
            name = "yaxis" if number == 1 else f"yaxis{number}"
            end = next((i for i, last in enumerate(self._ends) if number <= last), 0)
            domain = [max(0.0, 1 - (top + px) / height), 1 - top / height]
            layout[name] = axis(
                domain=domain, anchor="x" if end == 0 else f"x{end + 1}", fixedrange=True, **settings
            )
        for number, last in enumerate(self._ends, start=1):
            extra: dict[str, Any] = {"matches": "x"} if number > 1 else {}
            if number == len(self._ends):
                extra["title"] = {
                    "text": self.x_title,
                    "font": {"size": 12, "color": "var(--muted)"},
                    "standoff": 8,
                }
            layout["xaxis" if number == 1 else f"xaxis{number}"] = axis(
                anchor="y" if last == 1 else f"y{last}",
                range=list(self.x_range),
                ticks="outside",
                ticklen=4,
                **extra,
            )
        layout["shapes"] = self._shapes
        layout["annotations"] = [{**note, "y": 1 - top / height} for top, note in self._notes]
        return {"data": self.traces, "layout": layout}


def _note(text: str, *, size: int, color: str) -> dict[str, Any]:
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "xanchor": "left",
        "yanchor": "top",
        "showarrow": False,
        "align": "left",
        "borderpad": 0,
        "font": {"size": size, "color": color},
    }
