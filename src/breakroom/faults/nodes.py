"""What the faults on nodes have in common: which node, which replicas are on it, and how one is cut off.

Used by `faults.drain`, `partition` and `node_loss`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from breakroom.faults.base import FaultContext, FaultError, Injected, serving_tasks
from breakroom.faults.reversible import Reversible
from breakroom.platforms.base import Evidence, NodeView, PlatformError
from breakroom.spec.drill_steps import ANY_NODE

__all__ = ["choose_node", "cut", "node_lives", "tasks_on"]

_SELF_HEALING_AFTER = 30_000_000_000
"""How long after the trial's time a cut heals by itself, should nobody heal it."""


async def choose_node(ctx: FaultContext, wanted: str, what: str, *, reachable: bool) -> NodeView:
    """The node of that name or id; or for `any`, `worker` or `manager` one of those, chosen by the trial's seed.

    Chosen are those with replicas on them first, and the node that breakroom talks to last; where it would not be
    `reachable` afterwards, never, also not by name.

    Raises:
        FaultError: there is no such node.
    """
    nodes = sorted(await ctx.deployment.nodes(), key=lambda node: node.name)
    draw = ctx.choose.random()
    if wanted in ANY_NODE:
        role = [node for node in nodes if wanted in {"any", node.role}]
        found = [node for node in role if node.status == "ready" and node.availability == "active"]
    else:
        found = [node for node in nodes if wanted in {node.name, node.id}]
    if not reachable:
        if found and all(node.here for node in found):
            raise FaultError(
                "no-target",
                f"{found[0].name} is the node that breakroom itself talks to; cut off from it, nothing could be seen",
            )
        found = [node for node in found if not node.here]
    if not found:
        names = ", ".join(f"{node.name} ({node.role}, {node.availability})" for node in nodes)
        raise FaultError("no-target", f"there is no node {wanted!r} to {what}; there are: {names}")
    busy = {task.node for task in serving_tasks(await ctx.deployment.tasks())}
    best = min(_rank(node, busy) for node in found)
    found = [node for node in found if _rank(node, busy) == best]
    return found[int(draw * len(found))]


def _rank(node: NodeView, busy: set[str]) -> tuple[bool, bool]:
    return (not ({node.id, node.name} & busy), node.here)


async def tasks_on(ctx: FaultContext, node: NodeView) -> tuple[str, ...]:
    """The replicas in rotation on it."""
    serving = serving_tasks(await ctx.deployment.tasks())
    return tuple(task.id for task in serving if task.node in {node.id, node.name})


def node_lives(ctx: FaultContext) -> Callable[[str], Awaitable[bool]]:
    """Whether a node is still one of the cluster's, reachable or not."""

    async def lives(subject: str) -> bool:
        return any(node.id == subject for node in await ctx.deployment.nodes())

    return lives


async def cut(ctx: FaultContext, action: str, kind: str, wanted: str, lasts: int | None) -> Injected:
    """Cut a node off from all others, as a dead switch would.

    Raises:
        FaultError: there is none that could be, or the platform cannot do that.
    """
    node = await choose_node(ctx, wanted, "cut off", reachable=False)
    # A node that is cut off cannot be told to heal: one whose loss has a length heals by itself when that is over.
    within = lasts if lasts is not None else ctx.longest + _SELF_HEALING_AFTER

    async def act(subject: str) -> Evidence:
        return await ctx.deployment.cut_node(subject, within)

    async def heal(subject: str) -> None:
        try:
            await ctx.deployment.heal_node(subject)
        except ProcessLookupError as error:
            raise PlatformError("not-healed", str(error)) from error

    return await Reversible(
        kind=kind,
        undo="heal-node",
        subjects=(node.id,),
        tasks=await tasks_on(ctx, node),
        act=act,
        take_back=heal,
        lives=node_lives(ctx),
        lasts=lasts,
        detail={"node": node.name, "heals_itself_after_ns": within},
    ).inject(ctx, action)
