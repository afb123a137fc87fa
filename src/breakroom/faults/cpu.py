"""Fault `cpu`: some replicas get only a share of one core's time, as beside a greedy neighbour or at a small quota.

Called through `faults.registry`. Where a control group can be set it is the kernel's own quota, read back from the
kernel; elsewhere, on the local platform, their processes are stopped and let go in turn. The evidence says which.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected, choose_tasks
from breakroom.faults.reversible import Reversible, task_lives
from breakroom.platforms.base import Evidence
from breakroom.spec.drill import CpuStep

__all__ = ["cpu"]


async def cpu(ctx: FaultContext, action: str, step: CpuStep) -> Injected:
    """Starve `step.tasks` of the replicas in rotation.

    Raises:
        FaultError: there is none, or the platform cannot do that.
    """

    async def act(task: str) -> Evidence:
        return await ctx.deployment.throttle_cpu(task, step.share)

    targets = tuple(task.id for task in await choose_tasks(ctx, step.tasks, "starve"))
    return await Reversible(
        kind="cpu",
        undo="unthrottle",
        subjects=targets,
        tasks=targets,
        act=act,
        take_back=ctx.deployment.unthrottle_cpu,
        lives=task_lives(ctx),
        lasts=step.lasts,
        detail={"share": step.share},
    ).inject(ctx, action)
