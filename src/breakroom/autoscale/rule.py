"""From what was seen of a service in the last interval to how many replicas it should have. Pure.

Called by `director.autoscaler` every `interval`. The metric says what it would like (`autoscale.utilisation`,
`autoscale.latency`); here is what is made of that, in this order (docs/autoscale.md tells the same to users):

1. A number outside of the bounds (a drill's `scale` step may set one) is brought into them at once.
2. The wish is cut to the bounds.
3. Up: not within `cooldown_up` of the last change; and at most to twice the present number.
4. Down: not while a wanted replica is missing: what is seen then is too little to give any away (the clients of a
   closed load send less because less is served), and the number that is served with is lower already. Not within
   `cooldown_down` of the last change. And never below the highest number that was asked for within the last
   `cooldown_down` (Kubernetes' `stabilizationWindowSeconds`): a short dip takes nothing away. What could not be judged
   counts as asking for the present number, and so does the time before the first decision.

Steps 2 to 4 keep the order of what is asked for: more load never leads to fewer replicas.
"""

from __future__ import annotations

from typing import Any

from breakroom.autoscale.latency import wish_by_latency
from breakroom.autoscale.model import Decision, Memory, Observation, Wish
from breakroom.autoscale.utilisation import wish_by_utilisation
from breakroom.spec.drill import AutoscaleSpec

__all__ = ["decide"]

_SECOND = 1_000_000_000


def decide(spec: AutoscaleSpec, seen: Observation, memory: Memory) -> tuple[Decision, Memory]:
    """Decide upon one interval.

    Args:
        spec: The contender's `autoscale`.
        seen: The interval.
        memory: What the last decision returned, or `Memory.begin`.

    Returns:
        The decision, and the memory for the next one. The memory holds the present number: who carries a change out
        calls `Memory.changed` when the platform has accepted it, so that a refused or a dry one counts for nothing.
    """
    if seen.replicas != memory.replicas:
        memory = memory.changed(seen.at, seen.replicas)
    inside = _bounded(spec, seen.replicas)
    if inside != seen.replicas:
        bounds = {"minimum": spec.minimum, "maximum": spec.maximum}
        wish = Wish(observed=None, proposed=inside, reason="scaling.outside-bounds", params=bounds)
        return _made(wish, seen, inside), memory.proposed(seen.at, inside, spec.cooldown_down)
    if spec.metric == "utilisation":
        wish = wish_by_utilisation(spec, seen)
    else:
        wish, memory = wish_by_latency(spec, seen, memory)
    wanted = _bounded(spec, wish.proposed)
    trusted = wanted if seen.complete else max(wanted, seen.replicas)
    memory = memory.proposed(seen.at, trusted, spec.cooldown_down)
    if wish.proposed > seen.replicas:
        return _up(spec, seen, memory, wish), memory
    if wish.proposed < seen.replicas:
        return _down(spec, seen, memory, wish), memory
    return _made(wish, seen, seen.replicas), memory


def _up(spec: AutoscaleSpec, seen: Observation, memory: Memory, wish: Wish) -> Decision:
    wanted = _bounded(spec, wish.proposed)
    if wanted == seen.replicas:
        return _made(wish, seen, seen.replicas, "scaling.at-maximum", maximum=spec.maximum)
    left = _cooling(seen, memory, spec.cooldown_up)
    if left > 0:
        return _made(wish, seen, seen.replicas, "scaling.cooling-up", left_s=left / _SECOND)
    doubled = 2 * seen.replicas
    if wanted > doubled:
        return _made(wish, seen, doubled, "scaling.up-doubled")
    if wanted < wish.proposed:
        return _made(wish, seen, wanted, "scaling.up-to-maximum")
    return _made(wish, seen, wanted)


def _down(spec: AutoscaleSpec, seen: Observation, memory: Memory, wish: Wish) -> Decision:
    wanted = _bounded(spec, wish.proposed)
    if wanted == seen.replicas:
        return _made(wish, seen, seen.replicas, "scaling.at-minimum", minimum=spec.minimum)
    if not seen.complete:
        return _made(wish, seen, seen.replicas, "scaling.incomplete", serving=seen.serving)
    left = _cooling(seen, memory, spec.cooldown_down)
    if left > 0:
        return _made(wish, seen, seen.replicas, "scaling.cooling-down", left_s=left / _SECOND)
    # The present proposal is among them.
    highest = max(number for _, number in memory.proposals)
    window = spec.cooldown_down / _SECOND
    if highest >= seen.replicas:
        return _made(wish, seen, seen.replicas, "scaling.stabilising", window_s=window)
    if highest > wanted:
        return _made(wish, seen, highest, "scaling.down-stabilised", window_s=window)
    if wanted > wish.proposed:
        return _made(wish, seen, wanted, "scaling.down-to-minimum")
    return _made(wish, seen, wanted)


def _bounded(spec: AutoscaleSpec, replicas: int) -> int:
    return min(max(replicas, spec.minimum), spec.maximum)


def _cooling(seen: Observation, memory: Memory, cooldown: int) -> int:
    """How much of a cool-down is left, in ns; not above 0: nothing."""
    return 0 if memory.changed_at is None else memory.changed_at + cooldown - seen.at


def _made(wish: Wish, seen: Observation, decided: int, limit: str = "", **params: Any) -> Decision:
    """The decision, with the metric's own reason, or that of the limit which overrode it."""
    if limit:
        params |= {"proposed": wish.proposed, "replicas": seen.replicas}
    else:
        params = {**wish.params, "replicas": seen.replicas} if wish.params else {}
    if decided != seen.replicas:
        params["decided"] = decided
    return Decision(
        decision="up" if decided > seen.replicas else "down" if decided < seen.replicas else "hold",
        observed=wish.observed,
        proposed=wish.proposed,
        decided=decided,
        reason=limit or wish.reason,
        params=params,
    )
