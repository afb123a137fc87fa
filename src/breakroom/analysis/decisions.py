"""The autoscaler's decisions as findings: all of them, with the sentences that explain them.

Called by `analysis.trial` with a trial's `ScalingDecided` records. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from breakroom.analysis.results import Reason, ScalingDecisionFinding
from breakroom.journal.records import ScalingDecided

__all__ = ["scaling_decisions"]


def scaling_decisions(
    records: Iterable[ScalingDecided], seconds: Callable[[float], float]
) -> tuple[ScalingDecisionFinding, ...]:
    """The findings, in the order of time.

    Args:
        records: In any order.
        seconds: From the journal's clock to seconds after the trial's zero (`TrialFacts.seconds`).
    """
    return tuple(
        ScalingDecisionFinding(
            at_s=seconds(record.t),
            metric=record.metric,
            observed=record.observed,
            target=record.target,
            replicas=record.replicas,
            proposed=record.proposed,
            decided=record.decided,
            decision=record.decision,
            dry_run=record.dry_run,
            # The journal's own words: one of another version may have a code that this one does not know, and such a
            # decision is shown with its parameters, not left out.
            reason=Reason(code=record.reason, params=dict(record.params)),
        )
        for record in sorted(records, key=lambda record: record.t)
    )
