"""Failed requests against the connections that were open on what was killed.

Called by `analysis.trial`. Pure. Two independent witnesses: the samples of probe and load, and the ingress's
own count at the moment the killed task left rotation. An orchestrator that loses no more than what was in
flight has `failed ≤ open + refused`. What a scale or an update stops is drained, not cut: it says nothing here.
"""

from __future__ import annotations

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.results import CutConnections
from breakroom.journal.records import RotationChanged

__all__ = ["cut_connections"]


def cut_connections(facts: TrialFacts, failed_requests: int) -> CutConnections:
    """Compare.

    Args:
        facts: The trial's facts.
        failed_requests: Failed probe and load requests from the fault (in flight at it included) on.
    """
    broken = [fault for fault in facts.faults if not fault.action.planned]
    left = [_left(facts, task, fault.since) for fault in broken for task in fault.action.tasks]
    known = [change for change in left if change is not None]
    # Only breakroom's own ingress counts connections; of Docker's port and the routing mesh nothing is known.
    counted = facts.started.capabilities.get("ingress", "breakroom") == "breakroom"
    if not counted or not known or len(known) < len(left):
        return CutConnections(
            failed_requests=failed_requests, open_on_target=None, refused_by_target=None, within=None
        )
    opened = sum(change.open_connections for change in known)
    refused = sum(change.refused_connections for change in known)
    return CutConnections(
        failed_requests=failed_requests,
        open_on_target=opened,
        refused_by_target=refused,
        within=failed_requests <= opened + refused,
    )


def _left(facts: TrialFacts, task: str, since: int) -> RotationChanged | None:
    """The first time that the task left rotation from `since` on; the clean-up's taking it out does not count."""
    until = facts.phases.get("undoing")
    return next(
        (
            change
            for change in facts.rotation
            if change.task == task
            and change.t >= since
            and not change.in_rotation
            and (until is None or change.t < until)
        ),
        None,
    )
