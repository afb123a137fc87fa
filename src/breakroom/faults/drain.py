"""Fault `drain`: a node is drained, as for maintenance: its tasks are stopped in order and replaced elsewhere.

Called through `faults.registry`. Proof: the cluster's own word for the node's availability, read back. Taken back to
what it was before, whatever that was.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected
from breakroom.faults.nodes import choose_node, node_lives, tasks_on
from breakroom.faults.reversible import Reversible
from breakroom.platforms.base import Evidence, PlatformError
from breakroom.spec.drill import DrainStep

__all__ = ["drain"]


async def drain(ctx: FaultContext, action: str, step: DrainStep) -> Injected:
    """Drain the node.

    Raises:
        FaultError: there is none that could be, or the platform cannot do that.
    """
    node = await choose_node(ctx, step.node, "drain", reachable=True)

    async def act(subject: str) -> Evidence:
        return await ctx.deployment.set_availability(subject, "drain")

    async def take_back(subject: str) -> None:
        seen = await ctx.deployment.set_availability(subject, node.availability)
        if not seen.holds:
            raise PlatformError("not-undone", f"node {node.name} is not {node.availability} again")

    return await Reversible(
        kind="drain",
        undo="availability",
        subjects=(node.id,),
        tasks=await tasks_on(ctx, node),
        act=act,
        take_back=take_back,
        lives=node_lives(ctx),
        lasts=step.lasts,
        detail={"node": node.name, "was": node.availability},
    ).inject(ctx, action)
