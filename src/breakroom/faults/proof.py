"""Evidence that several faults wait for: a process's exit, a process's state, processes that are no more.

Used by `faults.kill`, `api_kill` and `hang`.
"""

from __future__ import annotations

import asyncio
import signal as signals

from breakroom.faults.base import PROOF_WITHIN, FaultContext
from breakroom.journal.records import Record, TaskChanged
from breakroom.platforms.base import PlatformError

__all__ = ["all_gone", "exit_of", "state_reached"]

_LOOK_SECONDS = 0.01


async def exit_of(ctx: FaultContext, task: str, signal: str, *, since: int) -> TaskChanged | None:
    """The platform's report that the task's main process exited by that signal; None if it does not come."""
    number = int(signals.Signals[signal])

    def matches(record: Record) -> bool:
        return isinstance(record, TaskChanged) and record.task == task and record.signal == number

    record = await ctx.wait_for(matches, since=since, within=PROOF_WITHIN)
    return record if isinstance(record, TaskChanged) else None


async def state_reached(ctx: FaultContext, task: str, state: str) -> int | None:
    """When the kernel says that the task's main process is in that state; None if it does not come to it."""
    deadline = ctx.now() + PROOF_WITHIN
    while True:
        found = await ctx.deployment.process_state(task)
        if found == state:
            return ctx.now()
        if ctx.now() > deadline or not found:
            return None
        await asyncio.sleep(_LOOK_SECONDS)


async def all_gone(ctx: FaultContext, task: str, match: str) -> int | None:
    """When no process inside the task matches any more; None if some go on. Asked by a signal that changes nothing."""
    deadline = ctx.now() + PROOF_WITHIN
    while True:
        try:
            left = await ctx.deployment.signal_inside(task, match, "SIGCONT")
        except (ProcessLookupError, PlatformError):
            return ctx.now()
        if not left:
            return ctx.now()
        if ctx.now() > deadline:
            return None
        await asyncio.sleep(_LOOK_SECONDS)
