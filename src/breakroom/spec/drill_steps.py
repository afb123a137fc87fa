"""What a timeline can do, one dataclass an action: the steps of a drill.

Part of `spec.drill`, which names them all as `Step`; read from YAML by the shapes in `spec.drill_actions`; played by
`breakroom.faults`, one module a step. Nanoseconds, bytes, ratios from 0 to 1. `lasts` is the file's `for`: how
long a fault stays in force before it is taken back; None: until the trial's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from breakroom.spec.service import SECOND, DurationNs
from breakroom.spec.units import Ratio

__all__ = [
    "ANY_NODE",
    "ApiKillStep",
    "CpuStep",
    "DrainStep",
    "HangStep",
    "KillStep",
    "MemoryStep",
    "NetworkStep",
    "NodeLossStep",
    "OomStep",
    "PartitionStep",
    "PauseStep",
    "RequestStep",
    "RollbackStep",
    "ScaleStep",
    "Step",
    "TaskCount",
    "UpdateStep",
    "ends_at",
    "lasting",
    "needs",
]

TaskCount = int | Literal["all"]
"""How many of the replicas in rotation: a number, or all of them."""
ANY_NODE = ("any", "worker", "manager")
"""Words that stand for a node that the seed chooses; anything else is a node's name."""
_Fraction = Annotated[float, Ratio]


@dataclass(frozen=True, slots=True, kw_only=True)
class KillStep:
    """Fault: processes of `tasks` replicas are sent `signal`, as a crash would come, past the platform's API."""

    at: DurationNs = 0
    """When, counted from the moment steady state was established."""
    tasks: TaskCount = 1
    signal: str = "SIGKILL"
    match: str = ""
    """Empty: the main process. Otherwise all processes inside whose command line contains it (`pkill -f`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKillStep:
    """Fault: replicas are killed through the platform's API (`docker kill`), which no container policy revives."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    signal: str = "SIGKILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStep:
    """Fault: all processes of replicas are frozen (`docker pause`); their health is not probed meanwhile."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HangStep:
    """Fault: the main process of replicas stands still (SIGSTOP): it is there, but does not answer."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStep:
    """Fault: memory is used up inside replicas' own limits."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    fill: int | None = None
    """Bytes to be used in addition."""
    fill_to: _Fraction | None = None
    """Or: fill up to this share of the task's limit. Exactly one of the two is set."""
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStep:
    """Fault: the link to replicas is bad, in each direction. 0 (`rate`: None) means: not so."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    """`all`: those that are still to come, too."""
    delay: DurationNs = 0
    jitter: DurationNs = 0
    loss: _Fraction = 0.0
    corrupt: _Fraction = 0.0
    duplicate: _Fraction = 0.0
    rate: int | None = None
    """Bytes per second."""
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStep:
    """Fault: replicas are cut off from their users, or (`node`) a node from all other nodes. Their processes run on."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    node: str = ""
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStep:
    """Fault: a node is drained (`docker node update --availability drain`); afterwards it is as available as before."""

    at: DurationNs = 0
    node: str = "any"
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLossStep:
    """Fault: nobody hears of a node any more, as if it had lost its power; it comes back afterwards."""

    at: DurationNs = 0
    node: str = "worker"
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuStep:
    """Fault: replicas get only `share` of one core's time."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    share: _Fraction = 0.05
    lasts: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStep:
    """Fault: replicas themselves are sent one HTTP request, past the ingress: how an app is told to fall ill."""

    at: DurationNs = 0
    tasks: TaskCount = 1
    method: str = "POST"
    path: str = "/"
    proof_path: str = ""
    """If set: the fault is proved by the replica's answering this path with `proof_status`, else by its 2xx alone."""
    proof_status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class OomStep:
    """Fault that the load brings about: from `at` on, the memory limit's killing `tasks` replicas is waited for."""

    at: DurationNs = 0
    tasks: int = 1
    within: DurationNs = 60 * SECOND
    """How long; then the fault is *unproved*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleStep:
    """Act: the service is scaled to `replicas`. Of a container there is one; for it nothing is done."""

    at: DurationNs = 0
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStep:
    """Act: a new release. A service is updated as its `update_config` says; a container is stopped and made anew."""

    at: DurationNs = 0
    image: str = ""
    """Empty: the image stays."""
    environment: dict[str, str] = field(default_factory=dict)
    """Laid over the service's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStep:
    """Act: back to the release before, as `rollback_config` says; of a container, by making it anew."""

    at: DurationNs = 0


Step = (
    KillStep
    | ApiKillStep
    | PauseStep
    | HangStep
    | MemoryStep
    | NetworkStep
    | PartitionStep
    | DrainStep
    | NodeLossStep
    | CpuStep
    | RequestStep
    | OomStep
    | ScaleStep
    | UpdateStep
    | RollbackStep
)
_AT_ONCE = (KillStep, ApiKillStep, RequestStep, OomStep, ScaleStep, UpdateStep, RollbackStep)
"""Steps that are not taken back at a time of their own."""


def lasting(step: Step) -> int | None:
    """How long the step's fault stays in force before it is taken back; None: it is not, or at the trial's end."""
    return None if isinstance(step, _AT_ONCE) else step.lasts


def ends_at(step: Step) -> int:
    """When the step is over at the latest, counted as its `at`."""
    if isinstance(step, OomStep):
        return step.at + step.within
    return step.at + (lasting(step) or 0)


def needs(action: str, step: Step) -> tuple[str, ...]:
    """What a platform must be able to do for the step, in the words of its `Capabilities.cannot`: coarse, then fine.

    Args:
        action: The step's key in a timeline, which is the coarse word.
        step: The step; `network.loss`, `partition.node`, `kill.match` are fine words.
    """
    match step:
        case KillStep():
            fine = ["match"] if step.match else []
        case PartitionStep():
            fine = ["node" if step.node else "tasks"]
        case NetworkStep():
            words = ("delay", "jitter", "loss", "corrupt", "duplicate", "rate")
            fine = [word for word in words if getattr(step, word)]
        case _:
            fine = []
    return (action, *(f"{action}.{word}" for word in fine))
