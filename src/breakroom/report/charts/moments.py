"""What all charts over time draw into their panels: the marks' lines, the fault's stretch, and what was not observed.

A private helper of `charts`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from breakroom.analysis.results import Mark, TrialResults
from breakroom.analysis.series import TrialSeries
from breakroom.report.charts.panels import Stack
from breakroom.report.charts.style import rounded

__all__ = ["Lane", "annotate", "fault_windows", "has_line", "line_kinds", "time_range"]

LINES = {
    "mark.fault": ("var(--fault)", "solid"),
    "mark.fault-unproved": ("var(--fault)", "dot"),
    "mark.detected": ("var(--mark)", "dash"),
    "mark.first-success": ("var(--mark)", "dot"),
    "mark.full-capacity": ("var(--mark)", "dashdot"),
    "mark.operator-act": ("var(--mark)", "longdash"),
    "mark.undone": ("var(--mark)", "dash"),
}
"""Code of a mark's label → colour, dash. A code that is not here is an act (scale, update, …), drawn as `ACT`."""

ACT = ("var(--act)", "longdash")

WITHOUT_LINE = frozenset(
    {
        "mark.first-error",
        "mark.replaced",
        "mark.running",
        "mark.in-rotation",
        "mark.stable",
        "mark.inapplicable",
    }
)
"""Marks that stand in the table of moments only."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One contender's part of a chart."""

    trial: TrialResults
    series: TrialSeries
    detail: str
    versions: tuple[str, ...] = ()
    """All versions that answered in the drill, in the order of their colours."""


def time_range(lanes: Sequence[Lane]) -> tuple[float, float]:
    """The stretch of time that shows every lane whole."""
    low = min((lane.series.from_s for lane in lanes), default=0.0)
    high = max((lane.series.to_s for lane in lanes), default=1.0)
    return rounded(low) or 0.0, max(rounded(high) or 0.0, low + 0.1)


def has_line(mark: Mark) -> bool:
    """Whether the mark is drawn as a line with a label; full capacity at zero means that it was never less."""
    if mark.label.code == "mark.full-capacity" and mark.at_s == 0:
        return False
    return mark.label.code not in WITHOUT_LINE


def line_kinds(trial: TrialResults) -> frozenset[str]:
    """Which of the legend's lines the trial has: `fault`, `act`, and `window` where something was broken for a time."""
    codes = [mark.label.code for mark in trial.marks if has_line(mark)]
    kinds = {
        "fault" if code.startswith("mark.fault") else "act"
        for code in codes
        if code not in LINES or "fault" in code
    }
    if "mark.fault" in codes:
        kinds.add("window")
    return frozenset(kinds)


def fault_windows(trial: TrialResults, end_s: float) -> tuple[tuple[float, float], ...]:
    """Stretches in which something was broken: from each fault until it was taken back, or the service was whole again.

    Without either, until `end_s`. Overlapping stretches are one.
    """
    back = [
        mark.at_s for mark in trial.marks if mark.label.code in {"mark.full-capacity", "mark.first-success"}
    ]
    spans = []
    for fault in trial.marks:
        if fault.label.code != "mark.fault":
            continue
        kind = fault.label.params.get("kind")
        undone = [
            mark.at_s
            for mark in trial.marks
            if mark.label.code == "mark.undone"
            and mark.label.params.get("kind") == kind
            and mark.at_s > fault.at_s
        ]
        recovered = [at for at in back if at > fault.at_s]
        end = min(undone) if undone else max(recovered, default=end_s)
        spans.append((fault.at_s, end))
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def annotate(stack: Stack, panel: str, lane: Lane, x_range: tuple[float, float]) -> None:
    """Draw the fault's stretch, the marks and the end of observation into one panel."""
    for start, end in fault_windows(lane.trial, lane.series.to_s):
        stack.shade(panel, rounded(start, 6) or 0.0, rounded(end, 6) or 0.0, color="var(--fault-fill)")
    if lane.series.to_s < x_range[1]:
        stack.shade(panel, lane.series.to_s, x_range[1], color="var(--unseen)")
    for mark in lane.trial.marks:
        if has_line(mark):
            color, dash = LINES.get(mark.label.code, ACT)
            stack.line(panel, rounded(mark.at_s, 6) or 0.0, color=color, dash=dash)
