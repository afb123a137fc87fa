"""Response times across a bad link: each quantile before, during and after, and what the impairment alone predicts.

Called by `report.html` for drills that make a link bad. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from breakroom.analysis.results import ImpairmentFinding
from breakroom.i18n import Translator
from breakroom.report.charts.moments import Lane
from breakroom.report.charts.style import Figure, axis, base_layout, rounded
from breakroom.report.charts.text import plain

__all__ = ["DOTS", "impairment"]

DOTS = {
    "before": ("circle-open", "var(--muted)"),
    "after": ("diamond-open", "var(--muted)"),
    "predicted": ("line-ns-open", "var(--fault)"),
    "during": ("circle", "var(--p50)"),
}
"""What is shown of a quantile: symbol, colour; in the order of drawing."""

ROW_PX = 26
TITLE_PX = 30


def impairment(lanes: Sequence[Lane], t: Translator) -> Figure | None:
    """The figure for these lanes, or None where no response times were predicted or measured."""
    shown = [
        (lane, lane.trial.impairment)
        for lane in lanes
        if lane.trial.impairment is not None and _values(lane.trial.impairment)
    ]
    if not shown:
        return None
    rows: list[tuple[str, str]] = [
        (plain(lane.trial.contender), f"p{row.quantile * 100:g}")
        for lane, finding in shown
        for row in finding.rows
    ]
    highest = max(value for _, finding in shown for value in _values(finding))
    layout = base_layout(TITLE_PX + ROW_PX * len(rows) + 46)
    layout |= {
        "showlegend": False,
        "hovermode": "closest",
        "margin": {"l": 178, "r": 24, "t": 10, "b": 46},
        "xaxis": axis(
            range=[0, rounded(highest * 1.08e3)],
            title={"text": t.say("latency in ms"), "font": {"size": 12, "color": "var(--muted)"}},
        ),
        "yaxis": axis(
            tickvals=list(range(len(rows))),
            ticktext=[f"{name} · {quantile}" for name, quantile in rows],
            range=[len(rows) - 0.5, -0.5],
            fixedrange=True,
            tickfont={"size": 12, "color": "var(--text)"},
        ),
    }
    return {"data": [_dots(kind, shown, rows, t) for kind in DOTS], "layout": layout}


def _values(finding: ImpairmentFinding) -> list[float]:
    return [
        value
        for row in finding.rows
        for value in (row.before_s, row.during_s, row.after_s, row.predicted_s)
        if value is not None
    ]


def _dots(
    kind: str,
    shown: Sequence[tuple[Lane, ImpairmentFinding]],
    rows: Sequence[tuple[str, str]],
    t: Translator,
) -> dict[str, Any]:
    symbol, color = DOTS[kind]
    word = plain(t.label("dots", kind))
    values = [getattr(row, f"{kind}_s") for _, finding in shown for row in finding.rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": word,
        "x": [rounded(value * 1e3 if value is not None else None, 4) for value in values],
        "y": list(range(len(rows))),
        "marker": {
            "symbol": symbol,
            "size": 16 if kind == "predicted" else 9,
            "color": color,
            "line": {"color": color, "width": 2},
        },
        "hovertext": [
            f"{name} · {quantile}<br>{word}: {t.duration(value)}"
            for (name, quantile), value in zip(rows, values, strict=True)
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
