"""The course's claims about a single container and an orchestrated service, each against what all drills measured.

Called by `analysis.run`. Pure. The claims (course handout, phase 4, and 3-measurement): a single container is
100 % out while it is failed · an orchestrated service that loses 1 of 3 replicas keeps at least 66 % · manual
recovery takes 5 to 10 min · automatic recovery at most 30 s · the operator's work falls by 80 %. The single
container is a contender that runs as a container without a restart policy; the orchestrated one runs as a
service.

Each claim is judged on the drills that can say something on it: what ended or hung the only container; what killed one
of three replicas; where an operator acted; what the platform itself had to recover from (a fault that ended by itself,
a bad link or a planned act says nothing on that); for the work, all drills that both kinds of contenders ran.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from breakroom.analysis.conditions import judge_values
from breakroom.analysis.contenders import Repeats
from breakroom.analysis.facts import Action
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
_KILLS = frozenset({"kill", "api_kill"})
_ENDS_OR_HANGS = _KILLS | {"oom", "hang", "pause", "node_loss"}
_TO_BE_HEALED = _KILLS | {"oom", "hang", "request", "node_loss"}
_OUT = 0.99
"""Share of a recovery's probes that must fail to be called all: the edges of an outage are known to one probe only."""


def claims(contenders: Sequence[Repeats], pace: str) -> tuple[Claim, ...]:
    """Every claim with its verdict, over all drills of the run."""
    single = [one for one in contenders if _is_single(one)]
    containers = [one for one in contenders if one.facts.started.runs_as == "container"]
    services = [one for one in contenders if one.facts.started.runs_as == "service"]
    three = [one for one in services if one.facts.wanted == _REPLICAS and _says(one, _killed_one, _KILLS)]
    return (
        _single_out([one for one in single if _says(one, _ended_or_hung, _ENDS_OR_HANGS)], single),
        _keeps(three, services),
        _manual(containers, pace),
        _automatic([one for one in services if _says(one, _healed, _TO_BE_HEALED)], services),
        _work(single, services),
    )


def _says(repeats: Repeats, about: Callable[[Repeats], bool], kinds: AbstractSet[str]) -> bool:
    """Whether its drill is about that. Where nothing came to be done, the plan says what was to be.

    What the platform cannot do is skipped and says nothing; what failed for another reason is unknown, not left out.
    """
    if repeats.facts.fault is not None:
        return about(repeats)
    if repeats.facts.outcome == "skipped":
        return False
    timeline = repeats.facts.started.plan.get("timeline")
    steps = (
        [step for step in timeline if isinstance(step, dict)] if isinstance(timeline, list | tuple) else []
    )
    return not steps or any(kinds & set(step) for step in steps)


def _is_single(repeats: Repeats) -> bool:
    service = repeats.facts.contender.get("service")
    restart = service.get("restart", "no") if isinstance(service, dict) else "no"
    return repeats.facts.started.runs_as == "container" and restart == "no"


def _only_fault(repeats: Repeats) -> Action | None:
    """What was done, if that was one fault alone: of several, a recovery time says nothing on any one."""
    faults = repeats.facts.faults
    if len(faults) != 1 or not faults[0].applies or faults[0].action.planned:
        return None
    return faults[0].action


def _killed_one(repeats: Repeats) -> bool:
    action = _only_fault(repeats)
    return action is not None and action.kind in _KILLS and len(action.tasks) == 1


def _ended_or_hung(repeats: Repeats) -> bool:
    action = _only_fault(repeats)
    if action is None:
        return False
    if action.kind == "request":
        # `health-app` is told how to fall ill; sick or slow it goes on answering users.
        return any(f"mode={mode}" in str(action.detail.get("path", "")) for mode in ("hang", "exit"))
    return action.kind in _ENDS_OR_HANGS


def _healed(repeats: Repeats) -> bool:
    """Whether the platform itself had to bring something back: its tasks were killed or sick, and stayed so."""
    action = _only_fault(repeats)
    if action is None or action.kind not in _TO_BE_HEALED:
        return False
    over = [trial for trial in repeats.trials if any(mark.kind == "undone" for mark in trial.marks)]
    return not any(sick.replaced_at_s is None for trial in over for sick in trial.detection)


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


def _unknown(code: str, asked: Sequence[Repeats], of_that_kind: Sequence[Repeats] = ()) -> Claim:
    if asked:
        return _claim(code, "unknown", None, reason("claim.not-measured"))
    why = reason("claim.no-drill") if of_that_kind else reason("claim.no-contender")
    return _claim(code, "unknown", None, why)


def _single_out(single: Sequence[Repeats], every: Sequence[Repeats]) -> Claim:
    """Share of the requests that failed between the fault and the service's return."""
    code = CLAIM_CODES[0]
    values = [_share_failed(trial) for repeats in single for trial in repeats.trials]
    value = _median(values)
    if value is None:
        return _unknown(code, single, every)
    # Up to one spacing after the fault and before the return nothing was asked: that cannot count against the claim.
    judged = [_with_edges(trial) for repeats in single for trial in repeats.trials]
    verdict = judge_values(judged, ">=", _OUT)
    return _claim(code, verdict, value, reason("claim.measured", value=value, limit=1.0))


def _share_failed(trial: TrialResults) -> float | None:
    """The time in total outages from the fault on ÷ the time from the fault to the return. None if not trusted."""
    if trial.reasons_unknown or trial.fault_proved is not True:
        return None
    until = _until(trial)
    # In nanoseconds, as it was measured: the pieces in seconds may add up to 0.9999999999999998 of the whole.
    return round(_out_s(trial, until) * 1e9) / round(until * 1e9) if until > 0 else 0.0


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


def _keeps(three: Sequence[Repeats], services: Sequence[Repeats]) -> Claim:
    code = CLAIM_CODES[1]
    values = _values(three, "capacity_kept")
    value = _median(values)
    if value is None:
        trials = [trial for repeats in three for trial in repeats.trials]
        idle = [_plain_kept(trial) for trial in trials if trial.capacity.saturated is False]
        kept = _median(idle)
        if kept is not None:
            return _claim(code, "unknown", None, reason("claim.not-saturating", kept=kept))
        return _unknown(code, three, services)
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


def _manual(containers: Sequence[Repeats], pace: str) -> Claim:
    code = CLAIM_CODES[2]
    acted = [repeats for repeats in containers if any(trial.operator.acts for trial in repeats.trials)]
    values = _values(acted, "recovery_time")
    value = _median(values)
    if value is None:
        return _unknown(code, acted, containers)
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


def _automatic(services: Sequence[Repeats], every: Sequence[Repeats]) -> Claim:
    """Until users were served and all replicas were back, whichever took longer."""
    code = CLAIM_CODES[3]
    pairs = zip(_values(services, "recovery_time"), _values(services, "time_to_full_capacity"), strict=True)
    values = [None if users is None or full is None else max(users, full) for users, full in pairs]
    value = _median(values)
    if value is None:
        return _unknown(code, services, every)
    verdict = judge_values(values, "<=", _AUTOMATIC_S)
    if math.isinf(value):
        return _claim(code, verdict, None, reason("claim.never-recovered", limit_s=_AUTOMATIC_S))
    why = reason("claim.measured-time", value_s=value, low_s=0.0, high_s=_AUTOMATIC_S)
    return _claim(code, verdict, value, why, modelled=_modelled(services))


def _work(single: Sequence[Repeats], services: Sequence[Repeats]) -> Claim:
    """Acts added up over the drills that both kinds ran, each drill with the median over its trials."""
    code = CLAIM_CODES[4]
    drills = {one.facts.started.drill for one in single} & {one.facts.started.drill for one in services}
    by_hand, with_help = _acts(single, drills), _acts(services, drills)
    acts, fewer = _total(by_hand), _total(with_help)
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


def _acts(contenders: Sequence[Repeats], drills: set[str]) -> list[float | None]:
    """The median of each drill; None where a trial of it does not know."""
    found: list[float | None] = []
    for drill in sorted(drills):
        values = _values([one for one in contenders if one.facts.started.drill == drill], "operator_acts")
        found.append(None if None in values else _median(values))
    return found


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if known else None
