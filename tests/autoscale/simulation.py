"""A service under the autoscaler in virtual time: a fluid of requests, replicas of one capacity, slow to start.

Nothing is random and nothing waits. Each interval the rule is shown what such a service would show, and its decision is
carried out: new replicas serve after `start`, surplus ones leave at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from breakroom.autoscale.model import Decision, Memory, Observation
from breakroom.autoscale.rule import decide
from breakroom.spec.drill import AutoscaleSpec

__all__ = ["SECOND", "SimulatedService"]

SECOND = 1_000_000_000


@dataclass
class SimulatedService:
    """`load(second)` requests a second arrive; `capacity` a second are served by each replica in rotation."""

    spec: AutoscaleSpec
    load: Callable[[float], float]
    capacity: float
    replicas: int
    start: int = 0
    """How long a new replica takes until it is in rotation."""
    service_time: float = 0.02
    timeout: float = 2.0
    now: int = 0
    backlog: float = 0.0
    coming: list[int] = field(default_factory=list)
    """When each replica that was wanted and is not there will serve."""
    history: list[tuple[int, Decision]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = Memory.begin(self.now, self.replicas)
        self._changed = False

    @property
    def serving(self) -> int:
        return self.replicas - len(self.coming)

    def run(self, intervals: int) -> list[int]:
        """Go on for so many intervals; returns the wanted replicas after each."""
        return [self._interval() for _ in range(intervals)]

    def _interval(self) -> int:
        spec = self.spec
        seconds = spec.interval / SECOND
        settled = not self._changed and not self.coming
        self._changed = False
        offered = self.load(self.now / SECOND)
        self.now += spec.interval
        served = self.serving * self.capacity * seconds
        self.backlog = max(0.0, self.backlog + offered * seconds - served)
        if self.serving:
            # Requests that waited for longer than the timeout have gone.
            self.backlog = min(self.backlog, self.timeout * self.serving * self.capacity)
        waiting = self.backlog / (self.serving * self.capacity) if self.serving else self.timeout
        arrived = [when for when in self.coming if when <= self.now]
        if arrived:
            self._changed = True
            self.coming = [when for when in self.coming if when > self.now]
        seen = Observation(
            at=self.now,
            replicas=self.replicas,
            serving=self.serving,
            settled=settled and not self.coming,
            offered=offered,
            latency=round((self.service_time + waiting) * SECOND) if self.serving else None,
        )
        decision, self.memory = decide(spec, seen, self.memory)
        self.history.append((self.replicas, decision))
        if decision.decided != self.replicas and not spec.dry_run:
            self._change(decision.decided)
        return self.replicas

    def _change(self, decided: int) -> None:
        self._changed = True
        new = decided - self.replicas
        self.coming += [self.now + self.start] * max(0, new)
        if new < 0:
            # Those that do not serve yet go first, as Swarm does it.
            del self.coming[:-new]
        self.replicas = decided
        self.memory = self.memory.changed(self.now, decided)
