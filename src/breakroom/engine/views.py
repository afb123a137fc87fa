"""What a person reads of the orchestrator: `service ls`, `service ps`, `node ls`, `docker ps`, the progress line.

Called by the shell for its `views` answers, by the command line and by tests. Each view is data first (frozen rows)
and a table second (`as_table`), with the column names and words of docker/cli, so that what is learned here holds
there. Pure: it reads an orchestrator's snapshot and is given the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from breakroom.engine.core.model import Container, HealthStatus, Node, NodeStatus, Service, Task, TaskState
from breakroom.engine.core.orchestrator import Orchestrator
from breakroom.spec.service import SECOND, ServiceSpec

__all__ = [
    "ContainerRow",
    "NodeRow",
    "Progress",
    "Row",
    "ServiceRow",
    "TaskRow",
    "as_table",
    "docker_ps",
    "human_duration",
    "node_ls",
    "progress",
    "service_ls",
    "service_ps",
]

_ERROR_WIDTH = 30
"""docker/cli cuts an error to so many characters, its quotes included, unless told not to."""


class Row:
    """A row of a view: its cells under its headers."""

    headers: ClassVar[tuple[str, ...]]

    def cells(self) -> tuple[str, ...]:
        """The row's texts, one for each header."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow(Row):
    """One service, as in `docker service ls`."""

    headers: ClassVar[tuple[str, ...]] = ("ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS")
    id: str
    name: str
    running: int
    replicas: int
    image: str
    ports: str

    def cells(self) -> tuple[str, ...]:
        """See `Row.cells`."""
        return (self.id, self.name, "replicated", f"{self.running}/{self.replicas}", self.image, self.ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow(Row):
    """One task, as in `docker service ps`."""

    headers: ClassVar[tuple[str, ...]] = (
        "ID",
        "NAME",
        "IMAGE",
        "NODE",
        "DESIRED STATE",
        "CURRENT STATE",
        "ERROR",
        "PORTS",
    )
    id: str
    name: str
    older: bool
    """Whether a newer task of the same slot stands above it."""
    image: str
    node: str
    desired_state: str
    current_state: str
    error: str
    """In full; the table cuts it as docker/cli does."""
    ports: str = ""

    def cells(self) -> tuple[str, ...]:
        """See `Row.cells`."""
        return (
            self.id,
            f" \\_ {self.name}" if self.older else self.name,
            self.image,
            self.node,
            self.desired_state,
            self.current_state,
            _quoted(self.error),
            self.ports,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow(Row):
    """One node, as in `docker node ls`."""

    headers: ClassVar[tuple[str, ...]] = (
        "ID",
        "HOSTNAME",
        "STATUS",
        "AVAILABILITY",
        "MANAGER STATUS",
        "ENGINE VERSION",
    )
    id: str
    hostname: str
    status: str
    availability: str
    manager_status: str
    engine_version: str

    def cells(self) -> tuple[str, ...]:
        """See `Row.cells`."""
        return (
            self.id,
            self.hostname,
            self.status,
            self.availability,
            self.manager_status,
            self.engine_version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRow(Row):
    """One plain container, as in `docker ps -a`."""

    headers: ClassVar[tuple[str, ...]] = (
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    )
    id: str
    image: str
    command: str
    created: str
    status: str
    ports: str
    name: str

    def cells(self) -> tuple[str, ...]:
        """See `Row.cells`."""
        return (self.id, self.image, self.command, self.created, self.status, self.ports, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a service is on its way to its spec: up-to-date running slots of all."""

    done: int
    total: int
    converged: bool
    lines: tuple[str, ...]
    """docker/cli's lines: the overall one, then one a slot, then the verdict once converged."""


def service_ls(orchestrator: Orchestrator) -> list[ServiceRow]:
    """All services, by name."""
    return [_service_row(orchestrator, service) for _, service in sorted(orchestrator.services.items())]


def service_ps(orchestrator: Orchestrator, name: str, now: int) -> list[TaskRow]:
    """The tasks of a service that are remembered, by slot, the newest of a slot first.

    Raises:
        KeyError: there is no such service.
    """
    if name not in orchestrator.services:
        raise KeyError(name)
    nodes = orchestrator.nodes
    tasks = orchestrator.tasks_of(name)
    slots: dict[int, list[Task]] = {}
    for task in tasks:
        slots.setdefault(task.slot, []).append(task)
    return [
        _task_row(task, nodes, now, older=index > 0)
        for slot in sorted(slots)
        for index, task in enumerate(reversed(slots[slot]))
    ]


def node_ls(orchestrator: Orchestrator, *, engine_version: str = "") -> list[NodeRow]:
    """All nodes in the order in which they joined; the first one leads."""
    return [
        NodeRow(
            id=node.id,
            hostname=node.hostname,
            status=node.status.value.capitalize(),
            availability=node.availability.value.capitalize(),
            manager_status="Leader" if index == 0 else "",
            engine_version=engine_version,
        )
        for index, node in enumerate(orchestrator.nodes.values())
    ]


def docker_ps(orchestrator: Orchestrator, now: int) -> list[ContainerRow]:
    """All plain containers, stopped ones too, the newest first."""
    containers = sorted(orchestrator.containers.values(), key=lambda c: (-c.created, c.name))
    return [_container_row(orchestrator, container, now) for container in containers]


def progress(orchestrator: Orchestrator, name: str) -> Progress:
    """How far the service is; its lines are those that `docker service create|update|scale` show.

    Raises:
        KeyError: there is no such service.
    """
    service = orchestrator.services[name]
    states = {slot: _slot_state(orchestrator, service, slot) for slot in service.slots}
    done = sum(state == TaskState.RUNNING for state in states.values())
    total = service.spec.deploy.replicas
    rolling_back = "rolling back update: " if service.update_state == "rollback_started" else ""
    converged = done == total and service.update_state not in {"updating", "rollback_started"}
    lines = [f"overall progress: {rolling_back}{done} out of {total} tasks"]
    lines += [f"{slot}/{total}: {state.word if state else ''}" for slot, state in states.items()]
    if converged:
        lines.append(f"verify: Service {service.id} converged")
    return Progress(done=done, total=total, converged=converged, lines=tuple(lines))


def as_table(rows: Sequence[Row], kind: type[Row]) -> str:
    """Rows as text in docker/cli's layout: columns padded, three spaces apart; the headers also without rows."""
    lines = [kind.headers, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(kind.headers))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def human_duration(ns: int) -> str:
    """A time as Docker tells it: `8 seconds`, `About a minute`, `3 hours` (go-units `HumanDuration`)."""
    seconds = max(0, ns) // SECOND
    minutes = seconds // 60
    hours = round(seconds / 3600)
    table = (
        (seconds < 1, "Less than a second"),
        (seconds == 1, "1 second"),
        (seconds < 60, f"{seconds} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 14, f"{hours // 24} days"),
        (hours < 24 * 60, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 730, f"{hours // 24 // 30} months"),
    )
    return next((text for fits, text in table if fits), f"{hours // 24 // 365} years")


def _service_row(orchestrator: Orchestrator, service: Service) -> ServiceRow:
    nodes = orchestrator.nodes
    running = sum(
        task.state == TaskState.RUNNING and task.wanted and nodes[task.node].status is NodeStatus.READY
        for task in orchestrator.tasks_of(service.name)
    )
    return ServiceRow(
        id=service.id,
        name=service.name,
        running=running,
        replicas=service.spec.deploy.replicas,
        image=_image(service.spec),
        ports=_ports(service.spec, "*"),
    )


def _task_row(task: Task, nodes: dict[str, Node], now: int, *, older: bool) -> TaskRow:
    node = nodes.get(task.node)
    return TaskRow(
        id=task.id,
        name=task.name,
        older=older,
        image=_image(task.spec),
        node=node.hostname if node else "",
        desired_state=task.desired.word.capitalize(),
        current_state=f"{task.state.word.capitalize()} {human_duration(now - task.state_since).lower()} ago",
        error=task.error,
    )


def _container_row(orchestrator: Orchestrator, container: Container, now: int) -> ContainerRow:
    spec = container.spec
    return ContainerRow(
        id=container.id,
        image=_image(spec),
        command=f'"{" ".join((*spec.entrypoint, *spec.command))}"',
        created=f"{human_duration(now - container.created)} ago",
        status=_status(orchestrator, container, now),
        ports=_ports(spec, "0.0.0.0") if container.state == "running" else "",  # noqa: S104  # text as docker prints it
        name=container.name,
    )


def _status(orchestrator: Orchestrator, container: Container, now: int) -> str:
    task = orchestrator.tasks.get(container.task)
    if task is None or container.state == "created":
        return "Created"
    since = human_duration(now - task.state_since)
    if container.state == "running":
        health = {
            HealthStatus.NONE: "",
            HealthStatus.STARTING: " (health: starting)",
            HealthStatus.HEALTHY: " (healthy)",
            HealthStatus.UNHEALTHY: " (unhealthy)",
        }[task.health]
        return f"Up {since}{health}"
    code = task.exit.code if task.exit else 128
    word = "Restarting" if container.state == "restarting" else "Exited"
    return f"{word} ({code}) {since} ago"


def _slot_state(orchestrator: Orchestrator, service: Service, slot: int) -> TaskState | None:
    """The state of the slot's wanted task of the present spec, or None."""
    states = [
        task.state
        for task in orchestrator.tasks_in_slot(service.name, slot)
        if task.wanted and orchestrator.up_to_date(task)
    ]
    return max((state for state in states if not state.terminal), default=None)


def _image(spec: ServiceSpec) -> str:
    return spec.image or (spec.command[0] if spec.command else "")


def _ports(spec: ServiceSpec, host: str) -> str:
    return ", ".join(
        f"{port.host_ip or host}:{port.published}->{port.target}/tcp" for port in spec.ports if port.published
    )


def _quoted(error: str) -> str:
    if not error:
        return ""
    quoted = f'"{error}"'
    return quoted if len(quoted) <= _ERROR_WIDTH else quoted[: _ERROR_WIDTH - 1] + "…"
