"""Findings of one kind of failure each: updates, scaling, bad links, leaks, failing health checks; and Phase 4.

Part of `analysis.results` (the content of results.json), which re-exports them. Units as there: `_s` seconds after
the trial's zero for moments (`…_at_s`), seconds for durations, `_per_s` per second, ratios from 0 to 1.
"""

from __future__ import annotations

from typing import Literal

from breakroom.analysis.result_base import Reason, ResultStruct

__all__ = [
    "Advice",
    "DetectionFinding",
    "FailureMoment",
    "ImpairmentFinding",
    "ImpairmentRow",
    "LeakFinding",
    "MemoryLife",
    "Overall",
    "OverallApart",
    "OverallRow",
    "ScaleFinding",
    "ScalingDecisionFinding",
    "SensitivityRow",
    "UpdateFinding",
]


class UpdateFinding(ResultStruct, frozen=True, kw_only=True):
    """One release that was brought out: a rolling update, a rollback, or a container's stop-and-start.

    `state`: `completed`, `paused`, `rolled-back`, `rollback-paused`, `under-way` (observation ended before), or
    `replaced` (a container made anew). `answered`: version as the app said it → requests of probe and load it
    answered, of any outcome, from the command on. `new_version_requests`: those that met the new version: answered by
    it, or failed on one of its tasks as far as is known.
    """

    action: str
    kind: Literal["update", "rollback", "replace"]
    state: str
    message: str
    begun_at_s: float
    ended_at_s: float | None
    duration_s: float | None
    old_version: str
    new_version: str
    answered: dict[str, int]
    new_version_requests: int | None
    new_version_share: float | None
    failed_requests: int
    lowest_in_rotation: int | None
    wanted: int


class ScaleFinding(ResultStruct, frozen=True, kw_only=True):
    """One change of the number of replicas: the command, when capacity followed, and what it did for users.

    `response_s`: from the command until all new replicas were in rotation (or all surplus ones out of it). Goodput and
    latency before: the level's stretch until the command; after: from the capacity's change until the next command,
    both without a second at their begin. `gain`: goodput after ÷ before. `failed_requests`: of probe and load, from the
    command until the next. `largest_to_smallest`, `p_value`: balance over the replicas of the new level.
    `applied` False: the contender has no such act.
    """

    action: str
    by: str
    at_s: float
    from_replicas: int
    to_replicas: int
    applied: bool
    reached_at_s: float | None
    response_s: float | None
    goodput_before_per_s: float | None
    goodput_after_per_s: float | None
    gain: float | None
    latency_p50_before_s: float | None
    latency_p50_after_s: float | None
    latency_p99_before_s: float | None
    latency_p99_after_s: float | None
    failed_requests: int
    per_task: dict[str, int]
    largest_to_smallest: float | None
    p_value: float | None


class ScalingDecisionFinding(ResultStruct, frozen=True, kw_only=True):
    """One decision of the autoscaler, with the sentence that explains it."""

    at_s: float
    metric: str
    observed: float | None
    target: float
    replicas: int
    proposed: int
    decided: int
    decision: str
    dry_run: bool
    reason: Reason


class ImpairmentRow(ResultStruct, frozen=True, kw_only=True):
    """One quantile of answered probes' latency: before, during, after, and what the impairment predicts for during."""

    quantile: float
    before_s: float | None
    during_s: float | None
    after_s: float | None
    predicted_s: float | None


class ImpairmentFinding(ResultStruct, frozen=True, kw_only=True):
    """A bad link: what it was told to be, and response times against what follows from that.

    `share_hit`: share of connections that cross a bad link (replicas hit ÷ replicas). `prediction`: how the predicted
    values come about. `failed_share_*`: of probes. `as_predicted` None: nothing can be said.
    """

    kind: str
    means: tuple[str, ...]
    delay_s: float
    jitter_s: float
    loss: float
    rate_bytes_per_s: int | None
    partition: bool
    share_hit: float
    rows: tuple[ImpairmentRow, ...]
    failed_share_before: float | None
    failed_share_during: float | None
    failed_share_after: float | None
    predicted_failed_share: float | None
    as_predicted: bool | None
    prediction: Reason | None


class MemoryLife(ResultStruct, frozen=True, kw_only=True):
    """One replica's memory over its life. `bytes_per_request`: growth ÷ requests it answered (a fitted line)."""

    task: str
    slot: int
    started_at_s: float
    ended_at_s: float | None
    oom: bool
    first_bytes: int
    peak_bytes: int
    limit_bytes: int | None
    served: int
    bytes_per_request: float | None


class LeakFinding(ResultStruct, frozen=True, kw_only=True):
    """Memory that only grows: every replica's life, how often the limit killed, and whether restarting cured it.

    `kernel_oom_kills`: by how much the kernel's own counter grew meanwhile. `latency_first_s`, `latency_last_s`: median
    latency of answered requests in the first and the last fifth of the life of the replicas that were killed.
    `cured` False: replicas that were started again grow as fast as the first ones did (within 20 %).
    """

    lives: tuple[MemoryLife, ...]
    oom_kills: int
    kernel_oom_kills: int | None
    bytes_per_request_first: float | None
    bytes_per_request_restarted: float | None
    cured: bool | None
    latency_first_s: float | None
    latency_last_s: float | None


class DetectionFinding(ResultStruct, frozen=True, kw_only=True):
    """How a sick replica was found out, step by step; moments None: did not happen or was not seen.

    `bound_s`: the longest that the health check's own settings allow from the fault to *unhealthy*:
    retries x (interval + timeout) (docs/numbers.md). `never`: no health check looked, or none noticed.
    """

    task: str
    first_failed_probe_at_s: float | None
    unhealthy_at_s: float | None
    left_rotation_at_s: float | None
    ended_at_s: float | None
    replaced_at_s: float | None
    bound_s: float | None
    failed_probes: int
    never: bool


class FailureMoment(ResultStruct, frozen=True, kw_only=True):
    """A line of the failure log: a task that ended or was found sick, with its state at that moment."""

    at_s: float
    unix_s: float
    task: str
    slot: int
    state: str
    error: str
    exit_code: int | None
    signal: int | None
    oom: bool
    memory_bytes: int | None
    memory_limit_bytes: int | None
    log_file: str
    log_tail: str


class Advice(ResultStruct, frozen=True, kw_only=True):
    """The one setting that would shorten a contender's recovery most, computed from its phases.

    `part`: the dominating part as in `analysis.explain`; `share` of the time `s`. `setting`: a Compose path, or what a
    person would change; `now`: its value; `better`: the value proposed; `saves_s`: what that would save of the time.
    """

    part: str
    s: float
    share: float
    setting: str
    now: str
    better: str
    saves_s: float
    reason: Reason


class OverallRow(ResultStruct, frozen=True, kw_only=True):
    """One contender over the shared drills, as the course compares: availability, recovery, operator burden, scaling.

    `availability`: ok ÷ intended probes of all trials that can be trusted; `outage_s`, `failed_requests`,
    `operator_acts`: sums over the drills in which every compared contender knows the number; `recovery_*`: over those
    with a fault that broke something of everybody's, seconds; `never_recovered` counts those of them that did not come
    back by themselves or in time, which are in no median. `operator_s`: from fault to restored, added up over the
    trials in which a person acted. `scale_gain`: goodput after ÷ before the scale-up; None where no drill scaled it.
    `drills`, `known`: drills that the compared contenders share, and those of them that count.
    """

    contender: str
    drills: int
    known: int
    availability: float | None
    outage_s: float | None
    failed_requests: int
    recovery_median_s: float | None
    recovery_worst_s: float | None
    recovery_worst_drill: str
    never_recovered: int
    operator_acts: int | None
    operator_s: float | None
    scale_gain: float | None
    modelled: bool


class SensitivityRow(ResultStruct, frozen=True, kw_only=True):
    """What a contender with an operator would show if that person reacted after another time. Modelled, all of it."""

    contender: str
    reacts_after_s: float
    outage_s: float | None
    recovery_s: float | None
    availability: float | None
    """Over the same observation, made longer by as much as the reaction is."""


class OverallApart(ResultStruct, frozen=True, kw_only=True):
    """A contender that takes part in too few drills to be compared over them, and which those are."""

    contender: str
    drills: tuple[str, ...]


class Overall(ResultStruct, frozen=True, kw_only=True):
    """Phase 4 of the course: contenders over the drills that they share.

    `rows`: contenders of at least half of the drills; `apart`: the others. `drills`: those that count, since every
    contender of `rows` has numbers of them; `left_out`: the run's other drills.
    """

    rows: tuple[OverallRow, ...] = ()
    sensitivity: tuple[SensitivityRow, ...] = ()
    drills: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    apart: tuple[OverallApart, ...] = ()
