"""Fault `node_loss`: nobody hears of a node any more, as if it had lost its power.

Called through `faults.registry`. To the rest of the cluster a node that is cut off from all others and one that is dead
are the same; so it is cut off, and its tasks run on unseen until it returns. That the cluster has noticed shows in what
becomes of its tasks. Proof: the cut, read back from where it was made.
"""

from __future__ import annotations

from breakroom.faults.base import FaultContext, Injected
from breakroom.faults.nodes import cut
from breakroom.spec.drill import NodeLossStep

__all__ = ["node_loss"]


async def node_loss(ctx: FaultContext, action: str, step: NodeLossStep) -> Injected:
    """Take the node away.

    Raises:
        FaultError: there is none that could be, or the platform cannot do that.
    """
    return await cut(ctx, action, "node_loss", step.node, step.lasts)
