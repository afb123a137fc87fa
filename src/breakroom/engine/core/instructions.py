"""What the orchestrator wants done: each instruction is carried out by the shell, at once and in order.

Returned by `Orchestrator.handle`. Where an answer is expected, the docstring names the event that brings it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from breakroom.engine.core.model import HealthStatus, Task

__all__ = [
    "EnterRotation",
    "Forget",
    "HealthReport",
    "Instruction",
    "LeaveRotation",
    "Prepare",
    "RunProbe",
    "Signal",
    "Start",
    "TaskReport",
    "UpdateReport",
]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make sure that the task can start at once. Answer: `TaskPrepared` or `TaskRejected`."""

    task: Task


@dataclass(frozen=True, slots=True)
class Start:
    """Start the task's process. Answer: `TaskStarted` or `TaskStartFailed`; `TaskExited` when it ends."""

    task: Task


@dataclass(frozen=True, slots=True)
class Signal:
    """Send the task's main process a signal by name (`SIGTERM`, …); SIGKILL goes to all of its processes."""

    task: str
    signal: str


@dataclass(frozen=True, slots=True)
class RunProbe:
    """Run the task's health probe once, with `task.spec.healthcheck.timeout`. Answer: `ProbeFinished`."""

    task: Task


@dataclass(frozen=True, slots=True)
class EnterRotation:
    """Send the task new connections."""

    task: Task


@dataclass(frozen=True, slots=True)
class LeaveRotation:
    """Send it no new connections. `drain`: existing ones live on; `cut`: the task is dead, they end."""

    task: str
    how: Literal["drain", "cut"]


@dataclass(frozen=True, slots=True)
class Forget:
    """The task left the history: drop what is kept for it (log handle, port, cgroup)."""

    task: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """For the journal: the task as it is after a change of its observed or desired state."""

    task: Task


@dataclass(frozen=True, slots=True)
class HealthReport:
    """For the journal: a probe finished and the health is now this."""

    task: str
    status: HealthStatus
    ok: bool
    failing_streak: int
    output: str


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """For the journal: an update or rollback is in a new state. Texts are Swarm's own."""

    service: str
    state: Literal[
        "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"
    ]
    message: str


Instruction = (
    Prepare
    | Start
    | Signal
    | RunProbe
    | EnterRotation
    | LeaveRotation
    | Forget
    | TaskReport
    | HealthReport
    | UpdateReport
)
