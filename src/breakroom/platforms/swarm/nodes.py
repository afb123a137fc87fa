"""The Swarm's nodes: who they are, where they are reached, and their availability, changed and restored under a mark.

Used by `watcher` (names and addresses) and `service` (the drill's drains). A node that a run changes bears labels that
say which run did it and what its availability was, so that `breakroom cleanup` can restore it whatever happens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal, cast

from aiodocker.exceptions import DockerError

from breakroom.journal import registry
from breakroom.platforms.base import Availability, Evidence, NodeView, PlatformError
from breakroom.platforms.docker.connect import Daemon
from breakroom.platforms.docker.names import DRAINED_BY, WAS_AVAILABILITY

__all__ = ["NodeList"]

_TRIES = 5
_SEEN_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_OUT_OF_SEQUENCE = "out of sequence"


class NodeList:
    """The nodes as they were when last asked for. `here`: the node id of the daemon that is talked to."""

    def __init__(self, daemon: Daemon, *, here: str, run: str) -> None:
        self._daemon = daemon
        self._run = run
        self.here = here
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.names: dict[str, str] = {}
        """Host name by node id."""
        self.leads_here = True
        """Whether this daemon is the leader: then the managers' times are by its clock."""

    async def refresh(self) -> None:
        """Ask again. Raises what aiodocker raises."""
        rows = await self._daemon.docker.nodes.list()
        self.rows = {str(row["ID"]): row for row in rows}
        self.names = {key: str(row["Description"].get("Hostname") or key) for key, row in self.rows.items()}
        self.leads_here = bool((self.rows.get(self.here, {}).get("ManagerStatus") or {}).get("Leader"))

    def is_here(self, node: str) -> bool:
        """Whether it is the node that breakroom talks to."""
        return node == self.here

    def address(self, node: str) -> str:
        """Where the node's published ports are reached from the other nodes."""
        return str((self.rows.get(node, {}).get("Status") or {}).get("Addr") or "0.0.0.0")  # noqa: S104  # the API's own word for "not known"

    def views(self) -> list[NodeView]:
        """All nodes, this one first, then by name."""
        views = [self._view(key, row) for key, row in self.rows.items()]
        return sorted(views, key=lambda view: (not view.here, view.name, view.id))

    def find(self, name: str) -> str:
        """The id of a node by its id, the beginning of it, or its host name.

        Raises:
            PlatformError: `unknown-node`: there is none, or there are several.
        """
        found = [key for key in self.rows if key == name or self.names[key] == name]
        found = found or [key for key in self.rows if name and key.startswith(name)]
        if len(found) == 1:
            return found[0]
        what = "several nodes are" if found else "no node is"
        raise PlatformError(
            "unknown-node", f"{what} called {name!r}", f"the nodes: {', '.join(sorted(self.names.values()))}"
        )

    async def set_availability(self, node: str, availability: Availability) -> Evidence:
        """`docker node update --availability`, with a mark of what it was; taken off when it is that again.

        Raises:
            PlatformError: no such node, or Swarm refuses.
        """
        key = self.find(node)
        registry.note(self._run, nodes_drained=[key])
        with self._daemon.asking(f"set node {self.names[key]} to {availability}"):
            await self._change(key, availability)
            return await self._seen(key, availability)

    async def restore(self, node: str) -> bool:
        """Give a node the availability back that this run took from it. False if it bears no mark of this run."""
        with self._daemon.asking(f"restore node {self.names.get(node, node)}"):
            await self.refresh()
            marks = (self.rows.get(node, {}).get("Spec") or {}).get("Labels") or {}
            if marks.get(DRAINED_BY) != self._run:
                return False
            await self._change(node, cast("Availability", marks.get(WAS_AVAILABILITY) or "active"))
            return True

    async def restore_all(self) -> None:
        """Give every node of this run its availability back."""
        for key, row in tuple(self.rows.items()):
            if ((row.get("Spec") or {}).get("Labels") or {}).get(DRAINED_BY) == self._run:
                await self.restore(key)

    async def _change(self, key: str, availability: Availability) -> None:
        """One update of the node, tried again where somebody else's came between reading and writing."""
        for attempt in range(_TRIES):
            row = await self._daemon.docker.nodes.inspect(node_id=key)
            spec = dict(row["Spec"])
            spec["Labels"] = self._marks(spec, availability)
            spec["Availability"] = availability
            try:
                await self._daemon.docker.nodes.update(
                    node_id=key, version=row["Version"]["Index"], spec=spec
                )
            except DockerError as error:
                if _OUT_OF_SEQUENCE not in str(error.message) or attempt == _TRIES - 1:
                    raise
            else:
                return

    def _marks(self, spec: Mapping[str, Any], availability: Availability) -> dict[str, str]:
        marks = dict(spec.get("Labels") or {})
        was = marks.get(WAS_AVAILABILITY) or str(spec.get("Availability") or "active")
        if availability == was:
            marks.pop(DRAINED_BY, None)
            marks.pop(WAS_AVAILABILITY, None)
        else:
            marks |= {DRAINED_BY: self._run, WAS_AVAILABILITY: was}
        return marks

    async def _seen(self, key: str, availability: Availability) -> Evidence:
        """Read it back."""
        deadline = asyncio.get_running_loop().time() + _SEEN_SECONDS
        while True:
            await self.refresh()
            now = str((self.rows.get(key, {}).get("Spec") or {}).get("Availability") or "")
            if now == availability or asyncio.get_running_loop().time() > deadline:
                detail = {"node": self.names.get(key, key), "availability": now}
                return Evidence(
                    holds=now == availability, t=time.monotonic_ns(), means="swarm", detail=detail
                )
            await asyncio.sleep(_LOOK_SECONDS)

    def _view(self, key: str, row: Mapping[str, Any]) -> NodeView:
        spec, status = row["Spec"], row.get("Status") or {}
        manager = row.get("ManagerStatus") or {}
        return NodeView(
            id=key,
            name=self.names[key],
            role=cast("Literal['manager', 'worker']", str(spec.get("Role") or "worker")),
            status=str(status.get("State") or "unknown"),
            availability=cast("Availability", str(spec.get("Availability") or "active")),
            address=str(status.get("Addr") or ""),
            leader=bool(manager.get("Leader")),
            here=self.is_here(key),
        )
