"""The metric `utilisation`: offered load ÷ (capacity of a replica x replicas). Called by `autoscale.rule`. Pure.

Proportional control, as Kubernetes' HorizontalPodAutoscaler does it ("Algorithm details" in its documentation):

    desired = ceil(replicas x observed ÷ target) = ceil(offered ÷ (capacity x target))

and no change while observed ÷ target is within the tolerance of 1. The present number cancels out: what is asked for
depends on the offered load alone. That is why replicas that are still coming are counted as if they served already
(Kubernetes counts pods that are not ready yet as idle, which is the same division): a second decision before they
are there asks for the same number again, not for more; and a replica that died and is being replaced is no reason to
add one, since it is the orchestrator's task to bring it back.
"""

from __future__ import annotations

import math

from breakroom.autoscale.model import Observation, Wish
from breakroom.spec.drill import AutoscaleSpec

__all__ = ["wish_by_utilisation"]

_ROUNDING = 1e-9
"""What a quotient may be above a whole number by the arithmetic of floating point alone."""


def wish_by_utilisation(spec: AutoscaleSpec, seen: Observation) -> Wish:
    """How many replicas the offered load asks for."""
    if seen.offered is None:
        return Wish(observed=None, proposed=seen.replicas, reason="scaling.nothing-observed")
    observed = seen.offered / (spec.capacity * seen.replicas)
    ratio = observed / spec.target
    said = {
        "offered": seen.offered,
        "capacity": spec.capacity,
        "replicas": seen.replicas,
        "observed": observed,
        "target": spec.target,
    }
    if abs(ratio - 1) <= spec.tolerance + _ROUNDING:
        return Wish(
            observed=observed,
            proposed=seen.replicas,
            reason="scaling.on-target",
            params={**said, "tolerance": spec.tolerance},
        )
    proposed = max(1, math.ceil(seen.offered / (spec.capacity * spec.target) - _ROUNDING))
    if proposed == seen.replicas:
        return Wish(observed=observed, proposed=proposed, reason="scaling.none-to-spare", params=said)
    up = proposed > seen.replicas
    reason = "scaling.up-utilisation" if up else "scaling.down-utilisation"
    return Wish(observed=observed, proposed=proposed, reason=reason, params=said)
