"""Fault `hang`: the main process of some replicas stands still (SIGSTOP), as one that waits forever.

Called through `faults.registry`. It is there, its connections are kept by the kernel, and nobody answers. Proof: its
state in the kernel's process table is `T`. Taken back with SIGCONT.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected, choose_tasks
from breakroom.faults.proof import state_reached
from breakroom.faults.reversible import Reversible, task_lives
from breakroom.platforms.base import Evidence
from breakroom.spec.drill import HangStep

__all__ = ["hang"]

_STOPPED = "T"


async def hang(ctx: FaultContext, action: str, step: HangStep) -> Injected:
    """Stop the main process of `step.tasks` of the replicas in rotation.

    Raises:
        FaultError: there is none, or one cannot be signalled.
    """

    async def act(task: str) -> Evidence:
        await ctx.deployment.signal_task(task, "SIGSTOP")
        seen = await state_reached(ctx, task, _STOPPED)
        return Evidence(holds=seen is not None, t=seen if seen is not None else ctx.now(), means="sigstop")

    async def take_back(task: str) -> None:
        await ctx.deployment.signal_task(task, "SIGCONT")

    targets = tuple(task.id for task in await choose_tasks(ctx, step.tasks, "hang"))
    return await Reversible(
        kind="hang",
        undo="continue",
        subjects=targets,
        tasks=targets,
        act=act,
        take_back=take_back,
        lives=task_lives(ctx),
        lasts=step.lasts,
    ).inject(ctx, action)
