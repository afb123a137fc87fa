"""One task's way from a slot number to a process and to its end.

Called by the supervisors (restart, update, reconciler, container, nodes), which decide what should run, and by the
orchestrator with what the shell observed. It knows nothing of services' wishes: when a task comes up or ends, the two
hooks tell the orchestrator. Order of instructions matters here: a dead task leaves rotation before anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from breakroom.engine.core import health, history, scheduler
from breakroom.engine.core.instructions import EnterRotation, LeaveRotation, Prepare, Signal, Start
from breakroom.engine.core.model import Desired, Exit, HealthStatus, NodeStatus, Task, TaskState, Transition
from breakroom.engine.core.store import Revision, Store
from breakroom.engine.core.transitions import Cause
from breakroom.spec.service import SECOND

__all__ = ["DRAIN_TIME", "Lifecycle", "exit_error"]

DRAIN_TIME = 2 * SECOND
"""Between leaving rotation and the stop signal, for a task of a service that publishes a port (moby
`daemon/cluster/executor/container/controller.go`, `defaultGossipConvergeDelay`). Swarm waits it whether or not the
task ever was in rotation."""


def exit_error(task: Task, exit_: Exit) -> str:
    """Swarm's words for a process that ended by itself (moby, container executor's `exitError`)."""
    if exit_.code == 0:
        return ""
    cause = ": dockerexec: unhealthy container" if _unhealthy(task) else ""
    return f"task: non-zero exit ({exit_.code}){cause}"


def _unhealthy(task: Task) -> bool:
    return task.health is HealthStatus.UNHEALTHY and not task.container


class Lifecycle:
    """Creates, starts, stops and ends tasks.

    Attributes:
        on_running: called with a task that has just become RUNNING.
        on_ended: called with a task that has just reached a terminal state, before it is reported.
        on_given_up: called with an ended task that was still wanted (its replacement waits) and no longer is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping: set[str] = set()
        self.on_running: Callable[[Task], None]
        self.on_ended: Callable[[Task], None]
        self.on_given_up: Callable[[Task], None]

    # --- coming up ----------------------------------------------------------------------------------------------

    def create(
        self, service: str, slot: int, revision: Revision, *, desired: Desired, container: bool = False
    ) -> Task:
        """A new task in the slot; placed and being prepared at once where a node takes it."""
        store = self._store
        created = Transition(t=store.now, state=TaskState.NEW, message="created")
        task = Task(
            id=store.ids.take(),
            service=service,
            slot=slot,
            spec=revision.spec,
            spec_version=revision.version,
            created=store.now,
            desired=desired,
            state_since=store.now,
            message=created.message,
            history=(created,),
            container=container,
        )
        task = self.place(store.put(task))
        history.prune(store, service, slot)
        return task

    def place(self, task: Task) -> Task:
        """Find a node for a new or pending task; without one it is, or stays, pending."""
        store = self._store
        # A container runs on the engine it was created with, which is the first node, whatever its availability.
        node = next(iter(store.nodes), "") if task.container else scheduler.choose_node(store, task)
        if node is None:
            error, message = scheduler.explain_refusal(store)
            if task.state == TaskState.NEW:
                task = store.advance(task, Cause.NO_NODE, error=error, message=message)
                store.report(task.id)
            else:
                task = store.change(task, error=error, message=message)
            return task
        task = store.advance(task, Cause.PLACED, Cause.ACCEPTED, Cause.PREPARE, node=node)
        store.report(task.id)
        store.emit(Prepare(task))
        return task

    def prepared(self, task: Task, port: int) -> None:
        """The shell could prepare it: start it, or keep it ready until it is wanted running."""
        store = self._store
        if task.desired == Desired.RUNNING:
            task = store.advance(task, Cause.PREPARED, Cause.START, port=port)
            store.report(task.id)
            store.emit(Start(task))
        else:
            task = store.advance(task, Cause.PREPARED, port=port)
            store.report(task.id)

    def rejected(self, task: Task, error: str) -> None:
        """The shell could not prepare it."""
        self.on_ended(self._store.advance(task, Cause.REJECTED, error=error))

    def run(self, task: Task) -> None:
        """The task's time has come: desired running. It starts as soon as it is ready."""
        if task.desired != Desired.READY:
            return
        task = self._store.want(task, Desired.RUNNING)
        if task.state == TaskState.READY:
            self._start(task)
        else:
            self._store.report(task.id)

    def started(self, task: Task, pid: int) -> None:
        """Its process runs."""
        store = self._store
        task = store.change(task, pid=pid, started=store.now)
        if not task.wanted:
            store.report(task.id)
            self._begin_stop(task)
            return
        if task.spec.has_healthcheck:
            task = health.begin(store, task)
        if task.container or not task.spec.has_healthcheck:
            self._running(task, Cause.STARTED)
        else:
            store.report(task.id)

    def start_failed(self, task: Task, error: str) -> None:
        """Its process could not be started."""
        self.on_ended(
            self._store.advance(task, Cause.START_FAILED, error=f"starting container failed: {error}")
        )

    def healthy(self, task: Task) -> None:
        """A starting task passed its first probe."""
        self._running(task, Cause.HEALTHY)

    def _start(self, task: Task) -> None:
        task = self._store.advance(task, Cause.START)
        self._store.report(task.id)
        self._store.emit(Start(task))

    def _running(self, task: Task, cause: Cause) -> None:
        task = self._store.advance(task, cause, in_rotation=True)
        # Rotation before the report: users come before the journal.
        self._store.emit(EnterRotation(task))
        self._store.report(task.id)
        self.on_running(task)

    # --- going down ---------------------------------------------------------------------------------------------

    def stop(self, task: Task, desired: Desired = Desired.SHUTDOWN) -> None:
        """The task is no longer wanted: end it gracefully, or withdraw it if it has not been started."""
        store = self._store
        present = store.tasks.get(task.id)
        if present is None:
            # Stopping one task of a slot may have let another one be forgotten.
            return
        task = present
        if task.state.terminal:
            was_wanted = task.wanted
            task = store.want(task, desired)
            if was_wanted and not task.wanted:
                store.report(task.id)
                self.on_given_up(task)
            return
        moved = desired > task.desired
        task = store.want(task, desired)
        if task.state < TaskState.STARTING:
            self.on_ended(store.advance(task, Cause.WITHDRAWN))
            return
        if moved:
            store.report(task.id)
        if task.pid is not None:
            self._begin_stop(task)

    def stop_unhealthy(self, task: Task) -> None:
        """Its health failed: it is stopped as if it were no longer wanted, but it is, so that it will be replaced."""
        self._begin_stop(task)

    def kill(self, task: Task, desired: Desired) -> None:
        """The task is no longer wanted: end it by SIGKILL, now (or as soon as it has started)."""
        if not task.alive:
            self.stop(task, desired)
            return
        task = self._store.want(task, desired)
        if not task.state.terminal:
            self._store.report(task.id)
        self.signal(task, "SIGKILL")

    def signal(self, task: Task, signal: str) -> None:
        """Send a signal at once, without draining (the container engine's API)."""
        self._store.emit(Signal(task.id, signal))

    def stopping(self, task_id: str) -> bool:
        """Whether its graceful stop has begun."""
        return task_id in self._stopping

    def _begin_stop(self, task: Task) -> None:
        if task.id in self._stopping:
            return
        store = self._store
        self._stopping.add(task.id)
        health.stop(store, task.id)
        if task.container:
            # The container engine signals at once and publishes the port until the process is gone.
            self.stop_signal_due(task)
            return
        if task.in_rotation:
            store.change(task, in_rotation=False)
            store.emit(LeaveRotation(task.id, "drain"))
        if task.spec.ports:
            store.timers.set(("drain", task.id), store.now + DRAIN_TIME)
        else:
            self.stop_signal_due(task)

    def stop_signal_due(self, task: Task) -> None:
        """The drain is over: the stop signal, then grace."""
        self.signal(task, task.spec.stop_signal)
        self._store.timers.set(("grace", task.id), self._store.now + task.spec.stop_grace_period)

    def grace_over(self, task: Task) -> None:
        """It did not end in its grace period."""
        self.signal(task, "SIGKILL")

    # --- ended --------------------------------------------------------------------------------------------------

    def exited(self, task: Task, exit_: Exit) -> None:
        """Its process ended, asked or not."""
        store = self._store
        task = self._clear(task)
        if not task.wanted:
            task = store.advance(task, Cause.STOPPED, exit=exit_)
        elif exit_.code == 0:
            task = store.advance(task, Cause.FINISHED, exit=exit_)
        else:
            task = store.advance(task, Cause.CRASHED, exit=exit_, error=exit_error(task, exit_))
        self.on_ended(task)

    def cut(self, task: Task) -> Task:
        """Out of rotation at once, if it is in."""
        if not task.in_rotation:
            return task
        self._store.emit(LeaveRotation(task.id, "cut"))
        return self._store.change(task, in_rotation=False)

    def lost(self, task: Task) -> None:
        """Its node is down: whatever its process does, it is over for us."""
        task = self._store.advance(self._clear(task), Cause.NODE_LOST)
        self.on_ended(task)

    def late_exit(self, task: Task, exit_: Exit) -> None:
        """The process of a task given up for lost ended after all."""
        self._clear(task)
        task = self._store.change(self._store.tasks[task.id], exit=exit_)
        history.prune(self._store, task.service, task.slot)

    def late_start(self, task: Task, pid: int) -> None:
        """The process of a task given up for lost was started after all: ended as soon as its node answers."""
        task = self._store.change(task, pid=pid)
        node = self._store.nodes.get(task.node)
        if node is None or node.node.status is NodeStatus.READY:
            self.reap_lost(task)

    def reap_lost(self, task: Task) -> None:
        """The node of a lost task is back and its process still runs: end it (Swarm's agent does the same)."""
        if task.id not in self._stopping:
            self._stopping.add(task.id)
            self.stop_signal_due(task)

    def _clear(self, task: Task) -> Task:
        task = self.cut(task)
        self._stopping.discard(task.id)
        health.stop(self._store, task.id)
        self._store.probing.pop(task.id, None)
        self._store.timers.cancel(("drain", task.id))
        self._store.timers.cancel(("grace", task.id))
        return task
