"""Fault `kill`: processes of some replicas are ended by a signal, as a crash would end them.

Called through `faults.registry` for a `kill:` step. The signal goes to the process itself, never through the platform's
API: an engine marks a container that was killed through its API as wanted dead and does not revive it (3-measurement,
rule 6). Proof: the platform's report that the very process exited by that signal, which is the kernel's exit
notice; a process that catches the signal and lives, or exits otherwise, leaves the fault unproved. With `match` the
signal goes to the processes inside whose command line holds it; where the main process is none of them, and so does
not exit by the signal, the proof is that no such process is left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from breakroom.faults.base import ActionLog, FaultContext, FaultError, Injected, choose_tasks
from breakroom.faults.proof import all_gone, exit_of
from breakroom.platforms.base import TaskView
from breakroom.spec.drill import KillStep

__all__ = ["kill", "kill_all"]


async def kill(ctx: FaultContext, action: str, step: KillStep) -> Injected:
    """Kill `step.tasks` of the replicas in rotation, chosen by the trial's seed.

    Raises:
        FaultError: no replica is in rotation, or no process inside matches, so there is nothing to kill.
    """
    targets = await choose_tasks(ctx, step.tasks, "kill")
    log = ActionLog(
        ctx=ctx,
        action=action,
        kind="kill",
        tasks=tuple(task.id for task in targets),
        detail={"signal": step.signal, "pids": [task.pid for task in targets], "asked": step.tasks},
    )
    if not step.match:

        async def signal_main(task: TaskView) -> None:
            await ctx.deployment.signal_task(task.id, step.signal)

        return await kill_all(ctx, log, targets, step.signal, signal_main)
    log.detail["match"] = step.match

    async def signal_matching(task: TaskView) -> None:
        hit = await ctx.deployment.signal_inside(task.id, step.match, step.signal)
        if not hit:
            raise ProcessLookupError(f"no process of {task.id} has {step.match!r} in its command line")
        if task.pid is not None and task.pid not in hit:
            inside.append(task)

    inside: list[TaskView] = []
    return await kill_all(ctx, log, targets, step.signal, signal_matching, match=step.match, inside=inside)


async def kill_all(
    ctx: FaultContext,
    log: ActionLog,
    targets: list[TaskView],
    signal: str,
    act: Callable[[TaskView], Awaitable[None]],
    *,
    match: str = "",
    inside: list[TaskView] | None = None,
) -> Injected:
    """Do `act` to each target and wait for the proof; `inside`, filled by `act`: whose main process was not aimed at.

    Raises:
        FaultError: a target was gone before.
    """
    log.plan_undo("none")
    intended = log.stage("intended")
    try:
        for task in targets:
            await act(task)
    except ProcessLookupError as error:
        log.stage("failed", reason=str(error))
        log.undo_done(ok=True, message="a killed process has nothing to take back")
        raise FaultError("target-gone", f"a replica was gone before it could be killed: {error}") from error
    log.stage("done")
    log.undo_done(ok=True, message="a killed process has nothing to take back")
    proofs: list[int] = []
    codes: list[int | None] = []
    for task in targets:
        if inside and task in inside:
            seen = await all_gone(ctx, task.id, match)
            proofs += [seen] if seen is not None else []
            continue
        record = await exit_of(ctx, task.id, signal, since=intended)
        if record is not None:
            proofs.append(record.t)
            codes.append(record.exit_code)
    if len(proofs) < len(targets):
        log.stage("unproved", exits_seen=len(proofs))
        return Injected(action=log.action, proved_t=None)
    proved_t = min(proofs)
    log.stage("proved", proved_t=proved_t, exit_codes=codes)
    return Injected(action=log.action, proved_t=proved_t)
