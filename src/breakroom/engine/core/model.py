"""The nouns of the orchestrator: tasks with their observed and desired state, exits, nodes.

Used by every module of the core, and by the shell and views as read-only values. Names and order are swarmkit's
(`api/types.proto`). Times are nanoseconds of the caller's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from breakroom.spec.service import ServiceSpec

__all__ = [
    "Availability",
    "Container",
    "ContainerState",
    "Desired",
    "Exit",
    "HealthStatus",
    "Node",
    "NodeStatus",
    "Service",
    "Task",
    "TaskState",
    "Transition",
    "UpdateState",
]

UpdateState = Literal[
    "", "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"
]
"""How a service's last update stands, in swarmkit's words; empty: never updated."""

ContainerState = Literal["created", "running", "restarting", "exited"]
"""A container's state in the container engine's words."""


class TaskState(IntEnum):
    """Observed state of a task. It only moves forward; the numbers are swarmkit's."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def terminal(self) -> bool:
        """Whether the task is over."""
        return self > TaskState.RUNNING

    @property
    def word(self) -> str:
        """As journals and views write it."""
        return self.name.lower()


class Desired(IntEnum):
    """What the orchestrator wants of a task; moves forward only."""

    READY = 384
    RUNNING = 512
    SHUTDOWN = 640
    REMOVE = 800

    @property
    def word(self) -> str:
        """As journals and views write it."""
        return self.name.lower()


class HealthStatus(StrEnum):
    """A task's health; `NONE` where no healthcheck exists."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Availability(StrEnum):
    """What a node is open for."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class NodeStatus(StrEnum):
    """Whether a node answers."""

    READY = "ready"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a task's main process ended."""

    code: int
    """Docker's convention: the exit status, or 128 + the signal's number."""
    signal: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step of a task's life, kept for error messages and views."""

    t: int
    state: TaskState
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place where tasks run."""

    id: str
    hostname: str
    status: NodeStatus = NodeStatus.READY
    availability: Availability = Availability.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to run one replica. Immutable: a change makes a new value; tasks are one-shot.

    `id` is unique for the orchestrator's life. `service` is the container's name for a container's run, and `slot`
    is then 1. `spec_version` counts the service's specs from 1.
    """

    id: str
    service: str
    slot: int
    spec: ServiceSpec
    spec_version: int
    created: int
    state: TaskState = TaskState.NEW
    desired: Desired = Desired.RUNNING
    node: str = ""
    health: HealthStatus = HealthStatus.NONE
    failing_streak: int = 0
    in_rotation: bool = False
    pid: int | None = None
    port: int | None = None
    state_since: int = 0
    started: int | None = None
    """When its process was started."""
    exit: Exit | None = None
    message: str = ""
    error: str = ""
    history: tuple[Transition, ...] = ()
    container: bool = False
    """Whether it is one run of a plain container, not a service's task."""

    @property
    def name(self) -> str:
        """As `service ps` and `docker ps` write it: `web.2`, or the container's own name."""
        return self.service if self.container else f"{self.service}.{self.slot}"

    @property
    def wanted(self) -> bool:
        """Whether it is meant to run, now or soon: it counts for its slot and its node."""
        return self.desired <= Desired.RUNNING

    @property
    def alive(self) -> bool:
        """Whether its process runs, as far as is known."""
        return self.pid is not None and self.exit is None

    @property
    def start_pending(self) -> bool:
        """Whether the shell was asked to start it and has not answered; after its node was lost, too."""
        if self.pid is not None or self.exit is not None:
            return False
        if self.state == TaskState.ORPHANED:
            return self.history[-2].state == TaskState.STARTING
        return self.state == TaskState.STARTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as it is now; a snapshot."""

    id: str
    name: str
    spec: ServiceSpec
    spec_version: int
    slots: tuple[int, ...]
    """The slots that it has; as many as `spec.deploy.replicas`, except while it is being removed."""
    update_state: UpdateState = ""
    update_message: str = ""
    can_roll_back: bool = False
    removing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A plain container as it is now; a snapshot."""

    id: str
    name: str
    spec: ServiceSpec
    state: ContainerState
    task: str
    """The id of its last run."""
    created: int
    version: int = 1
    """Counts the specs that it was run with under its name."""
    restart_count: int = 0
    """Restarts by its policy since a person started it."""
    restart_at: int | None = None
    """While `restarting`: when its next run begins."""
    starts_again: bool = False
    """While a person's restart or replacement waits for the present run to end."""
