"""Five hundred replicas of a tiny server: started, half of them killed at once, all back; and what idling costs.

Beside supervisord and circus with as many. Whether the cost of a replica is flat: what one more costs between 250 and
500, over what it costs between 10 and 250.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks import fleet, keepers
from benchmarks.context import Context
from benchmarks.fleet import Cost
from benchmarks.rows import OURS, Goal, Row

__all__ = ["measure"]

FLAT = 1.25
UNFLAT = 999.0
SWARM = "Docker Swarm"
NO_SWARM = "left out: it would start 500 containers, which this benchmark has no time for"


def measure(context: Context) -> list[Row]:
    """Start, replacement, idling, and how flat the cost is."""
    few, half, many = (3, 6, 12) if context.small else (10, 250, 500)
    idle = context.pick(4, 1)
    contestants: dict[str, Callable[[], Cost]] = {
        OURS: partial(fleet.ours, context, many, idle),
        "few": partial(fleet.ours, context, few, idle),
        "half": partial(fleet.ours, context, half, idle),
    }
    if "supervisord" in context.tools:
        contestants["supervisord"] = partial(fleet.of_peer, context, keepers.supervisord, many, idle)
    if "circusd" in context.tools:
        contestants["circusd"] = partial(fleet.of_peer, context, keepers.circus, many, idle)
    costs = context.alternate(contestants)
    missing = {**context.absent("supervisord", "circusd"), SWARM: NO_SWARM}
    shown = {name: each for name, each in costs.items() if name not in {"few", "half"}}

    def row(name: str, unit: str, what: Callable[[Cost], float], goals: list[Goal] | None = None) -> Row:
        return Row(
            bench="replicas",
            name=name,
            unit=unit,
            better="less",
            figures={who: [what(cost) for cost in each] for who, each in shown.items()},
            missing=missing,
            goals=goals or [],
        )

    rows = [
        row(f"{many} replicas, from nothing to all listening", "s", lambda cost: cost.start_s),
        row(f"half of {many} killed at once, to all listening again", "s", lambda cost: cost.back_s),
        row(
            f"{many} replicas idle: CPU of the orchestrator",
            "% of a core",
            lambda cost: cost.idle_percent,
            [Goal(text="≤ 2 % of a core", at_most=2)],
        ),
        row(f"{many} replicas: memory of the orchestrator", "MB", lambda cost: cost.memory_mb),
    ]
    for name, unit, per_replica in (
        ("to start", "ms", lambda cost: cost.start_s * 1e3),
        ("to replace half", "ms", lambda cost: cost.back_s * 1e3),
        ("of memory", "kB", lambda cost: cost.memory_mb * 1e3),
    ):
        rows.append(_flat(name, unit, per_replica, costs))
    return rows


def _flat(name: str, unit: str, cost: Callable[[Cost], float], costs: dict[str, list[Cost]]) -> Row:
    """What one more replica costs among many, over what it costs among few, round by round."""
    low, high, quotients = [], [], []
    for few, half, many in zip(costs["few"], costs["half"], costs[OURS], strict=True):
        low.append((cost(half) - cost(few)) / (half.replicas - few.replicas))
        high.append((cost(many) - cost(half)) / (many.replicas - half.replicas))
        # A first step that cost nothing measurable makes any cost of the second one unflat.
        quotients.append(high[-1] / low[-1] if low[-1] > 0 else (1.0 if high[-1] <= 0 else UNFLAT))
    ends = f"{costs['few'][0].replicas} → {costs['half'][0].replicas} → {costs[OURS][0].replicas}"
    return Row(
        bench="replicas",
        name=f"one more replica {name}: second step over first, {ends}",
        unit="ratio",
        better="less",
        figures={OURS: quotients},
        goals=[Goal(text=f"flat: ≤ {FLAT}", at_most=FLAT)],
        beside={f"{unit} for one more": {"first step": low, "second step": high}},
    )
