"""Latency over time for each contender: median, 90th and 99th percentile of successful probe requests, logarithmic.

Called by `report.html`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from breakroom.analysis.series import TrialSeries
from breakroom.i18n import Translator
from breakroom.report.charts.moments import Lane, annotate, time_range
from breakroom.report.charts.panels import Stack
from breakroom.report.charts.style import Figure, rounded
from breakroom.report.zero import axis_title, zero_of

__all__ = ["latency"]

PANEL_PX = 92
SYMBOLS = {"p50": "circle", "p90": "square", "p99": "diamond"}
DECADES_MS = (0.1, 1, 10, 100, 1_000, 10_000)


def latency(lanes: Sequence[Lane], t: Translator) -> Figure:
    """The figure for these lanes; all share both axes, so that heights compare."""
    x_range = time_range(lanes)
    low, high = _y_range(lanes)
    ticks = _ticks(low, high)
    stack = Stack(x_range, axis_title(zero_of(lane.trial for lane in lanes), t))
    for lane in lanes:
        stack.title(lane.trial.contender, lane.detail)
        panel = stack.panel(
            PANEL_PX,
            t.say("latency of successful probe requests"),
            type="log",
            range=[low, high],
            tickvals=ticks,
            ticktext=[t.duration(ms / 1e3) for ms in ticks],
        )
        probe = lane.series.streams.get("probe")
        if probe is not None:
            for name, values, color, dash in (
                ("p50", probe.p50_s, "var(--p50)", "solid"),
                ("p90", probe.p90_s, "var(--p90)", "solid"),
                ("p99", probe.p99_s, "var(--p99)", "solid"),
            ):
                stack.traces.append(_line(stack, panel, lane.series, name, values, color, dash))
        annotate(stack, panel, lane, x_range)
        stack.end_block()
    return stack.figure()


def _ticks(low: float, high: float) -> list[float]:
    """Round values of the axis in ms: powers of ten, with 2 and 5 between them where few powers are in sight."""
    steps = (1, 2, 5) if high - low < 1.7 else (1,)
    values = (decade * step for decade in DECADES_MS for step in steps)
    return [round(value, 1) for value in values if low <= math.log10(value) <= high]


def _line(
    stack: Stack,
    panel: str,
    series: TrialSeries,
    name: str,
    values: Sequence[float | None],
    color: str,
    dash: str,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x0": rounded(series.at_s[0] + series.bin_s / 2, 6) if series.at_s else 0,
        "dx": series.bin_s,
        "y": [rounded(value * 1e3 if value is not None else None, 3) for value in values],
        "xaxis": stack.x,
        "yaxis": panel,
        "connectgaps": False,
        "line": {"color": color, "width": 1.6 if name == "p99" else 1.4, "dash": dash},
        # A value between two gaps has no line; a small marker keeps it visible.
        "marker": {"size": 2.5, "color": color, "symbol": SYMBOLS[name]},
        "hovertemplate": f"{name} %{{y:.3g}} ms<br>%{{x:.2f}} s<extra></extra>",
    }


def _y_range(lanes: Sequence[Lane]) -> tuple[float, float]:
    """Powers of ten around all values, in milliseconds' logarithms."""
    values = [
        value * 1e3
        for lane in lanes
        for stream in [lane.series.streams.get("probe")]
        if stream is not None
        for line in (stream.p50_s, stream.p99_s)
        for value in line
        if value is not None and value > 0
    ]
    if not values:
        return 0.0, 3.0
    low, high = math.log10(min(values)), math.log10(max(values))
    return round(low - 0.2, 2), round(max(high, low + 0.7) + 0.2, 2)
