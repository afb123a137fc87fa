"""Nodes: joining, going down, coming back, being paused or drained.

Called by the orchestrator with legal events. As in Swarm, a lost node's tasks are replaced by the ordinary restart
with its delay, a drained node's at once but gracefully, and a node that returns gets nothing back (moby#24103).
Unlike Swarm, which keeps the last known state of a lost node's tasks for a day, they are orphaned at once: the shell
knows that the node is gone.
"""

from __future__ import annotations

from dataclasses import replace

from breakroom.engine.core.container import ContainerSupervisor
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import Availability, Node, NodeStatus
from breakroom.engine.core.restart import RestartSupervisor
from breakroom.engine.core.scheduler import available
from breakroom.engine.core.store import NodeRecord, Store

__all__ = ["NodeSupervisor"]


class NodeSupervisor:
    """Moves tasks when the state of a node changes."""

    def __init__(
        self, store: Store, life: Lifecycle, restarts: RestartSupervisor, containers: ContainerSupervisor
    ) -> None:
        self._store = store
        self._life = life
        self._restarts = restarts
        self._containers = containers

    def add(self, node: str, hostname: str) -> None:
        """A node joined."""
        self._store.nodes[node] = NodeRecord(Node(id=node, hostname=hostname))
        self._place_pending(node)

    def set_availability(self, node: str, availability: Availability) -> None:
        """`node update --availability`."""
        record = self._store.nodes[node]
        record.node = replace(record.node, availability=availability)
        if availability is Availability.DRAIN:
            for task_id in [task.id for task in self._store.on_node(node)]:
                # Moving one task may have changed another, which waited for it.
                task = self._store.tasks.get(task_id)
                if task is not None and task.wanted and not task.container:
                    self._restarts.restart(self._store.services[task.service], task)
        self._place_pending(node)

    def down(self, node: str) -> None:
        """Its tasks are cut from rotation, all of them first, then given up and replaced elsewhere."""
        record = self._store.nodes[node]
        record.node = replace(record.node, status=NodeStatus.DOWN)
        lost = [task.id for task in self._store.on_node(node) if not task.state.terminal]
        for task_id in lost:
            self._life.cut(self._store.tasks[task_id])
        for task_id in lost:
            # Giving up one task may have ended another: a replacement that was still being prepared there.
            task = self._store.tasks.get(task_id)
            if task is not None and not task.state.terminal:
                self._life.lost(task)

    def up(self, node: str) -> None:
        """It answers again: processes of tasks given up are ended, tasks that waited for a node are placed."""
        record = self._store.nodes[node]
        record.node = replace(record.node, status=NodeStatus.READY)
        for task in self._store.on_node(node):
            if task.state.terminal and task.alive:
                self._life.reap_lost(task)
        for container in list(self._store.containers.values()):
            task_of = self._store.tasks.get(container.task)
            if task_of is not None and task_of.node == node:
                self._containers.node_back(container)
        self._place_pending(node)

    def _place_pending(self, node: str) -> None:
        if not available(self._store.nodes[node].node):
            return
        for task_id in list(self._store.pending):
            task = self._store.tasks.get(task_id)
            if task is not None and task_id in self._store.pending:
                self._life.place(task)
