"""The orchestrator: one event in, the instructions that follow from it out.

Used by the shell (`engine.shell`), which carries instructions out and brings events, and by tests under virtual time.
It is pure: no clock, no randomness, no I/O; the same events at the same times give the same instructions. This module
only routes: what is legal is decided in `admission`, what follows in the supervisors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from breakroom.engine.core import events as ev
from breakroom.engine.core import health, history, scheduler
from breakroom.engine.core.admission import Admission
from breakroom.engine.core.container import ContainerSupervisor
from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.instructions import Instruction
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import (
    Container,
    Desired,
    Exit,
    HealthStatus,
    Node,
    Service,
    Task,
    TaskState,
)
from breakroom.engine.core.nodes import NodeSupervisor
from breakroom.engine.core.reconciler import Reconciler
from breakroom.engine.core.restart import RestartSupervisor
from breakroom.engine.core.store import ContainerRecord, ServiceRecord, Store
from breakroom.engine.core.timers import TimerKey
from breakroom.engine.core.update import UpdateSupervisor

__all__ = ["IllegalEvent", "Orchestrator"]


_NEVER_STARTED = 128
"""Docker's exit code of what could not be started; noted for an orphan so that it can be forgotten."""


class Orchestrator:
    """A cluster's worth of services, containers, tasks and nodes, and the rules by which they change."""

    def __init__(self) -> None:
        store = self._store = Store()
        life = self._life = Lifecycle(store)
        life.on_running = self._task_running
        life.on_ended = self._task_ended
        life.on_given_up = self._task_given_up
        self._restarts = RestartSupervisor(store, life)
        self._updates = UpdateSupervisor(store, life, self._restarts)
        self._reconciler = Reconciler(store, life, self._restarts, self._updates)
        self._containers = ContainerSupervisor(store, life)
        self._nodes = NodeSupervisor(store, life, self._restarts, self._containers)
        self._admission = Admission(store, life)
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.Tick: lambda _event: None,
            ev.AddNode: self._add_node,
            ev.SetAvailability: self._set_availability,
            ev.NodeDown: self._node_down,
            ev.NodeUp: self._node_up,
            ev.CreateService: self._create_service,
            ev.UpdateService: self._update_service,
            ev.ScaleService: self._scale_service,
            ev.RollbackService: self._rollback_service,
            ev.RemoveService: self._remove_service,
            ev.CreateContainer: self._create_container,
            ev.StartContainer: self._start_container,
            ev.StopContainer: self._stop_container,
            ev.RestartContainer: self._restart_container,
            ev.ReplaceContainer: self._replace_container,
            ev.KillContainer: self._kill_container,
            ev.RemoveContainer: self._remove_container,
            ev.TaskPrepared: self._task_prepared,
            ev.TaskRejected: self._task_rejected,
            ev.TaskStarted: self._task_started,
            ev.TaskStartFailed: self._task_start_failed,
            ev.TaskExited: self._task_exited,
            ev.ProbeFinished: self._probe_finished,
        }
        self._timer_handlers: dict[str, Callable[[TimerKey], None]] = {
            "drain": lambda key: life.stop_signal_due(store.tasks[key[1]]),
            "grace": lambda key: life.grace_over(store.tasks[key[1]]),
            "probe": lambda key: health.probe_due(store, store.tasks[key[1]]),
            "delay": lambda key: self._restarts.delay_over(key[1]),
            "old-task": lambda key: self._restarts.old_task_timeout(key[1]),
            "update": lambda key: self._updates.delay_over(key[1], int(key[2])),
            "monitor": lambda key: self._updates.monitor_over(key[1]),
            "container": lambda key: self._containers.restart_due(key[1]),
        }

    # --- the two calls ------------------------------------------------------------------------------------------

    def handle(self, event: ev.Event, now: int) -> list[Instruction]:
        """Take an event into account, then whatever has fallen due by `now`.

        Args:
            event: what happened.
            now: nanoseconds of a monotonic clock. A time before that of an earlier call counts as that one, since
                notices of the same moment may be stamped in another order than they are brought.

        Returns:
            What to do, to be carried out in this order. After the exit of a task in rotation the first one is
            `LeaveRotation(…, "cut")`.

        Raises:
            IllegalEvent: the event is impossible now. Nothing was changed.
        """
        store = self._store
        out: list[Instruction] = []
        store.out = out
        handler = self._handlers.get(type(event))
        if handler is None:
            raise IllegalEvent(event, "this is not an event of breakroom.engine.core.events")
        before = store.now
        store.now = max(store.now, now)
        try:
            handler(event)
        except IllegalEvent:
            store.now = before
            raise
        while (key := store.timers.pop_due(store.now)) is not None:
            self._timer_handlers[key[0]](key)
        return out

    def next_deadline(self) -> int | None:
        """When `handle(Tick(), …)` is wanted next, in nanoseconds; None while nothing is waited for."""
        return self._store.timers.next()

    # --- read access --------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All remembered tasks by id, in order of creation: a live read-only view of immutable values."""
        return MappingProxyType(self._store.tasks)

    @property
    def services(self) -> dict[str, Service]:
        """All services by name."""
        return {name: _service(record) for name, record in self._store.services.items()}

    @property
    def containers(self) -> dict[str, Container]:
        """All plain containers by name."""
        return {name: self._container(record) for name, record in self._store.containers.items()}

    @property
    def nodes(self) -> dict[str, Node]:
        """All nodes by id, in the order in which they joined."""
        return {name: record.node for name, record in self._store.nodes.items()}

    def tasks_of(self, name: str) -> list[Task]:
        """The remembered tasks of a service or container: by slot, oldest first within a slot."""
        return self._store.of_service(name)

    def tasks_in_slot(self, name: str, slot: int) -> list[Task]:
        """The remembered tasks of one slot, oldest first."""
        return self._store.in_slot(name, slot)

    def up_to_date(self, task: Task) -> bool:
        """Whether a task is what the present spec of its service asks for."""
        service = self._store.services.get(task.service)
        return service is None or not service.dirty(task)

    def current_task(self, name: str, slot: int = 1) -> Task | None:
        """The newest task of a slot, or of a container; None if there is none."""
        tasks = self._store.in_slot(name, slot)
        return tasks[-1] if tasks else None

    def _container(self, record: ContainerRecord) -> Container:
        return Container(
            id=record.id,
            name=record.name,
            spec=record.spec,
            state=record.state,
            task=record.task,
            created=record.created,
            version=record.version,
            restart_count=record.restart_count,
            restart_at=self._store.timers.when(("container", record.name)),
            starts_again=record.starts_again,
        )

    # --- commands -----------------------------------------------------------------------------------------------

    def _add_node(self, event: ev.AddNode) -> None:
        self._admission.new_node(event)
        self._nodes.add(event.node, event.hostname)

    def _set_availability(self, event: ev.SetAvailability) -> None:
        self._nodes.set_availability(self._admission.node(event), event.availability)

    def _node_down(self, event: ev.NodeDown) -> None:
        self._nodes.down(self._admission.node(event))

    def _node_up(self, event: ev.NodeUp) -> None:
        self._nodes.up(self._admission.node(event))

    def _create_service(self, event: ev.CreateService) -> None:
        self._admission.new_name(event)
        self._reconciler.create(event.spec)

    def _update_service(self, event: ev.UpdateService) -> None:
        self._reconciler.update(self._admission.service(event), event.spec)

    def _scale_service(self, event: ev.ScaleService) -> None:
        self._reconciler.scale(self._admission.service(event), event.replicas)

    def _rollback_service(self, event: ev.RollbackService) -> None:
        self._reconciler.roll_back(self._admission.service(event))

    def _remove_service(self, event: ev.RemoveService) -> None:
        self._reconciler.remove(self._admission.service(event))

    def _create_container(self, event: ev.CreateContainer) -> None:
        self._admission.new_name(event)
        self._containers.create(event.spec)

    def _start_container(self, event: ev.StartContainer) -> None:
        self._containers.start(self._admission.container(event))

    def _stop_container(self, event: ev.StopContainer) -> None:
        self._containers.stop(self._admission.container(event))

    def _restart_container(self, event: ev.RestartContainer) -> None:
        self._containers.restart(self._admission.container(event))

    def _replace_container(self, event: ev.ReplaceContainer) -> None:
        self._containers.replace(self._admission.container(event), event.spec)

    def _kill_container(self, event: ev.KillContainer) -> None:
        self._containers.kill(self._admission.container(event), event.signal)

    def _remove_container(self, event: ev.RemoveContainer) -> None:
        self._containers.remove(self._admission.container(event))

    # --- observations -------------------------------------------------------------------------------------------

    def _task_prepared(self, event: ev.TaskPrepared) -> None:
        task = self._admission.observed(event)
        if task is not None:
            self._life.prepared(task, event.port)

    def _task_rejected(self, event: ev.TaskRejected) -> None:
        task = self._admission.observed(event)
        if task is not None:
            self._life.rejected(task, event.error)

    def _task_started(self, event: ev.TaskStarted) -> None:
        task = self._admission.observed(event)
        if task is not None:
            self._life.started(task, event.pid)
        else:
            orphan = self._admission.orphan(event)
            if orphan is not None:
                self._life.late_start(orphan, event.pid)

    def _task_start_failed(self, event: ev.TaskStartFailed) -> None:
        task = self._admission.observed(event)
        if task is not None:
            self._life.start_failed(task, event.error)
        else:
            orphan = self._admission.orphan(event)
            if orphan is not None:
                self._orphan_exited(orphan, Exit(code=_NEVER_STARTED))

    def _task_exited(self, event: ev.TaskExited) -> None:
        task = self._admission.exited(event)
        if task is None:
            return
        if task.state == TaskState.ORPHANED:
            self._orphan_exited(task, event.exit)
        else:
            self._life.exited(task, event.exit)

    def _probe_finished(self, event: ev.ProbeFinished) -> None:
        task = self._admission.probed(event)
        if task is None:
            return
        task = health.judge(self._store, task, ok=event.ok, output=event.output)
        if task.container:
            return
        if task.health is HealthStatus.HEALTHY and task.state == TaskState.STARTING:
            self._life.healthy(task)
        elif task.health is HealthStatus.UNHEALTHY:
            self._life.stop_unhealthy(task)

    # --- what became of a task ----------------------------------------------------------------------------------

    def _task_running(self, task: Task) -> None:
        if task.container:
            self._containers.came_up(task)
        else:
            self._updates.task_running(self._store.services[task.service], task)

    def _task_ended(self, task: Task) -> None:
        was_wanted = task.wanted
        if was_wanted and not self._restarts.delayed(task.id):
            task = self._store.want(task, Desired.SHUTDOWN)
        self._store.report(task.id)
        if was_wanted and task.state in {TaskState.FAILED, TaskState.REJECTED}:
            scheduler.note_failure(self._store, task)
        if task.container:
            self._containers.ended(task, was_wanted=was_wanted)
            history.prune(self._store, task.service, task.slot)
            self._containers.pruned(task.service)
            return
        service = self._store.services[task.service]
        if was_wanted:
            self._restarts.restart(service, task)
        self._restarts.ended(self._store.tasks.get(task.id, task))
        self._updates.task_ended(service, task, was_wanted=was_wanted)
        history.prune(self._store, task.service, task.slot)
        self._reconciler.forget_if_gone(service)

    def _orphan_exited(self, task: Task, exit_: Exit) -> None:
        self._life.late_exit(task, exit_)
        if task.container:
            self._containers.pruned(task.service)
        else:
            # The service may have been removed, and forgotten, before its last orphan's process ended.
            service = self._store.services.get(task.service)
            if service is not None:
                self._reconciler.forget_if_gone(service)

    def _task_given_up(self, task: Task) -> None:
        if not task.container:
            self._restarts.ended(task)
            self._updates.task_ended(self._store.services[task.service], task, was_wanted=False)


def _service(record: ServiceRecord) -> Service:
    return Service(
        id=record.id,
        name=record.name,
        spec=record.current.spec,
        spec_version=record.current.version,
        slots=tuple(sorted(record.slots)),
        update_state=record.update_state,
        update_message=record.update_message,
        can_roll_back=record.previous is not None,
        removing=record.removing,
    )
