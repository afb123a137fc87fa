"""A contender over its repeats: the spread of every metric and phase, and what is told of its median trial.

Called by `analysis.drills`. Pure. A planned trial that never ran counts as unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.metrics import (
    is_modelled,
    metric_own,
    metric_resolution,
    metric_value,
    operator_time,
    spread,
)
from breakroom.analysis.recovery import PHASE_NAMES
from breakroom.analysis.results import ContenderResults, Spread, TrialResults
from breakroom.analysis.statistics import seed_of
from breakroom.spec.drill import METRICS

__all__ = ["OPERATOR_TIME", "Repeats", "contender_results"]

OPERATOR_TIME = "operator_minutes"
"""The table's name for `metrics.operator_time`, which is no metric of `expect`."""

_PLATFORM_PHASES = frozenset({"detected", "replaced", "running", "in_rotation", "full_capacity"})
_AFTER_OPERATOR = frozenset(
    {"replaced", "running", "in_rotation", "first_success", "full_capacity", "stable"}
)


@dataclass(frozen=True, slots=True)
class Repeats:
    """One contender's trials of one drill. `planned` counts those that were to run, at least as many as did."""

    name: str
    facts: TrialFacts
    """Of the first trial: the contender is the same in all."""
    trials: tuple[TrialResults, ...]
    planned: int
    seed: int

    def values(self, metric: str) -> tuple[float | None, ...]:
        """The metric in each planned trial, as `metrics.metric_value` has it; or `OPERATOR_TIME`."""
        missing = (None,) * (self.planned - len(self.trials))
        if metric == OPERATOR_TIME:
            return (*map(operator_time, self.trials), *missing)
        return (*(metric_value(trial, metric) for trial in self.trials), *missing)

    def own(self, metric: str) -> tuple[float, ...]:
        """By how much the value of each planned trial may be too high by the generator's own doing."""
        return (
            *(metric_own(trial, metric) for trial in self.trials),
            *(0.0,) * (self.planned - len(self.trials)),
        )

    def resolution(self, metric: str) -> float | None:
        """The coarsest resolution of the trials."""
        if metric == OPERATOR_TIME:
            return self.resolution("recovery_time")
        known = [metric_resolution(trial, metric) for trial in self.trials]
        return max((value for value in known if value is not None), default=None)

    def spread(self, metric: str) -> Spread:
        """Over the repeats."""
        return spread(
            self.values(metric),
            seed=seed_of(self.seed, self.facts.started.drill, self.name, metric),
            resolution=self.resolution(metric),
            modelled=is_modelled(self.trials, metric),
        )


def contender_results(repeats: Repeats) -> ContenderResults:
    """The contender's results."""
    facts = repeats.facts
    middle = _middle(repeats.trials)
    description = facts.contender.get("description")
    return ContenderResults(
        name=repeats.name,
        description=dict(description) if isinstance(description, dict) else {},
        runs_as=facts.started.runs_as,
        replicas=facts.wanted,
        trials=tuple(trial.id for trial in repeats.trials),
        metrics={metric: repeats.spread(metric) for metric in METRICS},
        operator_time=_operator_time(repeats),
        phases={name: _phase(repeats, name) for name in PHASE_NAMES},
        explanation=middle.explanation if middle is not None else (),
        advice=middle.advice if middle is not None else None,
    )


def _operator_time(repeats: Repeats) -> Spread:
    return spread(
        repeats.values(OPERATOR_TIME),
        seed=seed_of(repeats.seed, repeats.facts.started.drill, repeats.name, OPERATOR_TIME),
        modelled=any(trial.operator.modelled and trial.operator.acts > 0 for trial in repeats.trials),
    )


def _phase(repeats: Repeats, name: str) -> Spread:
    values: list[float | None] = []
    for trial in repeats.trials:
        known = {phase.name: phase.at_s for phase in trial.recovery}
        values.append(known.get(name))
    values += [None] * (repeats.planned - len(repeats.trials))
    resolution = max((trial.resolution_s for trial in repeats.trials), default=None)
    return spread(
        values,
        seed=seed_of(repeats.seed, repeats.facts.started.drill, repeats.name, "phase", name),
        resolution=0.001 if name in _PLATFORM_PHASES else resolution,
        modelled=name in _AFTER_OPERATOR and any(trial.modelled for trial in repeats.trials),
    )


def _middle(trials: Sequence[TrialResults]) -> TrialResults | None:
    """The trial in the middle, by recovery time, then time to full capacity; of trusted ones if there are any."""
    candidates = [trial for trial in trials if not trial.reasons_unknown] or list(trials)
    if not candidates:
        return None

    def rank(trial: TrialResults) -> tuple[float, float, str]:
        recovery, full = trial.recovery_time_s, trial.time_to_full_capacity_s
        return (math.inf if recovery is None else recovery, math.inf if full is None else full, trial.id)

    return sorted(candidates, key=rank)[(len(candidates) - 1) // 2]
