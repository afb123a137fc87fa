"""A trial's numbers by the names that `expect` uses, and each contender's spread over its repeats.

Called by `analysis.contenders`, `conditions`, `comparisons` and `claims`. Pure. A value is None where the
trial does not know it, and infinite where the trial knows that it did not come to an end while it was watched
(not recovered); the median treats that as larger than any number, and results print it as None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from breakroom.analysis.results import Latency, Reason, ScaleFinding, Spread, TrialResults
from breakroom.analysis.statistics import bootstrap_median
from breakroom.spec.drill import METRICS

__all__ = [
    "HIGHER_IS_BETTER",
    "goodput_gain",
    "is_modelled",
    "metric_own",
    "metric_resolution",
    "metric_value",
    "operator_time",
    "spread",
    "trusted",
]

HIGHER_IS_BETTER = frozenset(
    {
        "availability",
        "availability_time",
        "capacity_kept",
        "lowest_capacity",
        "goodput_gain",
        "updates_completed",
    }
)

_LOAD_METRICS = frozenset(
    {
        "capacity_kept",
        "lowest_capacity",
        "failed_requests",
        "blast_radius",
        "goodput_gain",
        "new_version_requests",
    }
)
"""All that the load's samples enter into; the rest is the probe's and the platform's."""
_UPDATES = frozenset({"update_duration", "updates_completed", "updates_paused", "updates_rolled_back"})
_FROM_EVENTS = frozenset({"time_to_full_capacity", "detection_time", "scale_response", "update_duration"})
_NOT_FROM_SAMPLES = _FROM_EVENTS | _UPDATES | {"operator_acts", "oom_kills"}
_STREAM_CODES = frozenset(
    {
        "unknown.not-sent",
        "unknown.generator-lag",
        "unknown.probe-blind",
        "unknown.generator-bottleneck",
        "unknown.generator-cpu",
        "unknown.generator-starved",
        "unknown.worker-died",
        "unknown.samples-unwritable",
        "unknown.stream-not-closed",
        "unknown.samples-missing",
        "unknown.requests-missing",
        "unknown.plan-mismatch",
    }
)
_EVENT_RESOLUTION_S = 0.001
"""Events carry the time at which their notice was handled; a loaded machine handles it within about this."""
_GAIN_RESOLUTION = 0.04
"""Of a gain: each of its two goodputs is over 0.5 s at least, of which 10 ms more or less may hold a burst of answers:
2 % each."""
_UNAFFECTED_BY_OPERATOR = _UPDATES | {
    "latency_p50_before",
    "latency_p99_before",
    "detection_time",
    "scale_response",
}
_NO_LATENCY = Latency(
    stream="probe",
    period="before",
    which="ok",
    count=0,
    p50_s=None,
    p90_s=None,
    p99_s=None,
    p999_s=None,
    max_s=None,
)
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
    values: dict[str, Callable[[], float | None]] = {
        "availability": lambda: trial.availability.requests,
        "availability_time": lambda: trial.availability.time,
        "outage": lambda: trial.outage_total_s,
        "longest_outage": lambda: trial.longest_outage_s,
        "recovery_time": lambda: trial.recovery_time_s,
        "time_to_full_capacity": lambda: trial.time_to_full_capacity_s,
        "capacity_kept": lambda: trial.capacity.kept,
        "lowest_capacity": lambda: trial.capacity.lowest,
        "blast_radius": lambda: trial.blast_radius,
        "failed_requests": lambda: float(trial.failed_requests),
        "operator_acts": lambda: float(trial.operator.acts),
        "latency_p50_before": lambda: _latency(trial.latency, "before").p50_s,
        "latency_p50_during": lambda: _latency(trial.latency, "during").p50_s,
        "latency_p99_before": lambda: _latency(trial.latency, "before").p99_s,
        "latency_p99_during": lambda: _latency(trial.latency, "during").p99_s,
        "detection_time": lambda: _detection(trial),
        "oom_kills": lambda: _oom_kills(trial),
        "scale_response": lambda: _worst(
            [finding.response_s for finding in trial.scaling if finding.applied]
        ),
        "goodput_gain": lambda: goodput_gain(trial.scaling),
        "update_duration": lambda: _worst([finding.duration_s for finding in trial.updates]),
        "updates_completed": lambda: _releases(trial, "completed", "replaced"),
        "updates_paused": lambda: _gone_wrong(trial, "paused", "rollback-paused"),
        "updates_rolled_back": lambda: _gone_wrong(trial, "rolled-back"),
        "new_version_requests": lambda: _new_version(trial),
    }
    return values[metric]()


def _latency(rows: Sequence[Latency], period: str) -> Latency:
    """Of successful probes: they are the users, sent whether or not the service keeps up."""
    found = (row for row in rows if (row.stream, row.period, row.which) == ("probe", period, "ok"))
    return next(found, _NO_LATENCY)


def _detection(trial: TrialResults) -> float | None:
    """Until the platform knew of the last of the tasks that were hit; infinite if it never did."""
    if not trial.detection:
        return None
    known = {phase.name: phase.at_s for phase in trial.recovery}.get("detected")
    return math.inf if known is None else known


def _oom_kills(trial: TrialResults) -> float:
    if trial.leak is not None:
        return float(trial.leak.oom_kills)
    return float(sum(failure.oom for failure in trial.failures))


def operator_time(trial: TrialResults) -> float | None:
    """Seconds until a person had restored the service; 0 where it came back without one."""
    if not trusted(trial, "operator_acts"):
        return None
    if trial.operator.acts == 0 and trial.recovery_time_s is not None:
        return 0.0
    return trial.operator.restored_after_s


def _worst(values: Sequence[float | None]) -> float | None:
    """The longest; infinite if one did not come to its end; None if there was none."""
    return max((math.inf if value is None else value for value in values), default=None)


def goodput_gain(findings: Sequence[ScaleFinding]) -> float | None:
    """Goodput after the last scale-up in a row ÷ before the first; None where nothing was to be scaled up."""
    ups: list[ScaleFinding] = []
    for finding in findings:
        if finding.to_replicas > finding.from_replicas:
            ups.append(finding)
        elif ups:
            break
    if not ups or not ups[0].goodput_before_per_s or ups[-1].goodput_after_per_s is None:
        return None
    return ups[-1].goodput_after_per_s / ups[0].goodput_before_per_s


def _releases(trial: TrialResults, *states: str) -> float | None:
    if not trial.updates:
        return None
    return float(sum(finding.state in states for finding in trial.updates))


def _gone_wrong(trial: TrialResults, *states: str) -> float | None:
    """As `_releases`; unknown while the last one is under way, which may still go wrong. Earlier ones were replaced."""
    if trial.updates and trial.updates[-1].state == "under-way":
        return None
    return _releases(trial, *states)


def _new_version(trial: TrialResults) -> float | None:
    known = [finding.new_version_requests for finding in trial.updates]
    if not known or None in known:
        return None
    return float(sum(count for count in known if count is not None))


def metric_own(trial: TrialResults, metric: str) -> float:
    """By how much the value may be too high by the probe's own lag in that very period; 0 for all but latencies.

    A stream's lag is judged over all of it. A short period may hold the few requests that were late.
    """
    name, _, period = metric.rpartition("_")
    match name:
        case "latency_p50":
            return _latency(trial.latency, period).own_p50_s
        case "latency_p99":
            return _latency(trial.latency, period).own_p99_s
    return 0.0


def metric_resolution(trial: TrialResults, metric: str) -> float | None:
    """What the trial's measurement could tell apart, in the metric's own unit; None where that is not known."""
    if metric in _TIME_METRICS:
        return trial.resolution_s
    if METRICS[metric] == "count":
        return 1.0
    if metric in _FROM_EVENTS:
        return _EVENT_RESOLUTION_S
    if metric == "goodput_gain":
        gain = goodput_gain(trial.scaling)
        return None if gain is None else _GAIN_RESOLUTION * gain
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
