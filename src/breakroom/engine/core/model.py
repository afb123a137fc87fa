"""The nouns of the orchestrator: tasks with their observed and desired state, exits, nodes.

Used by every module of the core, and by the shell and views as read-only values. Names and order are swarmkit's
(`api/types.proto`). Times are nanoseconds of the caller's monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from breakroom.spec.service import ServiceSpec

__all__ = ["Availability", "Desired", "Exit", "HealthStatus", "Node", "NodeStatus", "Task", "TaskState", "Transition"]


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

    `id` is unique for the orchestrator's life. `name` is `SERVICE.SLOT` for a service's task and the container's
    name for a container's run. `spec_version` counts the service's specs from 1.
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
