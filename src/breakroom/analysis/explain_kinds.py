"""What there is to say of one kind of failure, as reasons: how a release went, what scaling did, what a leak does.

Called by `analysis.explain`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.kinds import Kinds
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import (
    ImpairmentFinding,
    LeakFinding,
    Reason,
    ScaleFinding,
    UpdateFinding,
)

__all__ = ["MOST_SCALES", "tell_kinds"]

MOST_SCALES = 4
"""Changes that are told one by one; of more, what they came to."""


def tell_kinds(facts: TrialFacts, kinds: Kinds) -> tuple[Reason, ...]:
    """The sentences, in the order in which the acts were done."""
    found = [
        reason("act.inapplicable", kind=fault.action.kind)
        for fault in facts.faults
        if not fault.applies and fault.action.kind != "scale"
    ]
    found += [one for update in kinds.updates for one in _update(update)]
    found += _scaling(kinds.scaling)
    if kinds.impairment is not None:
        found += _impairment(kinds.impairment)
    if kinds.leak is not None:
        found += _leak(kinds.leak)
    return tuple(found)


def _update(update: UpdateFinding) -> list[Reason]:
    cost = {
        "lowest": update.lowest_in_rotation,
        "wanted": update.wanted,
        "failed": update.failed_requests,
    }
    met = {"version": update.new_version, "met": update.new_version_requests}
    match update.state:
        case "completed" if update.kind == "rollback":
            return [reason("update.rollback-completed", s=update.duration_s, **cost)]
        case "completed":
            return [reason("update.completed", s=update.duration_s, **cost)]
        case "replaced":
            return [reason("update.replaced", s=update.duration_s, failed=update.failed_requests)]
        case "paused":
            return [reason("update.paused", s=update.duration_s, message=update.message, **met, **cost)]
        case "rolled-back":
            return [reason("update.rolled-back", s=update.duration_s, message=update.message, **met, **cost)]
        case "rollback-paused":
            return [reason("update.rollback-paused", message=update.message, **met, **cost)]
        case _:
            return [reason("update.under-way", **met, **cost)]


def _scaling(findings: Sequence[ScaleFinding]) -> list[Reason]:
    if len(findings) > MOST_SCALES:
        return [
            reason(
                "scale.many",
                count=len(findings),
                lowest=min(one.to_replicas for one in findings),
                highest=max(one.to_replicas for one in findings),
                failed=sum(one.failed_requests for one in findings),
            )
        ]
    return [_scale(one) for one in findings]


def _scale(finding: ScaleFinding) -> Reason:
    numbers = {"from_replicas": finding.from_replicas, "to_replicas": finding.to_replicas}
    if not finding.applied:
        return reason("scale.inapplicable", gain=finding.gain, **numbers)
    if finding.response_s is None:
        return reason("scale.not-reached", failed=finding.failed_requests, **numbers)
    code = "scale.up" if finding.to_replicas > finding.from_replicas else "scale.down"
    return reason(code, s=finding.response_s, gain=finding.gain, failed=finding.failed_requests, **numbers)


def _impairment(finding: ImpairmentFinding) -> list[Reason]:
    middle = next((row for row in finding.rows if row.quantile == 0.5), None)
    found = []
    if middle is not None and middle.before_s is not None and middle.during_s is not None:
        found.append(
            reason(
                "impairment.slower",
                before_s=middle.before_s,
                during_s=middle.during_s,
                predicted_s=middle.predicted_s,
                failed=finding.failed_share_during,
            )
        )
    if finding.as_predicted is not None:
        code = "impairment.as-predicted" if finding.as_predicted else "impairment.otherwise"
        found.append(reason(code))
    return found


def _leak(finding: LeakFinding) -> list[Reason]:
    found = []
    if finding.oom_kills:
        found.append(
            reason("leak.killed", kills=finding.oom_kills, bytes_per_request=finding.bytes_per_request_first)
        )
    if finding.latency_first_s is not None and finding.latency_last_s is not None:
        found.append(reason("leak.slower", first_s=finding.latency_first_s, last_s=finding.latency_last_s))
    if finding.cured is not None:
        code = "leak.cured" if finding.cured else "leak.not-cured"
        found.append(
            reason(code, first=finding.bytes_per_request_first, restarted=finding.bytes_per_request_restarted)
        )
    return found
