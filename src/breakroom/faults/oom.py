"""Fault `oom`: the load itself fills the replicas' memory until their limit kills them.

Called through `faults.registry`. Nothing is done here but waiting: the app's own leak under the drill's load is the
fault. Proof: the platform reports the replica as killed for memory, and where the kernel does the killing, its own
count of such kills (`/proc/vmstat`, `oom_kill`) has grown by as many.
"""

from __future__ import annotations

from breakroom.faults.base import ActionLog, FaultContext, Injected
from breakroom.journal.records import Record, TaskChanged
from breakroom.spec.drill import OomStep

__all__ = ["oom"]


async def oom(ctx: FaultContext, action: str, step: OomStep) -> Injected:
    """Wait until `step.tasks` replicas were killed at their memory limit, at most `step.within`."""
    log = ActionLog(ctx=ctx, action=action, kind="oom", detail={"asked": step.tasks})
    log.plan_undo("none")
    before = await ctx.deployment.oom_kills()
    intended = log.stage("intended", oom_kills_before=before)
    killed: dict[str, TaskChanged] = {}

    def is_new_kill(record: Record) -> bool:
        return isinstance(record, TaskChanged) and record.oom_killed and record.task not in killed

    until = intended + step.within
    while len(killed) < step.tasks:
        record = await ctx.wait_for(is_new_kill, since=intended, within=max(until - ctx.now(), 0))
        if not isinstance(record, TaskChanged):
            break
        killed[record.task] = record
    after = await ctx.deployment.oom_kills()
    log.tasks = tuple(killed)
    counted = None if before is None or after is None else after - before
    seen = {"oom_kills_before": before, "oom_kills_after": after}
    log.undo_done(ok=True, message="a killed process has nothing to take back")
    # Other processes of the machine may have been killed as well, so the counter can be higher, but never lower.
    if len(killed) < step.tasks or (counted is not None and counted < len(killed)):
        log.stage("unproved", kills_seen=len(killed), **seen)
        return Injected(action=action, proved_t=None)
    proved_t = min(record.t for record in killed.values())
    log.stage("done", t=proved_t)
    log.stage(
        "proved", proved_t=proved_t, means="kernel-counter" if counted is not None else "platform", **seen
    )
    return Injected(action=action, proved_t=proved_t)
