"""The comparison table: what each way of deploying cost its users, one row a number, one column a contender.

Used by the Markdown and the HTML report alike. Reads findings only; every cell carries its resolution, and over
repeats its interval, so that no number stands bare. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from breakroom.analysis.contenders import OPERATOR_TIME
from breakroom.analysis.results import Comparison, DrillResults, Spread
from breakroom.analysis.statistics import MIN_KNOWN
from breakroom.i18n import Translator
from breakroom.i18n.terms import METRIC_KINDS

__all__ = ["Cell", "RepeatRow", "Row", "comparison_rows", "difference_rows", "marked", "repeat_rows"]

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


def comparison_rows(drill: DrillResults, t: Translator) -> tuple[Row, ...]:
    """All rows of the drill's table; one that is unknown for every contender (no load, say) still says so."""
    return tuple(_row(metric, drill, t) for metric in (*ROWS, *_more(drill)))


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
            spread = contender.operator_time if metric == OPERATOR_TIME else contender.metrics.get(metric)
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


def difference_rows(drill: DrillResults, t: Translator) -> tuple[tuple[str, ...], ...]:
    """Every pair of contenders on every row of the table: who is better by how much, and whether that is noise.

    Empty where nothing was repeated.
    """
    repeated = any(len(contender.operator_time.values) > 1 for contender in drill.contenders)
    shown = {metric: index for index, metric in enumerate((*ROWS, *_more(drill)))}
    found = [one for one in drill.comparisons if repeated and one.metric in shown]
    return tuple(_difference(one, drill, t) for one in sorted(found, key=lambda one: shown[one.metric]))


def _difference(comparison: Comparison, drill: DrillResults, t: Translator) -> tuple[str, ...]:
    metric = comparison.metric
    spreads = [
        contender.operator_time if metric == OPERATOR_TIME else contender.metrics[metric]
        for contender in drill.contenders
        if contender.name in {comparison.better, comparison.worse}
    ]

    def points(value: float | None) -> str:
        text = t.metric_value(metric, value)
        if METRIC_KINDS.get(metric) != "ratio" or value is None:
            return text
        return t.say("{points} percentage points", points=text.removesuffix("%"))

    interval = ""
    if comparison.ci95_low is not None and comparison.ci95_high is not None:
        interval = t.say(
            "{low} to {high}", low=points(comparison.ci95_low), high=points(comparison.ci95_high)
        )
    if comparison.beyond_noise is None:
        said = t.say("not known: fewer than {least:count} runs to be trusted", least=MIN_KNOWN)
    elif not comparison.beyond_noise:
        said = t.say("no")
    elif metric in NEITHER_IS_BETTER:
        said = t.say("yes")
    else:
        said = t.say("yes: {better} is better", better=comparison.better)
    difference = marked(points(abs(comparison.difference)), t, modelled=any(one.modelled for one in spreads))
    return (t.metric_label(metric), f"{comparison.worse} - {comparison.better}", difference, interval, said)


def _row(metric: str, drill: DrillResults, t: Translator) -> Row:
    spreads = [
        contender.operator_time if metric == OPERATOR_TIME else contender.metrics.get(metric)
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
