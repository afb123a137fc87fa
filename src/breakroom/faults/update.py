"""Acts `update` and `rollback`: a new release, and the way back.

Called through `faults.registry`. A service is updated as its `update_config` says; a single container is stopped, taken
away and made anew from the other spec, which is what a person without an orchestrator does. Proof: the first task of
another version, or the orchestrator's own word that the update is under way. How it ended is for the analysis to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from breakroom.faults.base import ActionLog, FaultContext, FaultError, Injected
from breakroom.journal.records import Record, TaskChanged, UpdateChanged
from breakroom.platforms.base import PlatformError
from breakroom.spec.drill import RollbackStep, UpdateStep
from breakroom.spec.service import ServiceSpec

__all__ = ["release_of", "rollback", "update"]

_SIGN_WITHIN = 15_000_000_000
_BEGUN = frozenset({"updating", "rollback_started"})


def release_of(service: ServiceSpec, step: UpdateStep) -> ServiceSpec:
    """The service as the step's release has it."""
    return dataclasses.replace(
        service,
        image=step.image or service.image,
        environment={**service.environment, **step.environment},
    )


async def update(ctx: FaultContext, action: str, step: UpdateStep) -> Injected:
    """Bring out the step's release.

    Raises:
        FaultError: the platform refuses.
    """
    release = release_of(ctx.releases[-1], step)
    detail = {"image": release.image, "environment": dict(step.environment)}
    log = ActionLog(ctx=ctx, action=action, kind="update", detail={**detail, "replaces": _replaces(ctx)})
    if ctx.runs_as == "container":
        return await _bring(ctx, log, lambda: ctx.deployment.replace(release), release)
    return await _bring(ctx, log, lambda: ctx.deployment.update(release), release)


async def rollback(ctx: FaultContext, action: str, _step: RollbackStep) -> Injected:
    """Go back to the release before the last one.

    Raises:
        FaultError: there is none, or the platform refuses.
    """
    if len(ctx.releases) < 2:
        raise FaultError("no-release", "nothing was updated, so there is no release to go back to")
    before = ctx.releases[-2]
    log = ActionLog(
        ctx=ctx, action=action, kind="rollback", detail={"image": before.image, "replaces": _replaces(ctx)}
    )
    if ctx.runs_as == "service":
        return await _bring(ctx, log, ctx.deployment.rollback, before)
    if ctx.releases[-1] == ctx.releases[0]:
        # The operator was quicker and has put the first release back: the one before is the bad one.
        return Injected(action=action, proved_t=log.stage("inapplicable"))
    return await _bring(ctx, log, lambda: ctx.deployment.replace(before), before)


def _replaces(ctx: FaultContext) -> bool:
    return ctx.runs_as == "container"


async def _bring(
    ctx: FaultContext, log: ActionLog, command: Callable[[], Awaitable[None]], release: ServiceSpec
) -> Injected:
    known = {task.id for task in await ctx.deployment.tasks()}
    log.plan_undo("none")
    intended = log.stage("intended")
    try:
        await command()
    except PlatformError as error:
        log.stage("failed", reason=str(error))
        log.undo_done(ok=True, message="the platform refused it")
        raise FaultError(error.code, f"{log.kind}: {error}") from error
    ctx.releases.append(release)
    log.stage("done")
    log.undo_done(ok=True, message="a release goes with its service")

    def is_sign(record: Record) -> bool:
        if isinstance(record, UpdateChanged):
            return record.state in _BEGUN
        return isinstance(record, TaskChanged) and record.task not in known

    within = max(_SIGN_WITHIN, 2 * release.stop_grace_period)
    sign = await ctx.wait_for(is_sign, since=intended, within=within)
    if sign is None:
        log.stage("unproved")
        return Injected(action=log.action, proved_t=None)
    log.stage("proved", proved_t=sign.t)
    return Injected(action=log.action, proved_t=sign.t)
