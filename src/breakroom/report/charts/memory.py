"""Memory of each replica against its limit over time, one colour a slot, a cross where the limit killed.

Called by `report.html` where stats were recorded. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakroom.analysis.series import MemoryLine
from breakroom.i18n import Translator
from breakroom.report.charts.moments import Lane, annotate, time_range
from breakroom.report.charts.panels import Stack
from breakroom.report.charts.style import Figure, rounded
from breakroom.report.charts.text import plain
from breakroom.report.zero import axis_title, zero_of

__all__ = ["memory"]

PANEL_PX = 92
MIB = 1 << 20
MAX_POINTS = 300
NEAR = 0.5
"""Memory that never took this share of its limit is no part of the story."""


def memory(lanes: Sequence[Lane], t: Translator) -> Figure | None:
    """The figure for these lanes, or None where no memory was recorded or none came near its limit."""
    lines = [line for lane in lanes for line in lane.series.memory]
    if not any(line.limit_bytes is None or _used(line) >= NEAR for line in lines):
        return None
    x_range = time_range(lanes)
    stack = Stack(x_range, axis_title(zero_of(lane.trial for lane in lanes), t))
    peak = max(_peak(line) for lane in lanes for line in lane.series.memory)
    limit_word = t.say("limit")
    for lane in lanes:
        stack.title(lane.trial.contender, lane.detail)
        panel = stack.panel(
            PANEL_PX, t.say("memory per replica (MiB)"), range=[0, rounded(peak * 1.08, 3)], nticks=4
        )
        limits = {line.limit_bytes for line in lane.series.memory if line.limit_bytes}
        slots = sorted({line.slot for line in lane.series.memory})
        for line in lane.series.memory:
            _line(stack, panel, line, slots.index(line.slot))
        _deaths(stack, panel, lane, t)
        annotate(stack, panel, lane, x_range)
        for limit in sorted(limits):
            stack.traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": limit_word,
                    "x": [lane.series.from_s, lane.series.to_s],
                    "y": [rounded(limit / MIB), rounded(limit / MIB)],
                    "xaxis": stack.x,
                    "yaxis": panel,
                    "line": {"color": "var(--fault)", "dash": "dash", "width": 1.4},
                    "hovertemplate": f"{limit_word} %{{y:.1f}} MiB<extra></extra>",
                }
            )
        stack.end_block()
    return stack.figure()


def _used(line: MemoryLine) -> float:
    """The largest share of its limit that the task's memory took."""
    return max(line.memory_bytes, default=0) / (line.limit_bytes or 1)


def _deaths(stack: Stack, panel: str, lane: Lane, t: Translator) -> None:
    """A cross where the limit killed a replica, at the memory it was last seen with."""
    killed = _killed(lane)
    lines = [line for line in lane.series.memory if line.task in killed and line.memory_bytes]
    if not lines:
        return
    word = plain(t.say("killed at its limit"))
    stack.traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": word,
            "x": [rounded(killed[line.task], 6) for line in lines],
            "y": [rounded((line.limit_bytes or max(line.memory_bytes)) / MIB) for line in lines],
            "xaxis": stack.x,
            "yaxis": panel,
            "marker": {"symbol": "x", "size": 9, "color": "var(--fault)"},
            "hovertext": [f"{plain(line.task)}: {word}<br>{t.duration(killed[line.task])}" for line in lines],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    )


def _killed(lane: Lane) -> dict[str, float]:
    """Task → when its limit killed it, from the failure log and from the leak's lives."""
    found = {moment.task: moment.at_s for moment in lane.trial.failures if moment.oom}
    lives = lane.trial.leak.lives if lane.trial.leak is not None else ()
    found |= {life.task: life.ended_at_s for life in lives if life.oom and life.ended_at_s is not None}
    return found


def _peak(line: MemoryLine) -> float:
    return max(max(line.memory_bytes, default=0), line.limit_bytes or 0) / MIB


def _line(stack: Stack, panel: str, line: MemoryLine, number: int) -> None:
    step = max(1, -(-len(line.at_s) // MAX_POINTS))
    stack.traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(line.task),
            "x": [rounded(at, 6) for at in line.at_s[::step]],
            "y": [rounded(value / MIB) for value in line.memory_bytes[::step]],
            "xaxis": stack.x,
            "yaxis": panel,
            "line": {"color": f"var(--series-{number % 6})", "width": 1.4},
            "hovertemplate": f"{plain(line.task)}: %{{y:.1f}} MiB<br>%{{x:.2f}} s<extra></extra>",
        }
    )
