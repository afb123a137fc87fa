"""Replicas against load: what was asked for and served, replicas wanted and in rotation, and what was decided.

Called by `report.html` for drills that scale. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from breakroom.i18n import Translator
from breakroom.report.charts.moments import Lane, annotate, time_range
from breakroom.report.charts.panels import Stack
from breakroom.report.charts.style import Figure, rounded
from breakroom.report.charts.text import plain
from breakroom.report.charts.thin import widen
from breakroom.report.zero import axis_title, zero_of

__all__ = ["scaling", "wanted_steps"]

LOAD_PX = 92
REPLICAS_PX = 76
BIN_S = 0.5


def scaling(lanes: Sequence[Lane], t: Translator) -> Figure | None:
    """The figure for these lanes, or None where nothing was scaled or decided."""
    if not any(lane.trial.scaling or lane.trial.decisions for lane in lanes):
        return None
    x_range = time_range(lanes)
    stack = Stack(x_range, axis_title(zero_of(lane.trial for lane in lanes), t))
    lines = {lane.trial.id: _rates(lane) for lane in lanes}
    peak = max((value for rates in lines.values() for line in rates[2:] for value in line), default=1.0)
    most = max((value for lane in lanes for _, value in _replicas(lane)), default=1)
    for lane in lanes:
        stack.title(lane.trial.contender, lane.detail)
        panels = [_load(stack, lines[lane.trial.id], peak, t)]
        stack.space(4)
        panels.append(_steps(stack, lane, most, t))
        for panel in panels:
            annotate(stack, panel, lane, x_range)
        stack.end_block()
    return stack.figure()


Rates = tuple[float, float, list[float], list[float]]


def _rates(lane: Lane) -> Rates:
    """First bin's edge, bins' width, requests offered a second and served a second: probe and load together."""
    series = widen(lane.series, BIN_S)
    offered = [0.0] * len(series.at_s)
    served = [0.0] * len(series.at_s)
    for stream in series.streams.values():
        for counts in stream.outcomes.values():
            offered = [a + count / series.bin_s for a, count in zip(offered, counts, strict=True)]
        served = [a + value for a, value in zip(served, stream.goodput_per_s, strict=True)]
    return series.at_s[0] if series.at_s else 0.0, series.bin_s, offered, served


def _load(stack: Stack, rates: Rates, peak: float, t: Translator) -> str:
    panel = stack.panel(
        LOAD_PX,
        t.say("requests per second: asked for (line), served (area)"),
        range=[0, rounded(peak * 1.08, 3) or 1.0],
        nticks=4,
    )
    first, width, offered, served = rates
    for name, values, extra in (
        (
            t.say("served"),
            served,
            {"fill": "tozeroy", "fillcolor": "var(--load-fill)", "line": _pen("var(--load)", 1)},
        ),
        (t.say("asked for"), offered, {"line": _pen("var(--offered)", 1.3)}),
    ):
        stack.traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(name),
                "x0": rounded(first, 6),
                "dx": width,
                "y": [rounded(value) for value in [*values, *values[-1:]]],
                "xaxis": stack.x,
                "yaxis": panel,
                "hovertemplate": f"{plain(name)}: %{{y:.0f}}<br>%{{x:.2f}} s<extra></extra>",
                **extra,
            }
        )
    return panel


def _pen(color: str, width: float) -> dict[str, Any]:
    return {"shape": "hv", "width": width, "color": color}


def wanted_steps(lane: Lane) -> list[tuple[float, int]]:
    """How many replicas were wanted, and from when on."""
    wanted = lane.series.wanted
    return list(zip(wanted.at_s, wanted.value, strict=True))


def _replicas(lane: Lane) -> list[tuple[float, int]]:
    rotation = lane.series.rotation
    return [*wanted_steps(lane), *zip(rotation.at_s, rotation.value, strict=True)]


def _steps(stack: Stack, lane: Lane, most: int, t: Translator) -> str:
    panel = stack.panel(
        REPLICAS_PX,
        t.say("replicas: wanted (dashed), in rotation (area); ▲▼ decisions"),
        range=[0, most + 0.7],
        nticks=min(most + 1, 5),
    )
    rotation = lane.series.rotation
    in_rotation = [
        (at, value) for at, value in zip(rotation.at_s, rotation.value, strict=True) if at <= lane.series.to_s
    ]
    for name, points, extra in (
        (
            t.label("state", "rotation"),
            in_rotation,
            {
                "fill": "tozeroy",
                "fillcolor": "var(--rotation-fill)",
                "line": _pen("var(--state-rotation)", 1.4),
            },
        ),
        (t.say("wanted"), wanted_steps(lane), {"line": {**_pen("var(--act)", 1.8), "dash": "dash"}}),
    ):
        held = [*points, (lane.series.to_s, points[-1][1])] if points else []
        stack.traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(name),
                "x": [rounded(at, 6) for at, _ in held],
                "y": [value for _, value in held],
                "xaxis": stack.x,
                "yaxis": panel,
                "hovertemplate": f"{plain(name)}: %{{y}}<br>%{{x:.2f}} s<extra></extra>",
                **extra,
            }
        )
    _decided(stack, panel, lane, t)
    return panel


def _decided(stack: Stack, panel: str, lane: Lane, t: Translator) -> None:
    """A triangle for each decision that changed the number of replicas, or would have."""
    made = [decision for decision in lane.trial.decisions if decision.decision != "hold"]
    if not made:
        return
    stack.traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": t.say("decisions of the autoscaler"),
            "x": [rounded(decision.at_s, 6) for decision in made],
            "y": [decision.decided for decision in made],
            "xaxis": stack.x,
            "yaxis": panel,
            "marker": {
                "symbol": [f"triangle-{decision.decision}" for decision in made],
                "size": 9,
                "color": "var(--act)",
            },
            "hovertext": [
                f"{decision.replicas} → {decision.decided}<br>{plain(t.reason(decision.reason))}"
                for decision in made
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    )
