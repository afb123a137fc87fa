"""What can happen to the orchestrator: commands from people, and what the shell observed.

Built by the shell (`engine.shell`) and by tests; consumed by `Orchestrator.handle`. An event that the current state
does not allow raises `IllegalEvent` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from breakroom.engine.core.model import Availability, Exit
from breakroom.spec.service import ServiceSpec

__all__ = [
    "AddNode",
    "CreateContainer",
    "CreateService",
    "Event",
    "KillContainer",
    "NodeDown",
    "NodeUp",
    "ProbeFinished",
    "RemoveContainer",
    "RemoveService",
    "ReplaceContainer",
    "RestartContainer",
    "RollbackService",
    "ScaleService",
    "SetAvailability",
    "StartContainer",
    "StopContainer",
    "TaskExited",
    "TaskPrepared",
    "TaskRejected",
    "TaskStartFailed",
    "TaskStarted",
    "Tick",
    "UpdateService",
]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has reached `Orchestrator.next_deadline`. Harmless if early."""


# --- commands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddNode:
    """A node joined, ready and active."""

    node: str
    hostname: str


@dataclass(frozen=True, slots=True)
class SetAvailability:
    """`node update --availability`; drain moves its tasks away."""

    node: str
    availability: Availability


@dataclass(frozen=True, slots=True)
class CreateService:
    """`service create`: replicated, `spec.deploy.replicas` tasks."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class UpdateService:
    """`service update`: the spec (same name) replaces the present one; tasks follow by `update_config`."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class ScaleService:
    """`service scale`: not an update; the spec's version stays."""

    service: str
    replicas: int


@dataclass(frozen=True, slots=True)
class RollbackService:
    """`service rollback`: back to the previous spec, by `rollback_config`."""

    service: str


@dataclass(frozen=True, slots=True)
class RemoveService:
    """`service rm`: all tasks stop gracefully; gone when the last has stopped."""

    service: str


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """`docker run -d`: create and start one container with the engine's restart policy `spec.restart`."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class StartContainer:
    """`docker start` (and the operator's restart of a dead container)."""

    container: str


@dataclass(frozen=True, slots=True)
class StopContainer:
    """`docker stop`: stop signal, grace, SIGKILL; the restart policy does not revive it."""

    container: str


@dataclass(frozen=True, slots=True)
class RestartContainer:
    """`docker restart`: stop it, whatever state it is in, and start it when it has stopped."""

    container: str


@dataclass(frozen=True, slots=True)
class ReplaceContainer:
    """`docker stop`, `docker rm`, `docker run` of another spec under the same name."""

    spec: ServiceSpec


@dataclass(frozen=True, slots=True)
class KillContainer:
    """`docker kill`: the signal through the API; the restart policy does not revive it."""

    container: str
    signal: str = "SIGKILL"


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """`docker rm -f`."""

    container: str


# --- observations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskPrepared:
    """Answer to `Prepare`: the task could start at once (its program exists, its port is reserved)."""

    task: str
    port: int


@dataclass(frozen=True, slots=True)
class TaskRejected:
    """Answer to `Prepare`: it can never start (no such program or directory)."""

    task: str
    error: str


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """Answer to `Start`: its process runs."""

    task: str
    pid: int


@dataclass(frozen=True, slots=True)
class TaskStartFailed:
    """Answer to `Start`: the process could not be started."""

    task: str
    error: str


@dataclass(frozen=True, slots=True)
class TaskExited:
    """The kernel's notice that a task's main process ended."""

    task: str
    exit: Exit


@dataclass(frozen=True, slots=True)
class ProbeFinished:
    """Answer to `RunProbe`. `ok` false also for a probe that ran into its timeout."""

    task: str
    ok: bool
    output: str = ""


@dataclass(frozen=True, slots=True)
class NodeDown:
    """A node's heartbeat was missed for good; its tasks are orphaned and replaced elsewhere."""

    node: str


@dataclass(frozen=True, slots=True)
class NodeUp:
    """The node answers again; nothing is moved back (moby#24103)."""

    node: str


Event = (
    Tick
    | AddNode
    | SetAvailability
    | CreateService
    | UpdateService
    | ScaleService
    | RollbackService
    | RemoveService
    | CreateContainer
    | StartContainer
    | StopContainer
    | RestartContainer
    | ReplaceContainer
    | KillContainer
    | RemoveContainer
    | TaskPrepared
    | TaskRejected
    | TaskStarted
    | TaskStartFailed
    | TaskExited
    | ProbeFinished
    | NodeDown
    | NodeUp
)
