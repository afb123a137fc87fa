"""Hands on every node of the Swarm as one thing: this node's own, and the agents on the others.

Made by `platform`, used by `acts`. Which node a task is on decides whose hands act on it. Where nobody has hands, the
reason is kept for the one who asks.
"""

from __future__ import annotations

from typing import Any

from breakroom.platforms.base import PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.hands import Hands, hands_for
from breakroom.platforms.docker.hands_remote import Agents
from breakroom.platforms.swarm.nodes import NodeList

__all__ = ["SwarmHands"]


class SwarmHands:
    """The hands of one run. `find` them, `close` them."""

    def __init__(self, nodes: NodeList) -> None:
        self._nodes = nodes
        self._here: Hands | None = None
        self._agents: Agents | None = None
        self.probed: dict[str, Any] = {}
        """What this node's kernel can: the answer of the act `probe`."""
        self.why_not_here = ""
        self.why_not_there = ""

    @classmethod
    async def find(cls, daemon: Daemon, nodes: NodeList, run: str) -> SwarmHands:
        """Find out who can act where; on other nodes an agent is put.

        Raises:
            PlatformError: the daemon is gone. That there are no hands is no error.
        """
        hands = cls(nodes)
        try:
            here = await hands_for(daemon, run)
            hands.probed = await here.act({"act": "probe"})
            hands._here = here
        except PlatformError as error:
            hands.why_not_here = _reason(error)
        if len(nodes.rows) > 1:
            try:
                hands._agents = await Agents.open(daemon, run)
            except PlatformError as error:
                hands.why_not_there = _reason(error)
        return hands

    @property
    def here(self) -> Hands | None:
        """Those on this node."""
        return self._here

    @property
    def means(self) -> str:
        """By what acts are done here, and on other nodes."""
        here = self._here.means if self._here is not None else "none"
        return f"{here}, agents on other nodes" if self._agents is not None else here

    @property
    def remote(self) -> bool:
        """Whether there are agents on other nodes."""
        return self._agents is not None

    def works(self, what: str) -> bool:
        """Whether this node's kernel has `netem`, `nft` and the like."""
        return bool((self.probed.get(what) or {}).get("works"))

    def reaches(self, node: str) -> bool:
        """Whether there are hands on that node."""
        if self._nodes.is_here(node) and self._here is not None:
            return True
        return self._agents is not None and self._agents.reaches(node)

    async def act(self, act: dict[str, Any], *, node: str) -> dict[str, Any]:
        """Do an act on a node.

        Raises:
            PlatformError: it was not done; `unsupported`: nobody has hands there.
        """
        if self._nodes.is_here(node) and self._here is not None:
            return await self._here.act(act)
        if self._agents is None:
            raise PlatformError(
                "unsupported", f"breakroom has no agent on node {self._nodes.names.get(node, node)}"
            )
        return await self._agents.act(act, node=node)

    async def close(self) -> tuple[str, ...]:
        """Take them away; what is still there, in words."""
        left: tuple[str, ...] = ()
        if self._here is not None:
            left += await self._here.close()
        if self._agents is not None:
            left += await self._agents.close()
        return left


def _reason(error: PlatformError) -> str:
    return " ".join(part for part in (str(error), error.hint) if part)
