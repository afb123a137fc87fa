"""The course's claims about a single container and an orchestrated service, each against what was measured.

Called by `analysis.run`. Pure. The claims (course handout, phase 4, and 3-measurement): a single container is
100 % out while it is failed · an orchestrated service that loses 1 of 3 replicas keeps at least 66 % · manual
recovery takes 5 to 10 min · automatic recovery at most 30 s · the operator's work falls by 80 %. The single
container is a contender that runs as a container without a restart policy; the orchestrated one runs as a
service.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from breakroom.analysis.conditions import judge_values
from breakroom.analysis.contenders import Repeats
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import Claim, Reason, TrialResults, Verdict

__all__ = ["CLAIM_CODES", "COURSE_PACE", "claims"]

CLAIM_CODES = (
    "single-out-while-failed",
    "orchestrated-keeps-66",
    "manual-recovery-5-to-10-min",
    "automatic-within-30-s",
    "operator-work-80-less",
)
COURSE_PACE = "course"
_KEEPS = 0.66
_MANUAL_S = (300.0, 600.0)
_AUTOMATIC_S = 30.0
_SAVED = 0.8
_REPLICAS = 3
_OUT = 0.99
"""Share of a recovery's probes that must fail to be called all: the edges of an outage are known to one probe only."""


def claims(contenders: Sequence[Repeats], pace: str) -> tuple[Claim, ...]:
    """Every claim with its verdict, over all drills of the run."""
    single = [one for one in contenders if _is_single(one)]
    services = [one for one in contenders if one.facts.started.runs_as == "service"]
    three = [one for one in services if one.facts.wanted == _REPLICAS and _killed_one(one)]
    return (
        _single_out(single),
        _keeps(three),
        _manual(single, pace),
        _automatic(services),
        _work(single, services),
    )


def _is_single(repeats: Repeats) -> bool:
    service = repeats.facts.contender.get("service")
    restart = service.get("restart", "no") if isinstance(service, dict) else "no"
    return repeats.facts.started.runs_as == "container" and restart == "no"


def _killed_one(repeats: Repeats) -> bool:
    fault = repeats.facts.fault
    return fault is not None and len(fault.action.tasks) == 1


def _values(contenders: Sequence[Repeats], metric: str) -> list[float | None]:
    return [value for repeats in contenders for value in repeats.values(metric)]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _claim(code: str, verdict: Verdict, value: float | None, why: Reason, *, modelled: bool = False) -> Claim:
    return Claim(code=code, verdict=verdict, value=_finite(value), modelled=modelled, reason=why)


def _modelled(contenders: Sequence[Repeats]) -> bool:
    return any(trial.modelled for repeats in contenders for trial in repeats.trials)


def _unknown(code: str, contenders: Sequence[Repeats]) -> Claim:
    why = reason("claim.not-measured") if contenders else reason("claim.no-contender")
    return _claim(code, "unknown", None, why)


def _single_out(single: Sequence[Repeats]) -> Claim:
    """Share of the requests that failed between the fault and the service's return."""
    code = CLAIM_CODES[0]
    values = [_share_failed(trial) for repeats in single for trial in repeats.trials]
    value = _median(values)
    if value is None:
        return _unknown(code, single)
    # Up to one spacing after the fault and before the return nothing was asked: that cannot count against the claim.
    judged = [_with_edges(trial) for repeats in single for trial in repeats.trials]
    verdict = judge_values(judged, ">=", _OUT)
    return _claim(code, verdict, value, reason("claim.measured", value=value, limit=1.0))


def _share_failed(trial: TrialResults) -> float | None:
    """The time in total outages from the fault on ÷ the time from the fault to the return. None if not trusted."""
    if trial.reasons_unknown or trial.fault_proved is not True:
        return None
    until = _until(trial)
    return _out_s(trial, until) / until if until > 0 else 0.0


def _with_edges(trial: TrialResults) -> float | None:
    """The same with what the probe cannot tell apart counted as outage; None where that is most of it."""
    share, until = _share_failed(trial), _until(trial)
    if share is None or until <= 0:
        return share
    return min(share + trial.resolution_s / until, 1.0) if until > 2 * trial.resolution_s else None


def _until(trial: TrialResults) -> float:
    """When the service was back, in seconds after the fault; where it never was, the end of observation."""
    if trial.recovery_time_s is not None:
        return trial.recovery_time_s
    return trial.availability.window_from_s + trial.availability.window_s


def _out_s(trial: TrialResults, until: float) -> float:
    return sum(
        max(min(outage.start_at_s + outage.duration_s, until) - max(outage.start_at_s, 0.0), 0.0)
        for outage in trial.outages
        if outage.kind == "total"
    )


def _keeps(three: Sequence[Repeats]) -> Claim:
    code = CLAIM_CODES[1]
    values = _values(three, "capacity_kept")
    value = _median(values)
    if value is None:
        trials = [trial for repeats in three for trial in repeats.trials]
        idle = [_plain_kept(trial) for trial in trials if trial.capacity.saturated is False]
        kept = _median(idle)
        if kept is not None:
            return _claim(code, "unknown", None, reason("claim.not-saturating", kept=kept))
        return _unknown(code, three)
    verdict, why = judge_values(values, ">=", _KEEPS), reason("claim.measured", value=value, limit=_KEEPS)
    resolution = max((repeats.resolution("capacity_kept") or 0.0 for repeats in three), default=0.0)
    if verdict == "not met" and value + resolution >= _KEEPS:
        # Two of three replicas keep 66.7 %: too near to 66 % for a miss by less than one burst of answers to count.
        verdict = "unknown"
        why = reason("claim.within-resolution", value=value, limit=_KEEPS, resolution=resolution)
    return _claim(code, verdict, value, why, modelled=_modelled(three))


def _plain_kept(trial: TrialResults) -> float | None:
    before, during = trial.capacity.before_per_s, trial.capacity.during_per_s
    return during / before if before and during is not None else None


def _manual(single: Sequence[Repeats], pace: str) -> Claim:
    code = CLAIM_CODES[2]
    acted = [repeats for repeats in single if any(trial.operator.acts for trial in repeats.trials)]
    values = _values(acted, "recovery_time")
    value = _median(values)
    if value is None:
        return _unknown(code, acted)
    modelled = _modelled(acted)
    low, high = _MANUAL_S
    if modelled and pace != COURSE_PACE:
        return _claim(
            code, "unknown", value, reason("claim.scaled", pace=pace, value_s=_finite(value)), modelled=True
        )
    if math.isinf(value):
        return _claim(code, "not met", None, reason("claim.never-recovered", limit_s=high), modelled=modelled)
    verdict = _both(judge_values(values, ">=", low), judge_values(values, "<=", high))
    name = "claim.modelled-time" if modelled else "claim.measured-time"
    return _claim(
        code, verdict, value, reason(name, value_s=value, low_s=low, high_s=high), modelled=modelled
    )


def _both(one: Verdict, other: Verdict) -> Verdict:
    if "not met" in {one, other}:
        return "not met"
    return "met" if one == other == "met" else "unknown"


def _automatic(services: Sequence[Repeats]) -> Claim:
    """Until users were served and all replicas were back, whichever took longer."""
    code = CLAIM_CODES[3]
    pairs = zip(_values(services, "recovery_time"), _values(services, "time_to_full_capacity"), strict=True)
    values = [None if users is None or full is None else max(users, full) for users, full in pairs]
    value = _median(values)
    if value is None:
        return _unknown(code, services)
    verdict = judge_values(values, "<=", _AUTOMATIC_S)
    if math.isinf(value):
        return _claim(code, verdict, None, reason("claim.never-recovered", limit_s=_AUTOMATIC_S))
    why = reason("claim.measured-time", value_s=value, low_s=0.0, high_s=_AUTOMATIC_S)
    return _claim(code, verdict, value, why, modelled=_modelled(services))


def _work(single: Sequence[Repeats], services: Sequence[Repeats]) -> Claim:
    code = CLAIM_CODES[4]
    by_hand, with_help = _values(single, "operator_acts"), _values(services, "operator_acts")
    acts, fewer = _median(by_hand), _median(with_help)
    if acts is None or fewer is None:
        return _unknown(code, single if single and acts is None else services)
    modelled = _modelled([*single, *services])
    if acts == 0:
        return _claim(code, "unknown", None, reason("claim.no-work-to-save"), modelled=modelled)
    saved = 1 - fewer / acts
    verdict: Verdict = "unknown"
    if None not in by_hand and None not in with_help:
        verdict = "met" if saved >= _SAVED else "not met"
    why = reason("claim.acts", single=acts, orchestrated=fewer, saved=saved)
    return _claim(code, verdict, saved, why, modelled=modelled)
