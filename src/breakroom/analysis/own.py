"""Whether breakroom's own processes did their part: its balancer, its orchestrator, and the one that plays the drill.

Called by `analysis.trial`. Pure. What users saw while one of them stood still, or had run out of descriptors, was not
the service's doing: the trial is *unknown*. No fault of a drill aims at one of them, so there is no exception.
"""

from __future__ import annotations

from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.generator import MAX_BLIND_S
from breakroom.analysis.reasons import reason
from breakroom.analysis.results import Reason

__all__ = ["MAX_STILL_SHARE", "own_doubts"]

MAX_STILL_S = MAX_BLIND_S
"""The same as for a probe: a standstill of this length could be taken for an outage."""

MAX_STILL_SHARE = 0.2
"""Of the observed time, in however short pieces: then the times of all requests are in good part the tool's."""

_INGRESS_LIMITS = frozenset({"ingress-fd-exhausted", "ingress-connect-failed"})
_PARTS = ("ingress", "engine", "main")
_S = 1e9


def own_doubts(facts: TrialFacts) -> list[Reason]:
    """Why what was measured may be breakroom's own doing, each cause once."""
    found = []
    ingress = next((problem for problem in facts.problems if problem.code in _INGRESS_LIMITS), None)
    if ingress is not None:
        found.append(reason("unknown.ingress-limited", problem=ingress.code))
    engine = next((problem for problem in facts.problems if problem.code == "engine-limited"), None)
    if engine is not None:
        found.append(reason("unknown.engine-limited", message=str(engine.params.get("message", ""))))
    for part in _PARTS:
        still = _still(facts, part)
        if still is not None:
            found.append(still)
    return found


def _still(facts: TrialFacts, part: str) -> Reason | None:
    """Whether the part stood still while users were watched: from the steady state to the undoing."""
    begin = facts.phases.get("steadying")
    if begin is None:
        return None
    end = facts.phases.get("undoing", facts.last_t)
    seen = [stall for stall in facts.stalls if stall.part == part and stall.t > begin and stall.since < end]
    longest = max((stall.longest_ns for stall in seen), default=0) / _S
    if longest > MAX_STILL_S:
        return reason("unknown.part-stood-still", part=part, still_s=longest, limit_s=MAX_STILL_S)
    share = sum(stall.still_ns for stall in seen) / max(end - begin, 1)
    if share > MAX_STILL_SHARE:
        return reason("unknown.part-starved", part=part, share=min(share, 1.0), limit=MAX_STILL_SHARE)
    return None
