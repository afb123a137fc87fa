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
    DrainStep,
    HangStep,
    KillStep,
    MemoryStep,
    NetworkStep,
    NodeLossStep,
    PartitionStep,
    PauseStep,
    Step,
)
from breakroom.spec.service import SECOND, DurationNs, ServiceSpec
from breakroom.spec.units import Rate, Ratio

__all__ = [
    "METRICS",
    "ApiKillStep",
    "Contender",
    "DrainStep",
    "Drill",
    "Expectation",
    "HangStep",
    "KillStep",
    "LoadSpec",
    "MemoryStep",
    "NetworkStep",
    "NodeLossStep",
    "OperatorModel",
    "PartitionStep",
    "PauseStep",
    "ProbeSpec",
    "Recovered",
    "Stage",
    "SteadyState",
    "Step",
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
    """The person of an unattended run: restarts a failed container `reacts_after` its failure.

    Modelled, never measured.
    """

    reacts_after: DurationNs = 300 * SECOND
    acts_for: DurationNs = 0
    """How long the act itself takes them, before the restart command is given."""


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
    description: dict[str, str] = field(default_factory=dict)
    """By language code."""


METRICS: dict[str, Literal["ratio", "duration", "count"]] = {
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
    "latency_p99_before": "duration",
    "latency_p99_during": "duration",
}
"""The numbers that `expect` may name, with their kind. Definitions: docs/numbers.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One condition of `expect`, written `CONTENDER.METRIC OP VALUE`, such as `orchestrated.outage <= 1s`.

    `value` is a ratio from 0 to 1, nanoseconds, or a count, by the metric's kind in `METRICS`.
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
    source: str = ""
    """The file it came from, or `built-in`."""
