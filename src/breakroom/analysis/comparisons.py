"""Contenders against each other on every metric: the difference of medians, and whether it is larger than the noise.

Called by `analysis.drills`. Pure. Beyond noise: the 95 % bootstrap interval of the difference excludes zero,
and the difference is at least what the measurement can tell apart. With fewer than 5 known repeats of either, that is
not known. Of two contenders that are alike a number passes for different in at most 5 % of cases (docs/numbers.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from breakroom.analysis.contenders import OPERATOR_TIME, Repeats
from breakroom.analysis.metrics import HIGHER_IS_BETTER
from breakroom.analysis.results import Comparison
from breakroom.analysis.statistics import bootstrap_difference, seed_of
from breakroom.spec.drill import METRICS

__all__ = ["compare"]


def compare(contenders: Sequence[Repeats]) -> tuple[Comparison, ...]:
    """All pairs on all metrics that both know, `operator_time` last. `difference` and its interval: worse - better."""
    return tuple(_pairs(contenders))


def _pairs(contenders: Sequence[Repeats]) -> Iterable[Comparison]:
    for metric in (*METRICS, OPERATOR_TIME):
        for one, other in combinations(contenders, 2):
            comparison = _compare(metric, one, other)
            if comparison is not None:
                yield comparison


def _compare(metric: str, one: Repeats, other: Repeats) -> Comparison | None:
    known = {repeats.name: _finite(repeats, metric) for repeats in (one, other)}
    if not known[one.name] or not known[other.name]:
        return None
    medians = {name: float(np.median(values)) for name, values in known.items()}
    one_is_better = medians[one.name] <= medians[other.name]
    if metric in HIGHER_IS_BETTER:
        one_is_better = medians[one.name] >= medians[other.name]
    better, worse = (one, other) if one_is_better else (other, one)
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    seed = seed_of(one.seed, one.facts.started.drill, metric, *sorted(known))
    interval = bootstrap_difference(
        [sign * value for value in known[worse.name]], [sign * value for value in known[better.name]], seed
    )
    difference = sign * (medians[worse.name] - medians[better.name])
    resolution = max(one.resolution(metric) or 0.0, other.resolution(metric) or 0.0)
    return Comparison(
        metric=metric,
        better=better.name,
        worse=worse.name,
        difference=difference + 0.0,  # no -0.0
        ci95_low=interval[0] if interval is not None else None,
        ci95_high=interval[1] if interval is not None else None,
        beyond_noise=interval[0] > 0 and difference >= resolution if interval is not None else None,
    )


def _finite(repeats: Repeats, metric: str) -> list[float]:
    """The known values; none at all if a trial never recovered, as a median of the others would flatter it."""
    values = repeats.values(metric)
    if any(value is not None and math.isinf(value) for value in values):
        return []
    return [value for value in values if value is not None]
