"""What the records of one trial say, sorted out once: the phases, the fault, the tasks' lives, the rotation.

Built by `trial_facts` from records in journal order and read by every module of this room. Everything works
on a journal that was cut off at any record: what is not known is None or empty. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from breakroom.analysis.actions import (
    IN_FORCE,
    OPERATORS,
    PLANNED,
    RELEASES,
    Action,
    Fault,
    actions_of,
    faults_of,
)
from breakroom.analysis.wanted import Steps, beside, value_at, wanted_steps
from breakroom.journal.records import (
    ActionChanged,
    CleanlinessChecked,
    HealthChanged,
    LogCaptured,
    PartStalled,
    PhaseStarted,
    Problem,
    Record,
    RotationChanged,
    ScalingDecided,
    StreamClosed,
    StreamOpened,
    TaskChanged,
    TaskStats,
    ToolCost,
    TrialEnded,
    TrialStarted,
    UpdateChanged,
)

__all__ = [
    "IN_FORCE",
    "PLANNED",
    "RELEASES",
    "RUNNING_STATES",
    "TERMINAL_STATES",
    "Action",
    "Fault",
    "TaskLife",
    "TrialFacts",
    "trial_facts",
]

_SECOND = 1_000_000_000
RUNNING_STATES = frozenset({"starting", "running"})
TERMINAL_STATES = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})


@dataclass(frozen=True, slots=True)
class TaskLife:
    """One task: its changes in the order of time."""

    task: str
    slot: int
    version: int
    changes: tuple[TaskChanged, ...]

    @property
    def created(self) -> int:
        """When it was first heard of."""
        return self.changes[0].t

    def first_state(self, states: frozenset[str]) -> int | None:
        """When it was first seen in one of `states`."""
        return next((change.t for change in self.changes if change.state in states), None)

    @property
    def process_started(self) -> int | None:
        """When its process was first seen: a pid in a running state, or without pids the state alone."""
        running = [change for change in self.changes if change.state in RUNNING_STATES]
        with_pid = next((change.t for change in running if change.pid is not None), None)
        if with_pid is not None:
            return with_pid
        sure = next((change.t for change in running if change.state == "running"), None)
        return sure if sure is not None else (running[0].t if running else None)

    @property
    def ended(self) -> int | None:
        """When it was seen in a state that it does not leave."""
        return self.first_state(TERMINAL_STATES)


@dataclass(frozen=True)
class TrialFacts:
    """One trial's records by kind, and what follows from them without samples. Times in ns of its clock."""

    started: TrialStarted
    phases: dict[str, int]
    tasks: dict[str, TaskLife]
    rotation: tuple[RotationChanged, ...]
    health: tuple[HealthChanged, ...]
    updates: tuple[UpdateChanged, ...]
    stats: tuple[TaskStats, ...]
    actions: tuple[Action, ...]
    opened: dict[str, StreamOpened]
    closed: dict[str, StreamClosed]
    problems: tuple[Problem, ...]
    logs: tuple[LogCaptured, ...]
    ended: TrialEnded | None
    cleanliness: CleanlinessChecked | None
    last_t: int
    stalls: tuple[PartStalled, ...] = ()
    """When breakroom's own processes stood still."""
    scaling_decided: tuple[ScalingDecided, ...] = ()
    """The autoscaler's decisions."""
    costs: tuple[ToolCost, ...] = ()
    """What breakroom's own processes used for this trial."""
    contender: dict[str, Any] = field(default_factory=dict)
    """This contender as builtins, from the plan."""

    @property
    def id(self) -> str:
        """`DRILL/CONTENDER/REPEAT`."""
        return self.started.trial

    @property
    def outcome(self) -> str:
        """As the director said, or `cut-off`."""
        return self.ended.outcome if self.ended is not None else "cut-off"

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """Every action of the timeline, in order; the load's begin only where there is nothing else."""
        return faults_of(self.actions)

    @property
    def fault(self) -> Fault | None:
        """The first action of the timeline, which all moments count from; planned acts and inapplicable ones too."""
        return self.faults[0] if self.faults else None

    @property
    def planned(self) -> bool:
        """Whether nothing was to be broken: all that was done were acts that need not hurt anybody."""
        return bool(self.faults) and all(fault.action.planned for fault in self.faults)

    def in_force_until(self, end: int) -> int | None:
        """When the last fault that stays in force was taken back or had nobody left to hit; `end` if not before that.

        None where no such fault took effect. It has nobody left when all of its tasks are over, unless it was meant for
        those to come, too.
        """
        ends = []
        for fault in self.faults:
            action = fault.action
            if action.kind not in IN_FORCE or fault.effect is None or not fault.applies:
                continue
            lives = [self.tasks[task] for task in action.tasks if task in self.tasks]
            over = [life.ended for life in lives if life.ended is not None]
            left = max(over) if over and len(over) == len(lives) and not action.detail.get("every") else end
            ends.append(max(fault.effect, min(action.stages.get("undone", end), left, end)))
        return max(ends, default=None)

    @property
    def acts(self) -> tuple[Action, ...]:
        """What the operator (modelled or real) did, in order."""
        done = [action for action in self.actions if action.by in OPERATORS and action.done is not None]
        return tuple(sorted(done, key=lambda action: action.done or 0))

    def platform_until(self, since: int, until: int) -> int:
        """Up to when what happened after `since` was the platform's doing: a person's first act, or `until`."""
        return min((act.begun for act in self.acts if act.begun >= since), default=until)

    @cached_property
    def zero(self) -> int:
        """What all moments are counted from: the fault's effect, or else the start of observation."""
        if self.fault is not None and self.fault.effect is not None:
            return self.fault.effect
        if "faulting" in self.phases:
            return self.phases["faulting"]
        opened = [opened.t0 for opened in self.opened.values()]
        return min(opened) if opened else self.started.t

    def setting(self, *path: str, default: Any = None) -> Any:
        """A value of the resolved drill, by its keys; `default` where the plan does not have it."""
        value: Any = self.started.plan
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return default if value is None else value

    @cached_property
    def wanted(self) -> int:
        """How many tasks are to be in rotation as the spec has it: 1 for a container."""
        if self.started.runs_as == "container":
            return 1
        deploy = _dict(_dict(self.contender.get("service")).get("deploy"))
        return int(deploy.get("replicas", 1))

    @cached_property
    def wanted_steps(self) -> Steps:
        """(moment, tasks that are to be in rotation from then on): the spec's, changed by scaling."""
        return wanted_steps(self.started.t, self.wanted, self.actions, self.updates)

    def wanted_at(self, t: int) -> int:
        """How many tasks were to be in rotation at a moment."""
        found = value_at(self.wanted_steps, t)
        return self.wanted if found is None else found

    @cached_property
    def capacity_steps(self) -> tuple[tuple[int, int, int], ...]:
        """(moment, tasks in rotation, tasks wanted), in order of time."""
        return beside(self.rotation_steps, self.wanted_steps)

    @property
    def steady_duration(self) -> int:
        """Ns for which steady state must hold."""
        return int(self.setting("steady_state", "duration", default=3 * _SECOND))

    @property
    def stable_duration(self) -> int:
        """Ns without a failed probe after which the trial is over."""
        return int(self.setting("recovered", "stable", default=3 * _SECOND))

    def seconds(self, t: float) -> float:
        """A moment in seconds after zero."""
        return (t - self.zero) / _SECOND

    @cached_property
    def rotation_steps(self) -> tuple[tuple[int, int], ...]:
        """(moment, tasks in rotation from then on), in order of time."""
        inside: set[str] = set()
        steps: list[tuple[int, int]] = []
        for change in self.rotation:
            (inside.add if change.in_rotation else inside.discard)(change.task)
            if steps and steps[-1][0] == change.t:
                steps.pop()
            steps.append((change.t, len(inside)))
        return tuple(steps)

    def in_rotation_throughout(self, start: int, end: int) -> tuple[str, ...]:
        """Tasks that were in rotation during the whole of [start, end)."""
        inside: set[str] = set()
        lost: set[str] = set()
        for change in self.rotation:
            if change.t >= end:
                break
            if change.in_rotation and change.t <= start:
                inside.add(change.task)
            elif not change.in_rotation:
                (inside.discard if change.t <= start else lost.add)(change.task)
        return tuple(sorted(inside - lost))


def trial_facts(records: Iterable[Record]) -> TrialFacts | None:
    """Sort out one trial's records; None where they have no `TrialStarted`."""
    kinds: dict[type, list[Any]] = {}
    last_t = 0
    for record in records:
        kinds.setdefault(type(record), []).append(record)
        last_t = max(last_t, record.t)
    if TrialStarted not in kinds:
        return None
    started: TrialStarted = kinds[TrialStarted][0]
    phases: dict[str, int] = {}
    for phase in kinds.get(PhaseStarted, []):
        phases.setdefault(phase.phase, phase.t)
    return TrialFacts(
        started=started,
        phases=phases,
        tasks=_tasks(kinds.get(TaskChanged, [])),
        rotation=_by_time(kinds.get(RotationChanged, [])),
        health=_by_time(kinds.get(HealthChanged, [])),
        updates=_by_time(kinds.get(UpdateChanged, [])),
        stats=_by_time(kinds.get(TaskStats, [])),
        costs=tuple(kinds.get(ToolCost, [])),
        actions=actions_of(kinds.get(ActionChanged, [])),
        stalls=_by_time(kinds.get(PartStalled, [])),
        scaling_decided=_by_time(kinds.get(ScalingDecided, [])),
        opened={opened.stream: opened for opened in kinds.get(StreamOpened, [])},
        closed={closed.stream: closed for closed in kinds.get(StreamClosed, [])},
        problems=tuple(kinds.get(Problem, [])),
        logs=tuple(kinds.get(LogCaptured, [])),
        ended=kinds[TrialEnded][-1] if TrialEnded in kinds else None,
        cleanliness=kinds[CleanlinessChecked][-1] if CleanlinessChecked in kinds else None,
        last_t=last_t,
        contender=_contender(started),
    )


def _by_time(records: list[Any]) -> tuple[Any, ...]:
    """By each record's own time: the ingress's come with a delay, behind later ones of the director."""
    return tuple(sorted(records, key=lambda record: record.t))


def _tasks(changes: list[TaskChanged]) -> dict[str, TaskLife]:
    by_task: dict[str, list[TaskChanged]] = {}
    for change in _by_time(changes):
        by_task.setdefault(change.task, []).append(change)
    return {task: TaskLife(task, of[0].slot, of[0].version, tuple(of)) for task, of in by_task.items()}


def _contender(started: TrialStarted) -> dict[str, Any]:
    """The contender within the plan: the one of its name, or the only one."""
    single = started.plan.get("contender")
    if isinstance(single, dict):
        return single
    found = started.plan.get("contenders")
    several = [_dict(one) for one in found] if isinstance(found, list | tuple) else []
    named = [one for one in several if one.get("name") == started.contender]
    return (named or several or [{}])[0]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
