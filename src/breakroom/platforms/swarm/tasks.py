"""What is known of a service's tasks: rows of the API's `GET /tasks` in, journal records out.

Used by `watcher`. Pure: it is given the rows, the nodes' names and a way to tell times, and keeps the last it saw of
each task, so that a record is written for every change and for nothing else. The API has no stream of task states; what
happened between two looks is put in order by the times that Swarm itself keeps (docs/swarm.md).
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from breakroom.journal.records import TaskChanged
from breakroom.platforms.docker.clock import parse_time
from breakroom.platforms.docker.life import signal_of

__all__ = ["TERMINAL", "WANTED", "SwarmTask", "TaskBook", "TellTime", "host_ports"]

TERMINAL = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
"""Observed states that a task does not leave."""
WANTED = frozenset({"ready", "running"})
"""Desired states of a task that is to live."""
_BY_MANAGER = frozenset({"new", "pending", "assigned", "orphaned"})
"""States that the managers give; the others are reported by the task's node, with that node's clock."""

TellTime = Callable[[str, int | None], int]
"""(node id, Unix ns as that node tells them; empty: a manager) → the journal's time."""


@dataclass(slots=True, kw_only=True)
class SwarmTask:
    """The last that was seen of one task."""

    id: str
    slot: int
    node: str
    """The node's id; empty until it is assigned."""
    state: str
    desired: str
    image: str
    version: int
    created: int
    """The journal's time of its creation."""
    state_unix: int | None = None
    """When its state was reported, by its node's clock."""
    message: str = ""
    error: str = ""
    container: str = ""
    pid: int | None = None
    exit_code: int | None = None
    oom: bool = False
    """Whether memory ran out in it, by its node's Docker."""
    died: bool = False
    """Its container was seen to end, whatever state Swarm has for it so far."""
    healthy: bool | None = None
    ports: dict[int, int] = field(default_factory=dict)
    """Target port → port on its node, of ports published in host mode."""

    @property
    def alive(self) -> bool:
        """Whether it has a process that runs, as far as is known."""
        return self.state not in TERMINAL and not self.died

    @property
    def killed(self) -> bool:
        """Whether it has ended by SIGKILL, as memory's end would have it; a task may survive what ran out in it."""
        return self.exit_code is not None and signal_of(self.exit_code) == signal.SIGKILL


class TaskBook:
    """All tasks of one service."""

    def __init__(self, *, trial: str, service: str, tell_time: TellTime) -> None:
        self.tasks: dict[str, SwarmTask] = {}
        self.listed: set[str] = set()
        """Tasks of Swarm's last answer: it keeps 5 of a slot."""
        self.withdrawn = False
        self._trial = trial
        self._service = service
        self._tell = tell_time
        self._specs: list[str] = []

    def version_of(self, spec: Mapping[str, Any]) -> int:
        """The number of a task's spec, counting from 1: the API does not tell it, so equal specs have equal numbers.

        A rollback restores a spec, and so its number.
        """
        key = json.dumps(_plain(spec), sort_keys=True)
        if key not in self._specs:
            self._specs.append(key)
        return self._specs.index(key) + 1

    def observe(self, rows: list[Mapping[str, Any]], names: Mapping[str, str]) -> list[TaskChanged]:
        """Take in an answer of the API; `names`: the nodes' host names by id. Returns what is new, in order of time."""
        found: list[TaskChanged] = []
        self.listed = {str(row["ID"]) for row in rows}
        for row in sorted(rows, key=lambda row: str(row["CreatedAt"])):
            found += self._observe(row, names)
        found += self._forgotten(names)
        return sorted(found, key=lambda record: record.t)

    def started(self, task_id: str, pid: int, t: int, names: Mapping[str, str]) -> list[TaskChanged]:
        """A task's container on this node has started as `pid`, which Swarm tells only when the task runs."""
        task = self.tasks.get(task_id)
        if task is None or task.pid == pid or not task.alive:
            return []
        task.pid = pid
        return [self._record(task, t, names)]

    def ended(self, task_id: str, exit_code: int, t: int, names: Mapping[str, str]) -> list[TaskChanged]:
        """A task's container on this node has ended: the kernel's notice, which comes before Swarm's own state."""
        task = self.tasks.get(task_id)
        if task is None or not task.alive:
            return []
        task.died, task.exit_code = True, exit_code
        if self.withdrawn:
            task.state, task.message = "shutdown", "shutdown"
        return [self._record(task, t, names)]

    def out_of_memory(self, task_id: str, t: int, names: Mapping[str, str]) -> list[TaskChanged]:
        """Its node's Docker says that memory ran out in it (Swarm does not); maybe after the end that it explains."""
        task = self.tasks.get(task_id)
        if task is None or task.oom:
            return []
        task.oom = True
        return [self._record(task, t, names)] if task.killed else []

    def withdraw(self, t: int, names: Mapping[str, str]) -> list[TaskChanged]:
        """The service is removed, and Swarm will not tell of its tasks any more: they are wanted no longer."""
        self.withdrawn = True
        found = []
        for task in self.tasks.values():
            if task.alive and task.desired in WANTED:
                task.desired = "remove"
                found.append(self._record(task, t, names))
        return found

    def _forgotten(self, names: Mapping[str, str]) -> list[TaskChanged]:
        """Tasks that Swarm lists no longer although their end was not seen.

        It deletes a task that is wanted no more (scaled away, say) as soon as that has ended, which may be between two
        looks (swarmkit manager/orchestrator/taskreaper). Tasks whose end was seen leave the list later and silently.
        """
        if self.withdrawn:
            return []
        found = []
        for task in self.tasks.values():
            if task.id not in self.listed and task.state not in TERMINAL:
                task.state, task.message = "shutdown", "shutdown"
                task.desired = "remove" if task.desired in WANTED else task.desired
                found.append(self._record(task, self._tell("", None), names))
        return found

    def _observe(self, row: Mapping[str, Any], names: Mapping[str, str]) -> list[TaskChanged]:
        known = self.tasks.get(str(row["ID"]))
        if known is None:
            known = self._new(row)
            self.tasks[known.id] = known
            records = [self._record(known, known.created, names)]
        else:
            records = []
        return records + self._changes(known, row, names)

    def _new(self, row: Mapping[str, Any]) -> SwarmTask:
        """The task as it was made, whatever has become of it since."""
        spec = row["Spec"]
        desired = str(row["DesiredState"])
        return SwarmTask(
            id=str(row["ID"]),
            slot=int(row.get("Slot") or 0),
            node="",
            state="new",
            desired=desired if desired in WANTED else "running",
            image=str(spec["ContainerSpec"]["Image"]).partition("@")[0],
            version=self.version_of(spec),
            created=self._tell("", parse_time(str(row["CreatedAt"]))),
        )

    def _changes(
        self, task: SwarmTask, row: Mapping[str, Any], names: Mapping[str, str]
    ) -> list[TaskChanged]:
        task.node = str(row.get("NodeID") or task.node)
        desired = str(row["DesiredState"])
        if self.withdrawn and desired in WANTED:
            desired = task.desired
        changed = self._tell("", parse_time(str(row["UpdatedAt"])))
        wish = [] if desired == task.desired else [(changed, desired)]
        status = row["Status"]
        if str(status["State"]) in {"shutdown", "remove"}:
            # It ended because it was asked to; any other end came before the wish.
            wanted = [self._wish(task, at, word, names) for at, word in wish]
            return wanted + self._report(task, status, names)
        ended = self._report(task, status, names)
        if wish:
            # The end is no later than the wish that follows from it, whenever we heard of either.
            ended = [structs.replace(record, t=min(record.t, changed)) for record in ended]
        return ended + [self._wish(task, at, word, names) for at, word in wish]

    def _wish(self, task: SwarmTask, t: int, desired: str, names: Mapping[str, str]) -> TaskChanged:
        task.desired = desired
        return self._record(task, t, names)

    def _report(
        self, task: SwarmTask, status: Mapping[str, Any], names: Mapping[str, str]
    ) -> list[TaskChanged]:
        """Take in what the task's node says of it; a record if that is news."""
        before = (task.state, task.error, task.pid)
        task.state = str(status["State"])
        task.message, task.error = str(status.get("Message") or ""), str(status.get("Err") or "")
        task.state_unix = parse_time(str(status.get("Timestamp") or ""))
        container = status.get("ContainerStatus") or {}
        task.container = str(container.get("ContainerID") or task.container)
        task.pid = int(container.get("PID") or 0) or task.pid
        task.ports = host_ports(status) or task.ports
        code = int(container.get("ExitCode") or 0)
        # Until its end Swarm has 0 or -1 there, which mean nothing; so they do of a task that never had a process.
        if task.state in TERMINAL and not task.died and (code > 0 or (task.pid is not None and code == 0)):
            task.exit_code = code
        if before == (task.state, task.error, task.pid):
            return []
        teller = "" if task.state in _BY_MANAGER else task.node
        return [self._record(task, max(task.created, self._tell(teller, task.state_unix)), names)]

    def _record(self, task: SwarmTask, t: int, names: Mapping[str, str]) -> TaskChanged:
        return TaskChanged(
            t=t,
            trial=self._trial,
            task=task.id,
            service=self._service,
            slot=task.slot,
            node=names.get(task.node, task.node),
            state=task.state,
            desired=task.desired,
            image=task.image,
            version=task.version,
            message=task.message,
            error=task.error,
            exit_code=task.exit_code,
            signal=None if task.exit_code is None else signal_of(task.exit_code),
            oom_killed=task.oom and task.killed,
            pid=task.pid,
            platform_unix_ns=task.state_unix,
        )


def _plain(value: Any) -> Any:
    """A spec without its empty parts, which one answer of the API has and another leaves out."""
    if isinstance(value, Mapping):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in ({}, [], None, "", 0, False)}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def host_ports(status: Mapping[str, Any]) -> dict[int, int]:
    """Target port → the node's port, of a task's status.

    Docker 20.10 may give IPv4 and IPv6 different ports and then tells both, IPv4's first: that one counts.
    """
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    return {int(port["TargetPort"]): int(port["PublishedPort"]) for port in reversed(ports)}
