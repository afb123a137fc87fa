"""What the autoscaler's rule is told, what it remembers, and what it answers. Plain values; times in nanoseconds.

Built by `director.autoscaler`, which looks at a running trial, and by tests in virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["Decision", "Memory", "Observation", "Wish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One interval of the service, looked back upon at its end."""

    at: int
    """When it ended, which is the moment of the decision."""
    replicas: int
    """How many are wanted now: those that are still coming count, those on their way out do not."""
    serving: int
    """How many are in rotation now."""
    settled: bool
    """Whether exactly those wanted were in rotation all through the interval, so that latency speaks of them."""
    offered: float | None
    """Requests a second that were to be sent to the service; None: not known."""
    latency: int | None
    """90th percentile of the latency of the requests that were answered in the interval; None: none was."""

    @property
    def complete(self) -> bool:
        """Whether no replica is missing."""
        return self.serving >= self.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the rule carries from one decision to the next."""

    replicas: int
    """The number as it knows it; another one was set by somebody else."""
    changed_at: int | None = None
    """When the number was last changed, by whomever."""
    proposals: tuple[tuple[int, int], ...] = ()
    """(when, number asked for), back to the begin of the stabilisation window."""
    too_slow: tuple[tuple[int, float], ...] = ()
    """(replicas, requests a second) that were seen to be too many for so few. By latency only."""
    latency: int | None = None
    """Of the interval before, if the number was the same; None: unknown."""

    @staticmethod
    def begin(at: int, replicas: int) -> Memory:
        """Before the first decision: the present number counts as asked for, since nothing is known of the past."""
        return Memory(replicas=replicas, proposals=((at, replicas),))

    def changed(self, at: int, replicas: int) -> Memory:
        """After the number was changed."""
        return replace(self, replicas=replicas, changed_at=at, latency=None)

    def proposed(self, at: int, replicas: int, window: int) -> Memory:
        """With one proposal more, and without those that have grown older than the window."""
        kept = tuple((when, number) for when, number in self.proposals if at - when < window)
        return replace(self, proposals=(*kept, (at, replicas)))

    def learned(self, replicas: int, offered: float) -> Memory:
        """With one number more that was too small for a load; of each number the least load counts."""
        known = dict(self.too_slow)
        known[replicas] = min(offered, known.get(replicas, offered))
        return replace(self, too_slow=tuple(sorted(known.items())))

    def least_too_much(self, replicas: int) -> float | None:
        """The least load known to be too much for `replicas`: what was too much for more is too much for fewer."""
        return min((load for number, load in self.too_slow if number >= replicas), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the metric alone asks for, before bounds, cool-downs and stabilisation."""

    observed: float | None
    """A ratio, or seconds."""
    proposed: int
    reason: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, and why."""

    decision: Literal["up", "down", "hold"]
    observed: float | None
    proposed: int
    decided: int
    reason: str
    """The code of its sentence: a `scaling.…` of `analysis.reasons`."""
    params: dict[str, Any] = field(default_factory=dict)
