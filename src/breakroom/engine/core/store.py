"""The orchestrator's memory: tasks, services, containers and nodes, with the indexes that keep events cheap.

Used by every module of the core; nothing outside the core sees it. Tasks are immutable values that `put` replaces; the
other records here are mutable and private, their snapshots are `model.Service`, `model.Container`, `model.Node`.
All changes of a task go through `put`, which keeps the counts per node and per slot true, so that no event
has to look at tasks that it does not concern.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from breakroom.engine.core.errors import CoreBug
from breakroom.engine.core.ids import IdSource
from breakroom.engine.core.instructions import Instruction, TaskReport
from breakroom.engine.core.model import (
    ContainerState,
    Desired,
    Node,
    Task,
    TaskState,
    Transition,
    UpdateState,
)
from breakroom.engine.core.timers import Timers
from breakroom.engine.core.transitions import Cause, next_state
from breakroom.spec.service import Deploy, ServiceSpec, UpdateConfig

__all__ = ["ContainerRecord", "NodeRecord", "Revision", "ServiceRecord", "Store"]


@dataclass(slots=True)
class Revision:
    """One spec of a service with its number; `template` is the part that a task is made from."""

    version: int
    spec: ServiceSpec
    template: ServiceSpec = field(init=False)

    def __post_init__(self) -> None:
        """Blank out what tasks do not depend on (swarmkit `orchestrator.IsTaskDirty` compares the task's part)."""
        deploy: Deploy = replace(
            self.spec.deploy, replicas=0, update_config=UpdateConfig(), rollback_config=UpdateConfig()
        )
        self.template = replace(self.spec, deploy=deploy)

    def scaled(self, replicas: int) -> Revision:
        """The same revision with another number of replicas."""
        spec = replace(self.spec, deploy=replace(self.spec.deploy, replicas=replicas))
        return Revision(self.version, spec)


@dataclass(slots=True)
class ServiceRecord:
    """A service's state inside the core."""

    id: str
    name: str
    current: Revision
    previous: Revision | None = None
    templates: dict[int, ServiceSpec] = field(default_factory=dict)
    """Spec version → its template, for every version there has been."""
    clean_versions: set[int] = field(default_factory=set)
    """Spec versions whose tasks need no replacing under the current spec."""
    slots: set[int] = field(default_factory=set)
    update_state: UpdateState = ""
    update_message: str = ""
    removing: bool = False

    def __post_init__(self) -> None:
        """Its first spec is its current one."""
        self.use(self.current)

    def use(self, revision: Revision) -> None:
        """Make a revision the current one."""
        self.current = revision
        self.templates[revision.version] = revision.template
        self.clean_versions = {v for v, template in self.templates.items() if template == revision.template}

    def dirty(self, task: Task) -> bool:
        """Whether the task was made from another template than the current one."""
        return task.spec_version not in self.clean_versions


@dataclass(slots=True)
class ContainerRecord:
    """A plain container's state inside the core."""

    id: str
    name: str
    spec: ServiceSpec
    created: int
    state: ContainerState = "created"
    task: str = ""
    restart_count: int = 0
    backoff: int = 0
    manually_stopped: bool = False
    version: int = 1
    starts_again: bool = False
    """Whether a person wants it started when its present run has ended."""
    successor: ServiceSpec | None = None
    """The spec that it is to be started with then, if that is another."""
    removing: bool = False


@dataclass(slots=True)
class NodeRecord:
    """A node with the counts that scheduling needs."""

    node: Node
    wanted: int = 0
    by_service: dict[str, int] = field(default_factory=dict)
    failures: dict[str, deque[int]] = field(default_factory=dict)
    """Service → times of its tasks' recent failures here."""


class Store:
    """All state of one orchestrator, the time of the present event, and the instructions collected for it."""

    def __init__(self) -> None:
        self.now = 0
        self.out: list[Instruction] = []
        self.ids = IdSource()
        self.timers = Timers()
        self.tasks: dict[str, Task] = {}
        self.services: dict[str, ServiceRecord] = {}
        self.containers: dict[str, ContainerRecord] = {}
        self.nodes: dict[str, NodeRecord] = {}
        self.pending: dict[str, None] = {}
        """Ids of tasks that wait for a node, oldest first."""
        self.probing: dict[str, int] = {}
        """Id of a task whose probe is running → when the probe began."""
        self._slots: dict[tuple[str, int], dict[str, None]] = {}
        self._service_slots: dict[str, set[int]] = {}
        self._on_node: dict[str, dict[str, None]] = {}

    # --- reading ------------------------------------------------------------------------------------------------

    def in_slot(self, service: str, slot: int) -> list[Task]:
        """The slot's remembered tasks, oldest first."""
        return [self.tasks[i] for i in self._slots.get((service, slot), ())]

    def wanted_in_slot(self, service: str, slot: int) -> list[Task]:
        """The slot's tasks that are meant to run, oldest first."""
        return [task for task in self.in_slot(service, slot) if task.wanted]

    def on_node(self, node: str) -> list[Task]:
        """The node's remembered tasks, oldest first."""
        return [self.tasks[i] for i in self._on_node.get(node, ())]

    def of_service(self, service: str) -> list[Task]:
        """The remembered tasks of a service or container, by slot, oldest first within a slot."""
        slots = sorted(self._service_slots.get(service, ()))
        return [task for slot in slots for task in self.in_slot(service, slot)]

    def has_tasks(self, service: str) -> bool:
        """Whether any task of the service or container is remembered."""
        return bool(self._service_slots.get(service))

    # --- writing ------------------------------------------------------------------------------------------------

    def emit(self, instruction: Instruction) -> None:
        """Add an instruction to the answer of the present event."""
        self.out.append(instruction)

    def report(self, task_id: str) -> None:
        """Tell the journal how the task stands now."""
        self.out.append(TaskReport(self.tasks[task_id]))

    def put(self, task: Task) -> Task:
        """Store a new task, or a task's new value, and keep the indexes true."""
        old = self.tasks.get(task.id)
        self.tasks[task.id] = task
        if old is None:
            self._slots.setdefault((task.service, task.slot), {})[task.id] = None
            self._service_slots.setdefault(task.service, set()).add(task.slot)
        self._count(old, task)
        if task.state == TaskState.PENDING and task.wanted:
            self.pending[task.id] = None
        else:
            self.pending.pop(task.id, None)
        return task

    def drop(self, task_id: str) -> None:
        """Remove a task from memory."""
        task = self.tasks.pop(task_id)
        self.pending.pop(task_id, None)
        slot = self._slots[task.service, task.slot]
        del slot[task_id]
        if not slot:
            del self._slots[task.service, task.slot]
            self._service_slots[task.service].discard(task.slot)
            if not self._service_slots[task.service]:
                del self._service_slots[task.service]
        if task.node:
            self._on_node[task.node].pop(task_id, None)
            if task.wanted:
                self._shift(task, -1)

    def change(self, task: Task, **values: object) -> Task:
        """Replace fields of a task other than its states."""
        self._fresh(task)
        return self.put(replace(task, **values))  # type: ignore[arg-type]  # names are checked by replace itself

    def advance(
        self, task: Task, *causes: Cause, error: str = "", message: str = "", **values: object
    ) -> Task:
        """Move a task's observed state along the table, by one or more causes at once; set other fields with it.

        Raises:
            CoreBug: the table has no such step.
        """
        self._fresh(task)
        state, said = task.state, task.message
        history = list(task.history)
        for cause in causes:
            rule = next_state(state, cause)
            if rule is None:
                raise CoreBug(f"no transition from {state.word} by {cause.name}", task)
            state, said = rule.target, message or rule.message
            history.append(Transition(t=self.now, state=state, message=error or said))
        moved = replace(
            task,
            state=state,
            state_since=self.now,
            message=said,
            error=error,
            history=tuple(history),
            **values,  # type: ignore[arg-type]  # names are checked by replace itself
        )
        return self.put(moved)

    def want(self, task: Task, desired: Desired) -> Task:
        """Move a task's desired state forward; a step back is ignored, since desired never goes back."""
        self._fresh(task)
        return self.put(replace(task, desired=desired)) if desired > task.desired else task

    def _fresh(self, task: Task) -> None:
        """A task is a value: one read before another change would undo that change if it were stored."""
        if self.tasks.get(task.id) is not task:
            raise CoreBug("a task was to be changed from a value that is no longer current", task)

    # --- counts -------------------------------------------------------------------------------------------------

    def _count(self, old: Task | None, new: Task) -> None:
        before = old.node if old is not None and old.wanted else ""
        after = new.node if new.wanted else ""
        if (old is None or old.node != new.node) and new.node:
            self._on_node.setdefault(new.node, {})[new.id] = None
        if before != after:
            if before and old is not None:
                self._shift(old, -1)
            if after:
                self._shift(new, 1)

    def _shift(self, task: Task, by: int) -> None:
        record = self.nodes[task.node]
        record.wanted += by
        count = record.by_service.get(task.service, 0) + by
        if count:
            record.by_service[task.service] = count
        else:
            record.by_service.pop(task.service, None)
