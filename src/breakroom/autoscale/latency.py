"""The metric `latency`: the 90th percentile of answered requests, against a target. Called by `autoscale.rule`. Pure.

No proportion is valid here. Below saturation latency hardly depends on the number of replicas (it is the service time,
and in a queue grows as 1 ÷ (1 - utilisation)); above it there is no steady latency at all: it grows as long as one
waits. So "twice the target" does not mean "twice the replicas", and the rule goes by steps:

- Up, above the target by more than the tolerance: by half of the present number, at least one. A share and not one at
  a time, because users wait meanwhile and the shortage is unknown: k decisions multiply the number by 1.5^k, and what
  is too much at the end is at most half of what was needed.
- Not while latency falls by itself (by more than the tolerance against the interval before): the number suffices
  already, and its backlog is being worked off. So after a change two intervals must have been seen.
- Down, by one, below half of the target: one replica fewer raises the others' load by 1 ÷ (n - 1), and near saturation
  latency more than doubles on less.
- Never back to a number that was too slow, before the load is lower than it was then by the tolerance. Latency alone
  would forget: it is low because of the replicas that it would take away, and the number would swing for ever.
- Nothing is judged unless exactly the wanted replicas were in rotation all through the interval: with a scale in
  progress, or a replica lost, latency tells of another number than the one that is to be changed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from breakroom.autoscale.model import Memory, Observation, Wish
from breakroom.spec.drill import AutoscaleSpec

__all__ = ["wish_by_latency"]

_SECOND = 1_000_000_000
_LOW = 0.5
"""Below this share of the target a replica may be taken away."""


def wish_by_latency(spec: AutoscaleSpec, seen: Observation, memory: Memory) -> tuple[Wish, Memory]:
    """How many replicas the latency asks for; the memory has what was learned from it."""
    if not seen.settled:
        seen_only: dict[str, float] = {"replicas": seen.replicas, "serving": seen.serving}
        return _stay(seen, None, "scaling.unsettled", seen_only), replace(memory, latency=None)
    if seen.latency is None:
        return _stay(seen, None, "scaling.nothing-observed", {}), replace(memory, latency=None)
    before, memory = memory.latency, replace(memory, latency=seen.latency)
    observed = seen.latency / _SECOND
    said: dict[str, float] = {
        "observed": observed,
        "target": spec.target / _SECOND,
        "replicas": seen.replicas,
    }
    if seen.latency > spec.target * (1 + spec.tolerance):
        if before is None:
            return _stay(seen, observed, "scaling.first-look", said), memory
        if seen.latency < before * (1 - spec.tolerance):
            said["before"] = before / _SECOND
            return _stay(seen, observed, "scaling.improving", said), memory
        more = seen.replicas + math.ceil(seen.replicas / 2)
        wish = Wish(observed=observed, proposed=more, reason="scaling.up-latency", params=said)
        return wish, memory.learned(seen.replicas, seen.offered or 0.0)
    if seen.latency >= spec.target * _LOW or seen.replicas == 1:
        return _stay(seen, observed, "scaling.latency-good", said), memory
    return _fewer(spec, seen, memory, said), memory


def _fewer(spec: AutoscaleSpec, seen: Observation, memory: Memory, said: dict[str, float]) -> Wish:
    """One replica fewer, unless that number is known to be too small for such a load."""
    fewer = seen.replicas - 1
    too_much = memory.least_too_much(fewer)
    offered = seen.offered or 0.0
    if too_much is not None and offered >= too_much * (1 - spec.tolerance):
        tried: dict[str, float] = {"fewer": fewer, "offered": offered, "too_much": too_much}
        return _stay(seen, said["observed"], "scaling.tried-before", tried)
    return Wish(observed=said["observed"], proposed=fewer, reason="scaling.down-latency", params=said)


def _stay(seen: Observation, observed: float | None, reason: str, params: dict[str, float]) -> Wish:
    return Wish(observed=observed, proposed=seen.replicas, reason=reason, params=params)
