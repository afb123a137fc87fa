"""A trial's numbers by the names that `expect` uses, and each contender's spread over its repeats.

Called by `analysis.contenders`, `conditions`, `comparisons` and `claims`. Pure. A value is None where the
trial does not know it, and infinite where the trial knows that it did not come to an end while it was watched
(not recovered); the median treats that as larger than any number, and results print it as None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from breakroom.analysis.results import Latency, Reason, Spread, TrialResults
from breakroom.analysis.statistics import bootstrap_median
from breakroom.spec.drill import METRICS

__all__ = ["HIGHER_IS_BETTER", "is_modelled", "metric_resolution", "metric_value", "spread", "trusted"]

HIGHER_IS_BETTER = frozenset({"availability", "availability_time", "capacity_kept", "lowest_capacity"})

_LOAD_METRICS = frozenset({"capacity_kept", "lowest_capacity", "failed_requests", "blast_radius"})
"""All that the load's samples enter into; the rest is the probe's and the platform's."""
_NOT_FROM_SAMPLES = frozenset({"operator_acts", "time_to_full_capacity"})
_STREAM_CODES = frozenset(
    {
        "unknown.not-sent",
        "unknown.generator-lag",
        "unknown.probe-blind",
        "unknown.generator-bottleneck",
        "unknown.stream-not-closed",
        "unknown.samples-missing",
        "unknown.requests-missing",
        "unknown.plan-mismatch",
    }
)
_EVENT_RESOLUTION_S = 0.001
"""Events carry the time at which their notice was handled; a loaded machine handles it within about this."""
_UNAFFECTED_BY_OPERATOR = frozenset({"latency_p99_before"})
_TIME_METRICS = frozenset({"outage", "longest_outage", "recovery_time"})


def trusted(trial: TrialResults, metric: str) -> bool:
    """Whether no reason of the trial forbids a verdict on this metric."""
    return not any(_affects(why, metric) for why in trial.reasons_unknown)


def _affects(why: Reason, metric: str) -> bool:
    if why.code not in _STREAM_CODES:
        return True
    if metric in _NOT_FROM_SAMPLES:
        return False
    return metric in _LOAD_METRICS if why.params.get("stream") == "load" else True


def metric_value(trial: TrialResults, metric: str) -> float | None:
    """The value, in seconds for durations; None: unknown; infinite: it did not end while it was watched.

    Raises:
        KeyError: no such metric.
    """
    if metric not in METRICS:
        raise KeyError(metric)
    if not trusted(trial, metric):
        return None
    value = _raw(trial, metric)
    never = metric in {"recovery_time", "time_to_full_capacity"} and trial.outcome == "not-recovered"
    return math.inf if value is None and never else value


def _raw(trial: TrialResults, metric: str) -> float | None:
    values: dict[str, float | None] = {
        "availability": trial.availability.requests,
        "availability_time": trial.availability.time,
        "outage": trial.outage_total_s,
        "longest_outage": trial.longest_outage_s,
        "recovery_time": trial.recovery_time_s,
        "time_to_full_capacity": trial.time_to_full_capacity_s,
        "capacity_kept": trial.capacity.kept,
        "lowest_capacity": trial.capacity.lowest,
        "blast_radius": trial.blast_radius,
        "failed_requests": float(trial.failed_requests),
        "operator_acts": float(trial.operator.acts),
        "latency_p99_before": _p99(trial.latency, "before"),
        "latency_p99_during": _p99(trial.latency, "during"),
    }
    return values[metric]


def _p99(rows: Sequence[Latency], period: str) -> float | None:
    """Of successful probes: they are the users, sent whether or not the service keeps up."""
    return next(
        (row.p99_s for row in rows if (row.stream, row.period, row.which) == ("probe", period, "ok")), None
    )


def metric_resolution(trial: TrialResults, metric: str) -> float | None:
    """What the trial's measurement could tell apart, in the metric's own unit; None where that is not known."""
    if metric in _TIME_METRICS:
        return trial.resolution_s
    if metric in {"failed_requests", "operator_acts"}:
        return 1.0
    if metric == "time_to_full_capacity":
        return _EVENT_RESOLUTION_S
    if metric == "availability":
        return 1 / trial.availability.intended if trial.availability.intended else None
    if metric == "availability_time":
        window = trial.availability.window_s
        return min(trial.resolution_s / window, 1.0) if window > 0 else None
    if metric == "capacity_kept":
        return trial.capacity.resolution
    if metric == "lowest_capacity":
        return trial.capacity.lowest_resolution
    if metric == "blast_radius":
        sent = sum(sum(by.values()) for by in trial.outcomes.values())
        return 1 / sent if sent else None
    return 1e-6


def spread(
    values: Sequence[float | None], *, seed: int, resolution: float | None = None, modelled: bool = False
) -> Spread:
    """Median, range and interval of the known values.

    Args:
        values: One a trial; None unknown, infinite: without end.
        seed: Of the bootstrap.
        resolution: The coarsest of the trials'.
        modelled: Whether an operator model's time is in it.
    """
    known = sorted(value for value in values if value is not None)
    finite = [value for value in known if math.isfinite(value)]
    interval = bootstrap_median(finite, seed) if len(finite) == len(known) else None
    median = float(np.median(known)) if known else None
    return Spread(
        median=median if median is not None and math.isfinite(median) else None,
        minimum=finite[0] if finite else None,
        maximum=finite[-1] if finite and len(finite) == len(known) else None,
        ci95_low=interval[0] if interval is not None else None,
        ci95_high=interval[1] if interval is not None else None,
        n=len(finite),
        unknown=len(values) - len(finite),
        values=tuple(value if value is not None and math.isfinite(value) else None for value in values),
        resolution=resolution,
        modelled=modelled,
    )


def is_modelled(trials: Sequence[TrialResults], metric: str) -> bool:
    """Whether an operator model's time is in the metric of any trial."""
    return metric not in _UNAFFECTED_BY_OPERATOR and any(trial.modelled for trial in trials)
