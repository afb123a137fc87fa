"""Fault `pause`: all processes of some replicas are frozen, as by `docker pause`.

Called through `faults.registry`. Proof: the kernel's word that they stand still, read back by the platform.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected, choose_tasks
from breakroom.faults.reversible import Reversible, task_lives
from breakroom.spec.drill import PauseStep

__all__ = ["pause"]


async def pause(ctx: FaultContext, action: str, step: PauseStep) -> Injected:
    """Pause `step.tasks` of the replicas in rotation.

    Raises:
        FaultError: there is none, or one cannot be paused.
    """
    targets = tuple(task.id for task in await choose_tasks(ctx, step.tasks, "pause"))
    return await Reversible(
        kind="pause",
        undo="unpause",
        subjects=targets,
        tasks=targets,
        act=ctx.deployment.pause,
        take_back=ctx.deployment.unpause,
        lives=task_lives(ctx),
        lasts=step.lasts,
    ).inject(ctx, action)
