"""The findings of a run as data: what `results.json` holds and every presenter reads.

Made by `analysis.run.analyse`; written as JSON by the director; read by `report`, `live`, `cli`. Published as
a JSON Schema by `breakroom schema results`. Language-neutral: a sentence is a `Reason` (a stable code with
parameters), put into words by `i18n`. Definitions of the numbers: docs/numbers.md.

Units: `_s` seconds, `_per_s` per second, ratios from 0 to 1; moments (`…_at_s`) are seconds after the trial's
`zero`, which is the moment the first fault took effect (or, where none did, the start of observation).
"""

from __future__ import annotations

from typing import Any, Literal

from breakroom.analysis.result_base import Reason, ResultStruct, Spread
from breakroom.analysis.result_kinds import (
    Advice,
    DetectionFinding,
    FailureMoment,
    ImpairmentFinding,
    ImpairmentRow,
    LeakFinding,
    MemoryLife,
    Overall,
    OverallApart,
    OverallRow,
    ScaleFinding,
    ScalingDecisionFinding,
    SensitivityRow,
    UpdateFinding,
)

__all__ = [
    "Advice",
    "Availability",
    "Balance",
    "Band",
    "CapacityKept",
    "Comparison",
    "Condition",
    "ContenderResults",
    "DetectionFinding",
    "DrillResults",
    "FailureMoment",
    "GeneratorReport",
    "ImpairmentFinding",
    "ImpairmentRow",
    "Latency",
    "LeakFinding",
    "Mark",
    "MemoryLife",
    "OperatorWork",
    "Outage",
    "Overall",
    "OverallApart",
    "OverallRow",
    "PhaseTime",
    "PlanProof",
    "Reason",
    "ReplicaUse",
    "RunResults",
    "ScaleFinding",
    "ScalingDecisionFinding",
    "SensitivityRow",
    "Spread",
    "TrialResults",
    "UpdateFinding",
    "Verdict",
]

SCHEMA_VERSION = 1

Verdict = Literal["met", "not met", "unknown"]


class Outage(ResultStruct, frozen=True, kw_only=True):
    """A maximal stretch in which no probe succeeded (`total`), or in which some failed (`degraded`).

    From the first failed probe's intended time to the next success's; `end_at_s` None: not over when
    observation ended.
    """

    kind: Literal["total", "degraded"]
    start_at_s: float
    end_at_s: float | None
    duration_s: float
    failed: int
    outcomes: dict[str, int]


class Availability(ResultStruct, frozen=True, kw_only=True):
    """Availability over the observation window, by requests and by time."""

    requests: float | None
    time: float | None
    intended: int
    ok: int
    window_s: float
    window_from_s: float = 0.0
    """When observation began, in seconds after the trial's zero."""


class PhaseTime(ResultStruct, frozen=True, kw_only=True):
    """One moment of the recovery and the time since the moment before it in the list that is known.

    `name`: fault, first_error, detected, replaced, running, in_rotation, first_success, full_capacity,
    stable. `at_s` None: did not happen, or was not seen. `source`: `probe`, `load`, `platform`, `ingress`,
    `model`.
    """

    name: str
    at_s: float | None
    since_previous_s: float | None
    source: str


class CapacityKept(ResultStruct, frozen=True, kw_only=True):
    """Served work (successful requests of load and probe) during the fault against before it.

    `during` is from the fault's effect until full capacity is back (or the end). `kept` = during ÷ before;
    `lowest` is the least of 1 s windows of it ÷ before. None where there was no load or it did not saturate
    (`saturated` False).
    """

    before_per_s: float | None
    during_per_s: float | None
    after_per_s: float | None
    kept: float | None
    lowest: float | None
    saturated: bool | None
    resolution: float | None = None
    """By how much `kept` changes at most if an edge of *during* is moved by 10 ms: answers come in bursts."""
    lowest_resolution: float | None = None
    """The same for `lowest`, whose window is 1 s at most."""


class Latency(ResultStruct, frozen=True, kw_only=True):
    """Percentiles of latency from the intended send time, in seconds, of one stream in one period.

    `ok` requests only, or `failed` ones only; None where there were none.
    """

    stream: Literal["probe", "load"]
    period: Literal["before", "during", "after"]
    which: Literal["ok", "failed"]
    count: int
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    p999_s: float | None
    max_s: float | None
    own_p50_s: float = 0.0
    """So much of the p50 may be the generator's own lag: it would be lower by that, counted from the actual sending."""
    own_p99_s: float = 0.0


class Balance(ResultStruct, frozen=True, kw_only=True):
    """Requests per task while nothing was broken, and whether they were spread evenly."""

    per_task: dict[str, int]
    largest_to_smallest: float | None
    chi_square: float | None
    p_value: float | None


class OperatorWork(ResultStruct, frozen=True, kw_only=True):
    """What a person had to do. `modelled`: the person was a model (unattended run)."""

    acts: int
    first_act_after_s: float | None
    restored_after_s: float | None
    modelled: bool


class CutConnections(ResultStruct, frozen=True, kw_only=True):
    """Failures against the connections that were open on what was killed, as the ingress counted them.

    The ingress's count is independent of the samples. `failed_requests`: probe and load samples not ok
    between fault and stable. `open_on_target`: connections that the ingress had assigned to the killed tasks
    when they left rotation. `refused_by_target`: new ones their ports refused in the moment before. `within`:
    failed ≤ open + refused; None where unknown.
    """

    failed_requests: int
    open_on_target: int | None
    refused_by_target: int | None
    within: bool | None


class GeneratorReport(ResultStruct, frozen=True, kw_only=True):
    """What a stream says of itself, and whether its numbers can be trusted."""

    stream: str
    model: str
    intended: int
    completed: int
    samples: int
    lag_p50_s: float
    lag_p99_s: float
    lag_max_s: float
    trusted: bool
    why_not: Reason | None = None


class PlanProof(ResultStruct, frozen=True, kw_only=True):
    """Whether the trial ran the shared plan: its digest, and the plan's arrivals against the samples'."""

    digest: str
    arrivals_checked: int
    arrivals_matched: bool | None
    image_digest: str = ""


class Mark(ResultStruct, frozen=True, kw_only=True):
    """A moment worth a line in a plot."""

    at_s: float
    kind: str
    label: Reason


class Band(ResultStruct, frozen=True, kw_only=True):
    """One stretch of a task's life, for the band plot. `state`: a task state, or `rotation`."""

    task: str
    slot: int
    version: int
    state: str
    from_s: float
    to_s: float


class ToolCostResult(ResultStruct, frozen=True, kw_only=True):
    """What breakroom itself used, by kind of process: CPU and wall time added up, the largest memory of any one."""

    process: str
    cpu_s: float
    max_rss_bytes: int
    wall_s: float
    processes: int = 1


class ReplicaUse(ResultStruct, frozen=True, kw_only=True):
    """What the service's replicas used in a trial, as sampled; of a short life the last half second is missing."""

    replicas: int = 0
    cpu_s: float = 0.0
    max_memory_bytes: int = 0


class TrialResults(ResultStruct, frozen=True, kw_only=True):
    """Everything found out about one trial."""

    id: str
    drill: str
    contender: str
    repeat: int
    outcome: str
    """completed, not-steady, not-recovered, aborted, failed, skipped (the platform cannot do what a step needs), or
    cut-off (the journal ends in mid-trial)."""
    reasons_unknown: tuple[Reason, ...]
    """Empty: the numbers can be trusted."""
    zero_unix_s: float
    fault_proved: bool | None
    availability: Availability
    outages: tuple[Outage, ...]
    outage_total_s: float | None
    longest_outage_s: float | None
    recovery: tuple[PhaseTime, ...]
    recovery_time_s: float | None
    time_to_full_capacity_s: float | None
    capacity: CapacityKept
    blast_radius: float | None
    failed_requests: int
    outcomes: dict[str, dict[str, int]]
    """stream → outcome → count, over the observation window."""
    latency: tuple[Latency, ...]
    balance: Balance
    operator: OperatorWork
    cut: CutConnections
    generators: tuple[GeneratorReport, ...]
    plan: PlanProof
    explanation: tuple[Reason, ...]
    """Why this contender lost the time it lost, from its events; the dominating part first."""
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...]
    resolution_s: float
    modelled: bool
    """Whether an operator model's time is in the outage and recovery numbers."""
    capabilities: dict[str, str]
    left_behind: tuple[str, ...] | None
    """From the cleanliness check; None: it was not made."""
    updates: tuple[UpdateFinding, ...] = ()
    scaling: tuple[ScaleFinding, ...] = ()
    decisions: tuple[ScalingDecisionFinding, ...] = ()
    impairment: ImpairmentFinding | None = None
    leak: LeakFinding | None = None
    detection: tuple[DetectionFinding, ...] = ()
    failures: tuple[FailureMoment, ...] = ()
    advice: Advice | None = None
    """None: nothing was lost, or nothing could be shortened by a setting."""
    tool_cost: tuple[ToolCostResult, ...] = ()
    """Of this trial; what the main process did for contenders side by side is in each of them."""
    replica_use: ReplicaUse = ReplicaUse()
    side_by_side: bool = False
    """Whether the other contenders of the repeat ran at the same time."""


class Condition(ResultStruct, frozen=True, kw_only=True):
    """One `expect` condition and what became of it, judged on the median over the repeats."""

    text: str
    contender: str
    metric: str
    value: float | None
    verdict: Verdict
    reason: Reason | None = None


class ContenderResults(ResultStruct, frozen=True, kw_only=True):
    """A contender over its repeats. `metrics`: every name of `spec.drill.METRICS`, known or not."""

    name: str
    description: dict[str, str]
    runs_as: str
    replicas: int
    trials: tuple[str, ...]
    metrics: dict[str, Spread]
    phases: dict[str, Spread]
    """phase name → `at_s` over the repeats."""
    operator_time: Spread
    """Until a person had restored the service, in seconds; 0 where it came back without one."""
    explanation: tuple[Reason, ...]
    """Of the trial whose recovery is the median one."""
    advice: Advice | None = None
    """Of the same trial."""


class Comparison(ResultStruct, frozen=True, kw_only=True):
    """Two contenders on one metric: the difference of medians and whether it is larger than the noise."""

    metric: str
    better: str
    worse: str
    difference: float
    ci95_low: float | None
    ci95_high: float | None
    beyond_noise: bool | None


class DrillResults(ResultStruct, frozen=True, kw_only=True):
    """One drill: its contenders side by side."""

    name: str
    title: dict[str, str]
    description: dict[str, str]
    contenders: tuple[ContenderResults, ...]
    same_plan: bool | None
    plan_digests: dict[str, str]
    """contender → digest of the shared plan."""
    conditions: tuple[Condition, ...]
    comparisons: tuple[Comparison, ...]
    verdict: Verdict
    verdict_reasons: tuple[Reason, ...]
    counts: bool = True
    """Whether the run's verdict depends on it: not where nobody asked for it by name and the platform cannot play it
    against any contender."""


class Claim(ResultStruct, frozen=True, kw_only=True):
    """One claim of the course, against what was measured."""

    code: str
    verdict: Verdict
    value: float | None
    modelled: bool
    reason: Reason


class RunResults(ResultStruct, frozen=True, kw_only=True):
    """A whole run: the content of results.json."""

    schema: int
    run_id: str
    version: str
    started_unix_s: float
    duration_s: float
    outcome: str
    """completed, aborted, failed, or cut-off."""
    platform: str
    pace: str
    seed: int
    repeat: int
    host: dict[str, Any]
    verdict: Verdict
    drills: tuple[DrillResults, ...]
    claims: tuple[Claim, ...]
    trials: tuple[TrialResults, ...]
    tool_cost: tuple[ToolCostResult, ...]
    problems: tuple[Reason, ...]
    overall: Overall = Overall()
