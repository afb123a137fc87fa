"""How a sick replica was found out, step by step, for each one that a fault hit.

Called by `analysis.trial`. Pure. What a person did, or what the clean-up did, is no detection by the platform.
"""

from __future__ import annotations

from breakroom.analysis.facts import Fault, TrialFacts
from breakroom.analysis.results import DetectionFinding
from breakroom.analysis.settings import healthcheck

__all__ = ["detections"]


def detections(facts: TrialFacts, window_end: int) -> tuple[DetectionFinding, ...]:
    """One finding a replica that was hit, in the order of the faults."""
    return tuple(
        _finding(facts, fault, task, window_end)
        for fault in facts.faults
        if fault.effect is not None and fault.applies and _to_be_found(fault)
        for task in fault.action.tasks
    )


def _to_be_found(fault: Fault) -> bool:
    """A replica behind a slow or lossy link is not sick: it answers, and there is nothing to find out."""
    return not fault.action.planned and fault.action.kind != "network"


def _finding(facts: TrialFacts, fault: Fault, task: str, window_end: int) -> DetectionFinding:
    since, targets = fault.since, fault.action.tasks
    probes = [probe for probe in facts.health if probe.task == task and since <= probe.t < window_end]
    bad = [probe.t for probe in probes if not probe.ok]
    unhealthy = next((probe.t for probe in probes if probe.status == "unhealthy"), None)
    left = next(
        (
            change.t
            for change in facts.rotation
            if change.task == task and not change.in_rotation and since <= change.t < window_end
        ),
        None,
    )
    life = facts.tasks.get(task)
    ended = life.ended if life is not None else None
    if ended is not None and not since <= ended < window_end:
        ended = None
    made = [
        other.created
        for other in facts.tasks.values()
        if life is not None
        and other.slot == life.slot
        and other.task not in targets
        and since <= other.created < window_end
    ]
    by_platform = facts.platform_until(since, window_end)
    seen = [at for at in (unhealthy, left, ended) if at is not None and at < by_platform]
    return DetectionFinding(
        task=task,
        first_failed_probe_at_s=_seconds(facts, min(bad, default=None)),
        unhealthy_at_s=_seconds(facts, unhealthy),
        left_rotation_at_s=_seconds(facts, left),
        ended_at_s=_seconds(facts, ended),
        replaced_at_s=_seconds(facts, min(made, default=None)),
        bound_s=_bound_s(facts),
        failed_probes=len(bad),
        never=not seen,
    )


def _seconds(facts: TrialFacts, t: int | None) -> float | None:
    return None if t is None else facts.seconds(t)


def _bound_s(facts: TrialFacts) -> float | None:
    """The longest from a fault to *unhealthy*: it comes just after a good probe, and each bad one takes its timeout."""
    check = healthcheck(facts)
    return None if check is None else check.retries * (check.interval + check.timeout) / 1e9
