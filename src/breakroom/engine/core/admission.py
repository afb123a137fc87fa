"""Which events are possible now: everything is checked here before anything is changed.

Called by `Orchestrator.handle` first. Two kinds of events pass without having an effect, because the shell cannot know
better: commands that find their wish fulfilled, and *late answers*, which were on their way when the task ended:

- any observation of a task that has been forgotten, or that was orphaned with its node;
- `TaskPrepared`, `TaskRejected` of a task that was withdrawn in the meantime (it is in a terminal state);
- `TaskStarted` of a task whose exit notice overtook the answer to `Start`;
- `ProbeFinished` of a task that has ended or is being stopped.

What cannot be explained by a race raises `IllegalEvent`: an answer to a question that was not asked, a second start,
a second exit, an id that was never issued, a command about something that does not exist.
"""

from __future__ import annotations

from breakroom.engine.core import events as ev
from breakroom.engine.core.container import parse_policy
from breakroom.engine.core.errors import IllegalEvent
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import NodeStatus, Task, TaskState
from breakroom.engine.core.store import ContainerRecord, ServiceRecord, Store
from breakroom.spec.service import ServiceSpec

__all__ = ["Admission"]


class Admission:
    """Looks things up for events and refuses what is impossible. Changes nothing."""

    def __init__(self, store: Store, life: Lifecycle) -> None:
        self._store = store
        self._life = life

    # --- commands -----------------------------------------------------------------------------------------------

    def new_name(self, event: ev.CreateService | ev.CreateContainer) -> None:
        """The name must be free and the spec sensible."""
        spec = event.spec
        if not spec.name:
            raise IllegalEvent(event, "the spec has no name; give it one")
        for kind, names in (("service", self._store.services), ("container", self._store.containers)):
            if spec.name in names:
                raise IllegalEvent(
                    event, f"the name {spec.name} is in use by a {kind}; remove it or take another"
                )
        if isinstance(event, ev.CreateContainer):
            _check_policy(event, spec)
        else:
            _check_replicas(event, spec.deploy.replicas)

    def service(
        self, event: ev.UpdateService | ev.ScaleService | ev.RollbackService | ev.RemoveService
    ) -> ServiceRecord:
        """The service that a command is about."""
        name = event.spec.name if isinstance(event, ev.UpdateService) else event.service
        record = self._store.services.get(name)
        if record is None:
            raise IllegalEvent(event, f"service {name} not found")
        if record.removing:
            raise IllegalEvent(event, f"service {name} is being removed; wait until its tasks have stopped")
        if isinstance(event, ev.UpdateService):
            _check_replicas(event, event.spec.deploy.replicas)
        if isinstance(event, ev.ScaleService):
            _check_replicas(event, event.replicas)
        if isinstance(event, ev.RollbackService) and record.previous is None:
            raise IllegalEvent(event, f"service {name} does not have a previous spec; update it first")
        return record

    def container(
        self,
        event: ev.StartContainer
        | ev.StopContainer
        | ev.RestartContainer
        | ev.ReplaceContainer
        | ev.KillContainer
        | ev.RemoveContainer,
    ) -> ContainerRecord:
        """The container that a command is about."""
        name = event.spec.name if isinstance(event, ev.ReplaceContainer) else event.container
        record = self._store.containers.get(name)
        if record is None:
            known = "; it is a service" if name in self._store.services else ""
            raise IllegalEvent(event, f"no such container: {name}{known}")
        if record.removing:
            raise IllegalEvent(event, f"container {name} is being removed")
        if isinstance(event, ev.ReplaceContainer):
            _check_policy(event, event.spec)
        if isinstance(event, ev.KillContainer):
            task = self._store.tasks.get(record.task)
            if task is None or task.state.terminal or task.pid is None:
                raise IllegalEvent(event, f"container {name} is not running", task)
        return record

    def node(self, event: ev.SetAvailability | ev.NodeDown | ev.NodeUp) -> str:
        """The node that an event is about; going down or up must be a change."""
        record = self._store.nodes.get(event.node)
        if record is None:
            raise IllegalEvent(event, f"node {event.node} not found; add it first")
        is_down = record.node.status is NodeStatus.DOWN
        if isinstance(event, ev.NodeDown) and is_down:
            raise IllegalEvent(event, f"node {event.node} is down already")
        if isinstance(event, ev.NodeUp) and not is_down:
            raise IllegalEvent(event, f"node {event.node} is up already")
        return event.node

    def new_node(self, event: ev.AddNode) -> None:
        """A node joins once."""
        if event.node in self._store.nodes:
            raise IllegalEvent(event, f"node {event.node} has joined already")

    # --- observations -------------------------------------------------------------------------------------------

    def observed(
        self, event: ev.TaskPrepared | ev.TaskRejected | ev.TaskStarted | ev.TaskStartFailed
    ) -> Task | None:
        """The task that an answer is about; None for a late answer that changes nothing."""
        task = self._known(event)
        if task is None or task.state == TaskState.ORPHANED:
            return None
        if isinstance(event, ev.TaskPrepared | ev.TaskRejected):
            if task.state == TaskState.PREPARING:
                return task
            if task.state == TaskState.SHUTDOWN and task.port is None and task.pid is None:
                return None
            raise IllegalEvent(event, f"the task is {task.state.word}, not being prepared", task)
        if task.state == TaskState.STARTING and task.pid is None:
            return task
        if task.state.terminal and task.pid is None and task.exit is not None:
            return None
        raise IllegalEvent(event, f"the task is {task.state.word}; it is not waiting to be started", task)

    def orphan(self, event: ev.TaskStarted | ev.TaskStartFailed) -> Task | None:
        """The orphaned task whose start was under way when it was given up, or None."""
        task = self._store.tasks.get(event.task)
        return task if task is not None and task.state == TaskState.ORPHANED and task.start_pending else None

    def exited(self, event: ev.TaskExited) -> Task | None:
        """The task whose process ended; None if it is forgotten."""
        task = self._known(event)
        if task is None:
            return None
        if task.exit is not None:
            raise IllegalEvent(event, f"the task's process has ended already, with {task.exit.code}", task)
        if task.state in {TaskState.STARTING, TaskState.RUNNING, TaskState.ORPHANED}:
            return task
        raise IllegalEvent(event, f"the task is {task.state.word} and has no process", task)

    def probed(self, event: ev.ProbeFinished) -> Task | None:
        """The task whose probe finished; None for a late answer."""
        task = self._known(event)
        if task is None or task.state.terminal:
            return None
        if task.id in self._store.probing:
            return None if self._life.stopping(task.id) else task
        raise IllegalEvent(event, "no probe of the task is running", task)

    def _known(
        self,
        event: ev.TaskPrepared
        | ev.TaskRejected
        | ev.TaskStarted
        | ev.TaskStartFailed
        | ev.TaskExited
        | ev.ProbeFinished,
    ) -> Task | None:
        """The task by its id; None if it has been forgotten."""
        task = self._store.tasks.get(event.task)
        if task is None and not self._store.ids.issued(event.task):
            raise IllegalEvent(event, f"there never was a task {event.task}")
        return task


def _check_replicas(event: object, replicas: int) -> None:
    if replicas < 0:
        raise IllegalEvent(event, f"{replicas} replicas are not possible; the number must be 0 or more")


def _check_policy(event: object, spec: ServiceSpec) -> None:
    try:
        parse_policy(spec.restart)
    except ValueError as error:
        raise IllegalEvent(event, str(error)) from None
