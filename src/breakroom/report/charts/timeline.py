"""The main chart: for each contender, what users got, the work served, the replicas' states, on one time axis.

Called by `report.html` for the median trials and for each repeat. Needs `TrialResults` (marks, bands) and
`TrialSeries`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from breakroom.analysis.results import Band, Mark
from breakroom.analysis.series import StreamSeries, TrialSeries
from breakroom.i18n import Translator
from breakroom.report.charts.moments import Lane, annotate, fault_windows, has_line, time_range
from breakroom.report.charts.panels import Stack
from breakroom.report.charts.style import OUTCOMES, PATTERNS, STATES, Figure, rounded
from breakroom.report.charts.text import plain
from breakroom.report.charts.thin import widen
from breakroom.report.zero import axis_title, zero_of

__all__ = ["mark_labels", "timeline"]

OUTCOME_PX = 104
GOODPUT_PX = 62
MANY_SLOTS = 12
GOODPUT_BIN_S = 0.2
"""Least width of goodput's bins: clients of a closed load answer in step, which narrower bins would show as a saw."""


def timeline(lanes: Sequence[Lane], t: Translator) -> Figure:
    """The figure for these lanes, one block each."""
    x_range = time_range(lanes)
    stack = Stack(x_range, axis_title(zero_of(lane.trial for lane in lanes), t))
    load = any("load" in lane.series.streams for lane in lanes)
    goodput = [widen(lane.series, GOODPUT_BIN_S).streams.get("load") for lane in lanes]
    peak = max(
        (max(stream.goodput_per_s, default=0.0) for stream in goodput if stream is not None), default=0.0
    )
    for lane in lanes:
        stack.title(lane.trial.contender, lane.detail)
        stack.labels(mark_labels(lane.trial.marks, x_range, t))
        panels = [_outcomes(stack, lane.series, t)]
        if load:
            stack.space(4)
            panels.append(_goodput(stack, lane, peak, t))
        if len(lane.series.versions) > 1:
            stack.space(4)
            panels.append(_versions(stack, lane, t))
        stack.space(4)
        panels.append(_bands(stack, lane.trial.bands, t))
        for panel in panels:
            annotate(stack, panel, lane, x_range)
        for start, end in fault_windows(lane.trial, lane.series.to_s):
            # The outcomes fill their panel, so the stretch is drawn above them.
            stack.shade(panels[0], start, end, color="var(--fault)", between=(0.925, 0.985))
        stack.end_block()
    return stack.figure()


def mark_labels(
    marks: Sequence[Mark], x_range: tuple[float, float], t: Translator
) -> list[tuple[float, str]]:
    """Texts beside the lines; marks too near to each other to be told apart share one text."""
    near = (x_range[1] - x_range[0]) * 0.03
    groups: list[list[Mark]] = []
    for mark in sorted((mark for mark in marks if has_line(mark)), key=lambda mark: mark.at_s):
        if groups and mark.at_s - groups[-1][0].at_s < near:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [(group[0].at_s, " → ".join(_label(mark, t) for mark in group)) for group in groups]


def _label(mark: Mark, t: Translator) -> str:
    text = t.reason(mark.label)
    if mark.label.code.startswith("mark.fault"):
        return text
    return f"{text} {t.duration(mark.at_s)}" if mark.at_s < 0 else f"{text} +{t.duration(mark.at_s)}"


def _area(series: TrialSeries, values: Sequence[float | None], **extra: Any) -> dict[str, Any]:
    """Steps over the bins; the last value is repeated, so that the last bin is as wide as the others."""
    y = [rounded(value) for value in values]
    return {
        "type": "scatter",
        "mode": "lines",
        "x0": rounded(series.at_s[0], 6) if series.at_s else 0,
        "dx": series.bin_s,
        "y": y + y[-1:],
        **extra,
    }


def _outcomes(stack: Stack, series: TrialSeries, t: Translator) -> str:
    panel = stack.panel(
        OUTCOME_PX,
        t.say("users: share of probe requests by outcome"),
        range=[0, 110],
        tickvals=[0, 50, 100],
        ticktext=["0%", "50%", "100%"],
    )
    probe = series.streams.get("probe")
    if probe is None:
        return panel
    totals = [sum(counts) for counts in zip(*probe.outcomes.values(), strict=True)]
    for outcome in OUTCOMES:
        counts = probe.outcomes.get(outcome, ())
        if not any(counts):
            continue
        shares = [100 * count / total if total else None for count, total in zip(counts, totals, strict=True)]
        label = t.label("outcome", outcome)
        stack.traces.append(
            _area(
                series,
                shares,
                name=plain(label),
                xaxis=stack.x,
                yaxis=panel,
                stackgroup=panel,
                line={"shape": "hv", "width": 0},
                fillcolor=f"var(--{outcome})",
                fillpattern=_pattern(outcome),
                hovertemplate=f"{plain(label)}: %{{y:.3g}}%<br>%{{x:.2f}} s<extra></extra>",
            )
        )
    return panel


def _pattern(kind: str) -> dict[str, Any]:
    return {
        "shape": PATTERNS[kind],
        "fgcolor": "var(--hatch)",
        "bgcolor": f"var(--{kind})",
        "size": 6,
        "solidity": 0.22,
        "fillmode": "overlay",
    }


def _goodput(stack: Stack, lane: Lane, peak: float, t: Translator) -> str:
    panel = stack.panel(
        GOODPUT_PX,
        t.say("load: requests served per second"),
        range=[0, (rounded(peak * 1.08, 3) or 1.0)],
        nticks=3,
    )
    series = widen(lane.series, GOODPUT_BIN_S)
    load: StreamSeries | None = series.streams.get("load")
    if load is None:
        return panel
    unit = t.say("served per second")
    stack.traces.append(
        _area(
            series,
            load.goodput_per_s,
            name=t.label("stream", "load"),
            xaxis=stack.x,
            yaxis=panel,
            fill="tozeroy",
            line={"shape": "hv", "width": 1, "color": "var(--load)"},
            fillcolor="var(--load-fill)",
            hovertemplate=f"%{{y:.0f}} {unit}<br>%{{x:.2f}} s<extra></extra>",
        )
    )
    before = lane.trial.capacity.before_per_s
    if before is not None:
        stack.traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [lane.series.from_s, lane.series.to_s],
                "y": [rounded(before), rounded(before)],
                "name": t.say("before the fault"),
                "xaxis": stack.x,
                "yaxis": panel,
                "line": {"color": "var(--muted)", "dash": "dot", "width": 1},
                "hoverinfo": "skip",
            }
        )
    return panel


def _versions(stack: Stack, lane: Lane, t: Translator) -> str:
    series = lane.series
    colours = list(dict.fromkeys([*lane.versions, *series.versions]))
    panel = stack.panel(
        GOODPUT_PX,
        t.say("versions that answered"),
        range=[0, 100],
        tickvals=[0, 100],
        ticktext=["0%", "100%"],
    )
    totals = [sum(counts) for counts in zip(*series.versions.values(), strict=True)]
    for version, counts in series.versions.items():
        shares = [100 * count / total if total else None for count, total in zip(counts, totals, strict=True)]
        stack.traces.append(
            _area(
                series,
                shares,
                name=plain(version),
                xaxis=stack.x,
                yaxis=panel,
                stackgroup=panel,
                line={"shape": "hv", "width": 0},
                fillcolor=f"var(--series-{colours.index(version) % 6})",
                hovertemplate=f"{plain(version)}: %{{y:.3g}}%<br>%{{x:.2f}} s<extra></extra>",
            )
        )
    return panel


def _bands(stack: Stack, bands: Sequence[Band], t: Translator) -> str:
    slots = sorted({band.slot for band in bands})
    rows = {slot: index for index, slot in enumerate(slots)}
    per_slot = 18 if len(slots) <= MANY_SLOTS else max(2, 216 // len(slots))
    panel = stack.panel(
        max(per_slot * len(slots), 22),
        t.say("replicas and their states"),
        range=[max(len(slots), 1) - 0.5, -0.5],
        tickvals=list(range(len(slots))) if len(slots) <= MANY_SLOTS else [0, len(slots) - 1],
        ticktext=[f"#{slot}" for slot in (slots if len(slots) <= MANY_SLOTS else [slots[0], slots[-1]])],
        showgrid=False,
    )
    for group, states in STATES.items():
        mine = [band for band in bands if band.state in states]
        if mine:
            stack.traces.append(_band_trace(stack, panel, group, mine, rows, t))
    return panel


def _band_trace(
    stack: Stack, panel: str, group: str, bands: Sequence[Band], rows: dict[int, int], t: Translator
) -> dict[str, Any]:
    texts = [
        f"{plain(band.task)}: {plain(t.label('state', band.state))}<br>"
        f"{t.duration(band.from_s)} … {t.duration(band.to_s)}"
        for band in bands
    ]
    return {
        "type": "bar",
        "orientation": "h",
        "name": t.label("state", group),
        "base": [rounded(band.from_s, 6) for band in bands],
        "x": [rounded(max(band.to_s - band.from_s, 0.0), 6) for band in bands],
        "y": [rows[band.slot] for band in bands],
        "width": 0.78,
        "xaxis": stack.x,
        "yaxis": panel,
        "marker": {
            "color": f"var(--state-{group})",
            "line": {"width": 0},
            "pattern": {
                "shape": PATTERNS[group],
                "fgcolor": "var(--hatch)",
                "size": 5,
                "solidity": 0.25,
                "fillmode": "overlay",
            },
        },
        "hovertext": texts,
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
