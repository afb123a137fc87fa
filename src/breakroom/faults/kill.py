"""Fault `kill`: the main process of some replicas is ended by a signal, as a crash would end it.

Called through `faults.registry` for a `kill:` step. The signal goes to the process itself, never through the platform's
API: an engine marks a container that was killed through its API as wanted dead and does not revive it (3-measurement,
rule 6). Proof: the platform's report that the very process exited by that signal, which is the kernel's exit
notice; a process that catches the signal and lives, or exits otherwise, leaves the fault unproved.
"""

from __future__ import annotations

import signal as signals

from breakroom.faults.base import (
    PROOF_WITHIN,
    ActionLog,
    FaultContext,
    FaultError,
    Injected,
    serving_tasks,
)
from breakroom.journal.records import Record, TaskChanged
from breakroom.spec.drill import KillStep

__all__ = ["kill"]


async def kill(ctx: FaultContext, action: str, step: KillStep) -> Injected:
    """Kill `step.tasks` of the replicas in rotation, chosen by the trial's seed.

    Raises:
        FaultError: no replica is in rotation, so there is nothing to kill.
    """
    candidates = serving_tasks(await ctx.deployment.tasks())
    if not candidates:
        raise FaultError("no-target", "no replica was in rotation, so there was nothing to kill")
    # The draw is a number from 0 to 1 scaled by the count, so that one seed means "the same place in line" for
    # contenders with different numbers of replicas.
    first = int(ctx.choose.random() * len(candidates))
    count = min(step.tasks, len(candidates))
    targets = [candidates[(first + i) % len(candidates)] for i in range(count)]
    log = ActionLog(
        ctx=ctx,
        action=action,
        kind="kill",
        tasks=tuple(task.id for task in targets),
        detail={"signal": step.signal, "pids": [task.pid for task in targets], "asked": step.tasks},
    )
    log.plan_undo("none")
    intended = log.stage("intended")
    try:
        for task in targets:
            await ctx.deployment.signal_task(task.id, step.signal)
    except ProcessLookupError as error:
        log.stage("failed", reason=str(error))
        raise FaultError("target-gone", f"a replica was gone before it could be killed: {error}") from error
    log.stage("done")
    log.undo_done(ok=True, message="a killed process has nothing to take back")
    exits = [await _exit_of(ctx, task.id, step.signal, since=intended) for task in targets]
    seen = [record for record in exits if record is not None]
    if len(seen) < len(targets):
        log.stage("unproved", exits_seen=len(seen))
        return Injected(action=action, proved_t=None)
    proved_t = min(record.t for record in seen)
    log.stage("proved", proved_t=proved_t, exit_codes=[record.exit_code for record in seen])
    return Injected(action=action, proved_t=proved_t)


async def _exit_of(ctx: FaultContext, task: str, signal: str, *, since: int) -> TaskChanged | None:
    number = int(signals.Signals[signal])

    def matches(record: Record) -> bool:
        return isinstance(record, TaskChanged) and record.task == task and record.signal == number

    record = await ctx.wait_for(matches, since=since, within=PROOF_WITHIN)
    return record if isinstance(record, TaskChanged) else None
