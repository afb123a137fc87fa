"""Fault `network`: the link to some replicas is bad: slow, unsteady, lossy, narrow.

Called through `faults.registry`. Where the kernel can, it is netem in the replica's own network namespace; elsewhere
breakroom's ingress does what it honestly can (docs/ingress.md); the evidence says which. Proof: what is in force, read
back from where it was set.
"""

from __future__ import annotations

from typing import Any

from breakroom.faults.base import FaultContext, Injected, choose_tasks
from breakroom.faults.reversible import Reversible, task_lives
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.spec.drill import NetworkStep
from breakroom.spec.drill_steps import TaskCount

__all__ = ["EVERY_TASK", "impair", "network"]

EVERY_TASK = "*"
"""Stands for all tasks, those to come too (`Deployment.impair`)."""


async def network(ctx: FaultContext, action: str, step: NetworkStep) -> Injected:
    """Make the network of `step.tasks` of the replicas in rotation bad.

    Raises:
        FaultError: there is none, or the platform cannot do that.
    """
    link: dict[str, Any] = {
        "delay_ns": step.delay,
        "jitter_ns": step.jitter,
        "loss": step.loss,
        "corrupt": step.corrupt,
        "duplicate": step.duplicate,
        "rate_bytes_per_s": step.rate,
    }
    link = {word: value for word, value in link.items() if value}
    return await impair(ctx, action, "network", step.tasks, link, step.lasts)


async def impair(
    ctx: FaultContext,
    action: str,
    kind: str,
    tasks: TaskCount,
    link: dict[str, Any],
    lasts: int | None,
) -> Injected:
    """Impair the link of some replicas, or of all that are and will be.

    Raises:
        FaultError: there is none, or the platform cannot do that.
    """
    targets = tuple(task.id for task in await choose_tasks(ctx, tasks, f"do a {kind} fault to"))
    every = tasks == "all"
    link = {**link, "seed": int(ctx.choose.random() * 2**31)}
    task_is_there = task_lives(ctx)

    async def act(subject: str) -> Evidence:
        return await ctx.deployment.impair(subject, link)

    async def heal(subject: str) -> None:
        seen = await ctx.deployment.impair(subject, None)
        if not seen.holds:
            raise PlatformError("not-healed", f"the link still is not what it was ({seen.means})")

    async def lives(subject: str) -> bool:
        return subject == EVERY_TASK or await task_is_there(subject)

    return await Reversible(
        kind=kind,
        undo="heal-link",
        subjects=(EVERY_TASK,) if every else targets,
        tasks=targets,
        act=act,
        take_back=heal,
        lives=lives,
        lasts=lasts,
        detail={"link": link, "every": every},
    ).inject(ctx, action)
