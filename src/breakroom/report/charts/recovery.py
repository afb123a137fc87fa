"""Recovery taken apart: one bar a contender, one segment a phase, from the fault to full capacity.

Called by `report.html`, with a table of the same moments beside it. The medians of the phases come from the
findings. Pure.
"""

from __future__ import annotations

from typing import Any

from breakroom.analysis.results import ContenderResults, DrillResults
from breakroom.i18n import Translator
from breakroom.report.charts.style import Figure, axis, base_layout, rounded
from breakroom.report.charts.text import plain
from breakroom.report.zero import axis_title

__all__ = ["SEGMENTS", "recovery", "segments"]

SEGMENTS = ("first_error", "detected", "replaced", "running", "in_rotation", "first_success", "full_capacity")
"""Phases that get a segment; `stable` is how long was watched, not how long recovery took."""

PATTERNS = ("", "/", "\\", "x", ".", "", "-")


def segments(contender: ContenderResults) -> dict[str, tuple[float, float]]:
    """Start and length of each phase in seconds; phases in the order in which they happened, unknown ones left out."""
    moments = []
    for order, phase in enumerate(SEGMENTS):
        spread = contender.phases.get(phase)
        if spread is not None and spread.median is not None:
            moments.append((max(spread.median, 0.0), order, phase))
    result: dict[str, tuple[float, float]] = {}
    previous = 0.0
    for at, _, phase in sorted(moments):
        result[phase] = (previous, at - previous)
        previous = at
    return result


def recovery(drill: DrillResults, t: Translator, zero: str = "fault") -> Figure:
    """The figure of a drill's contenders."""
    bars = [segments(contender) for contender in drill.contenders]
    names = [plain(contender.name) for contender in drill.contenders]
    traces = [
        _trace(phase, index, names, bars, t)
        for index, phase in enumerate(SEGMENTS)
        if any(phase in bar for bar in bars)
    ]
    totals = [max((start + length for start, length in bar.values()), default=None) for bar in bars]
    longest = max((total for total in totals if total is not None), default=1.0) or 1.0
    layout = base_layout(30 + 46 * max(len(names), 1) + 46)
    layout |= {
        "barmode": "overlay",
        "bargap": 0.42,
        "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 132, "r": 16, "t": 8, "b": 46},
        "xaxis": axis(
            range=[0, rounded(longest * 1.2)],
            title={
                "text": axis_title(zero, t),
                "font": {"size": 12, "color": "var(--muted)"},
            },
        ),
        "yaxis": axis(
            tickvals=list(range(len(names))),
            ticktext=names,
            range=[len(names) - 0.5, -0.5],
            showgrid=False,
            fixedrange=True,
            tickfont={"size": 13, "color": "var(--text)"},
        ),
        "annotations": [
            _total(index, total, _modelled(contender), t)
            for index, (total, contender) in enumerate(zip(totals, drill.contenders, strict=True))
        ],
    }
    return {"data": traces, "layout": layout}


def _trace(
    phase: str, index: int, names: list[str], bars: list[dict[str, tuple[float, float]]], t: Translator
) -> dict[str, Any]:
    rows = [row for row, bar in enumerate(bars) if phase in bar]
    label = plain(t.label("interval", phase))
    return {
        "type": "bar",
        "orientation": "h",
        "width": 0.58,
        "name": label,
        "y": rows,
        "base": [rounded(bars[row][phase][0], 6) for row in rows],
        "x": [rounded(bars[row][phase][1], 6) for row in rows],
        "marker": {
            "color": f"var(--phase-{phase})",
            "line": {"width": 0},
            "pattern": {
                "shape": PATTERNS[index],
                "fgcolor": "var(--hatch)",
                "size": 6,
                "solidity": 0.22,
                "fillmode": "overlay",
            },
        },
        "hovertext": [f"{names[row]}<br>{label}: {t.duration(bars[row][phase][1])}" for row in rows],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _modelled(contender: ContenderResults) -> bool:
    spread = contender.metrics.get("time_to_full_capacity")
    return spread is not None and spread.modelled


def _total(row: int, total: float | None, modelled: bool, t: Translator) -> dict[str, Any]:
    mark = t.gettext(" (modelled)") if modelled else ""
    text = t.duration(total) if total is not None else t.say("not known")
    return {
        "x": rounded(total or 0.0),
        "y": row,
        "text": f"<b>{plain(text)}</b>{plain(mark)}",
        "xanchor": "left",
        "xshift": 6,
        "showarrow": False,
        "font": {"size": 13, "color": "var(--text)"},
    }
