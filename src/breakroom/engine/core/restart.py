"""The restart supervisor: replaces tasks of services that ended, after the delay, within the policy's attempts.

Called by the orchestrator when a task ended, by nodes when one is drained, and by the update for starts that must wait
for another task to stop. The flow is swarmkit's (`manager/orchestrator/restart`): the replacement is created at once
with desired ready, so that it is prepared during the delay; it is wanted running when the delay has passed **and**
the old task has stopped, which is waited for at most `OLD_TASK_TIMEOUT`. There is no backoff.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import Availability, Desired, Task, TaskState
from breakroom.engine.core.store import ServiceRecord, Store
from breakroom.spec.service import SECOND

__all__ = ["OLD_TASK_TIMEOUT", "RestartSupervisor"]

OLD_TASK_TIMEOUT = 60 * SECOND
"""How long a replacement waits for the old task to stop (swarmkit `restart.go`, `defaultOldTaskTimeout`)."""


@dataclass(slots=True)
class _Delay:
    """What a created task still waits for before it is wanted running."""

    delayed: bool
    waits_for: set[str]
    restart_after: bool = False
    """It ended, or its node was drained, while it waited: replace it when the delay has passed, not before, so
    that a task that can never start does not turn into a tight loop."""


@dataclass(slots=True)
class _Attempts:
    """Restarts of one slot under one spec."""

    version: int
    total: int = 0
    times: deque[int] = field(default_factory=deque)


class RestartSupervisor:
    """Decides on and times the replacement of tasks."""

    def __init__(self, store: Store, life: Lifecycle) -> None:
        self._store = store
        self._life = life
        self._delays: dict[str, _Delay] = {}
        self._waiting: dict[str, set[str]] = {}
        """Id of a task that has not stopped yet → ids of the tasks that wait for it."""
        self._attempts: dict[tuple[str, int], _Attempts] = {}

    # --- deciding -----------------------------------------------------------------------------------------------

    def delayed(self, task_id: str) -> bool:
        """Whether the task still waits to be wanted running."""
        return task_id in self._delays

    def restart(self, service: ServiceRecord, task: Task) -> None:
        """Replace a task that ended or must move, if the policy allows; a live one is stopped gracefully."""
        present = self._store.tasks.get(task.id)
        if present is None:
            return
        task = present
        delay = self._delays.get(task.id)
        if delay is not None:
            delay.restart_after = True
            return
        replace = self.should_restart(task)
        self._life.stop(task)
        if not replace or self._has_successor(service, task):
            return
        node = self._store.nodes.get(task.node)
        drained = node is not None and node.node.availability is Availability.DRAIN
        policy = task.spec.deploy.restart_policy
        self._record(service, task)
        old = self._store.tasks.get(task.id)
        self.start_after(
            service,
            task.slot,
            delay=0 if drained else policy.delay,
            old=[old] if old is not None else [],
        )

    def _has_successor(self, service: ServiceRecord, task: Task) -> bool:
        """Whether an up-to-date task is in the slot already: the new one of a start-first update."""
        wanted = self._store.wanted_in_slot(task.service, task.slot)
        return any(other.id != task.id and not service.dirty(other) for other in wanted)

    def should_restart(self, task: Task) -> bool:
        """Whether the restart policy replaces the task, given how it ended and how often its slot was restarted."""
        policy = task.spec.deploy.restart_policy
        if policy.condition == "none":
            return False
        if policy.condition == "on-failure" and task.state == TaskState.COMPLETE:
            return False
        if policy.max_attempts == 0:
            return True
        attempts = self._attempts.get((task.service, task.slot))
        if attempts is None or attempts.version != task.spec_version:
            return True
        if policy.window == 0:
            return attempts.total < policy.max_attempts
        while attempts.times and attempts.times[0] <= self._store.now - policy.window:
            attempts.times.popleft()
        return len(attempts.times) < policy.max_attempts

    def _record(self, service: ServiceRecord, task: Task) -> None:
        policy = service.current.spec.deploy.restart_policy
        if policy.max_attempts == 0:
            return
        key = (task.service, task.slot)
        attempts = self._attempts.get(key)
        if attempts is None or attempts.version != service.current.version:
            attempts = self._attempts[key] = _Attempts(service.current.version)
        attempts.total += 1
        if policy.window:
            attempts.times.append(self._store.now)

    def forget_slot(self, service: str, slot: int) -> None:
        """The slot is gone: so are its attempts."""
        self._attempts.pop((service, slot), None)

    # --- timing -------------------------------------------------------------------------------------------------

    def start_after(self, service: ServiceRecord, slot: int, *, delay: int, old: Iterable[Task]) -> Task:
        """Create the slot's next task; it is wanted running after `delay` and when all of `old` have stopped."""
        store = self._store
        waits_for = {task.id for task in old if not task.state.terminal}
        if delay == 0 and not waits_for:
            return self._life.create(service.name, slot, service.current, desired=Desired.RUNNING)
        task = self._life.create(service.name, slot, service.current, desired=Desired.READY)
        self._delays[task.id] = _Delay(delayed=delay > 0, waits_for=waits_for)
        if delay:
            store.timers.set(("delay", task.id), store.now + delay)
        for old_id in waits_for:
            self._waiting.setdefault(old_id, set()).add(task.id)
        if waits_for:
            store.timers.set(("old-task", task.id), store.now + OLD_TASK_TIMEOUT)
        return task

    def delay_over(self, task_id: str) -> None:
        """The restart delay has passed."""
        self._delays[task_id].delayed = False
        self._release(task_id)

    def old_task_timeout(self, task_id: str) -> None:
        """The old task took too long to stop; the new one no longer waits for it."""
        self._unwait(task_id)
        self._release(task_id)

    def ended(self, task: Task) -> None:
        """A task has stopped: whoever waited for it may go on; if it is not wanted, its own waiting is over too."""
        if not task.wanted:
            self._drop(task.id)
        for waiter in sorted(self._waiting.pop(task.id, ())):
            delay = self._delays.get(waiter)
            if delay is not None:
                delay.waits_for.discard(task.id)
                self._release(waiter)

    def _release(self, task_id: str) -> None:
        delay = self._delays[task_id]
        if delay.delayed or delay.waits_for:
            return
        self._drop(task_id)
        task = self._store.tasks[task_id]
        if delay.restart_after:
            self.restart(self._store.services[task.service], task)
        else:
            self._life.run(task)

    def _drop(self, task_id: str) -> None:
        if task_id in self._delays:
            self._unwait(task_id)
            self._store.timers.cancel(("delay", task_id))
            del self._delays[task_id]

    def _unwait(self, task_id: str) -> None:
        self._store.timers.cancel(("old-task", task_id))
        for old_id in self._delays[task_id].waits_for:
            waiters = self._waiting.get(old_id, set())
            waiters.discard(task_id)
            if not waiters:
                self._waiting.pop(old_id, None)
        self._delays[task_id].waits_for = set()
