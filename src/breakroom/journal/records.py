"""The journal's records: one immutable type for each kind of thing that can happen in a run.

Written by the director (and, through it, by the platforms) with `journal.store`; read by `analysis` and the live
view. A record is one line of JSON in `journal.jsonl`; its `type` is the class name. Adding a field with a default
keeps old journals readable; removing or renaming one does not.

`t` is nanoseconds of the machine's monotonic clock (`time.monotonic_ns`), the same clock as the samples'.
`RunStarted` ties it to the calendar. `trial` is empty for records about the whole run.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "ActionChanged",
    "CleanlinessChecked",
    "HealthChanged",
    "LogCaptured",
    "PartStalled",
    "PhaseStarted",
    "Problem",
    "Record",
    "RotationChanged",
    "RunEnded",
    "RunStarted",
    "ScalingDecided",
    "StreamClosed",
    "StreamOpened",
    "TaskChanged",
    "TaskStats",
    "ToolCost",
    "TrialEnded",
    "TrialStarted",
    "UndoDone",
    "UndoPlanned",
    "UpdateChanged",
    "decode",
    "encode",
]

Phase = Literal["deploying", "steadying", "faulting", "recovering", "undoing", "done"]


class _Base(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    t: int
    trial: str = ""


class RunStarted(_Base, frozen=True, kw_only=True, tag=True):
    """First record of every journal. `unix_ns` is the calendar time at `t`."""

    run_id: str
    version: str
    unix_ns: int
    argv: tuple[str, ...]
    platform: str
    pace: str
    seed: int
    repeat: int
    trials: tuple[str, ...]
    """Every trial id of the plan, in the order they are to run."""
    chosen: bool = True
    """Whether a person named the drills. If not, one that the platform cannot play at all does not count."""
    host: dict[str, Any] = {}
    """cores, memory_bytes, system, release, python; never a user or host name."""
    schema: int = 1


class TrialStarted(_Base, frozen=True, kw_only=True, tag=True):
    """One drill on one contender, once. `trial` is `DRILL/CONTENDER/REPEAT` (repeat counts from 1)."""

    drill: str
    contender: str
    repeat: int
    runs_as: Literal["container", "service"]
    seed: int
    shared_plan: dict[str, Any]
    """All that must be the same for every contender of the drill: probe, load, timeline, seed, image, limits."""
    plan_digest: str
    """SHA-256 of `shared_plan` as canonical JSON."""
    plan: dict[str, Any]
    """The whole resolved drill for this contender (spec.drill as builtins)."""
    capabilities: dict[str, str] = {}
    """How the platform does what differs between hosts, e.g. memory_limit: cgroup-v1 | rss-watch."""


class PhaseStarted(_Base, frozen=True, kw_only=True, tag=True):
    """The director entered a phase of the trial."""

    phase: Phase


class TaskChanged(_Base, frozen=True, kw_only=True, tag=True):
    """A task was created or its observed or desired state changed. A container's every start is a task of its own."""

    task: str
    """Unique in the trial, and what the task answers as in X-Task-Id."""
    service: str
    slot: int
    node: str
    state: str
    """Observed: new, pending, assigned, accepted, preparing, ready, starting, running, complete, shutdown, failed, …"""
    desired: str
    """ready, running, shutdown or remove."""
    image: str = ""
    version: int = 0
    """Number of the service spec that the task was made from, counting from 1."""
    message: str = ""
    error: str = ""
    """In Swarm's words: `task: non-zero exit (137)`."""
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    pid: int | None = None
    platform_unix_ns: int | None = None
    """The platform's own time of the change, where it gives one."""


class RotationChanged(_Base, frozen=True, kw_only=True, tag=True):
    """A task entered or left the ingress's rotation. `t` is the ingress's own time."""

    task: str
    in_rotation: bool
    reason: str = ""
    """On leaving: `drain` (existing connections kept) or `cut` (crash: removed at once)."""
    open_connections: int = 0
    """Client connections that were assigned to the task and not finished at that moment; for a cut, also those that
    the task's death had ended just before, without the answer they were owed."""
    refused_connections: int = 0
    """On leaving: connections assigned to the task that its port refused since it entered."""
    total_connections: int = 0
    """On leaving: all connections assigned to the task since it entered."""


class HealthChanged(_Base, frozen=True, kw_only=True, tag=True):
    """One health probe of a task finished."""

    task: str
    status: Literal["starting", "healthy", "unhealthy"]
    ok: bool
    failing_streak: int = 0
    duration_ns: int = 0
    output: str = ""


class UpdateChanged(_Base, frozen=True, kw_only=True, tag=True):
    """A rolling update or rollback changed state (`updating`, `paused`, `completed`, `rollback_…`)."""

    service: str
    state: str
    message: str = ""


class TaskStats(_Base, frozen=True, kw_only=True, tag=True):
    """Memory and CPU of one task, sampled."""

    task: str
    memory_bytes: int
    memory_limit_bytes: int | None = None
    cpu_ns: int = 0
    """CPU time used since the task started."""


class ActionChanged(_Base, frozen=True, kw_only=True, tag=True):
    """Something was done to the service on purpose: a fault, a scale, an update, an operator's act.

    Stages come in order: `intended`, `done`, then `proved` (with the proof's own time in `proved_t`) or `unproved`,
    and `undone` where there is something to undo. `inapplicable` alone: the contender has no such act (a single
    container cannot be scaled) and stays as it is; moments count from there all the same.
    """

    action: str
    """Unique in the trial."""
    kind: str
    """`kill`, `restart`, …"""
    by: Literal["timeline", "operator-model", "person", "autoscaler"]
    stage: Literal["intended", "done", "proved", "unproved", "undone", "failed", "inapplicable"]
    tasks: tuple[str, ...] = ()
    proved_t: int | None = None
    """When the effect set in, by independent evidence (a kill: the kernel's exit notice)."""
    detail: dict[str, Any] = {}


class ScalingDecided(_Base, frozen=True, kw_only=True, tag=True):
    """The autoscaler looked at the load and decided; a change is an `ActionChanged` of kind `scale` beside it."""

    metric: Literal["utilisation", "latency"]
    observed: float | None
    """A ratio, or seconds; None: nothing was to be seen in its window."""
    target: float
    """In the same unit."""
    replicas: int
    """Wanted before the decision."""
    proposed: int
    """What the rule alone asks for."""
    decided: int
    """What bounds, tolerance and cool-downs made of it."""
    decision: Literal["up", "down", "hold"]
    reason: str
    """Code of the sentence that explains it (`scaling.…`)."""
    params: dict[str, Any] = {}
    dry_run: bool = False


class UndoPlanned(_Base, frozen=True, kw_only=True, tag=True):
    """Undo journal: how to take a fault back. On disk before the fault is injected."""

    undo: str
    kind: str
    args: dict[str, Any] = {}


class UndoDone(_Base, frozen=True, kw_only=True, tag=True):
    """The undo of that name was carried out, or found to be needless."""

    undo: str
    ok: bool
    message: str = ""


class StreamOpened(_Base, frozen=True, kw_only=True, tag=True):
    """A probe or load began. Its samples are in `files`, relative to the run's directory, one a worker."""

    stream: str
    """`probe` or `load`."""
    model: Literal["open", "closed"]
    t0: int
    """Intended time of the first request; intended times of the open model are t0 + the plan's offsets."""
    files: tuple[str, ...]
    plan: dict[str, Any]
    url: str


class StreamClosed(_Base, frozen=True, kw_only=True, tag=True):
    """A probe or load ended, with what the generator says of itself."""

    stream: str
    intended: int
    """Requests whose intended send time had come (open), or that were begun (closed)."""
    sent: int
    completed: int
    """Requests with an outcome; every one of them is a sample."""
    lag_p50_ns: int = 0
    """Lag: actual begin of sending minus intended time, over all requests of the open model."""
    lag_p99_ns: int = 0
    lag_max_ns: int = 0
    still_longest_ns: int = 0
    """The longest that a worker stood still although it had something to do."""
    still_share: float = 0.0
    """The share of its time in which the worst worker stood still or waited for a processor."""
    bottleneck: str = ""
    """Why the generator, not the service, limited the stream; empty if it did not."""


class PartStalled(_Base, frozen=True, kw_only=True, tag=True):
    """One of breakroom's own processes stood still: it was asked, or wanted to wake up, and was late.

    Written for each second (or longer) in which that was a fifth of the time, and for every single time of half a
    second or more; `t` is the end of that stretch.
    """

    part: str
    """`main`, `engine` or `ingress`."""
    since: int
    """Where the stretch begins."""
    still_ns: int
    """For how long of it the part is known to have stood still."""
    longest_ns: int
    """The longest single time."""


class LogCaptured(_Base, frozen=True, kw_only=True, tag=True):
    """A task's standard output and error are kept in `file` (relative); `tail` is its end at the task's end."""

    task: str
    file: str
    tail: str = ""


class ToolCost(_Base, frozen=True, kw_only=True, tag=True):
    """What one process of breakroom itself used, from its start to now; `main` with a trial: from the trial's start."""

    process: str
    """`main`, `engine`, `ingress`, `probe`, `load`, …"""
    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int
    wall_ns: int


class Problem(_Base, frozen=True, kw_only=True, tag=True):
    """Something that a reader of the results must know. `code` is stable; `params` fill its message."""

    severity: Literal["note", "warning", "error"]
    code: str
    params: dict[str, Any] = {}


class TrialEnded(_Base, frozen=True, kw_only=True, tag=True):
    """The trial is over. A journal without it was cut off."""

    outcome: Literal["completed", "not-steady", "not-recovered", "aborted", "failed", "skipped"]
    """`skipped`: not begun, because the platform cannot do what a step needs; `reason` says what."""
    reason: str = ""


class CleanlinessChecked(_Base, frozen=True, kw_only=True, tag=True):
    """After a trial: what of it was still on the machine (processes, ports, files, cgroups); empty is clean."""

    checked: tuple[str, ...]
    left: tuple[str, ...] = ()


class RunEnded(_Base, frozen=True, kw_only=True, tag=True):
    """Last record of a run that was not cut off."""

    outcome: Literal["completed", "aborted", "failed"]
    reason: str = ""


Record = (
    RunStarted
    | TrialStarted
    | PhaseStarted
    | TaskChanged
    | RotationChanged
    | HealthChanged
    | UpdateChanged
    | TaskStats
    | ActionChanged
    | ScalingDecided
    | UndoPlanned
    | UndoDone
    | StreamOpened
    | StreamClosed
    | PartStalled
    | LogCaptured
    | ToolCost
    | Problem
    | TrialEnded
    | CleanlinessChecked
    | RunEnded
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """One line of JSON, with its newline."""
    return _encoder.encode(record) + b"\n"


def decode(line: bytes) -> Record:
    """Read one line.

    Raises:
        msgspec.DecodeError: torn or not JSON.
        msgspec.ValidationError: JSON, but no record of this schema.
    """
    return _decoder.decode(line)
