"""Plain containers: what the container engine's restart policies do, and what `docker start|stop|restart|kill|rm` do.

Called by the orchestrator. Every start is a new task of slot 1. Rules of the engine (moby `restartmanager`,
`daemon/monitor.go`, `daemon/kill.go`): the first restart comes after 100 ms, each later one after twice the last
wait, at most a minute, and after 100 ms again when the container had run for 10 s; a container that was stopped or
killed through the API is left alone; so is an unhealthy one (moby#28400), which also stays published. A start that
fails is not retried. A restart by a person starts it whatever its policy and state (moby `daemon/restart.go`).
"""

from __future__ import annotations

from breakroom.engine.core import history
from breakroom.engine.core.lifecycle import Lifecycle
from breakroom.engine.core.model import Desired, Task, TaskState
from breakroom.engine.core.store import ContainerRecord, Revision, Store
from breakroom.spec.service import SECOND, ServiceSpec

__all__ = ["BACKOFF_FIRST", "BACKOFF_MAX", "BACKOFF_RESET", "ContainerSupervisor", "parse_policy"]

BACKOFF_FIRST = SECOND // 10
"""Wait before the first restart (moby `restartmanager.go`, `defaultTimeout`)."""

BACKOFF_MAX = 60 * SECOND
"""Longest wait (moby, `maxRestartTimeout`)."""

BACKOFF_RESET = 10 * SECOND
"""A run of at least this long resets the wait (moby, `ShouldRestart`)."""

_STARTED_STATES = {TaskState.COMPLETE, TaskState.FAILED}


def parse_policy(restart: str) -> tuple[str, int]:
    """A restart policy's name and its retry limit (0: none).

    Raises:
        ValueError: no policy of the container engine.
    """
    name, _, limit = restart.partition(":")
    known = name in {"no", "always", "unless-stopped", "on-failure"}
    if not known or (limit and (name != "on-failure" or not limit.isdecimal())):
        raise ValueError(
            f"restart policy {restart!r} is unknown; write no, always, unless-stopped, on-failure or on-failure:3"
        )
    return name, int(limit or 0)


class ContainerSupervisor:
    """Starts containers and starts them again."""

    def __init__(self, store: Store, life: Lifecycle) -> None:
        self._store = store
        self._life = life

    def create(self, spec: ServiceSpec) -> None:
        """`docker run -d`."""
        store = self._store
        record = ContainerRecord(id=store.ids.take(), name=spec.name, spec=spec, created=store.now)
        store.containers[spec.name] = record
        self._start(record)

    def start(self, record: ContainerRecord) -> None:
        """`docker start`: nothing to do while it runs or is about to; otherwise anew, its restart count too."""
        if record.state != "exited":
            return
        self._start_by_hand(record)

    def stop(self, record: ContainerRecord) -> None:
        """`docker stop`: nothing to do if it does not run; a restart that was to come is called off."""
        record.starts_again = False
        record.successor = None
        self._end_run(record)

    def restart(self, record: ContainerRecord) -> None:
        """`docker restart`: started as soon as it has stopped, and at once if it does not run."""
        record.starts_again = True
        self._end_run(record)

    def replace(self, record: ContainerRecord, spec: ServiceSpec) -> None:
        """`docker stop`, `docker rm`, `docker run` of another spec: as a restart, with that spec."""
        record.successor = spec
        self.restart(record)

    def kill(self, record: ContainerRecord, signal: str) -> None:
        """`docker kill`: the signal, at once; the engine takes the end that follows for wanted."""
        record.manually_stopped = True
        task = self._store.tasks[record.task]
        if task.wanted:
            task = self._store.want(task, Desired.SHUTDOWN)
            self._store.report(task.id)
        self._life.signal(task, signal)

    def remove(self, record: ContainerRecord) -> None:
        """`docker rm -f`: SIGKILL if it runs; gone with its process."""
        record.removing = True
        record.manually_stopped = True
        record.starts_again = False
        self._store.timers.cancel(("container", record.name))
        for task in self._store.of_service(record.name):
            self._life.kill(task, Desired.REMOVE)
        history.prune(self._store, record.name, 1)
        self._forget_if_gone(record)

    def restart_due(self, name: str) -> None:
        """The wait before a restart is over."""
        self._start(self._store.containers[name])

    def came_up(self, task: Task) -> None:
        """A run of it has begun."""
        self._store.containers[task.service].state = "running"

    def ended(self, task: Task, *, was_wanted: bool) -> None:
        """A run of it has ended."""
        record = self._store.containers[task.service]
        if task.id == record.task:
            record.state = "exited"
            if record.starts_again:
                # What is lost with its engine can be started by that engine alone, when it is back.
                if task.state != TaskState.ORPHANED:
                    self._start_by_hand(record)
            elif was_wanted and task.state in _STARTED_STATES and task.started is not None:
                self._restart(record, task)

    def pruned(self, name: str) -> None:
        """Tasks of it may have been forgotten: drop the container if it is being removed and none is left."""
        record = self._store.containers.get(name)
        if record is not None:
            self._forget_if_gone(record)

    def node_back(self, record: ContainerRecord) -> None:
        """Its engine has come back after having been lost: what was running is started by its policy."""
        task = self._store.tasks.get(record.task)
        lost = task is not None and task.state == TaskState.ORPHANED
        if not lost or record.state != "exited":
            return
        if record.starts_again:
            self._start_by_hand(record)
        elif self._policy_allows(record, code=1):
            self._start(record)

    def _end_run(self, record: ContainerRecord) -> None:
        """Stop it if it runs, call a restart off that was to come; it is started again if it is to be."""
        record.manually_stopped = True
        if record.state == "restarting":
            self._store.timers.cancel(("container", record.name))
            record.state = "exited"
        if record.state != "exited":
            self._life.stop(self._store.tasks[record.task])
        elif record.starts_again:
            self._start_by_hand(record)

    def _start_by_hand(self, record: ContainerRecord) -> None:
        """Start it as a person does: its restart count begins anew. With a successor it is another container."""
        record.restart_count = 0
        record.backoff = 0
        if record.successor is not None:
            record.id = self._store.ids.take()
            record.created = self._store.now
            record.spec = record.successor
            record.version += 1
            record.successor = None
        self._start(record)

    def _restart(self, record: ContainerRecord, task: Task) -> None:
        started = task.started if task.started is not None else self._store.now
        if self._store.now - started >= BACKOFF_RESET:
            record.backoff = 0
        record.backoff = min(record.backoff * 2, BACKOFF_MAX) or BACKOFF_FIRST
        code = task.exit.code if task.exit is not None else 1
        if not self._policy_allows(record, code):
            return
        record.restart_count += 1
        record.state = "restarting"
        self._store.timers.set(("container", record.name), self._store.now + record.backoff)

    def _policy_allows(self, record: ContainerRecord, code: int) -> bool:
        if record.manually_stopped:
            return False
        policy, limit = parse_policy(record.spec.restart)
        if policy == "on-failure":
            return code != 0 and (limit == 0 or record.restart_count < limit)
        return policy != "no"

    def _start(self, record: ContainerRecord) -> None:
        record.manually_stopped = False
        record.starts_again = False
        record.state = "created"
        revision = Revision(record.version, record.spec)
        task = self._life.create(record.name, 1, revision, desired=Desired.RUNNING, container=True)
        record.task = task.id

    def _forget_if_gone(self, record: ContainerRecord) -> None:
        if record.removing and not self._store.has_tasks(record.name):
            self._store.containers.pop(record.name, None)
