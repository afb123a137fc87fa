"""Fault `memory`: memory is used up inside the own limit of some replicas.

Called through `faults.registry`. Proof: the use as the limit counts it has grown by so much, or the replica was killed
for memory meanwhile. `fill: 90%` means up to that share of the limit: what the replica used already is not used twice.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, FaultError, Injected, choose_tasks
from breakroom.faults.reversible import Reversible, task_lives
from breakroom.platforms.base import Evidence
from breakroom.spec.drill import MemoryStep

__all__ = ["memory", "to_fill"]


async def memory(ctx: FaultContext, action: str, step: MemoryStep) -> Injected:
    """Put `step.tasks` of the replicas in rotation under memory pressure.

    Raises:
        FaultError: there is none, it has no limit of which a share could be filled, or it uses that share already.
    """

    async def act(task: str) -> Evidence:
        return await ctx.deployment.fill_memory(task, sizes[task])

    targets = tuple(task.id for task in await choose_tasks(ctx, step.tasks, "fill"))
    sizes = {task: to_fill(step, used=ctx.memory_of(task), limit=ctx.memory_limit) for task in targets}
    return await Reversible(
        kind="memory",
        undo="free-memory",
        subjects=targets,
        tasks=targets,
        act=act,
        take_back=ctx.deployment.free_memory,
        lives=task_lives(ctx),
        lasts=step.lasts,
        detail={"bytes": [sizes[task] for task in targets]},
    ).inject(ctx, action)


def to_fill(step: MemoryStep, *, used: int | None, limit: int | None) -> int:
    """How many bytes more are to be used.

    Raises:
        FaultError: a share of the limit is wanted, and there is no limit, or it is in use already.
    """
    if step.fill is not None:
        return step.fill
    if step.fill_to is None or limit is None:
        raise FaultError("no-limit", "a share of the memory limit is to be filled, and there is no limit")
    size = int(step.fill_to * limit) - (used or 0)
    if size <= 0:
        raise FaultError(
            "filled-already",
            f"{step.fill_to:.0%} of the memory limit ({limit} bytes) are in use already ({used} bytes)",
        )
    return size
