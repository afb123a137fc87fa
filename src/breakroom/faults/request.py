"""Fault `request`: some replicas are sent an HTTP request themselves, past the ingress, and fall ill of it.

Called through `faults.registry`. It is how an app that can be told to misbehave (`health-app`, or the user's own) is
told so. Proof: its answer is a 2xx, and, where the step names a path and a status as proof, asking for it gives that
status. Nothing is taken back: the illness goes with the replica.
"""

from __future__ import annotations

import asyncio

from breakroom.faults.base import PROOF_WITHIN, ActionLog, FaultContext, FaultError, Injected, choose_tasks
from breakroom.platforms.base import PlatformError, TaskView
from breakroom.spec.drill import RequestStep

__all__ = ["request"]

_LOOK_SECONDS = 0.02


async def request(ctx: FaultContext, action: str, step: RequestStep) -> Injected:
    """Send the step's request to `step.tasks` of the replicas in rotation.

    Raises:
        FaultError: there is none, or one does not answer with a 2xx.
    """
    targets = await choose_tasks(ctx, step.tasks, "send a request to")
    log = ActionLog(
        ctx=ctx,
        action=action,
        kind="request",
        tasks=tuple(task.id for task in targets),
        detail={"method": step.method, "path": step.path},
    )
    log.plan_undo("none")
    log.stage("intended")
    answered: list[int] = []
    try:
        for task in targets:
            status, body = await ctx.deployment.request_task(task.id, step.method, step.path)
            answered.append(ctx.now())
            if not 200 <= status < 300:
                raise PlatformError("refused", f"{task.id} answered {status}: {body[:200]}")
    except (ProcessLookupError, PlatformError) as error:
        log.stage("failed", reason=str(error))
        log.undo_done(ok=True, message="the illness goes with the replica")
        code = error.code if isinstance(error, PlatformError) else "target-gone"
        raise FaultError(code, f"request: {error}") from error
    log.stage("done")
    log.undo_done(ok=True, message="the illness goes with the replica")
    proofs = answered if not step.proof_path else [await _shown(ctx, step, task) for task in targets]
    known = [t for t in proofs if t is not None]
    if len(known) < len(targets):
        log.stage("unproved", proof=f"{step.proof_path} is not answered with {step.proof_status}")
        return Injected(action=action, proved_t=None)
    proved_t = min(known)
    log.stage("proved", proved_t=proved_t, proof=step.proof_path or step.path)
    return Injected(action=action, proved_t=proved_t)


async def _shown(ctx: FaultContext, step: RequestStep, task: TaskView) -> int | None:
    """When the replica was seen to answer as the step says that an ill one does; None: it was not."""
    deadline = ctx.now() + PROOF_WITHIN
    while True:
        try:
            status, _ = await ctx.deployment.request_task(task.id, "GET", step.proof_path)
        except (ProcessLookupError, PlatformError):
            status = 0
        if status == step.proof_status:
            return ctx.now()
        if ctx.now() > deadline:
            return None
        await asyncio.sleep(_LOOK_SECONDS)
