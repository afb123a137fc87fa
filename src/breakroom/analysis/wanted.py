"""How many replicas a contender is to have, as a line over time, and how far it fell short of it.

Used by `analysis.facts` and whoever asks for full capacity. Pure. The number is the spec's until a scale (by the
timeline or the autoscaler) changes it; a rollback brings back the number of the spec before, since Swarm
keeps both in one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from breakroom.analysis.actions import Action
from breakroom.journal.records import UpdateChanged

__all__ = ["Steps", "beside", "value_at", "wanted_steps"]

Steps = tuple[tuple[int, int], ...]
"""(moment, value from then on), in order of time."""


def wanted_steps(
    start: int, first: int, actions: Iterable[Action], updates: Iterable[UpdateChanged]
) -> Steps:
    """The line of the wanted number.

    Args:
        start: When the trial began.
        first: The spec's number of replicas.
        actions: All actions; a scale counts from when its command was given.
        updates: Swarm's states of the service: a rollback brings the former spec back, whole.
    """
    changes: list[tuple[int, str, int]] = []
    for action in actions:
        if action.done is None or not action.applies or action.kind not in {"scale", "update"}:
            continue
        replicas = action.detail.get("replicas") if action.kind == "scale" else None
        changes.append((action.done, action.kind, int(replicas) if replicas is not None else -1))
    changes += [(change.t, "back", -1) for change in updates if change.state == "rollback_started"]
    steps = [(start, first)]
    before = now = first
    for t, kind, replicas in sorted(changes):
        if kind == "back":
            before, now = now, before
        else:
            before, now = now, replicas if replicas >= 0 else now
        if now != steps[-1][1]:
            steps.append((t, now))
    return tuple(steps)


def value_at(steps: Sequence[tuple[int, int]], t: int) -> int | None:
    """The line's value at `t`; None before its first step."""
    at = bisect_right(steps, t, key=lambda step: step[0])
    return steps[at - 1][1] if at else None


def beside(inside: Steps, wanted: Steps) -> tuple[tuple[int, int, int], ...]:
    """(moment, in rotation, wanted) at each change of either, from the first on at which both are known."""
    moments = sorted({t for t, _ in (*inside, *wanted)})
    found = []
    for t in moments:
        has, wants = value_at(inside, t), value_at(wanted, t)
        if has is not None and wants is not None:
            found.append((t, has, wants))
    return tuple(found)
