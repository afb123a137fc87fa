"""What is about one kind of failure each, found out together: releases, scaling, bad links, leaks, sick replicas.

Called by `analysis.trial`; what comes out goes into `TrialResults` and, in words, through `explain_kinds`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from breakroom.analysis.decisions import scaling_decisions
from breakroom.analysis.detection import detections
from breakroom.analysis.facts import TrialFacts
from breakroom.analysis.failures import failure_moments
from breakroom.analysis.impairment import impairment
from breakroom.analysis.leak import leak
from breakroom.analysis.periods import Periods
from breakroom.analysis.reading import StreamData
from breakroom.analysis.results import (
    DetectionFinding,
    FailureMoment,
    ImpairmentFinding,
    LeakFinding,
    ScaleFinding,
    ScalingDecisionFinding,
    UpdateFinding,
)
from breakroom.analysis.scaling import scale_findings
from breakroom.analysis.updates import update_findings

__all__ = ["NO_KINDS", "Kinds", "find_kinds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """The findings of a trial by kind; empty or None where it had nothing of that kind."""

    updates: tuple[UpdateFinding, ...] = ()
    scaling: tuple[ScaleFinding, ...] = ()
    decisions: tuple[ScalingDecisionFinding, ...] = ()
    impairment: ImpairmentFinding | None = None
    leak: LeakFinding | None = None
    detection: tuple[DetectionFinding, ...] = ()
    failures: tuple[FailureMoment, ...] = ()


NO_KINDS = Kinds()


def find_kinds(
    facts: TrialFacts, streams: Mapping[str, StreamData], periods: Periods | None, zero_unix_s: float
) -> Kinds:
    """All of them; nothing where observation never began."""
    if periods is None:
        return NO_KINDS
    start, end = periods.before_start, periods.window_end
    return Kinds(
        updates=update_findings(facts, streams, end),
        scaling=scale_findings(facts, streams, before_start=start, window_end=end),
        decisions=scaling_decisions(facts.scaling_decided, facts.seconds),
        impairment=impairment(facts, streams, before_start=start, window_end=end),
        leak=leak(facts, streams, end),
        detection=detections(facts, end),
        failures=failure_moments(facts, end, zero_unix_s),
    )
