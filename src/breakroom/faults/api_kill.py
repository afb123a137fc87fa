"""Fault `api_kill`: replicas are killed through the platform's API (`docker kill`). Not a crash, and labelled so.

Called through `faults.registry`. A container engine takes such an end for wanted: its restart policy does not answer
it. An orchestrator, which did not ask for it, replaces the task. Proof as for `kill`.
"""

from __future__ import annotations

from breakroom.faults.base import ActionLog, FaultContext, Injected, choose_tasks
from breakroom.faults.kill import kill_all
from breakroom.platforms.base import TaskView
from breakroom.spec.drill import ApiKillStep

__all__ = ["api_kill"]


async def api_kill(ctx: FaultContext, action: str, step: ApiKillStep) -> Injected:
    """Kill `step.tasks` of the replicas in rotation through the API.

    Raises:
        FaultError: no replica is in rotation, so there is nothing to kill.
    """
    targets = await choose_tasks(ctx, step.tasks, "kill")
    log = ActionLog(
        ctx=ctx,
        action=action,
        kind="api_kill",
        tasks=tuple(task.id for task in targets),
        detail={"signal": step.signal, "asked": step.tasks},
    )

    async def act(task: TaskView) -> None:
        await ctx.deployment.kill_through_api(step.signal, task=task.id)

    return await kill_all(ctx, log, targets, step.signal, act)
