"""What breakroom itself used, and what the replicas did: for a trial and for a whole run.

Called by `analysis.trial` and `analysis.run`. Pure. The tool's processes account for themselves (`ToolCost`); replicas
are the service's and counted apart, from their samples. The main process writes its part of each trial and, at the end,
all that it used; so a run's sum takes the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from breakroom.analysis.results import ReplicaUse, ToolCostResult
from breakroom.journal.records import TaskStats, ToolCost

__all__ = ["replica_use", "run_cost", "tool_cost"]

_MAIN = "main"


def tool_cost(costs: Iterable[ToolCost]) -> tuple[ToolCostResult, ...]:
    """By kind of process: CPU and wall time added up, the largest memory of any one and how many there were."""
    found: dict[str, list[ToolCost]] = {}
    for cost in costs:
        found.setdefault(cost.process, []).append(cost)
    return tuple(
        ToolCostResult(
            process=process,
            processes=len(mine),
            cpu_s=sum(cost.cpu_user_ns + cost.cpu_system_ns for cost in mine) / 1e9,
            max_rss_bytes=max(cost.max_rss_bytes for cost in mine),
            wall_s=sum(cost.wall_ns for cost in mine) / 1e9,
        )
        for process, mine in found.items()
    )


def run_cost(costs: Sequence[ToolCost]) -> tuple[ToolCostResult, ...]:
    """As `tool_cost`, over a run. A run that was cut off knows of its main process only what it wrote for trials."""
    whole = any(cost.process == _MAIN and not cost.trial for cost in costs)
    return tool_cost(cost for cost in costs if cost.process != _MAIN or not (whole and cost.trial))


def replica_use(stats: Iterable[TaskStats]) -> ReplicaUse:
    """CPU time of all replicas up to their last samples, and the largest memory of any one."""
    cpu: dict[str, int] = {}
    memory = 0
    for sample in stats:
        cpu[sample.task] = max(cpu.get(sample.task, 0), sample.cpu_ns)
        memory = max(memory, sample.memory_bytes)
    return ReplicaUse(replicas=len(cpu), cpu_s=sum(cpu.values()) / 1e9, max_memory_bytes=memory)
