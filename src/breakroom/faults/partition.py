"""Fault `partition`: replicas are cut off from their users, or a node from all other nodes.

Called through `faults.registry`. Their processes run on and know nothing of it. Proof: the cut, read back from where it
was made.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected
from breakroom.faults.network import impair
from breakroom.faults.nodes import cut
from breakroom.spec.drill import PartitionStep

__all__ = ["partition"]


async def partition(ctx: FaultContext, action: str, step: PartitionStep) -> Injected:
    """Cut off `step.tasks` of the replicas in rotation, or the node.

    Raises:
        FaultError: there is none, or the platform cannot do that.
    """
    if step.node:
        return await cut(ctx, action, "partition", step.node, step.lasts)
    return await impair(ctx, action, "partition", step.tasks, {"partition": True}, step.lasts)
