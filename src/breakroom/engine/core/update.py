"""Rolling updates and rollbacks: slot after slot, by independent workers, watched for failures.

Called by the reconciler when a service's spec changed and by the orchestrator when tasks come up or end. The rules are
swarmkit's (`manager/orchestrator/update`): `parallelism` workers each take the next slot that is not up to date; a
worker is done with a slot when the new task runs or has ended, and then waits `delay`, after the last slot too. A
new task that ends by itself before it runs, or within `monitor` of running, is a failure; failures ÷ slots above
`max_failure_ratio` triggers the action. After an action, workers finish the slot they have in hand. When all slots
are done, failures are watched for one more `monitor`.

With start-first, an old task is stopped when the new one of its slot runs. Where that one failed, and failures are
borne, the old task lives until the update is completed, and is then stopped although no new one runs: so does Swarm
(moby#43081), which breaks what start-first promises. One deliberate difference: an update begun anew waits for a new
task that is still coming up, where Swarm stops the old one at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from breakroom.engine.core.instructions import UpdateReport
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import Desired, Task, TaskState, UpdateState
from breakroom.engine.core.restart import RestartSupervisor
from breakroom.engine.core.store import ServiceRecord, Store
from breakroom.spec.service import UpdateConfig

__all__ = ["PAUSED", "UpdateSupervisor"]

PAUSED: frozenset[UpdateState] = frozenset({"paused", "rollback_paused"})

_ENDED_BY_ITSELF = {TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED, TaskState.ORPHANED}


@dataclass(slots=True)
class _Run:
    """One update or rollback under way."""

    number: int
    service: ServiceRecord
    kind: Literal["update", "rollback"]
    config: UpdateConfig
    queue: deque[int]
    total: int
    workers: dict[int, str] = field(default_factory=dict)
    """Worker → id of the task it waits for; empty while it waits out its delay."""
    watched: dict[str, int | None] = field(default_factory=dict)
    """Id of a task this run made → when it began to run, None before."""
    failures: int = 0
    stopped: bool = False

    def worker_of(self, task_id: str) -> int | None:
        """The worker that waits for the task."""
        return next((worker for worker, waits_for in self.workers.items() if waits_for == task_id), None)


class UpdateSupervisor:
    """Carries out updates.

    Attributes:
        resize: called when a rollback also changes the number of replicas.
    """

    def __init__(self, store: Store, life: Lifecycle, restarts: RestartSupervisor) -> None:
        self._store = store
        self._life = life
        self._restarts = restarts
        self._runs: dict[str, _Run] = {}
        self._count = 0
        self.resize: Callable[[ServiceRecord], None]

    # --- beginning and ending -----------------------------------------------------------------------------------

    def begin(self, service: ServiceRecord, kind: Literal["update", "rollback"]) -> None:
        """Bring all slots to the service's current spec; a run under way is given up for this one.

        Where every slot is up to date already, nothing is reported, except the end of what was under way.
        """
        self.cancel(service)
        dirty = [slot for slot in self._in_order(service) if self._slot_dirty(service, slot)]
        if not dirty:
            if service.update_state in {"updating", "rollback_started"}:
                self._complete(service, kind)
            return
        if kind == "update" and service.update_state != "updating":
            self.report(service, "updating", "update in progress")
        deploy = service.current.spec.deploy
        config = deploy.rollback_config if kind == "rollback" else deploy.update_config
        self._count += 1
        run = _Run(self._count, service, kind, config, deque(dirty), len(dirty))
        self._runs[service.name] = run
        workers = min(config.parallelism or len(dirty), len(dirty))
        run.workers = dict.fromkeys(range(workers), "")
        for worker in range(workers):
            self._next(run, worker)

    def under_way(self, service: ServiceRecord) -> bool:
        """Whether an update or rollback of the service is being carried out."""
        return service.name in self._runs

    def cancel(self, service: ServiceRecord) -> None:
        """Give up the service's run. Tasks it has made stay and are still started when their time comes."""
        run = self._runs.pop(service.name, None)
        if run is not None:
            self._store.timers.cancel(("monitor", service.name))
            for worker in run.workers:
                self._store.timers.cancel(("update", service.name, str(worker)))

    def report(self, service: ServiceRecord, state: UpdateState, message: str) -> None:
        """Set the service's update status and tell the journal."""
        service.update_state = state
        service.update_message = message
        if state:
            self._store.emit(UpdateReport(service.name, state, message))

    def monitor_over(self, service_name: str) -> None:
        """All slots are done and nothing more failed in the monitored time."""
        run = self._runs.pop(service_name)
        self._complete(run.service, run.kind)

    def delay_over(self, service_name: str, worker: int) -> None:
        """A worker has waited out its delay."""
        self._next(self._runs[service_name], worker)

    def _complete(self, service: ServiceRecord, kind: str) -> None:
        # Swarm looks at the service again when its status has changed.
        for slot in sorted(service.slots):
            wanted = self._store.wanted_in_slot(service.name, slot)
            clean = [task for task in wanted if not service.dirty(task)]
            if clean and len(wanted) > 1:
                self._stop_others(service, _keep(clean))
        if kind == "rollback":
            self.report(service, "rollback_completed", "rollback completed")
        else:
            self.report(service, "completed", "update completed")

    # --- one slot after another ---------------------------------------------------------------------------------

    def _slot_dirty(self, service: ServiceRecord, slot: int) -> bool:
        wanted = self._store.wanted_in_slot(service.name, slot)
        if wanted:
            return len(wanted) > 1 or service.dirty(wanted[0])
        # A slot whose task ended for good. A rollback revives it, so that it leads to a converged service.
        tasks = self._store.in_slot(service.name, slot)
        return not tasks or service.dirty(tasks[-1]) or service.update_state == "rollback_started"

    def _in_order(self, service: ServiceRecord) -> list[int]:
        """Slots that serve nobody first, so that an update that replaces another takes no more slots down than one."""

        def serves(slot: int) -> bool:
            wanted = self._store.wanted_in_slot(service.name, slot)
            return any(task.state == TaskState.RUNNING for task in wanted)

        return sorted(service.slots, key=lambda slot: (serves(slot), slot))

    def _next(self, run: _Run, worker: int) -> None:
        if self._runs.get(run.service.name) is not run:
            return
        if run.stopped or not run.queue:
            del run.workers[worker]
            self._workers_left(run)
            return
        run.workers[worker] = ""
        self._replace(run, worker, run.queue.popleft())

    def _workers_left(self, run: _Run) -> None:
        if run.workers:
            return
        if run.stopped:
            del self._runs[run.service.name]
        else:
            self._store.timers.set(("monitor", run.service.name), self._store.now + run.config.monitor)

    def _replace(self, run: _Run, worker: int, slot: int) -> None:
        service = run.service
        if slot not in service.slots:
            # The service was scaled down meanwhile.
            self._next(run, worker)
            return
        wanted = self._store.wanted_in_slot(service.name, slot)
        clean = [task for task in wanted if not service.dirty(task)]
        start_first = run.config.order == "start-first"
        if clean:
            keep = _keep(clean)
            if start_first and keep.state != TaskState.RUNNING:
                run.workers[worker] = keep.id
                return
            self._stop_others(service, keep)
            self._slot_done(run, worker)
        elif start_first:
            task = self._life.create(service.name, slot, service.current, desired=Desired.RUNNING)
            self._watch(run, worker, task)
        else:
            for task in wanted:
                self._life.stop(task)
            left = self._store.in_slot(service.name, slot)
            self._watch(run, worker, self._restarts.start_after(service, slot, delay=0, old=left))

    def _watch(self, run: _Run, worker: int, task: Task) -> None:
        run.watched[task.id] = None
        run.workers[worker] = task.id

    def _stop_others(self, service: ServiceRecord, keep: Task) -> None:
        for task in self._store.wanted_in_slot(service.name, keep.slot):
            if task.id != keep.id:
                self._life.stop(task)

    def _slot_done(self, run: _Run, worker: int) -> None:
        if self._runs.get(run.service.name) is not run:
            return
        run.workers[worker] = ""
        if run.config.delay:
            key = ("update", run.service.name, str(worker))
            self._store.timers.set(key, self._store.now + run.config.delay)
        else:
            self._next(run, worker)

    # --- what became of the tasks -------------------------------------------------------------------------------

    def task_running(self, service: ServiceRecord, task: Task) -> None:
        """A task of the service has begun to run."""
        run = self._runs.get(service.name)
        worker = None
        if run is not None:
            if task.id in run.watched:
                run.watched[task.id] = self._store.now
            worker = run.worker_of(task.id)
        if service.update_state not in PAUSED or worker is not None:
            self._stop_outdated(service, task)
        if run is not None and worker is not None:
            self._slot_done(run, worker)

    def _stop_outdated(self, service: ServiceRecord, task: Task) -> None:
        if service.dirty(task):
            return
        for other in self._store.wanted_in_slot(service.name, task.slot):
            if other.id != task.id and service.dirty(other):
                self._life.stop(other)

    def task_ended(self, service: ServiceRecord, task: Task, *, was_wanted: bool) -> None:
        """A task of the service has ended; `was_wanted`: nobody had asked it to."""
        run = self._runs.get(service.name)
        if run is None:
            return
        worker = run.worker_of(task.id)
        if was_wanted and task.state in _ENDED_BY_ITSELF:
            self._count_failure(run, task)
        run.watched.pop(task.id, None)
        if worker is not None:
            self._slot_done(run, worker)

    def _count_failure(self, run: _Run, task: Task) -> None:
        if run.stopped or run.config.failure_action == "continue" or task.id not in run.watched:
            return
        since = run.watched[task.id]
        if since is not None and self._store.now - since > run.config.monitor:
            return
        run.failures += 1
        if run.failures / run.total > run.config.max_failure_ratio:
            run.stopped = True
            self._store.timers.cancel(("monitor", run.service.name))
            self._act_on_failure(run, task)

    def _act_on_failure(self, run: _Run, task: Task) -> None:
        service = run.service
        because = f"due to failure or early termination of task {task.id}"
        if run.kind == "update" and run.config.failure_action == "rollback" and service.previous is not None:
            self._roll_back(service, f"update rolled back {because}")
            return
        if not run.workers:
            del self._runs[service.name]
        if run.kind == "update":
            self.report(service, "paused", f"update paused {because}")
        else:
            # Swarm's own text for a failing rollback whose action is pause still says "update".
            what = "rollback" if run.config.failure_action == "rollback" else "update"
            self.report(service, "rollback_paused", f"{what} paused {because}")

    def _roll_back(self, service: ServiceRecord, message: str) -> None:
        assert service.previous is not None, "checked by the caller"
        service.use(service.previous)
        service.previous = None
        self.start_rollback(service, message)

    def start_rollback(self, service: ServiceRecord, message: str) -> None:
        """The service's current spec is the one to go back to: replace what is not of it, by `rollback_config`."""
        self.report(service, "rollback_started", message)
        self.cancel(service)
        self.resize(service)
        self.begin(service, "rollback")


def _keep(clean: list[Task]) -> Task:
    """Which of a slot's up-to-date tasks is to stay."""
    return max(clean, key=lambda t: (t.state == TaskState.RUNNING, not t.state.terminal, t.desired))
