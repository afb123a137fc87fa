"""Act `scale`: the service gets another number of replicas (`docker service scale`).

Called through `faults.registry`. A single container has no such act: that is written down, and it stays as it is.
Proof: the first sign that the platform acts on it: a task that was not there before, or one that leaves rotation or
is told to stop. When the new number serves is for the analysis to say.
"""

from __future__ import annotations

from breakroom.faults.base import ActionLog, FaultContext, FaultError, Injected
from breakroom.journal.records import Record, RotationChanged, TaskChanged
from breakroom.platforms.base import PlatformError
from breakroom.spec.drill import ScaleStep

__all__ = ["scale"]

_SIGN_WITHIN = 10_000_000_000
_LEAVING = frozenset({"shutdown", "remove"})


async def scale(ctx: FaultContext, action: str, step: ScaleStep) -> Injected:
    """Scale the service to `step.replicas`.

    Raises:
        FaultError: the platform refuses, or there are that many already.
    """
    before = ctx.wanted()
    detail = {"replicas": step.replicas, "from": before}
    log = ActionLog(ctx=ctx, action=action, kind="scale", detail=detail)
    if ctx.runs_as == "container":
        return Injected(action=action, proved_t=log.stage("inapplicable"))
    if before == step.replicas:
        raise FaultError("no-change", f"the service has {before} replicas already")
    known = {task.id for task in await ctx.deployment.tasks()}
    log.plan_undo("none")
    intended = log.stage("intended")
    try:
        await ctx.deployment.scale(step.replicas)
    except PlatformError as error:
        log.stage("failed", reason=str(error))
        log.undo_done(ok=True, message="nothing was changed")
        raise FaultError(error.code, f"scale: {error}") from error
    ctx.want(step.replicas)
    log.stage("done")
    log.undo_done(ok=True, message="a number of replicas has nothing to take back")

    def is_sign(record: Record) -> bool:
        if step.replicas > before:
            return isinstance(record, TaskChanged) and record.task not in known
        if isinstance(record, RotationChanged):
            return record.task in known and not record.in_rotation
        return isinstance(record, TaskChanged) and record.task in known and record.desired in _LEAVING

    sign = await ctx.wait_for(is_sign, since=intended, within=_SIGN_WITHIN)
    if sign is None:
        log.stage("unproved")
        return Injected(action=action, proved_t=None)
    log.stage("proved", proved_t=sign.t)
    return Injected(action=action, proved_t=sign.t)
