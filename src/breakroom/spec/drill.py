"""What to do to a service: a drill, as plain immutable values.

Built by `spec.loader` from YAML, with `extends`, `pace` and the contenders' overrides already applied; read by the
director, the analysis and the presenters. A drill says nothing about the platform. Units as in `spec.service`:
nanoseconds and bytes; rates are per second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from breakroom.spec.drill_steps import (
    ApiKillStep,
    CpuStep,
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    OomStep,
    PartitionStep,
    PauseStep,
    RequestStep,
    RollbackStep,
    ScaleStep,
    Step,
    UpdateStep,
)
from breakroom.spec.service import SECOND, DurationNs, ServiceSpec
from breakroom.spec.units import Rate, Ratio

__all__ = [
    "METRICS",
    "ApiKillStep",
    "AutoscaleSpec",
    "Contender",
    "CpuStep",
    "DrainStep",
    "Drill",
    "Expectation",
    "HangStep",
    "KillStep",
    "LoadSpec",
    "MemoryStep",
    "NetworkStep",
    "NodeLossStep",
    "OomStep",
    "OperatorModel",
    "PartitionStep",
    "PauseStep",
    "ProbeSpec",
    "Recovered",
    "RequestStep",
    "RollbackStep",
    "ScaleStep",
    "Stage",
    "SteadyState",
    "Step",
    "UpdateStep",
]

RatePerSecond = Annotated[float, Rate]
Fraction = Annotated[float, Ratio]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """The probe: an open-model stream of requests, each on a new connection, that measures what users see."""

    rate: RatePerSecond = 100.0
    path: str = "/"
    timeout: DurationNs = 2 * SECOND
    """A request not finished this long after its intended send time has failed with `timeout`."""
    expect_status: int = 200
    expect_body: str = ""
    """If set, a response whose body does not contain it is `bad-body`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stretch of an open load: `rate` for a time."""

    rate: RatePerSecond
    duration: DurationNs


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """The load beside the probe.

    `closed`: `concurrency` clients, each sending its next request when the last was answered (what `ab` does); ends
    after `requests` if that is above 0. `open`: `rate`, or `stages` of rates, whatever the service answers.
    """

    model: Literal["closed", "open"] = "closed"
    concurrency: int = 10
    requests: int = 0
    rate: RatePerSecond = 100.0
    stages: tuple[Stage, ...] = ()
    arrivals: Literal["constant", "poisson"] = "constant"
    keep_alive: bool = False
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    timeout: DurationNs = 5 * SECOND
    expect_status: int = 200
    pause_after_failure: DurationNs = 100_000_000
    """Closed model only: how long a client waits after a failed request, so that a dead service is not hammered."""
    workers: int = 1
    at: DurationNs | None = None
    """When it begins, counted as a step's `at`; None: with the probe, before the steady state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyState:
    """What must hold before anything is broken: every wanted task in rotation and `availability` over `duration`."""

    duration: DurationNs = 3 * SECOND
    availability: Fraction = 1.0
    within: DurationNs = 30 * SECOND
    """How long to wait for it before the trial is given up as *unknown*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """When a trial is over: desired capacity, and no failed probe for `stable`; or `within` has passed."""

    stable: DurationNs = 3 * SECOND
    within: DurationNs = 60 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorModel:
    """The person of an unattended run: restarts a container `reacts_after` it died, or after nobody got an answer.

    Modelled, never measured.
    """

    reacts_after: DurationNs = 300 * SECOND
    acts_for: DurationNs = 0
    """How long the act itself takes them, before the restart command is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscaleSpec:
    """How a service's replicas follow its measured load (`breakroom.autoscale` has the rule).

    `utilisation`: requests that were to be sent a second ÷ (`capacity` x replicas), against `target` (a ratio).
    `latency`: the 90th percentile of answered requests' latency, against `target` (nanoseconds).
    """

    metric: Literal["utilisation", "latency"] = "utilisation"
    target: float = 0.7
    """A ratio for `utilisation`, nanoseconds for `latency`."""
    capacity: RatePerSecond = 0.0
    """Requests a second that one replica can serve; `utilisation` needs it."""
    minimum: int = 1
    maximum: int = 10
    interval: DurationNs = SECOND
    """From one decision to the next, and the time that each looks back on."""
    tolerance: Fraction = 0.1
    """No change while the metric is within this share of the target."""
    cooldown_up: DurationNs = 0
    """How long after a change nothing is added."""
    cooldown_down: DurationNs = 60 * SECOND
    """How long after a change nothing is taken away."""
    dry_run: bool = False
    """Decide and explain, but change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to deploy the drill's service.

    `runs_as` is `container` (one container under a container engine, Docker's restart policies) or `service` (replicas
    under an orchestrator, Swarm's semantics). `service` already has the contender's overrides merged in.
    """

    name: str
    runs_as: Literal["container", "service"]
    service: ServiceSpec
    operator: OperatorModel | None = None
    autoscale: AutoscaleSpec | None = None
    """Services only."""
    description: dict[str, str] = field(default_factory=dict)
    """By language code."""


METRICS: dict[str, Literal["ratio", "duration", "count", "factor"]] = {
    "availability": "ratio",
    "availability_time": "ratio",
    "outage": "duration",
    "longest_outage": "duration",
    "recovery_time": "duration",
    "time_to_full_capacity": "duration",
    "capacity_kept": "ratio",
    "lowest_capacity": "ratio",
    "blast_radius": "ratio",
    "failed_requests": "count",
    "operator_acts": "count",
    "latency_p50_before": "duration",
    "latency_p50_during": "duration",
    "latency_p99_before": "duration",
    "latency_p99_during": "duration",
    "detection_time": "duration",
    "oom_kills": "count",
    "scale_response": "duration",
    "goodput_gain": "factor",
    "update_duration": "duration",
    "updates_completed": "count",
    "updates_paused": "count",
    "updates_rolled_back": "count",
    "new_version_requests": "count",
}
"""The numbers that `expect` may name, with their kind. Definitions: docs/numbers.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One condition of `expect`, written `CONTENDER.METRIC OP VALUE`, such as `orchestrated.outage <= 1s`.

    `value` is a ratio from 0 to 1, nanoseconds, a count, or a factor, by the metric's kind in `METRICS`.
    """

    contender: str
    metric: str
    op: Literal["<", "<=", ">", ">=", "==", "!="]
    value: float
    text: str
    """As the user wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One failure scenario, resolved for one pace."""

    name: str
    pace: str
    contenders: tuple[Contender, ...]
    timeline: tuple[Step, ...]
    title: dict[str, str] = field(default_factory=dict)
    description: dict[str, str] = field(default_factory=dict)
    probe: ProbeSpec = field(default_factory=ProbeSpec)
    load: LoadSpec | None = None
    steady_state: SteadyState = field(default_factory=SteadyState)
    recovered: Recovered = field(default_factory=Recovered)
    expect: tuple[Expectation, ...] = ()
    side_by_side: bool = False
    """Whether the contenders of one repeat run at the same time; declared only where they do not disturb each other."""
    source: str = ""
    """The file it came from, or `built-in`."""
