"""The comparison table: what each way of deploying cost its users, one row a number, one column a contender.

Used by the Markdown and the HTML report alike. Reads findings only; every cell carries its resolution, and over
repeats its interval, so that no number stands bare. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from breakroom.analysis.results import ContenderResults, DrillResults, Spread, TrialResults
from breakroom.i18n import Translator
from breakroom.i18n.terms import METRIC_KINDS

__all__ = ["Cell", "RepeatRow", "Row", "comparison_rows", "marked", "operator_time", "repeat_rows"]

ROWS = (
    "availability",
    "outage",
    "longest_outage",
    "recovery_time",
    "time_to_full_capacity",
    "capacity_kept",
    "lowest_capacity",
    "failed_requests",
    "blast_radius",
    "operator_acts",
    "operator_minutes",
)
"""The metrics of the table, in the order in which a reader asks for them."""

MORE_ROWS = (
    "detection_time",
    "oom_kills",
    "scale_response",
    "goodput_gain",
    "update_duration",
    "updates_completed",
    "updates_paused",
    "updates_rolled_back",
    "new_version_requests",
    "latency_p50_before",
    "latency_p50_during",
    "latency_p99_before",
    "latency_p99_during",
)
"""Metrics that only some drills are about; each has a row where any contender knows it."""

HIGHER_IS_BETTER = frozenset(
    {"availability", "availability_time", "capacity_kept", "lowest_capacity", "goodput_gain"}
)
NEITHER_IS_BETTER = frozenset(
    {
        "oom_kills",
        "updates_completed",
        "updates_paused",
        "updates_rolled_back",
        "latency_p50_before",
        "latency_p99_before",
    }
)
"""Metrics of which more is neither better nor worse: a release that is stopped may be the good end."""
FINE_S = 5e-5
"""A resolution finer than what is printed need not be told."""
SHARES = frozenset({"availability", "capacity_kept", "lowest_capacity", "blast_radius"})
OPERATOR_TIME = "operator_minutes"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as text; `details` are the small lines under it."""

    text: str
    details: tuple[str, ...] = ()
    modelled: bool = False
    best: bool = False
    share: float | None = None
    """Length of the bar under the value, 0 to 1; None: no bar."""
    known: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One metric over all contenders."""

    metric: str
    label: str
    help: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """One metric's value in each repeat, for one contender."""

    label: str
    contender: str
    values: tuple[str, ...]


def comparison_rows(drill: DrillResults, trials: dict[str, TrialResults], t: Translator) -> tuple[Row, ...]:
    """All rows of the drill's table; one that is unknown for every contender (no load, say) still says so."""
    return tuple(_row(metric, drill, trials, t) for metric in (*ROWS, *_more(drill)))


def _more(drill: DrillResults) -> list[str]:
    """Of the metrics that only some drills are about, those that tell something here."""
    return [
        metric
        for metric in MORE_ROWS
        if any(
            spread is not None and (spread.median if _is_count(metric) else spread.median is not None)
            for spread in [contender.metrics.get(metric) for contender in drill.contenders]
        )
    ]


def repeat_rows(drill: DrillResults, t: Translator) -> tuple[RepeatRow, ...]:
    """Each repeat's own value of each metric; empty where nothing was repeated."""
    rows = []
    for metric in (*ROWS, *_more(drill)):
        for contender in drill.contenders:
            spread = contender.metrics.get(metric)
            if spread is not None and len(spread.values) > 1:
                values = tuple(
                    marked(t.metric_value(metric, value), t, modelled=spread.modelled and value is not None)
                    for value in spread.values
                )
                rows.append(RepeatRow(t.metric_label(metric), contender.name, values))
    return tuple(rows)


def marked(text: str, t: Translator, *, modelled: bool) -> str:
    """The text of a number, with the word that says so where an operator model's time is in it."""
    return text + t.say(" (modelled)") if modelled else text


def operator_time(contender: ContenderResults, trials: dict[str, TrialResults]) -> Spread:
    """Time until a person had restored the service, over the contender's trials; 0 where it came back without one."""
    found = [trials[name] for name in contender.trials if name in trials]
    mine = [trial.operator for trial in found]
    values = tuple(
        0.0
        if trial.operator.acts == 0 and trial.recovery_time_s is not None
        else trial.operator.restored_after_s
        for trial in found
    )
    known = [value for value in values if value is not None]
    return Spread(
        median=median(known) if known else None,
        minimum=min(known, default=None),
        maximum=max(known, default=None),
        n=len(known),
        unknown=len(values) - len(known),
        values=values,
        modelled=any(work.modelled and work.acts > 0 for work in mine),
    )


def _row(metric: str, drill: DrillResults, trials: dict[str, TrialResults], t: Translator) -> Row:
    spreads = [
        operator_time(contender, trials) if metric == OPERATOR_TIME else contender.metrics.get(metric)
        for contender in drill.contenders
    ]
    best = _best(metric, spreads)
    largest = max((spread.median for spread in spreads if spread and spread.median is not None), default=0.0)
    cells = tuple(
        _cell(metric, spread, t, best=index in best, largest=largest) for index, spread in enumerate(spreads)
    )
    return Row(metric, t.metric_label(metric), t.metric_help(metric), cells)


def _best(metric: str, spreads: Sequence[Spread | None]) -> frozenset[int]:
    """Which contenders are best: none where all are equal within the measurement's resolution or one is unknown."""
    medians = [spread.median if spread else None for spread in spreads]
    known = [value for value in medians if value is not None]
    if len(known) < len(medians) or len(known) < 2 or metric in NEITHER_IS_BETTER:
        return frozenset()
    resolution = max((spread.resolution or 0.0 for spread in spreads if spread), default=0.0)
    if _is_count(metric):
        resolution = 0.0
    top = max(known) if metric in HIGHER_IS_BETTER else min(known)
    if max(known) - min(known) <= resolution:
        return frozenset()
    return frozenset(index for index, value in enumerate(known) if abs(value - top) <= resolution)


def _cell(metric: str, spread: Spread | None, t: Translator, *, best: bool, largest: float) -> Cell:
    if spread is None or spread.median is None:
        return Cell(t.say("not known"), known=False)
    details = _details(metric, spread, t)
    if metric in SHARES:
        share: float | None = min(1.0, max(0.0, spread.median))
    else:
        share = spread.median / largest if largest > 0 else 0.0
    return Cell(
        text=t.metric_value(metric, spread.median),
        details=details,
        modelled=spread.modelled,
        best=best,
        share=share,
    )


def _is_count(metric: str) -> bool:
    """Whether it is counted: a count is exact, its resolution goes without saying."""
    return METRIC_KINDS.get(metric) == "count"


def _details(metric: str, spread: Spread, t: Translator) -> tuple[str, ...]:
    def value(number: float | None) -> str:
        return t.metric_value(metric, number)

    details = []
    if (spread.resolution or 0.0) > FINE_S and not _is_count(metric):
        details.append(f"± {value(spread.resolution)}")
    if spread.n > 1 and spread.minimum == spread.maximum:
        details.append(t.say("the same in all {n:count} runs", n=spread.n))
    elif spread.n > 1:
        if spread.ci95_low is not None and spread.ci95_high is not None:
            details.append(
                t.say(
                    "95% interval {low} to {high}", low=value(spread.ci95_low), high=value(spread.ci95_high)
                )
            )
        details.append(
            t.say(
                "{n:count} runs, {low} to {high}",
                n=spread.n,
                low=value(spread.minimum),
                high=value(spread.maximum),
            )
        )
    if spread.unknown:
        details.append(
            t.say(
                "unknown in {unknown:count} of {all:count}",
                unknown=spread.unknown,
                all=spread.n + spread.unknown,
            )
        )
    return tuple(details)
