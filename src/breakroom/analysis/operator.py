"""What a person had to do: acts, and the time from the fault to the first of them.

Called by `analysis.trial`. Pure. An act is an action of the operator (a person, or the model of one in an
unattended run) that was carried out after the fault took effect. Its moment is when the command was given.
"""

from __future__ import annotations

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.recovery import Recovery
from breakroom.analysis.results import OperatorWork

__all__ = ["operator_work"]


def operator_work(facts: TrialFacts, recovery: Recovery | None) -> OperatorWork:
    """Acts and times of one trial; without a proved fault nothing counts from it, so only acts are known."""
    acts = facts.acts
    first = restored = None
    if acts and recovery is not None:
        first = ((acts[0].begun) - recovery.zero) / 1e9
        ns = recovery.recovery_ns
        restored = ns / 1e9 if ns is not None else None
    return OperatorWork(
        acts=len(acts),
        first_act_after_s=first,
        restored_after_s=restored,
        modelled=any(act.by == "operator-model" for act in acts),
    )
