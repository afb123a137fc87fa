"""Two runs beside each other, contender by contender: the same drill on `local` and on a real Swarm, say.

Called by `cli.report` for `--beside`. Only drills and contenders that both runs have are compared. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from breakroom.analysis.results import ContenderResults, DrillResults, RunResults, Spread
from breakroom.i18n import Translator
from breakroom.i18n.terms import METRIC_KINDS
from breakroom.report.comparison import marked
from breakroom.report.method import Table
from breakroom.report.view import PHASES
from breakroom.report.zero import moments_note, zero_of

__all__ = ["beside"]


def beside(first: RunResults, second: RunResults, t: Translator) -> tuple[Table, ...]:
    """For each drill that both runs have: its metrics, and the moments of the recovery, as medians over the repeats.

    Columns come in pairs, a contender in the first run and in the second; they are headed by contender and platform, or
    by contender and run id where both ran on the same platform. Empty if the runs have nothing in common.
    """
    ones = {drill.name: drill for drill in first.drills}
    names = (first.platform, second.platform)
    if first.platform == second.platform:
        names = (first.run_id, second.run_id)
    tables: list[Table] = []
    for other in second.drills:
        one = ones.get(other.name)
        pairs = _pairs(one, other) if one is not None else []
        if pairs:
            title = t.text_of(other.title) or other.name
            note = moments_note(zero_of(trial for trial in second.trials if trial.drill == other.name), t)
            tables += [_metrics(title, pairs, names, t), _phases(title, pairs, names, note, t)]
    return tuple(tables)


Pair = tuple[ContenderResults, ContenderResults]
Show = Callable[[float | None], str]


def _pairs(one: DrillResults, other: DrillResults) -> list[Pair]:
    there = {contender.name: contender for contender in other.contenders}
    return [(mine, there[mine.name]) for mine in one.contenders if mine.name in there]


def _head(first: str, pairs: list[Pair], names: tuple[str, str]) -> tuple[str, ...]:
    return (first, *(f"{pair[0].name}\n{name}" for pair in pairs for name in names))


def _metrics(title: str, pairs: list[Pair], names: tuple[str, str], t: Translator) -> Table:
    rows = []
    for metric in METRIC_KINDS:
        spreads = [contender.metrics.get(metric) for pair in pairs for contender in pair]
        if any(spread is not None and spread.median is not None for spread in spreads):
            show = partial(t.metric_value, metric)
            rows.append((t.metric_label(metric), *(_cell(spread, t, show) for spread in spreads)))
    return Table(title, _head("", pairs, names), tuple(rows), "")


def _phases(title: str, pairs: list[Pair], names: tuple[str, str], note: str, t: Translator) -> Table:
    rows = []
    for phase in PHASES:
        spreads = [contender.phases.get(phase) for pair in pairs for contender in pair]
        if any(spread is not None and spread.median is not None for spread in spreads):
            rows.append((t.label("phase", phase), *(_cell(spread, t, t.duration) for spread in spreads)))
    moments = t.say("Moments of the recovery")
    return Table(f"{title} · {moments}", _head(t.say("Moment"), pairs, names), tuple(rows), note)


def _cell(spread: Spread | None, t: Translator, show: Show) -> str:
    value = spread.median if spread is not None else None
    return marked(show(value), t, modelled=spread is not None and spread.modelled and value is not None)
