"""The one setting that would have shortened a contender's way back most, computed from the way's parts.

Called by `analysis.trial`. Pure. Each part of `explain.parts` that a setting decides on is a candidate: the setting,
its present value, a better one, and by how much the part would have been shorter with it, never more than the part
itself. The candidate that saves most is the advice; one that saves less than `LEAST_NS` is none.

| part | setting | what it saves |
|---|---|---|
| waiting-for-operator, the process died | `restart` | the part but a first backoff of 100 ms |
| the same, or detection of a container; it lives | an orchestrator's health check | the part but what that needs |
| detection, with a health check | `healthcheck.interval` | for each failed probe, what a shorter interval saves |
| detection, without one | `healthcheck` | the part but what a check every second needs |
| replacement | `stop_grace_period` | what of it lies above the better value |
| restart-delay | `deploy.restart_policy.delay` | the delay |
| first-health-probe | `healthcheck.start_interval` | one interval at most |
| app-start, or any part, with one replica | `deploy.replicas` | the outage: another replica would have served |
| update | `deploy.update_config.order`, or an orchestrator | the time below the wanted number of replicas |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from breakroom.analysis.explain import Part, parts
from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.reasons import reason
from breakroom.analysis.recovery import Recovery
from breakroom.analysis.results import Advice, DetectionFinding, UpdateFinding
from breakroom.analysis.settings import (
    grace_ns,
    healthcheck,
    in_compose,
    is_container,
    restart_policy,
    restarts,
    update_config,
)

__all__ = ["LEAST_NS", "advise"]

LEAST_NS = 100_000_000
_FIRST_BACKOFF_NS = 100_000_000
"""Docker's restart policy waits this long at first, then twice as long each time."""
_SHORTEST_NS = 100_000_000
"""No probe is proposed more often than this."""
_BETTER_GRACE_NS = 1_000_000_000
_HEALTH_SEES = frozenset({"hang", "request", "cpu", "memory"})
"""Kinds of faults that a health check finds. A bad link it does not: it asks within the task; and what is paused is not
asked."""
_EVERY_SECOND = (3, 1_000_000_000, 1_000_000_000)
"""Retries, interval, timeout of the health check that is proposed where there is none."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    code: str
    part: str
    ns: int
    setting: str
    now: str
    better: str
    saves: int


def advise(
    facts: TrialFacts,
    recovery: Recovery | None,
    *,
    detection: Sequence[DetectionFinding],
    updates: Sequence[UpdateFinding],
    outage_ns: int,
    window_end: int,
) -> Advice | None:
    """The advice; None where nothing was lost, or no setting could have shortened it.

    Args:
        facts: The trial's facts.
        recovery: Its way back.
        detection: How the replicas that were hit were found out.
        updates: Its releases.
        outage_ns: In all, for how long nobody was served.
        window_end: The end of observation.
    """
    if recovery is None or facts.outcome == "failed":
        return None
    if facts.planned:
        return _chosen(_for_updates(facts, updates, outage_ns, window_end), None)
    until = _until(recovery, outage_ns, window_end)
    whole = until - recovery.zero
    found = _sums(parts(facts, recovery, until))
    candidates = [one for part in found.items() for one in _for_part(facts, *part, detection)]
    candidates += _another_replica(facts, found, outage_ns)
    return _chosen(candidates, whole)


def _until(recovery: Recovery, outage_ns: int, window_end: int) -> int:
    """What is to be shortened: the users' way back; if some were served meanwhile, also that to full capacity."""
    back, full = recovery.at("first_success"), recovery.at("full_capacity")
    users = recovery.zero if not recovery.errors else back if recovery.lasting else None
    if users is None:
        return window_end
    if recovery.errors and outage_ns > 0:
        return users
    return window_end if full is None else max(full, users)


def _sums(found: Iterable[Part]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in found:
        sums[part.name] = sums.get(part.name, 0) + part.ns
    return sums


def _chosen(candidates: Iterable[_Candidate], whole: int | None) -> Advice | None:
    best = max(candidates, key=lambda one: min(one.saves, one.ns), default=None)
    if best is None or min(best.saves, best.ns) < LEAST_NS:
        return None
    saves_s = min(best.saves, best.ns) / 1e9
    share = best.ns / whole if whole else 1.0
    return Advice(
        part=best.part,
        s=best.ns / 1e9,
        share=min(share, 1.0),
        setting=best.setting,
        now=best.now,
        better=best.better,
        saves_s=saves_s,
        reason=reason(
            best.code,
            s=best.ns / 1e9,
            setting=best.setting,
            now=best.now,
            better=best.better,
            saves_s=saves_s,
        ),
    )


def _for_part(
    facts: TrialFacts, name: str, ns: int, detection: Sequence[DetectionFinding]
) -> list[_Candidate]:
    match name:
        case "waiting-for-operator":
            return [_instead_of_a_person(facts, name, ns)]
        case "detection" | "fault-in-force":
            return _sooner_noticed(facts, name, ns, detection)
        case "replacement" if not is_container(facts):
            return _sooner_stopped(facts, name, ns)
        case "restart-delay" if not is_container(facts):
            delay = restart_policy(facts).delay
            return [
                _Candidate(
                    "advice.restart-delay",
                    name,
                    ns,
                    "deploy.restart_policy.delay",
                    in_compose(delay),
                    "0s",
                    delay,
                )
            ]
        case "first-health-probe":
            return _sooner_probed(facts, name, ns)
        case _:
            return []


def _died(facts: TrialFacts) -> bool:
    """Whether what was hit ended before a person did anything, so that a restart policy would have acted."""
    fault = facts.fault
    if fault is None:
        return False
    until = facts.platform_until(fault.since, facts.last_t)
    ends = [facts.tasks[task].ended for task in fault.action.tasks if task in facts.tasks]
    return any(end is not None and end < until for end in ends)


def _instead_of_a_person(facts: TrialFacts, name: str, ns: int) -> _Candidate:
    if _died(facts) and not restarts(facts):
        return _Candidate(
            "advice.restart-policy", name, ns, "restart", "no", "always", max(ns - _FIRST_BACKOFF_NS, 0)
        )
    return _orchestrate(facts, name, ns)


def _orchestrate(facts: TrialFacts, name: str, ns: int) -> _Candidate:
    """Of a process that lives but does not answer, only an orchestrator with a health check gets rid."""
    check = healthcheck(facts)
    retries, interval, timeout = (
        (check.retries, check.interval, check.timeout) if check is not None else _EVERY_SECOND
    )
    needs = retries * (interval + timeout)
    better = f"healthcheck: {retries} x ({in_compose(interval)} + {in_compose(timeout)})"
    return _Candidate("advice.orchestrator", name, ns, "deploy, healthcheck", "-", better, max(ns - needs, 0))


def _sooner_noticed(
    facts: TrialFacts, name: str, ns: int, detection: Sequence[DetectionFinding]
) -> list[_Candidate]:
    sees = facts.fault is not None and facts.fault.action.kind in _HEALTH_SEES
    if not sees or not detection or _died_at_once(detection):
        return []
    if is_container(facts):
        return [_orchestrate(facts, name, ns)]
    check = healthcheck(facts)
    if check is None:
        retries, interval, timeout = _EVERY_SECOND
        saves = max(ns - retries * (interval + timeout), 0)
        return [_Candidate("advice.health-check", name, ns, "healthcheck", "-", in_compose(interval), saves)]
    failed = max((finding.failed_probes for finding in detection), default=0)
    better = max(check.interval // 10, _SHORTEST_NS)
    if not failed or better >= check.interval:
        return []
    saves = min(failed, check.retries) * (check.interval - better)
    return [
        _Candidate(
            "advice.health-interval",
            name,
            ns,
            "healthcheck.interval",
            in_compose(check.interval),
            in_compose(better),
            saves,
        )
    ]


def _died_at_once(detection: Sequence[DetectionFinding]) -> bool:
    """Whether the end itself was the detection: no health check could have been quicker."""
    return all(
        finding.ended_at_s is not None and finding.unhealthy_at_s is None and not finding.never
        for finding in detection
    )


def _sooner_stopped(facts: TrialFacts, name: str, ns: int) -> list[_Candidate]:
    """A sick task is replaced when it has stopped; one that hangs takes all of its grace for that."""
    grace = grace_ns(facts)
    if grace <= _BETTER_GRACE_NS:
        return []
    saves = max(min(ns, grace) - _BETTER_GRACE_NS, 0)
    return [
        _Candidate(
            "advice.stop-grace",
            name,
            ns,
            "stop_grace_period",
            in_compose(grace),
            in_compose(_BETTER_GRACE_NS),
            saves,
        )
    ]


def _sooner_probed(facts: TrialFacts, name: str, ns: int) -> list[_Candidate]:
    check = healthcheck(facts)
    if check is None:
        return []
    # Without a start_period the first probe comes after `interval`, and `start_interval` is not looked at.
    interval = check.start_interval if check.start_period else check.interval
    better = max(interval // 10, _SHORTEST_NS)
    if better >= interval:
        return []
    now = in_compose(interval) if check.start_period else f"healthcheck.interval: {in_compose(interval)}"
    return [
        _Candidate(
            "advice.start-interval",
            name,
            ns,
            "healthcheck.start_interval",
            now,
            in_compose(better),
            min(ns, interval) - better,
        )
    ]


def _another_replica(facts: TrialFacts, found: dict[str, int], outage_ns: int) -> list[_Candidate]:
    """A service of one replica is out for as long as that is; with two, the other would have served."""
    if is_container(facts) or facts.wanted > 1 or not found or outage_ns <= 0:
        return []
    name = max(found, key=lambda part: found[part])
    return [_Candidate("advice.replicas", name, outage_ns, "deploy.replicas", "1", "2", outage_ns)]


def _for_updates(
    facts: TrialFacts, updates: Sequence[UpdateFinding], outage_ns: int, window_end: int
) -> list[_Candidate]:
    # A release that had to be taken back was lost by what it brought, not by how it was brought out.
    if len(updates) != 1 or updates[0].kind == "rollback":
        return []
    if is_container(facts):
        return [
            _Candidate("advice.rolling-update", "update", outage_ns, "deploy.replicas", "-", "2", outage_ns)
        ]
    if update_config(facts).order == "start-first" or updates[0].state != "completed":
        return []
    start = min(facts.fault.since if facts.fault is not None else window_end, window_end)
    below = _below_wanted(facts, start, window_end)
    return [
        _Candidate(
            "advice.update-order",
            "update",
            below,
            "deploy.update_config.order",
            "stop-first",
            "start-first",
            below,
        )
    ]


def _below_wanted(facts: TrialFacts, start: int, end: int) -> int:
    """For how long fewer replicas than wanted were in rotation."""
    total, since, short = 0, start, False
    for t, inside, wanted in (*facts.capacity_steps, (end, 0, 0)):
        now = min(max(t, start), end)
        total += now - since if short else 0
        since, short = now, inside < wanted
    return total
