"""Hands on every node of the Swarm as one thing: this node's own, and those of the agents on the others.

Used by `acts`. Which node a task is on decides whose hands act on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breakroom.platforms.docker.hands import Hands
from breakroom.platforms.swarm.nodes import NodeList

__all__ = ["SwarmHands"]


class SwarmHands:
    """`here`: the hands on the daemon's own node. `others`: by node id, where there are agents."""

    def __init__(self, nodes: NodeList, here: Hands | None, others: Mapping[str, Hands]) -> None:
        self._nodes = nodes
        self._here = here
        self._others = others

    def reaches(self, node: str) -> bool:
        """Whether there are hands on that node."""
        return self._on(node) is not None

    async def act(self, act: dict[str, Any], *, node: str = "") -> dict[str, Any]:
        """Do an act on a node, this one if none is named.

        Raises:
            PlatformError: it was not done.
        """
        hands = self._on(node)
        assert hands is not None, "asked only where there are hands"
        return await hands.act(act)

    def _on(self, node: str) -> Hands | None:
        return self._here if not node or self._nodes.is_here(node) else self._others.get(node)
