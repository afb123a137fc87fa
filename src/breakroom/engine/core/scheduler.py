"""Which node a task goes to, and why none would take it.

Called by the lifecycle for every new task and, when a node becomes available, for those that wait. The order of
preference is swarmkit's (`manager/scheduler`): filter; then nodes where this service did not fail lately; then fewest
tasks of this service; then fewest tasks; then the name, so that the choice is repeatable.
"""

from __future__ import annotations

from collections import deque

from breakroom.engine.core.model import Availability, Node, NodeStatus, Task
from breakroom.engine.core.store import NodeRecord, Store

__all__ = ["FAILURE_WINDOW", "MAX_FAILURES", "available", "choose_node", "explain_refusal", "note_failure"]

SECOND = 1_000_000_000

FAILURE_WINDOW = 300 * SECOND
"""How long a failure counts against a node (swarmkit `manager/scheduler/nodeinfo.go`, `monitorFailures`)."""

MAX_FAILURES = 5
"""From this many recent failures of the service on, a node is taken last (swarmkit, `maxFailures`)."""

FAILURES_KEPT = 100
"""Failures remembered for a service on a node; more would not change any choice between nodes that matters."""


def available(node: Node) -> bool:
    """Whether the node takes new tasks (swarmkit's ReadyFilter)."""
    return node.status is NodeStatus.READY and node.availability is Availability.ACTIVE


def choose_node(store: Store, task: Task) -> str | None:
    """The id of the node for the task, or None if no node takes new tasks."""
    fit = [record for record in store.nodes.values() if available(record.node)]
    if not fit:
        return None
    return min(fit, key=lambda record: _preference(store, record, task.service)).node.id


def explain_refusal(store: Store) -> tuple[str, str]:
    """Why no node took a task: Swarm's own error text, and a sentence that names each node's reason."""
    count = len(store.nodes)
    if count == 0:
        return "no suitable node", "no node has joined; add one"
    plural = "nodes" if count > 1 else "node"
    reasons = ", ".join(f"{r.node.hostname} is {_why_not(r.node)}" for r in store.nodes.values())
    return (
        f"no suitable node ({count} {plural} not available for new tasks)",
        f"pending task scheduling: {reasons}",
    )


def note_failure(store: Store, task: Task) -> None:
    """Remember that a task failed on its node by itself."""
    record = store.nodes.get(task.node)
    if record is None:
        return
    times = record.failures.get(task.service)
    if times is None:
        times = record.failures[task.service] = deque(maxlen=FAILURES_KEPT)
    times.append(store.now)


def _preference(store: Store, record: NodeRecord, service: str) -> tuple[int, int, int, str]:
    failures = _recent_failures(record, service, store.now)
    return (
        failures if failures >= MAX_FAILURES else 0,
        record.by_service.get(service, 0),
        record.wanted,
        record.node.id,
    )


def _recent_failures(record: NodeRecord, service: str, now: int) -> int:
    times = record.failures.get(service)
    if times is None:
        return 0
    while times and times[0] < now - FAILURE_WINDOW:
        times.popleft()
    if not times:
        del record.failures[service]
    return len(times)


def _why_not(node: Node) -> str:
    if node.status is NodeStatus.DOWN:
        return "down"
    return {Availability.PAUSE: "paused", Availability.DRAIN: "drained", Availability.ACTIVE: "available"}[
        node.availability
    ]
