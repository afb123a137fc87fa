"""How a task of the Swarm is reached, on whichever node it is: the base of `cpu` and `acts`.

Decides by whose hands an act is done, and says in the platform protocol's words why it was not.
"""

from __future__ import annotations

import time
from typing import Any

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.names import mark
from breakroom.platforms.swarm.hands import SwarmHands
from breakroom.platforms.swarm.nodes import NodeList
from breakroom.platforms.swarm.tasks import SwarmTask

__all__ = ["TaskReach", "refusal"]

_GONE = frozenset({"gone", "not-in-container"})


class TaskReach:
    """The tasks of one deployment, reached by the run's hands."""

    def __init__(self, daemon: Daemon, nodes: NodeList, *, run: str, hands: SwarmHands) -> None:
        self._daemon = daemon
        self._nodes = nodes
        self._mark = mark(run)
        self._hands = hands

    def _own(self, task: SwarmTask) -> bool:
        """Whether the task's process is one of this machine's, which can be signalled without anybody's help."""
        return self._daemon.local and self._nodes.is_here(task.node) and bool(task.pid)

    async def _in_task(self, task: SwarmTask, act: dict[str, Any]) -> dict[str, Any]:
        self._need_hands(task.node, f"reach task {task.id}")
        whom = {"container": task.container, "pid": task.pid}
        try:
            return await self._hands.act({**act, **whom}, node=task.node)
        except PlatformError as error:
            raise refusal(error.code, str(error), error.hint) from error

    def _need_hands(self, node: str, doing: str) -> None:
        if not self._hands.reaches(node):
            raise PlatformError(
                "unsupported",
                f"cannot {doing}: breakroom has no agent on node {self._nodes.names.get(node, node)}",
                "`breakroom images` builds the agent's image; it must be on every node that a drill acts on",
            )

    def _when(self, node: str, answer: dict[str, Any]) -> int:
        """When an act was done, by its own account if that is of this machine's clock."""
        done = (answer.get("at") or {}).get("monotonic_ns")
        if self._daemon.local and self._nodes.is_here(node) and isinstance(done, int):
            return min(done, time.monotonic_ns())
        return time.monotonic_ns()

    def _reached_at(self, node: str) -> str:
        """The address at which a node's ports are reached from here."""
        return self._daemon.node_address if self._nodes.is_here(node) else self._nodes.address(node)


def refusal(code: str, message: str, hint: str = "") -> Exception:
    """A refused act as the platform protocol has it."""
    if code in _GONE:
        return ProcessLookupError(message)
    return PlatformError("unsupported" if code == "bad-act" else code, message, hint)
