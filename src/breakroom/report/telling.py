"""The one number of each drill that tells its contenders apart: what a table of all drills shows.

Called by `report.overall` and the terminal's summary, so that both show the same. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.analysis.results import DrillResults, RunResults, TrialResults
from breakroom.i18n import Translator
from breakroom.report.comparison import marked

__all__ = ["Told", "telling_cells", "telling_metric"]


@dataclass(frozen=True, slots=True)
class Told:
    """One contender's value of the drill's number."""

    contender: str
    text: str
    known: bool
    modelled: bool
    detail: str = ""
    short: str = ""
    """The value with a star instead of the word that says that it is modelled, for narrow tables."""
    value: str = ""
    """The value alone, for those who mark what is modelled in their own way."""


def telling_metric(drill: DrillResults, trials: tuple[TrialResults, ...]) -> str:
    """The metric, from what the drill did to its contenders: the first of the fitting ones that any of them knows."""
    mine = [trial for trial in trials if trial.drill == drill.name]
    wanted = [*_by_kind(mine), "outage"]
    if any(trial.detection for trial in mine):
        wanted.append("detection_time")
    wanted += ["failed_requests", "availability"]
    known = [metric for metric in wanted if any(_median(drill, metric))]
    return known[0] if known else "outage"


def _by_kind(trials: list[TrialResults]) -> list[str]:
    """Metrics that speak of the kind of failure, before what every drill has."""
    if any(scale.gain is not None for trial in trials for scale in trial.scaling):
        return ["goodput_gain"]
    if any(update.state != "completed" for trial in trials for update in trial.updates if _rolls(update)):
        return ["new_version_requests"]
    if any(trial.updates for trial in trials):
        return ["outage", "failed_requests"]
    links = [trial.impairment for trial in trials if trial.impairment is not None]
    if any(link.delay_s and not link.partition for link in links):
        return ["latency_p50_during"]
    if any(link.loss and not link.partition for link in links):
        return ["latency_p99_during"]
    return []


def _rolls(update: object) -> bool:
    return getattr(update, "kind", "") == "update"


def _median(drill: DrillResults, metric: str) -> list[bool]:
    """Whether each contender tells something by it: an outage that nobody had tells nothing."""
    spreads = [contender.metrics.get(metric) for contender in drill.contenders]
    medians = [spread.median for spread in spreads if spread is not None]
    if metric in {"outage", "failed_requests"}:
        return [bool(median) for median in medians]
    return [median is not None for median in medians]


def telling_cells(drill: DrillResults, results: RunResults, t: Translator) -> tuple[str, tuple[Told, ...]]:
    """The metric's name, and each contender's value of it."""
    metric = telling_metric(drill, results.trials)
    trials = {trial.id: trial for trial in results.trials}
    cells = []
    for contender in drill.contenders:
        mine = [trials[name] for name in contender.trials if name in trials]
        spread = contender.metrics.get(metric)
        if mine and all(trial.outcome == "skipped" for trial in mine):
            cells.append(Told(contender.name, t.say("skipped"), known=False, modelled=False))
        elif spread is None or spread.median is None:
            never = any(trial.outcome == "not-recovered" for trial in mine)
            text = t.say("not recovered") if never else t.say("not known")
            cells.append(Told(contender.name, text, known=False, modelled=False))
        else:
            value = t.metric_value(metric, spread.median)
            text = marked(value, t, modelled=spread.modelled)
            never = any(trial.outcome == "not-recovered" for trial in mine)
            detail = t.say("not recovered") if never else ""
            short = value + "*" if spread.modelled else value
            cells.append(Told(contender.name, text, True, spread.modelled, detail, short, value))
    return t.metric_label(metric), tuple(cells)
